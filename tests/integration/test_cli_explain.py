"""`poller explain`: one command tells what happened to a webinar, a registrant or an event."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.looked_at import Known, fill, is_rfc_3339_utc, rows, told
from tests.integration.terminal import Terminal


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    with pytest.MonkeyPatch.context() as patch:
        yield asyncio.run(fill(tmp_path_factory.mktemp("explained"), patch))


@pytest.fixture
def terminal(known: Known) -> Terminal:
    """Where the secrets are not."""
    return Terminal(known.config.parent)


async def test_explain_tells_what_happened_to_a_registrant_in_one_go(terminal: Terminal, known: Known) -> None:
    text = await told(terminal, "explain", known.newcomer)
    assert known.email in text
    for words in (
        "present: the last complete list had it",
        "told as new",
        "registrant.added",
        "→ crm: delivered",
        "2 attempts",
        "answered 503",
        "→ log: delivered",
        "→ queue: held back by trigger quiet",
        "→ strict: dead letter",
        "answered 400",
        "recent polls",
        "polled every ",
    ):
        assert words in text


async def test_explain_tells_programs_the_same(terminal: Terminal, known: Known) -> None:
    found = await rows(terminal, "explain", known.newcomer)
    (record,) = found["records"]
    assert (record["presence"], record["announced"], record["webinar"]) == ("present", True, known.webinar)
    (event,) = found["events"]
    assert event["event"]["type"] == "com.goto.registrant.added"
    deliveries = {row["sink"]: row for row in event["deliveries"]}
    assert {name: row["state"] for name, row in deliveries.items()} == {
        "crm": "delivered",
        "log": "delivered",
        "queue": "held",
        "strict": "dead",
    }
    (failed,) = deliveries["crm"]["failed"]
    assert "503" in failed["reason"]
    assert is_rfc_3339_utc(failed["at"])
    assert found["targets"][0]["polled"] is True
    assert len(found["polls"]) == 3


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("old", ["present", "silently taken as baseline", "events: none are kept"]),
        ("missing", ["missing from the last complete list, to be confirmed"]),
        ("removed", ["confirmed gone", "registrant.removed", "revision 2"]),
        ("cancelled", ["confirmed gone", "webinar.cancelled"]),
        ("webinar", ["webinar ", "organizer ", "ends ", "last polled through acme"]),
        ("refused", ["not polled now: connection beta is unauthorized; `poller login beta`"]),
    ],
)
async def test_explain_says_in_words_how_things_stand(
    terminal: Terminal, known: Known, which: str, words: list[str]
) -> None:
    text = await told(terminal, "explain", getattr(known, which))
    assert [wanted for wanted in words if wanted not in text] == []


async def test_an_event_is_found_by_id_sequence_or_subject_with_what_it_is_about(
    terminal: Terminal, known: Known
) -> None:
    (event,) = (await rows(terminal, "explain", known.newcomer))["events"]
    sequence = event["event"]["sequence"]
    for key in (event["event"]["id"], sequence, sequence.lstrip("0"), event["event"]["subject"]):
        found = await rows(terminal, "explain", key)
        assert [row["event"]["id"] for row in found["events"]] == [event["event"]["id"]]
        assert [record["key"] for record in found["records"]] == [known.newcomer]


@pytest.mark.parametrize("key", ["12345", "%", "someone@example.com", "/", "99999999999999999999999999"])
async def test_what_nobody_knows_ends_with_1_and_a_hint(terminal: Terminal, key: str) -> None:
    said = await terminal.run("explain", key)
    assert (said.code, said.out) == (1, "")
    assert "poller events" in said.err
    assert "someone@" not in said.err
    assert said.err.count("\n") == 1
