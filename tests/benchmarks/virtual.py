"""The whole engine in virtual time: real settings, state, client, plan and engine, and a GoTo in the same process.

Time moves only when nothing can happen without it: all tasks rest, and the state's thread has nothing to do.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import msgspec
from yarl import URL

from poller.app import App
from poller.errors import Wait
from poller.goto import Limits, Request, Transport
from poller.goto.transport import Answer
from poller.settings import Settings
from poller.simulator import Simulator
from poller.simulator.draws import draw_registrant, draw_webinar
from poller.simulator.limits import LimitOptions
from poller.simulator.model import Span
from poller.simulator.options import ApiOptions, WorldOptions
from poller.testing import FakeClock
from state.sqlite import MEMORY
from state.sqlite.connection import Connection
from state.store import Select, walk_events

# Who registers before the first look at a webinar is told, too; nobody asks for attendance, which has calls of its own.
SIGNUPS = """start = "all"
[[triggers]]
name = "signups"
on = ["webinar.created", "webinar.changed", "webinar.cancelled", "registrant.*"]
"""
LATENCY = 0.05  # seconds between a call and its answer


@dataclass
class Planned:
    """A webinar of the benchmark: POSIX seconds throughout."""

    ends_at: float
    arrivals: Sequence[float]
    history: Sequence[float]  # registrations before the engine started


class VirtualClock(FakeClock):
    """Waits for the state's thread before it moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = 0

    async def advance(self, seconds: float) -> None:
        until = self._monotonic + seconds
        await self._rest()
        while (due := self._next_due()) is not None and due <= until:
            self._move_to(due)
            self._wake()
            await self._rest()
        self._move_to(until)

    async def _rest(self) -> None:
        """Until nothing happens any more."""
        quiet = 0
        while quiet < 30:
            await asyncio.sleep(0)
            quiet = 0 if self.at_work else quiet + 1


class InProcess(Transport):
    """Hands requests to the simulator. Each takes LATENCY seconds of virtual time."""

    def __init__(self, simulator: Simulator, clock: FakeClock) -> None:
        super().__init__()
        self._simulator, self._clock = simulator, clock
        self.calls: list[tuple[str, float]] = []  # operation and arrival (POSIX seconds), those for tokens apart
        self.instead: Callable[[Request], Answer | None] = lambda request: (
            None
        )  # an answer that the simulator never gives
        self.is_cut = False
        self.falsify: Callable[[Request, bytes], bytes] = lambda request, body: body

    async def send(self, request: Request, authorization: str | None = None) -> Answer:
        headers: Mapping[str, str] = {**request.headers, **({"Authorization": authorization} if authorization else {})}
        url: URL = request.url
        if authorization and authorization.startswith("Bearer"):
            self.calls.append((request.operation, self._clock.now().timestamp()))
        if self.is_cut:
            raise Wait("the line is dead")
        if (instead := self.instead(request)) is not None:
            await self._clock.sleep(LATENCY)
            return instead
        answer = await self._simulator.receive(request.method, url.path, url.query, headers, request.body or b"")
        await self._clock.sleep(LATENCY)
        if answer is None:
            raise Wait("the connection was cut")
        return Answer(answer.status, answer.headers, self.falsify(request, answer.body))


@dataclass
class Seen:
    """What came of a run."""

    found: list[tuple[float, float]] = field(default_factory=list)  # (arrival, delay)
    calls: list[tuple[str, float]] = field(default_factory=list)
    told: int = 0
    breaches: int = 0
    unpolled: int = 0  # targets that were never polled
    hint: float | None = None  # seconds between two readings of the count hint at the end; None: none is read


@dataclass
class Life:
    """An engine at work, and all that is around it."""

    clock: VirtualClock
    simulator: Simulator
    transport: InProcess
    due: Mapping[str, float]  # registrant → arrival, of those who come after the start
    settings: Settings
    random: Random
    folder: Path
    lives: int = 0
    app: App = field(init=False)
    _running: asyncio.Task[None] = field(init=False)

    async def begin(self, state: Path | None = None) -> None:
        """`state`: a file to go on with; None: nothing is kept but in memory."""
        self.app = await App.open(self.settings, clock=self.clock, random=self.random, state=state or MEMORY)
        self._running = asyncio.create_task(self.app.run())

    async def end(self) -> None:
        self.app.stop()
        while not self._running.done():
            await self.clock.advance(1.0)
        await self._running
        await self.app.close()

    async def crash(self) -> None:
        """As if the power failed: a new process finds the files as they are at this moment; the old one is heard no
        more. For a life on a file."""
        self.lives += 1
        before, after = Path(self.app.store.path), self.folder / f"life{self.lives}.db"
        for end in ("", "-wal"):
            if (source := before.with_name(before.name + end)).exists():
                shutil.copyfile(source, after.with_name(after.name + end))
        calls, self.transport.is_cut = self.transport.calls, True
        await self.end()
        self.transport.calls, self.transport.is_cut = calls, False
        await self.begin(after)

    async def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(event.body) async for event in walk_events(self.app.store, Select())]

    async def seen(self) -> Seen:
        """What came of it so far."""
        breaches = len(self.simulator.report().breaches)
        interval, _ = self.app.scheduler.hints.get("acme", (None, 0.0))
        seen = Seen(calls=self.transport.calls, breaches=breaches, hint=interval)
        seen.unpolled = sum(target.polled_at is None for target in self.app.roster if target.ends is None)
        for event in await self.events():
            if event["type"] == "com.goto.registrant.added":
                key = event["subject"].rsplit("/", 1)[1]
                observed = datetime.fromisoformat(event["observedtime"]).timestamp()
                seen.told += 1
                if key in self.due:
                    seen.found.append((self.due[key], observed + LATENCY - self.due[key]))
        return seen


def _world(simulator: Simulator, webinars: Sequence[Planned], begin: float, clock: FakeClock) -> dict[str, float]:
    """Fill it; returns when each registrant of after `begin` arrives, by key."""
    random, world = Random(7), simulator.world
    due: dict[str, float] = {}
    for plan in webinars:
        ends = clock.now() + timedelta(seconds=plan.ends_at - begin)
        drawn = draw_webinar(random, world.organizers[0], (Span(ends - timedelta(hours=1), ends),), manual_share=0.0)
        webinar = world.add_webinar(replace(drawn, recurrence="single_session"))
        for moment in [*plan.history, *plan.arrivals]:
            at = clock.now() + timedelta(seconds=moment - begin)
            person = draw_registrant(random, webinar, at, "APPROVED")
            world.add_registrant(person, visible_in=max(at - clock.now(), timedelta(0)))
            if moment >= begin:
                due[person.registrant_key] = moment
    return due


def _settings(folder: Path, simulator: Simulator, limits: Limits, *, hint: bool, limited: str, more: str) -> Settings:
    organizer = simulator.world.organizers[0]
    file = folder / "poller.toml"
    file.write_text(
        f"""
[engine]
state = "unused.db"
interval = "1s"
max_interval = "1y"
key = "a key of no importance, long enough"
[goto]
api_url = "https://goto.example"
auth_url = "https://goto.example"
client_id = "{simulator.client_id}"
client_secret = "{simulator.client_secret}"
[limits]
per_second = {limits.per_second}
per_operation_per_second = {limits.per_operation_per_second}
per_connection_per_minute = {limits.per_connection_per_minute}
per_day = {limits.per_day}
{limited}
[[connections]]
name = "acme"
pat = "{organizer.pat}"
organizer_key = "{organizer.organizer_key}"
count_hint = "{"auto" if hint else "off"}"
{more}
"""
    )
    return Settings.load(file)


@asynccontextmanager
async def living(
    webinars: Sequence[Planned],
    limits: Limits,
    seed: int = 1,
    *,
    hint: bool = False,
    options: ApiOptions | None = None,
    limited: str = "",
    settings: str = "",
    on_disk: bool = False,
) -> AsyncIterator[Life]:
    """The engine, running from a cold start; only the clock's `advance` makes time pass.

    `limited`, `settings`: more of the settings file, in its section for limits and at its end.
    """
    clock = VirtualClock()
    windows = [(limits.per_second, "s"), (limits.per_connection_per_minute, "60s"), (limits.per_day, "d")]
    simulator = Simulator(
        WorldOptions(webinars=0, registrants=0, rate_per_minute=0.0, seed=seed),
        clock=clock,
        limits=LimitOptions.profile(",".join(f"{count}/{width}" for count, width in windows if count)),
        api=options or ApiOptions(),
    )
    due = _world(simulator, webinars, clock.now().timestamp(), clock)
    transport = InProcess(simulator, clock)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("poller.app.Transport", lambda *_: transport),
        _counted(clock),
    ):
        loaded = _settings(Path(folder), simulator, limits, hint=hint, limited=limited, more=settings)
        life = Life(clock, simulator, transport, due, loaded, Random(seed), Path(folder))
        await life.begin(Path(folder) / "life0.db" if on_disk else None)
        try:
            yield life
        finally:
            await life.end()


async def run(
    webinars: Sequence[Planned],
    limits: Limits,
    seconds: float,
    seed: int,
    *,
    hint: bool,
    options: ApiOptions | None = None,
    falsify: Callable[[Request, bytes], bytes] = lambda request, body: body,
) -> Seen:
    """The engine from a cold start for so many seconds. `falsify`: what becomes of the answers under way."""
    async with living(webinars, limits, seed, hint=hint, options=options, settings=SIGNUPS) as life:
        life.transport.falsify = falsify
        await life.clock.advance(seconds)
        return await life.seen()


def _counted(clock: VirtualClock) -> Any:
    run = Connection.run

    async def counted(self: Connection, work: Any) -> Any:
        clock.at_work += 1
        try:
            return await run(self, work)
        finally:
            clock.at_work -= 1

    return mock.patch.object(Connection, "run", counted)
