"""The limiter against a brute-force checker: arbitrary calls, latencies, penalties, crashes and clock jumps."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.goto import Limiter, Limits, Priority
from poller.goto.limits import DAY, MINUTE, SECOND
from poller.testing import FakeClock


class MemoryLedger:
    """Survives the crash of its user; time is the fake clock's, which no crash resets."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.blocks: list[list] = []  # [connection, calls, moment, open]
        self.until = 0.0

    async def reserve(self, client, connection, calls, /):
        await asyncio.sleep(0)
        self.blocks.append([connection, calls, self.clock.monotonic(), True])
        return len(self.blocks) - 1

    async def settle(self, block_id, used, /):
        self.blocks[block_id][1:] = [used, self.clock.monotonic(), False]

    async def keep_pause(self, client, seconds, /):
        self.until = max(self.until, self.clock.monotonic() + seconds)

    async def pause_left(self, client, /):
        return max(0.0, self.until - self.clock.monotonic())

    async def recent(self, client, /):
        now = self.clock.monotonic()
        for block in self.blocks:
            if block[3]:
                block[2:] = [now, False]
        return [(block[0], block[1], now - block[2]) for block in self.blocks if now - block[2] < DAY]


@dataclass
class Call:
    start: float
    latency: float
    operation: str
    connection: str
    priority: Priority
    retry_after: float | str | None  # "fine": no 429
    sent: float = -1.0
    back: float = -1.0


@dataclass
class World:
    limits: Limits
    calls: list[Call]
    clock: FakeClock = field(default_factory=FakeClock)
    made: list[Call] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.clock)
        self.waiting = list(self.calls)

    async def live(self, seconds: float | None, *, crash: bool) -> None:
        """One process: until everything is served, or for some seconds and then dead without a farewell."""
        limiter = await Limiter.open("c", self.limits, clock=self.clock, rng=random.Random(7), ledger=self.ledger)
        tasks = [asyncio.create_task(self.make(limiter, call)) for call in self.waiting]
        if seconds is None:
            await self.finish(tasks)
        else:
            await self.clock.advance(seconds)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        if crash:
            limiter._bookkeeper = None  # nothing is settled
        self.waiting = [call for call in self.waiting if call.back < 0 and call.sent < 0]
        await limiter.close()

    async def finish(self, tasks: list[asyncio.Task[None]]) -> None:
        for _ in range(200):
            if all(task.done() for task in tasks):
                return
            await self.clock.advance(DAY / 4)
        raise AssertionError("calls were never served")

    async def make(self, limiter: Limiter, call: Call) -> None:
        await self.clock.sleep(call.start)
        slot = limiter.slot(operation=call.operation, connection=call.connection, priority=call.priority)
        async with slot:
            call.sent = self.clock.monotonic()
            self.made.append(call)
            try:
                await self.clock.sleep(call.latency)
                if call.retry_after != "fine":
                    await limiter.refused(call.retry_after)
                    silence = (self.clock.monotonic(), call.retry_after or 0.0)
                    self.silences.append(silence)
            finally:
                call.back = self.clock.monotonic()


def worst_window(calls: list[Call], width: float) -> int:
    """The most calls that any window of `width` can hold, whenever each was counted between `sent` and `back`."""
    edges = [call.back for call in calls] + [call.sent - width + 1e-6 for call in calls]
    return max((sum(call.back >= edge and call.sent < edge + width for call in calls) for edge in edges), default=0)


def check_windows(world: World) -> None:
    limits, made = world.limits, world.made
    if limits.per_second:
        assert worst_window(made, SECOND) <= limits.per_second
    if limits.per_day:
        assert worst_window(made, DAY) <= limits.per_day
    for operation in {call.operation for call in made}:
        if limits.per_operation_per_second:
            own = [call for call in made if call.operation == operation]
            assert worst_window(own, SECOND) <= limits.per_operation_per_second
    for connection in {call.connection for call in made}:
        if limits.per_connection_per_minute:
            own = [call for call in made if call.connection == connection]
            assert worst_window(own, MINUTE) <= limits.per_connection_per_minute


seconds = st.floats(0, 3, allow_nan=False).map(lambda value: round(value, 3))
calls = st.builds(
    Call,
    start=seconds,
    latency=st.one_of(st.just(0.0), seconds, st.just(70.0)),
    operation=st.sampled_from(["list", "get"]),
    connection=st.sampled_from(["a", "b"]),
    priority=st.sampled_from(list(Priority)),
    retry_after=st.sampled_from(["fine"] * 12 + [None, 0.0, 2.5, 90.0]),
)
limits = st.builds(
    Limits,
    per_second=st.sampled_from([0, 1, 3, 10]),
    per_operation_per_second=st.sampled_from([0, 1, 2]),
    per_connection_per_minute=st.sampled_from([0, 2, 9, 30]),
    per_day=st.sampled_from([0, 5, 12, 1500]),
)
relaxed = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(limits=limits, calls=st.lists(calls, min_size=1, max_size=25))
def test_no_window_overflows_and_no_retry_after_is_broken_and_all_is_served(limits, calls):
    world = World(limits, calls)

    asyncio.run(world.live(None, crash=False))

    check_windows(world)
    assert all(call.back >= call.sent >= 0 for call in calls)
    for struck, pause in world.silences:
        early = [call for call in world.made if struck < call.sent < struck + pause - 1e-9]
        assert not early


@relaxed
@given(
    limits=limits,
    calls=st.lists(calls, min_size=1, max_size=20),
    lives=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 2.0, 45.0]), st.booleans()), min_size=1, max_size=4),
    jumps=st.lists(st.sampled_from([-3600.0, 1.0, 3.2e8]), max_size=2),
)
def test_crashes_restarts_and_clock_jumps_never_widen_a_window(limits, calls, lives, jumps):
    world = World(limits, calls)

    async def history() -> None:
        for number, (lifetime, crash) in enumerate(lives):
            if number < len(jumps):
                world.clock.jump(jumps[number])
            await world.live(lifetime, crash=crash)
        await world.live(None, crash=False)

    asyncio.run(history())

    check_windows(world)
    assert all(call.sent >= 0 for call in calls)
