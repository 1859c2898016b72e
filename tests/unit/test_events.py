"""Event ids and envelopes: the same fact is the same event everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from state.events import Draft, as_event, envelope, event_id, sequence_text, short_type, timestamp
from tests.contracts.store_samples import draft

WORDS = st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]))


def test_an_id_is_the_same_in_every_release() -> None:
    """Consumers remember ids; a changed recipe would send them everything again."""
    assert event_id("com.goto.registrant.added", "webinars/1/registrants/2", 1) == "b84c0d21879cec6eaed0c9a549945bc2"


@given(st.lists(st.tuples(WORDS, WORDS, st.integers(1, 10**6)), unique=True, max_size=20))
def test_different_facts_have_different_ids(facts: list[tuple[str, str, int]]) -> None:
    assert len({event_id(*fact) for fact in facts}) == len(facts)


def test_an_id_depends_on_the_fact_and_not_on_who_saw_it_when() -> None:
    first = draft("1", email="a@example.com")
    other = replace(
        first,
        source="/organizers/2",
        connection="beta",
        time="2030-01-01T00:00:00Z",
        observed="2030-01-01T00:00:00Z",
        partition="x",
        data={},
        backfill=True,
    )
    assert first.id == other.id
    assert len({first.id, replace(first, revision=2).id, replace(first, type="t").id, draft("2").id}) == 4


def test_the_envelope_has_every_promised_field_and_an_independent_reader_accepts_it() -> None:
    body = envelope(draft("7", email="a@example.com"), 42)
    event = json.loads(body)
    assert event == {
        "specversion": "1.0",
        "id": draft("7").id,
        "type": "com.goto.registrant.added",
        "source": "/organizers/1",
        "subject": "webinars/100/registrants/7",
        "time": "2027-01-15T08:00:00.000Z",
        "observedtime": "2027-01-15T08:00:00.000Z",
        "connection": "acme",
        "sequence": "00000000000000000042",
        "partitionkey": "100",
        "datacontenttype": "application/json",
        "data": {"registrantKey": "7", "email": "a@example.com"},
    }
    read = JSONFormat().read(CloudEvent, body)
    assert (read.get_id(), read.get_type(), read.get_data()) == (event["id"], event["type"], event["data"])


def test_history_is_marked_and_news_is_not() -> None:
    history: Draft = replace(draft("1"), backfill=True)
    assert json.loads(envelope(history, 1))["backfill"] is True
    assert "backfill" not in json.loads(envelope(draft("1"), 1))


def test_a_condition_sees_what_will_be_sent_but_for_the_sequence() -> None:
    sent = json.loads(envelope(draft("1", status="APPROVED"), 9))
    seen = dict(as_event(draft("1", status="APPROVED")))
    assert {**sent, "sequence": None} == {**seen, "sequence": None}


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_sequences_compare_as_text_as_they_do_as_numbers(a: int, b: int) -> None:
    assert (sequence_text(a) < sequence_text(b)) == (a < b)


def test_a_short_type_leaves_out_the_vendor_and_keeps_operational_types() -> None:
    assert short_type("com.goto.registrant.added") == "registrant.added"
    assert short_type("poller.sink.disabled") == "poller.sink.disabled"


@given(st.integers(0, 4 * 10**15), st.integers(-12 * 60, 14 * 60))
def test_a_timestamp_is_the_same_moment_in_utc_to_the_millisecond(microseconds: int, minutes: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    text = timestamp(moment.astimezone(timezone(timedelta(minutes=minutes))))
    assert text.endswith("Z") and len(text) == len("2026-03-01T09:16:40.123Z")
    assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)
