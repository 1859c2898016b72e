"""A state with a little of everything in it, filled by a real engine against the simulator, and looking at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from poller.app import App
from poller.clock import ScaledClock
from poller.settings import Settings
from poller.simulator import Simulator, WorldOptions
from tests.integration.receiver import receiver
from tests.integration.terminal import Terminal

# The first pause of the retry schedule is 5 s of the engine's time.
SPEED = 20.0

CRM_SECRET = "whsec_dGhlLXNlY3JldC1vZi10aGUtdGVzdHM="

SETTINGS = """
[engine]
state = "poller.db"
interval = "5s"
display_timezone = "Europe/Berlin"
[goto]
api_url = "{api}"
auth_url = "{api}"
client_id = "simulator"
client_secret = "env:TEST_CLIENT_SECRET"
[limits]
per_connection_per_minute = 30
[[connections]]
name = "acme"
pat = "env:TEST_ACME_PAT"
[[connections]]
name = "beta"
pat = "env:TEST_BETA_PAT"
[[connections]]
name = "later"
active = false
[[triggers]]
name = "everything"
sinks = ["log", "crm", "strict"]
[[triggers]]
name = "quiet"
on = ["registrant.added"]
sinks = ["queue"]
[[sinks]]
name = "log"
type = "file"
path = "events.jsonl"
format = "item"
[[sinks]]
name = "crm"
type = "webhook"
url = "{hook}/crm/path-that-is-a-password"
allow_private = true
secret = "env:TEST_CRM_SECRET"
headers = {{ "X-Api-Key" = "env:TEST_CRM_KEY" }}
[[sinks]]
name = "strict"
type = "webhook"
url = "{hook}/strict"
allow_private = true
[[sinks]]
name = "queue"
type = "file"
path = "queue.jsonl"
format = "template"
template = "{{{{ short_type }}}} of {{{{ data.webinarKey }}}}"
"""


@dataclass
class Known:
    """What the state knows, by its keys."""

    config: Path
    webinar: str  # of acme, with everything below in it
    newcomer: str  # a registrant added after the baseline; crm failed at first, strict refused, queue is held
    email: str  # the newcomer's
    removed: str  # of the baseline, and gone since
    missing: str  # of the baseline, and not in the last list
    old: str  # of the baseline, and still there
    cancelled: str  # a webinar
    refused: str  # a webinar of beta, whose login is refused


async def fill(folder: Path, patch: pytest.MonkeyPatch) -> Known:
    """The secrets are in the environment while the engine works, and gone when this returns."""
    clock = ScaledClock(SPEED)
    sim = Simulator(WorldOptions(seed=5, organizers=2, webinars=6, registrants=30, rate_per_minute=0), clock=clock)
    acme, beta = sim.world.organizers
    failing = {"crm": True}

    async def answer(request: web.Request) -> web.Response:
        if "strict" in request.path:
            return web.Response(status=400)
        return web.Response(status=503 if failing["crm"] else 204)

    config = folder / "poller.toml"
    async with sim.serve(ticker=False) as api, receiver(answer) as hook:
        config.write_text(SETTINGS.format(api=api, hook=hook.url))
        with patch.context() as secrets:
            secrets.setenv("TEST_CLIENT_SECRET", sim.client_secret)
            secrets.setenv("TEST_ACME_PAT", acme.pat)
            secrets.setenv("TEST_BETA_PAT", beta.pat)
            secrets.setenv("TEST_CRM_SECRET", CRM_SECRET)
            secrets.setenv("TEST_CRM_KEY", "key-of-the-crm")
            settings = Settings.load(config)
        app = await App.open(settings, clock=clock)
        try:
            known = await _live(app, sim, config, failing)
        finally:
            await app.close()
    return known


async def _live(app: App, sim: Simulator, config: Path, failing: dict[str, bool]) -> Known:
    acme, beta = sim.world.organizers
    webinar, cancelled = (found.webinar_key for found in sim.world.webinars(acme.organizer_key)[:2])
    refused = sim.world.webinars(beta.organizer_key)[0].webinar_key
    removed, missing, old = list(sim.world.registrants(webinar))[:3]
    await app.once()
    sim.oauth.revoke(beta.organizer_key)
    sim.oauth.expire_access_tokens(beta.organizer_key)
    await app.switches.pause("trigger", "quiet", "for the test")
    newcomer = sim.world.register(webinar)
    sim.world.remove_registrant(webinar, removed)
    await app.once()
    failing["crm"] = False
    while max(sink.retry_at for sink in await app.store.sink_states()) > app.clock.now().timestamp():
        await app.clock.sleep(1)
    await app.dispatcher.once()
    sim.world.cancel_webinar(cancelled)
    sim.world.remove_registrant(webinar, missing)
    sim.faults.arm("500", operation="getRegistrant")
    await app.poll_once("acme")
    return Known(config, webinar, newcomer.registrant_key, newcomer.email, removed, missing, old, cancelled, refused)


async def told(terminal: Terminal, *arguments: str) -> str:
    """What a command prints that has nothing to complain about."""
    said = await terminal.run(*arguments)
    assert (said.code, said.err) == (0, "")
    return said.out


async def rows(terminal: Terminal, *arguments: str) -> Any:
    return json.loads(await told(terminal, *arguments, "--json"))


def is_rfc_3339_utc(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None
