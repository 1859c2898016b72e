"""The shapes in shapes/poller.toml under examples/: what `sample` shows goes out, and is what the receivers take."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from poller.samples import sample
from poller.settings import Settings
from poller.sinks.base import SinkContext
from poller.sinks.registry import build_sink
from poller.testing.events import outgoing
from tests.integration.receiver import answering, receiver
from tests.integration.terminal import Terminal

SHAPES = Path(__file__).parents[2] / "examples" / "shapes" / "poller.toml"
NASTY = {"firstName": 'Zo"ë\n', "lastName": "<!channel> & Söhne", "webinarSubject": "a\\b {{ 7 * 7 }}"}
SECRETS = {"GOTO_CLIENT_SECRET": "x", "GOTO_PAT": "x", "CRM_TOKEN": "Bearer abc"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Settings.load(SHAPES)


def names() -> list[str]:
    return [sink["name"] for sink in tomllib.loads(SHAPES.read_text())["sinks"]]


async def sent(settings: Settings, name: str, event: Any) -> tuple[Any, dict[str, str]]:
    """What a receiver gets of an event, decoded, and the headers."""
    chosen = next(sink for sink in settings.sinks if sink.name == name)
    async with receiver(answering(200)) as server:
        sink = build_sink(chosen.model_copy(update={"url": server.url, "allow_private": True}), SinkContext())
        await sink.connect()
        try:
            assert list(await sink.send([event])) == [None]
        finally:
            await sink.close()
        return json.loads(server.bodies[0]), server.headers[0]


@pytest.mark.parametrize("name", names())
async def test_what_sample_shows_is_what_a_receiver_gets(settings: Settings, name: str, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.config.write_text(SHAPES.read_text())

    shown = await terminal.run("sample", "registrant.added", "--sink", name, "--json")

    assert shown.code == 0, shown
    body, headers = await sent(settings, name, sample("registrant.added"))
    assert json.loads(json.loads(shown.out)["body"]) == body
    assert headers["content-type"] == json.loads(shown.out)["content_type"]


@pytest.mark.parametrize("name", names())
async def test_names_that_people_choose_break_no_shape(settings: Settings, name: str) -> None:
    body, _ = await sent(settings, name, outgoing(1, status="APPROVED", registrationDate="2026-03-01", **NASTY))
    text = json.dumps(body, ensure_ascii=False)
    assert "49" not in text, "a template within the data was rendered"
    assert NASTY["lastName"] in text or "&lt;!channel&gt; &amp; Söhne" in text


async def test_slack_gets_one_line_that_pings_nobody(settings: Settings) -> None:
    body, _ = await sent(settings, "slack", outgoing(1, **NASTY))
    assert list(body) == ["text"] and "<" not in body["text"]
    created, _ = await sent(settings, "slack", sample("webinar.created"))
    cancelled, _ = await sent(settings, "slack", sample("webinar.cancelled"))
    assert created["text"].startswith("New webinar: *Product tour*")
    assert cancelled["text"] == "Cancelled: *Product tour*"


@pytest.mark.parametrize("type_", ["registrant.added", "webinar.created", "webinar.cancelled"])
async def test_teams_gets_an_adaptive_card(settings: Settings, type_: str) -> None:
    body, _ = await sent(settings, "teams", sample(type_))
    [attachment] = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    title, facts = attachment["content"]["body"]
    assert title["text"] and all(fact["value"] for fact in facts["facts"])


async def test_a_flow_gets_one_flat_object(settings: Settings) -> None:
    body, _ = await sent(settings, "power-automate", sample("registrant.added"))
    assert body["eventType"] == "registrant.added" and body["email"] == "ada@example.com"
    assert not any(isinstance(value, dict) for value in body.values())


async def test_a_crm_gets_an_upsert_with_one_key_per_event(settings: Settings) -> None:
    event = sample("registrant.added")
    body, headers = await sent(settings, "crm", event)
    [contact] = body["inputs"]
    assert contact["id"] == contact["properties"]["email"] == "ada@example.com"
    assert (headers["idempotency-key"], headers["authorization"]) == (event.id, "Bearer abc")
