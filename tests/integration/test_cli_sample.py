"""`poller sample`: valid events of every type there is, and exactly what a sink would send of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime

import pytest
from standardwebhooks import Webhook

from poller import samples
from state.events import event_id
from tests.integration.looked_at import CRM_SECRET, Known, fill, told
from tests.integration.terminal import Terminal

EXAMPLE_SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtb2YtcG9sbGVyLXNhbXBsZQ=="


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    with pytest.MonkeyPatch.context() as patch:
        yield asyncio.run(fill(tmp_path_factory.mktemp("sampled"), patch))


@pytest.fixture
def terminal(known: Known) -> Terminal:
    return Terminal(known.config.parent)


@pytest.mark.parametrize("type_", samples.types())
def test_every_type_has_a_valid_sample(type_: str) -> None:
    outgoing = samples.sample(type_)
    event = json.loads(outgoing.body)
    assert event["type"] == (type_ if type_.startswith("poller.") else f"com.goto.{type_}")
    assert event["specversion"] == "1.0"
    assert (event["id"], event["subject"]) == (outgoing.id, outgoing.subject)
    assert datetime.fromisoformat(event["time"]) <= datetime.fromisoformat(event["observedtime"])
    if type_.endswith((".created", ".added")):
        assert event["id"] == event_id(event["type"], event["subject"], 1)
    if type_.endswith(".changed"):
        assert event["data"]["changed"] == list(event["data"]["previous"])
        assert all(event["data"][name] != before for name, before in event["data"]["previous"].items())


async def test_samples_have_the_fields_of_real_events(terminal: Terminal) -> None:
    real = [json.loads(line) for line in (await told(terminal, "events")).splitlines()]
    assert len(real) == 4
    for event in real:
        sample = samples.sample(event["type"].removeprefix("com.goto.")).event
        assert list(sample) == list(event)
        assert sorted(sample["data"]) == sorted(event["data"])


async def test_a_sample_needs_no_settings(terminal: Terminal) -> None:
    event = json.loads(await told(Terminal(terminal.folder / "nowhere"), "sample", "com.goto.registrant.added"))
    assert event["data"]["email"].endswith("@example.com")


async def test_a_webhook_sample_is_signed_as_the_sink_would_and_shows_no_secret(terminal: Terminal) -> None:
    terminal.environment = {"TEST_CRM_SECRET": CRM_SECRET, "TEST_CRM_KEY": "key-of-the-crm"}
    found = json.loads(await told(terminal, "sample", "registrant.added", "--sink", "crm", "--json"))
    Webhook(CRM_SECRET).verify(found["body"], found["headers"])
    assert json.loads(found["body"]) == samples.sample("registrant.added").event
    assert found["method"] == "POST"
    assert found["url"].endswith("/…")
    text = await told(terminal, "sample", "registrant.added", "--sink", "crm")
    assert text.startswith("POST http://127.0.0.1:")
    assert "webhook-signature: v1," in text
    for secret in ("key-of-the-crm", CRM_SECRET, "path-that-is-a-password"):
        assert secret not in text + json.dumps(found, ensure_ascii=False)


async def test_without_the_secret_an_example_signs_and_that_is_said(terminal: Terminal) -> None:
    said = await terminal.run("sample", "registrant.added", "--sink", "crm", "--json")
    assert (said.code, said.err.count("\n")) == (0, 1)
    assert EXAMPLE_SECRET in said.err
    found = json.loads(said.out)
    Webhook(EXAMPLE_SECRET).verify(found["body"], found["headers"])


async def test_a_sample_has_the_format_of_its_sink(terminal: Terminal) -> None:
    templated = await told(terminal, "sample", "webinar.changed", "--sink", "queue")
    assert templated == f"webinar.changed of {samples.WEBINAR}\n"
    item = json.loads(await told(terminal, "sample", "registrant.removed", "--sink", "log"))
    assert (item["eventType"], item["registrantKey"]) == ("registrant.removed", samples.REGISTRANT)
