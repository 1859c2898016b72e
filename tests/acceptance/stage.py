"""One simulated GoTo, some receivers and one engine in a folder; what a test sets up, spoils, drains and judges."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from poller.clock import SystemClock
from poller.errors import PollerError
from poller.simulator import ApiOptions, FaultPlan, LimitOptions, Simulator, Window, WorldOptions
from state.delivery import DeliveryState
from tests.acceptance.confidential import leaks
from tests.acceptance.consumer import PATH_VARIABLE
from tests.acceptance.engine_process import EngineProcess
from tests.acceptance.receivers import Receiver, Receivers
from tests.acceptance.verdict import Delivered, Truth, Verdict, judge

# What the simulated API allows, and what the engine is told it allows. Near enough to be met all the time.
PER_SECOND, PER_OPERATION, PER_MINUTE = 40, 30, 1800
LIMITS = {
    "per_second": PER_SECOND,
    "per_operation_per_second": PER_OPERATION,
    "per_connection_per_minute": PER_MINUTE,
}
WINDOWS = (Window(PER_SECOND, 1), Window(PER_OPERATION, 1, "operation"), Window(PER_MINUTE, 60, "connection"))

SECRET = "whsec_" + base64.b64encode(b"the receivers' shared secret 1").decode()
SECOND_SECRET = "whsec_" + base64.b64encode(b"the receivers' shared secret 2").decode()

FILE, FUNCTION = "lines", "consumer"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one stage is made of. `rate` is registrations per minute, once arrivals run."""

    seed: int = 1
    webinars: int = 6
    registrants: int = 60
    rate: float = 0.0
    hooks: tuple[str, ...] = ("crm",)
    with_file: bool = False
    with_function: bool = False
    start: str = "now"
    interval: str = "200ms"
    grace: str = "5s"
    page_above: int = 20_000
    windows: tuple[Window, ...] = WINDOWS
    limits: Mapping[str, Any] = field(default_factory=lambda: dict(LIMITS))
    retry_after: Any = "seconds"
    with_pat: bool = True
    api: ApiOptions = field(default_factory=ApiOptions)
    world: Mapping[str, Any] = field(default_factory=dict)
    sink: Mapping[str, Any] = field(default_factory=dict)  # of every webhook
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Stage:
    plan: Plan
    folder: Path
    simulator: Simulator
    base_url: str
    receivers: Receivers
    engine: EngineProcess
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    triggers: list[dict[str, Any]] = field(default_factory=list)
    sinks: dict[str, dict[str, Any]] = field(default_factory=dict)
    readings: dict[str, list[Delivered]] = field(default_factory=dict)  # of sinks whose servers were read at the end
    silent_until: int = -1  # the number of the last fact that a silent baseline may have seen

    # ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def write_settings(self) -> None:
        """From `connections`, `triggers` and `sinks` as they stand."""
        api, plan = self.base_url, self.plan
        parts = [
            _table(
                "[engine]",
                {
                    "state": "poller.db",
                    "interval": plan.interval,
                    "poll_timeout": "30s",
                    "grace": plan.grace,
                    "nudge_interval": "100ms",
                    **plan.engine,
                },
            ),
            _table(
                "[goto]",
                {
                    "api_url": api,
                    "auth_url": api,
                    "admin_url": api,
                    "room_url": api,
                    "client_id": Simulator.client_id,
                    "client_secret": Simulator.client_secret,
                },
            ),
            _table("[limits]", {"profile": "published", **plan.limits}),
            _table("[http]", {"listen": ""}),
            *(_table("[[connections]]", {"name": name, **more}) for name, more in self.connections.items()),
            *(_table("[[triggers]]", trigger) for trigger in self.triggers),
            *(_table("[[sinks]]", {"name": name, **sink}) for name, sink in self.sinks.items()),
        ]
        self.engine.config.write_text("\n".join(parts))

    def add_connection(self, name: str, organizer: int, *, with_pat: bool = True) -> None:
        plan = self.plan
        pat = {"pat": self.simulator.world.organizers[organizer].pat} if with_pat else {}
        self.connections[name] = {"start": plan.start, "page_above": plan.page_above, **pat}

    def add_hook(self, name: str, **settings: Any) -> None:
        sink = {"type": "webhook", "url": self.receivers.by_name[name].url, "secret": SECRET, "allow_private": True}
        # A machine that is busy elsewhere for a second must not look like a receiver that hangs.
        self.sinks[name] = {**sink, "timeout": "30s", **self.plan.sink, **settings}

    def hook(self, name: str = "crm") -> Receiver:
        return self.receivers.by_name[name]

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Start the engine, wait for its baseline, then let the world move."""
        await self.engine.start()
        await self.until(lambda: self.has_baseline() or not self.engine.running)
        assert self.engine.running, self.engine.said()[-3000:]
        await self.engine.ready()
        if self.plan.start == "now":
            self.silent_until = len(self.simulator.world.truth.facts)
        if self.plan.rate:
            self.simulator.world.resume_arrivals()

    async def until(self, fact: Callable[[], bool], seconds: float = 30.0) -> None:
        """Look at `fact` again and again: what happens in another process gives no signal."""
        deadline = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain; {self.engine.said()[-3000:]}"
            await asyncio.sleep(0.03)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the state file beside the engine; nothing where there is none yet."""
        if not self.engine.state.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.engine.state}?mode=ro", uri=True, timeout=5.0)) as db:
            try:
                return db.execute(statement, values).fetchall()
            except sqlite3.OperationalError:
                return []

    def register(self, count: int = 1) -> list[str]:
        """So many people register, webinar after webinar; the subjects of what should be told."""
        world = self.simulator.world
        keys = [webinar.webinar_key for webinar in world.webinars()]
        return [world.register(keys[number % len(keys)]).path for number in range(count)]

    async def told(self, subjects: Sequence[str], sink: str = "crm", seconds: float = 30.0) -> None:
        """Until the sink's receiver has taken something about each of them."""
        receiver, missing, read = self.hook(sink), set(subjects), 0

        def all_told() -> bool:
            nonlocal read
            unread, read = receiver.receipts[read:], len(receiver.receipts)
            missing.difference_update(str(receipt.event["subject"]) for receipt in unread if receipt.taken)
            return not missing

        await receiver.until(all_told, seconds)

    def has_baseline(self) -> bool:
        """The list and the registrants of every webinar in it were read through once."""
        read = self.rows("SELECT count(*) FROM targets WHERE polled_at IS NOT NULL")
        return bool(read) and read[0][0] == len(self.simulator.world.webinars()) + 1

    def backlog(self, sink: str | None = None) -> int:
        """Deliveries that are owed."""
        found = self.rows(
            "SELECT count(*) FROM deliveries d JOIN sinks s ON s.id = d.sink WHERE d.state = 0 AND s.name LIKE ?",
            sink or "%",
        )
        return int(found[0][0]) if found else 0

    def dead(self, sink: str) -> list[tuple[bytes, str]]:
        """Bodies and reasons of a sink's dead letters."""
        found = self.rows(
            "SELECT e.body, d.error FROM deliveries d JOIN sinks s ON s.id = d.sink"
            " JOIN events e ON e.sequence = d.sequence WHERE s.name = ? AND d.state = ?",
            sink,
            int(DeliveryState.DEAD),
        )
        return [(bytes(body), error) for body, error in found]

    def heal(self) -> None:
        self.simulator.world.pause_arrivals()
        self.simulator.faults.clear()
        for receiver in self.receivers.by_name.values():
            receiver.heal()

    async def drain(self, seconds: float = 60.0) -> None:
        """Faults end; then everything there is gets polled and delivered. Needs a running engine."""
        self.heal()
        faults = self.simulator.faults
        if faults.struck["late-visibility"]:  # who registered last becomes visible so much later
            await asyncio.sleep(faults.late_seconds)
        async with asyncio.timeout(seconds):
            await self.engine.ready()
            await self.polled()
            while left := self.backlog():
                for name in self.sinks:  # a person who says "now" ends the long pauses of the schedule
                    await self.engine.ask("resume", kind="sink", name=name)
                await self.until(partial(self._less_than, left))

    def _less_than(self, left: int) -> bool:
        return self.backlog() < left

    async def polled(self) -> None:
        """Two full rounds from now on: the first may confirm what only the second can tell."""
        rounds = 0
        while rounds < 2:
            try:
                result = await self.engine.ask("sync", wait=True, seconds=60.0)
            except (PollerError, OSError):
                await asyncio.sleep(0.1)
                continue
            rounds = 0 if result["problems"] else rounds + 1

    # ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def delivered(self, sink: str) -> list[Delivered]:
        if sink in self.readings:
            return self.readings[sink]
        if sink in self.receivers.by_name:
            return [Delivered(receipt.body, receipt.taken) for receipt in self.hook(sink).receipts]
        path = self.folder / f"{sink}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [Delivered(line) for line in lines]

    def truth(self) -> Truth:
        self.simulator.world.catch_up()
        return Truth.of(self.simulator.world.truth.all(), silent_until=self.silent_until)

    def verdicts(self, sinks: Sequence[str] = ()) -> list[Verdict]:
        truth = self.truth()
        return [
            judge(sink, truth, self.delivered(sink), [body for body, _ in self.dead(sink)])
            for sink in sinks or list(self.sinks)
        ]

    @property
    def breaches(self) -> int:
        return len(self.simulator.report().breaches)

    def assert_clean(self, sinks: Sequence[str] = ()) -> list[Verdict]:
        """L = D2 = P = T = B = O = 0. D1 is left to the caller."""
        verdicts = self.verdicts(sinks)
        assert all(verdict.clean for verdict in verdicts), "\n".join(map(str, verdicts))
        assert not self.breaches, self.simulator.report().breaches[:3]
        assert not self.receivers.trapped
        return verdicts


def _table(header: str, values: Mapping[str, Any]) -> str:
    return "\n".join([header, *(f"{name} = {_toml(value)}" for name, value in values.items())]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "") + "'"


@asynccontextmanager
async def staged(folder: Path, plan: Plan | None = None) -> AsyncIterator[Stage]:
    """Everything but the engine runs. At the end whatever any process said is searched for secrets and people."""
    plan = plan or Plan()
    random = Random(f"{plan.seed}:stage")
    simulator = Simulator(
        WorldOptions(
            seed=plan.seed,
            webinars=plan.webinars,
            registrants=plan.registrants,
            rate_per_minute=plan.rate,
            **plan.world,
        ),
        clock=SystemClock(),
        limits=LimitOptions(plan.windows, plan.retry_after),
        faults=FaultPlan(
            seed=plan.seed,
            latency_seconds=0.3,
            hang_seconds=3.0,
            stale_seconds=1.0,
            retry_after_seconds=1.0,
            late_seconds=3.0,
        ),
        api=plan.api,
    )
    simulator.world.pause_arrivals()
    config = folder / "poller.toml"
    engine = EngineProcess(config, folder / "poller.db")
    async with simulator.serve() as base_url, Receivers(plan.hooks, random).serve() as receivers:
        stage = Stage(plan, folder, simulator, base_url, receivers, engine)
        _furnish(stage)
        try:
            yield stage
        finally:
            await engine.discard()
        found = leaks(engine.said(), simulator, [SECRET, SECOND_SECRET])
        assert not found, f"said aloud: {found[:5]}"


def _furnish(stage: Stage) -> None:
    stage.add_connection("acme", 0, with_pat=stage.plan.with_pat)
    for name in stage.plan.hooks:
        stage.add_hook(name)
    if stage.plan.with_file:
        stage.sinks[FILE] = {"type": "file", "path": f"{FILE}.jsonl", "rotate_size": 0, "rotate_age": "0s"}
    if stage.plan.with_function:
        stage.sinks[FUNCTION] = {"type": "function", "call": "tests.acceptance.consumer:keep"}
        stage.engine.environment[PATH_VARIABLE] = str(stage.folder / f"{FUNCTION}.jsonl")
    stage.write_settings()
