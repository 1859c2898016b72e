"""Every program under examples/ does what its first line says, against a simulated GoTo."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from poller.clock import SystemClock
from poller.simulator import Simulator, WorldOptions
from tests.integration.receiver import answering, receiver

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60.0  # seconds for what takes few
SECRET = "whsec_bm9ib2R5IGd1ZXNzZXMgdGhpcyBvbmU="


@dataclass
class Stage:
    """A simulated GoTo whose world stands still, and a folder with settings that point to it."""

    simulator: Simulator
    api: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Path:
        return self.folder / "poller.toml"

    def write_settings(self, sink: str = "") -> None:
        """One connection that tells everything there is, and `sink`."""
        self.settings.write_text(
            f"""
            [engine]
            interval = "0s"
            [goto]
            api_url = "{self.api}"
            auth_url = "{self.api}"
            client_id = "{Simulator.client_id}"
            client_secret = "{Simulator.client_secret}"
            [limits]
            per_second = 0
            per_operation_per_second = 0
            per_connection_per_minute = 0
            [[connections]]
            name = "main"
            pat = "{self.simulator.world.organizers[0].pat}"
            start = "all"
            {sink}
            """
        )

    def point_by_environment(self) -> None:
        """For settings of an example, which stay as they are: the environment says where GoTo and the state are."""
        urls = {f"POLLER_GOTO__{name}_URL": self.api for name in ("API", "ADMIN", "ROOM", "AUTH")}
        limits = ("PER_SECOND", "PER_OPERATION_PER_SECOND", "PER_CONNECTION_PER_MINUTE")
        self.environment = {
            **urls,
            **{f"POLLER_LIMITS__{name}": "0" for name in limits},
            "POLLER_ENGINE__STATE": str(self.folder / "poller.db"),
            "POLLER_ENGINE__INTERVAL": "0s",
        }

    def keys(self) -> set[str]:
        """Of everybody who is registered."""
        world = self.simulator.world
        return {key for webinar in world.webinars() for key in world.registrants(webinar.webinar_key)}

    async def poller(self, *arguments: str, settings: Path | None = None) -> str:
        """Run a command to its end, which must be a good one; what it printed."""
        config = str(settings or self.settings)
        return await self.run("-m", "poller", "--config", config, *arguments)

    async def run(self, *arguments: str) -> str:
        async with program(arguments, self.environment, self.folder) as process:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, err.decode()
        return out.decode()


@contextlib.asynccontextmanager
async def program(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python child in `folder`; it is killed on the way out if it has not ended by then."""
    source = str(EXAMPLES.parent)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env={**os.environ, "PYTHONPATH": source, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line it prints. A program that ended instead fails the test with what it said."""
    assert process.stdout is not None and process.stderr is not None
    found = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    if not found:
        pytest.fail((await process.stderr.read()).decode())
    return found.decode().strip()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    simulator = Simulator(
        WorldOptions(webinars=3, registrants=12, rate_per_minute=0, manual_share=0.0), clock=SystemClock()
    )
    async with simulator.serve(ticker=False) as api:
        made = Stage(simulator, api, tmp_path)
        made.write_settings()
        yield made


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children can be ended by SIGINT, even where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def test_follow_keeps_every_registration_once_although_it_is_killed(stage: Stage) -> None:
    database = stage.folder / "registrations.db"
    arguments = (str(EXAMPLES / "python/follow.py"), str(stage.settings), str(database))
    async with program(arguments, {}, stage.folder) as process:
        for _ in range(5):
            await line(process)
        process.kill()
        await process.communicate()
    newcomer = stage.simulator.world.register()
    async with program(arguments, {}, stage.folder) as process:
        while newcomer.registrant_key not in await line(process):
            pass
    with contextlib.closing(sqlite3.connect(database)) as db:
        found = [key for (key,) in db.execute("SELECT registrant FROM registrations")]
    assert sorted(found) == sorted(stage.keys())


async def test_handlers_hear_of_their_own_subjects_and_end_on_an_interrupt(stage: Stage, interruptible: None) -> None:
    world = stage.simulator.world
    announced = {f"announced {webinar.subject}" for webinar in world.webinars()}
    full = {f"seats {w.webinar_key} {len(world.registrants(w.webinar_key))}" for w in world.webinars()}
    async with program((str(EXAMPLES / "python/handlers.py"), str(stage.settings)), {}, stage.folder) as process:
        awaited = announced | full
        while awaited:
            awaited.discard(await line(process))
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, err.decode()


@contextlib.asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """webhook_receiver.py on a free port, and its URL."""
    arguments = (str(EXAMPLES / "webhook_receiver.py"), "--port", "0", "--database", str(folder / "seen.db"))
    async with program(arguments, {"WEBHOOK_SECRETS": SECRET}, folder) as process:
        said = await line(process)
        yield process, said.removeprefix("listening on ")


async def test_webhook_receiver_takes_every_event_of_the_engine_once(stage: Stage) -> None:
    async with listening(stage.folder) as (process, url):
        sink = f'[[sinks]]\nname = "own"\ntype = "webhook"\nurl = "{url}"\nsecret = "{SECRET}"\nallow_private = true'
        stage.write_settings(sink)
        await stage.poller("run", "--once")
        told = {await line(process) for _ in range(3 + 12)}
        await stage.poller("replay", "--sink", "own")
        newcomer = stage.simulator.world.register()
        await stage.poller("run", "--once")
        assert await line(process) == f"com.goto.registrant.added {newcomer.path}"  # nothing of what was sent again
    assert len(told) == 3 + 12


async def test_webhook_receiver_believes_only_fresh_signatures(stage: Stage) -> None:
    body = json.dumps({"type": "com.goto.webinar.created", "subject": "webinars/1"}).encode()
    now = int(time.time())
    async with listening(stage.folder) as (process, url):
        statuses = [
            await asyncio.to_thread(post, url, content, headers)
            for content, headers in [
                (body, signed(body, now)),
                (body, signed(body, now)),
                (body, signed(body, now - 3600)),
                (body + b" ", signed(body, now)),
                (body, {"webhook-id": "e1", "webhook-timestamp": str(now)}),
                (b"[]", signed(b"[]", now, id_="e2")),
            ]
        ]
        process.kill()
        out, _ = await process.communicate()
    assert statuses == [204, 204, 401, 401, 401, 400]
    assert out.decode() == "com.goto.webinar.created webinars/1\n"


def signed(body: bytes, timestamp: int, id_: str = "e1") -> dict[str, str]:
    """By an independent implementation."""
    from datetime import UTC, datetime

    signature = Webhook(SECRET).sign(id_, datetime.fromtimestamp(timestamp, UTC), body.decode())
    return {"webhook-id": id_, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    request = urllib.request.Request(url, body, dict(headers), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_jsonl_to_csv_lists_who_is_registered_now(stage: Stage) -> None:
    stage.write_settings(
        '[[sinks]]\nname = "lines"\ntype = "file"\npath = "events.jsonl"\nrotate_size = "2kB"\nbatch = 3'
    )
    await stage.poller("run", "--once")
    world = stage.simulator.world
    webinar = world.webinars()[0].webinar_key
    gone = next(iter(world.registrants(webinar)))
    world.remove_registrant(webinar, gone)
    world.register(first_name="Zoë\u2028", email="zoe@example.com")
    await stage.poller("run", "--once")
    lines = stage.folder / "events.jsonl"
    assert list(stage.folder.glob("events.jsonl.*")), "nothing was rotated"
    lines.write_bytes(lines.read_bytes() + lines.read_bytes() + b'{"id": "not fini')
    out = await stage.run(str(EXAMPLES / "jsonl_to_csv.py"), str(lines))
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert sorted(row["registrantKey"] for row in rows) == sorted(stage.keys())
    assert gone not in {row["registrantKey"] for row in rows}
    assert "Zoë\u2028" in {row["firstName"] for row in rows}


async def test_function_sink_gives_a_crm_the_approved_registrants_and_heeds_its_refusals(stage: Stage) -> None:
    """The settings call function_sink/crm.py."""
    stage.point_by_environment()
    world, settings = stage.simulator.world, EXAMPLES / "function_sink/poller.toml"

    async def crm(request: web.Request) -> web.Response:
        unwanted = b"unwanted@example.com" in await request.read()
        return await answering(422 if unwanted else 200)(request)  # type: ignore[return-value]

    async with receiver(crm) as service:
        stage.environment |= {
            "CRM_URL": service.url,
            "GOTO_CLIENT_SECRET": Simulator.client_secret,
            "GOTO_PAT": world.organizers[0].pat,
            "POLLER_GOTO__CLIENT_ID": Simulator.client_id,
        }
        await stage.poller("run", "--once", settings=settings)
        assert service.bodies == []  # what was there before is taken as known
        world.register(email="welcome@example.com")
        world.register(email="waits@example.com", status="WAITING")
        world.register(email="unwanted@example.com")
        await stage.poller("run", "--once", settings=settings)
        await stage.poller("run", "--once", settings=settings)
    sent = [json.loads(body)["email"] for body in service.bodies]
    assert sorted(sent) == ["unwanted@example.com", "welcome@example.com"]  # the refused one was not tried again


async def test_the_rehearsal_works_on_the_world_that_compose_starts(tmp_path: Path) -> None:
    settings = EXAMPLES / "deploy/rehearsal.toml"
    simulator = Simulator(WorldOptions(seed=1), clock=SystemClock())
    async with simulator.serve() as api:
        stage = Stage(simulator, api, tmp_path)
        stage.point_by_environment()
        await stage.poller("run", "--once", settings=settings)
        newcomer = simulator.world.register()
        out = await stage.poller("run", "--once", settings=settings)
    events: list[dict[str, Any]] = [json.loads(text) for text in out.splitlines()]
    assert newcomer.path in {event["subject"] for event in events}


def test_the_settings_of_examples_differ_from_the_simulator_s_only_where_a_person_must_fill_in() -> None:
    """The rehearsal needs nothing from the environment; the others name what they take from there."""
    assert "env:" not in (EXAMPLES / "deploy/rehearsal.toml").read_text()
    function_sink = tomllib.loads((EXAMPLES / "function_sink/poller.toml").read_text())
    assert function_sink["goto"]["client_secret"] == "env:GOTO_CLIENT_SECRET"
