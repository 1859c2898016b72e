"""Pauses of the whole product: what appears meanwhile is told on resume, as news, once, and in order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from poller.app import App
from poller.settings import Settings
from poller.simulator import Simulator, Span, WorldOptions
from poller.testing import FakeClock

SETTINGS = """
[engine]
state = "poller.db"
[goto]
api_url = "{api}"
auth_url = "{api}"
client_id = "{sim.client_id}"
client_secret = "{sim.client_secret}"
[limits]
per_second = 0
per_operation_per_second = 0
per_connection_per_minute = 0
[[connections]]
name = "acme"
account = {account}
pat = "{pat}"
[[sinks]]
name = "out"
type = "file"
path = "out.jsonl"
rotate_age = "1y"
"""


class Stage:
    """An app in front of a simulator; both go by one clock that a test moves."""

    def __init__(self, folder: Path, app: App, sim: Simulator, clock: FakeClock) -> None:
        self.folder, self.app, self.sim, self.clock = folder, app, sim, clock

    @property
    def webinar(self) -> str:
        return self.sim.world.webinars()[0].webinar_key

    def register(self, webinar: str = "") -> str:
        return self.sim.world.register(webinar or self.webinar).registrant_key

    async def once(self) -> None:
        assert not (await self.app.once()).errors

    def received(self) -> list[tuple[str, str]]:
        path = self.folder / "out.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        assert not any(event.get("backfill") for event in events)
        return [(event["type"].removeprefix("com.goto."), event["subject"].rpartition("/")[2]) for event in events]


@asynccontextmanager
async def stage(folder: Path, *, account: bool = False) -> AsyncIterator[Stage]:
    clock = FakeClock()
    sim = Simulator(WorldOptions(seed=3, organizers=2, webinars=4, registrants=8, rate_per_minute=0), clock=clock)
    pat = sim.world.admin.pat if account else sim.world.organizers[0].pat
    config = folder / "poller.toml"
    async with sim.serve(ticker=False) as api:
        config.write_text(SETTINGS.format(api=api, sim=sim, pat=pat, account=str(account).lower()))
        app = await App.open(Settings.load(config), clock=clock)
        try:
            made = Stage(folder, app, sim, clock)
            await made.once()
            assert made.received() == []
            yield made
        finally:
            await app.close()


@pytest.mark.parametrize("kind", ["connection", "organizer"])
async def test_what_appears_while_a_connection_or_its_organizer_rests_is_told_on_resume(tmp_path, kind):
    async with stage(tmp_path) as on:
        organizer = on.sim.world.organizers[0].organizer_key
        name = {"connection": "acme", "organizer": organizer}[kind]
        await on.app.switches.pause(kind, name, "holidays")
        person = on.register()
        created = on.sim.world.create_webinar(organizer).webinar_key
        calls = on.sim.report().calls
        for _ in range(3):
            await on.once()
            await on.clock.advance(86_400)
        assert on.received() == []
        assert on.sim.report().calls == calls
        await on.app.switches.resume(kind, name)
        guest = on.register(created)
        await on.once()
        assert sorted(on.received()) == sorted(
            [("registrant.added", person), ("webinar.created", created), ("registrant.added", guest)]
        )
        assert any("paused: holidays" in row.note for row in await on.app.store.polls(50))


async def test_what_an_organizer_of_an_account_made_and_held_during_a_pause_is_told_on_resume(tmp_path):
    """The other organizers of the account are told meanwhile."""
    async with stage(tmp_path, account=True) as on:
        paused, other = (organizer.organizer_key for organizer in on.sim.world.organizers)
        await on.app.switches.pause("organizer", paused)
        start = on.sim.world.catch_up() + timedelta(days=2)
        held = on.sim.world.create_webinar(paused, times=(Span(start, start + timedelta(hours=1)),)).webinar_key
        guest = on.register(held)
        created = on.sim.world.create_webinar(other).webinar_key
        for _ in range(10):
            await on.once()
            await on.clock.advance(86_400)
        assert on.received()[0] == ("webinar.created", created)
        count = len(on.received())
        assert not {held, guest}.intersection(key for _, key in on.received())
        await on.app.switches.resume("organizer", paused)
        await on.once()
        assert on.received()[count:][:2] == [("webinar.created", held), ("registrant.added", guest)]
        assert "webinar.session.completed" in {kind for kind, _ in on.received()[count:][2:]}


async def test_a_paused_trigger_holds_and_a_resumed_one_releases_in_order(tmp_path):
    async with stage(tmp_path) as on:
        await on.app.switches.pause("trigger", "all")
        people = [on.register()]
        await on.once()
        people.append(on.register())
        await on.once()
        assert on.received() == []
        assert await on.app.switches.resume("trigger", "all") == 2
        people.append(on.register())
        await on.once()
        assert on.received() == [("registrant.added", person) for person in people]


async def test_a_paused_sink_gets_everything_when_it_is_resumed(tmp_path):
    async with stage(tmp_path) as on:
        await on.app.switches.pause("sink", "out")
        people = [on.register(), on.register()]
        await on.once()
        assert on.received() == []
        await on.app.switches.resume("sink", "out")
        await on.once()
        assert sorted(on.received()) == sorted(("registrant.added", person) for person in people)


async def test_a_forgotten_person_stays_forgotten(tmp_path):
    async with stage(tmp_path) as on:
        person = on.register()
        await on.once()
        email = on.sim.world.registrants(on.webinar)[person].email
        await on.app.forget(email)
        on.sim.world.set_status(on.webinar, person, "DENIED")
        await on.once()
        on.sim.world.remove_registrant(on.webinar, person)
        await on.once()
        assert on.received() == [("registrant.added", person)]  # a file is a copy that cannot be reached
        assert email not in str(await on.app.store.explain(on.webinar))
