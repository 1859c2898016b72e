"""What callers of the limiter can rely on: order, fairness, patience, penalties, booking."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from poller.errors import QuotaExhausted
from poller.goto import Limiter, Limits, Priority
from poller.goto.penalty import PROBE_GAP, PROBES
from poller.goto.windows import CLOCK_DRIFT, Window
from poller.testing import FakeClock

OFF = Limits(0, 0, 0, 0)


class Ledger:
    def __init__(self, recent=()):
        self.rows = list(recent)
        self.reserved: list[tuple[str, str, int]] = []
        self.settled: list[tuple[int, int]] = []
        self.broken: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.pauses: list[tuple[str, float]] = []
        self.left = 0.0

    async def reserve(self, client, connection, calls, /):
        if self.gate is not None:
            await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        self.reserved.append((client, connection, calls))
        return len(self.reserved)

    async def settle(self, block_id, used, /):
        self.settled.append((block_id, used))

    async def recent(self, client, /):
        return self.rows

    async def keep_pause(self, client, seconds, /):
        self.pauses.append((client, seconds))

    async def pause_left(self, client, /):
        return self.left


@pytest.fixture
def clock():
    return FakeClock()


def limiter_of(clock, **limits):
    return Limiter(Limits(**{**OFF_FIELDS, **limits}), clock=clock, rng=random.Random(1))


OFF_FIELDS = {"per_second": 0, "per_operation_per_second": 0, "per_connection_per_minute": 0, "per_day": 0}


async def opened(clock, ledger, **limits):
    every = Limits(**{**OFF_FIELDS, **limits})
    return await Limiter.open("client", every, clock=clock, rng=random.Random(1), ledger=ledger)


class Caller:
    """Makes calls and notes who went when."""

    def __init__(self, clock, limiter, latency=0.0):
        self.clock, self.limiter, self.latency = clock, limiter, latency
        self.sent: list[tuple[float, str]] = []
        self.tasks: list[asyncio.Task] = []

    def call(self, name, **slot):
        self.tasks.append(asyncio.create_task(self._call(name, **slot)))
        return self.tasks[-1]

    async def _call(self, name, **slot):
        async with self.limiter.slot(**{"operation": "op", "connection": "a", **slot}):
            self.sent.append((self.clock.monotonic(), name))
            await self.clock.sleep(self.latency)

    @property
    def names(self):
        return [name for _, name in self.sent]


async def test_a_slot_frees_one_window_after_the_answer_not_after_the_sending(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter, latency=0.7)
    caller.call("first")
    caller.call("second")

    await clock.advance(1.69)
    assert caller.names == ["first"]
    await clock.advance(0.02)
    assert caller.names == ["first", "second"]
    await limiter.close()


async def test_a_call_without_an_answer_keeps_its_slot_for_as_long_as_it_takes(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter, latency=500.0)
    caller.call("slow")
    caller.call("next")

    await clock.advance(499)

    assert caller.names == ["slow"]
    assert limiter.peek()[0].free_at is None
    await clock.advance(3)
    assert caller.names == ["slow", "next"]
    await clock.advance(600)
    await limiter.close()


async def test_urgent_calls_go_first_and_equals_in_order_of_arrival(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter)
    caller.call("first")
    await clock.advance(0)
    for name, priority in (
        ("baseline", Priority.BASELINE),
        ("live 1", Priority.LIVE),
        ("live 2", Priority.LIVE),
        ("user", Priority.USER),
        ("confirm", Priority.CONFIRM),
    ):
        caller.call(name, priority=priority)

    await clock.advance(10)

    assert caller.names == ["first", "user", "confirm", "live 1", "live 2", "baseline"]


async def test_a_connection_at_its_own_limit_does_not_hold_up_the_others(clock):
    limiter = limiter_of(clock, per_connection_per_minute=1)
    caller = Caller(clock, limiter)
    for name in ("a1", "a2", "a3"):
        caller.call(name, connection="a")
    await clock.advance(0)
    caller.call("b1", connection="b")

    await clock.advance(1)
    assert caller.names == ["a1", "b1"]
    await clock.advance(130)
    assert caller.names == ["a1", "b1", "a2", "a3"]


async def test_an_operation_at_its_own_limit_does_not_hold_up_the_others(clock):
    limiter = limiter_of(clock, per_operation_per_second=1)
    caller = Caller(clock, limiter)
    caller.call("list 1", operation="list")
    caller.call("list 2", operation="list")
    caller.call("get 1", operation="get")

    await clock.advance(0.5)

    assert caller.names == ["list 1", "get 1"]
    await clock.advance(1)


@pytest.mark.parametrize(
    ("limits", "seconds", "at_least"),
    [
        ({"per_second": 10}, 100, 1000),
        ({"per_operation_per_second": 4}, 100, 400),
        ({"per_connection_per_minute": 100}, 600, 1000),
        ({"per_day": 500}, 4 * 86_400, 2000),
        ({"per_day": 2000}, 4 * 86_400, 8000),
    ],
)
async def test_with_work_waiting_at_least_nine_tenths_of_the_limit_are_used(clock, limits, seconds, at_least):
    limiter = limiter_of(clock, **limits)
    sent = 0

    async def worker():
        nonlocal sent
        while True:
            async with limiter.slot(operation="op", connection="a"):
                sent += 1
                await clock.sleep(0.02)

    workers = [asyncio.create_task(worker()) for _ in range(8)]
    await clock.advance(seconds)
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    assert sent >= 0.9 * at_least
    await limiter.close()


async def test_a_million_calls_a_day_are_remembered_in_a_thousand_buckets(clock):
    limiter = limiter_of(clock, per_day=1_000_000)
    for _ in range(3000):
        async with limiter.slot(operation="op", connection="a"):
            pass
        clock._move_to(clock.monotonic() + 28.8)

    day = limiter._shared[0]
    assert len(day._buckets) <= 1001
    assert day.used(clock.monotonic()) >= 2998


async def test_impatient_callers_are_told_when_a_call_is_free_again(clock):
    limiter = limiter_of(clock, per_day=1)
    async with limiter.slot(operation="op", connection="a"):
        pass

    with pytest.raises(QuotaExhausted) as refused:
        async with limiter.slot(operation="op", connection="a", wait_at_most=5.0):
            pytest.fail("there was no room")

    assert refused.value.retry_after == pytest.approx(86_400, rel=1e-3)
    assert limiter.delay("op", "a") == refused.value.retry_after


async def test_patience_ends_in_time_while_an_answer_is_outstanding(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter, latency=100.0)
    caller.call("slow")
    impatient = caller.call("impatient", wait_at_most=5.0)

    await clock.advance(4.9)
    assert not impatient.done()
    await clock.advance(0.2)
    with pytest.raises(QuotaExhausted) as refused:
        await impatient
    assert refused.value.retry_after is None
    await clock.advance(200)
    await limiter.close()


async def test_a_cancelled_waiter_takes_nothing_and_holds_nobody_up(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter)
    caller.call("first")
    cancelled = caller.call("cancelled")
    caller.call("third")
    await clock.advance(0.5)

    cancelled.cancel()
    await clock.advance(0.6)

    assert caller.names == ["first", "third"]


async def test_a_waiter_cancelled_at_the_moment_it_is_let_in_gives_its_slot_back(clock):
    limiter = limiter_of(clock, per_second=1)
    caller = Caller(clock, limiter)
    caller.call("first")
    unlucky = caller.call("unlucky")
    caller.call("third")
    await clock.advance(0.5)

    clock._move_to(clock.monotonic() + 1.0)
    limiter._dispatch()
    unlucky.cancel()
    await clock.advance(0)

    assert caller.names == ["first", "third"]


async def test_no_call_goes_before_retry_after_and_then_they_go_one_by_one(clock):
    limiter = limiter_of(clock)
    caller = Caller(clock, limiter, latency=0.05)
    limiter.penalize(30.0)
    for number in range(20):
        caller.call(str(number))

    await clock.advance(29.9)
    assert caller.names == []
    await clock.advance(30)

    moments = [moment for moment, _ in caller.sent]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments[:PROBES])]
    assert moments[0] == pytest.approx(30.0)
    assert all(gap >= PROBE_GAP for gap in gaps)
    assert len(moments) == 20


async def test_a_retry_after_beside_a_longer_one_does_not_shorten_it(clock):
    limiter = limiter_of(clock)
    limiter.penalize(30.0)
    limiter.penalize(1.0)
    limiter.penalize(None)

    assert limiter.delay("op", "a") == pytest.approx(30.0)


async def test_without_retry_after_the_pauses_grow_until_a_call_succeeds(clock):
    limiter = limiter_of(clock)
    pauses = []
    for _ in range(4):
        async with limiter.slot(operation="op", connection="a"):
            limiter.penalize(None)
            limiter.penalize(None)  # several 429s of one burst count once
        pauses.append(limiter.delay("op", "a"))
        await clock.advance(pauses[-1])

    for number, pause in enumerate(pauses):
        assert 2**number / 2 <= pause <= 2**number

    async with limiter.slot(operation="op", connection="a"):
        pass
    await clock.advance(1)
    async with limiter.slot(operation="op", connection="a"):
        limiter.penalize(None)
    assert limiter.delay("op", "a") <= 1.0


async def test_the_view_shows_every_window_in_use(clock):
    limiter = limiter_of(clock, per_second=2, per_operation_per_second=1, per_connection_per_minute=5, per_day=9)
    async with limiter.slot(operation="op", connection="a"):
        pass

    views = {view.name: view for view in limiter.peek()}

    assert {name: (view.used, view.limit) for name, view in views.items()} == {
        "second": (1, 2),
        "day": (1, 9),
        "operation op": (1, 1),
        "connection a": (1, 5),
    }
    assert views["second"].free_at == clock.now()
    assert (views["operation op"].free_at - clock.now()).total_seconds() == pytest.approx(1, rel=1e-3)


# --- booking -----------------------------------------------------------------------------------------------------


async def test_without_limits_the_ledger_is_never_asked(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger)
    async with limiter.slot(operation="op", connection="a"):
        pass
    await limiter.close()

    assert ledger.reserved == ledger.settled == []


async def test_calls_are_booked_before_they_are_sent_and_settled_at_the_end(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger, per_connection_per_minute=100)
    for _ in range(3):
        async with limiter.slot(operation="op", connection="a"):
            assert ledger.reserved == [("client", "a", 10)]

    await limiter.close()
    await limiter.close()

    assert ledger.settled == [(1, 3)]


async def test_a_used_up_block_is_settled_with_the_next_booking(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger, per_day=500)
    for _ in range(3):
        async with limiter.slot(operation="op", connection="a"):
            pass

    assert ledger.reserved == [("client", "a", 1)] * 3
    assert ledger.settled == [(1, 1), (2, 1)]
    await limiter.close()
    assert ledger.settled == [(1, 1), (2, 1), (3, 1)]


async def test_an_idle_block_is_settled_after_a_minute(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger, per_connection_per_minute=100)
    async with limiter.slot(operation="op", connection="a"):
        pass

    await clock.advance(125)

    assert ledger.settled == [(1, 1)]
    assert clock.sleepers == 0


async def test_a_used_up_block_is_settled_within_two_minutes_without_another_call(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger, per_day=500)
    async with limiter.slot(operation="op", connection="a"):
        await clock.advance(70)  # longer than the housekeeping's own rhythm

    await clock.advance(60)

    assert ledger.settled == [(1, 1)]
    assert clock.sleepers == 0


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        (Limits(10, 10, 100, 500), 1),
        (Limits(10, 10, 100, 1000), 1),
        (Limits(0, 0, 0, 1_000_000), 20),
        (Limits(100, 0, 0, 0), 20),
        (Limits(10, 10, 100, 0), 10),
        (Limits(3, 0, 0, 0), 3),
    ],
)
def test_blocks_are_small_where_every_call_counts(limits, size):
    assert limits.block_size() == size


async def test_calls_of_an_earlier_process_count_in_every_window(clock):
    ledger = Ledger([("a", 3, 0.0), ("a", 2, 50.0), ("b", 1, 50.0), ("b", 4, 7200.0)])
    limiter = await opened(
        clock, ledger, per_second=3, per_operation_per_second=3, per_connection_per_minute=6, per_day=11
    )
    caller = Caller(clock, limiter)
    caller.call("a", connection="a")

    used = {view.name: view.used for view in limiter.peek()}
    assert used == {"second": 3, "day": 10}
    await clock.advance(0.9)
    assert caller.names == []
    await clock.advance(0.2)
    assert caller.names == ["a"]
    assert limiter.delay("op", "a") == pytest.approx(86_400 - 7200 - 1.1, rel=1e-3)
    await limiter.close()


async def test_when_booking_fails_the_caller_hears_why_and_no_slot_is_spent(clock):
    ledger = Ledger()
    ledger.broken = OSError("disk full")
    limiter = await opened(clock, ledger, per_second=1)
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            async with limiter.slot(operation="op", connection="a"):
                pytest.fail("nothing was booked")

    ledger.broken = None
    async with limiter.slot(operation="op", connection="a"):
        pass
    await limiter.close()


async def test_booking_goes_on_for_the_others_when_one_waiter_is_cancelled(clock):
    ledger = Ledger()
    ledger.gate = asyncio.Event()
    limiter = await opened(clock, ledger, per_connection_per_minute=100)
    caller = Caller(clock, limiter)
    cancelled = caller.call("cancelled")
    caller.call("other")
    await clock.advance(0)

    cancelled.cancel()
    await clock.advance(0)
    ledger.gate.set()
    await clock.advance(0)

    assert caller.names == ["other"]
    assert len(ledger.reserved) == 1
    assert {view.name: view.used for view in limiter.peek()} == {"connection a": 1}
    await limiter.close()


async def test_ten_callers_at_once_share_bookings_of_one_call_each(clock):
    ledger = Ledger()
    limiter = await opened(clock, ledger, per_day=500)
    caller = Caller(clock, limiter)
    for number in range(10):
        caller.call(str(number))

    await clock.advance(0)
    await clock.advance(0)

    assert len(caller.names) == len(ledger.reserved) == 10
    await limiter.close()


def test_calls_kept_together_in_a_wide_window_free_with_the_last_of_them():
    window = Window("day", 2000, 1000.0)  # buckets of one second
    for tenth in range(2000):
        window.take()
        window.answered(tenth * 0.0004)

    assert not window.has_room(1000.6)
    assert window.free_at(1000.6) == pytest.approx(1000.8 + 1000 * CLOCK_DRIFT, abs=1e-3)
    assert window.has_room(1001.4)


async def test_a_stated_pause_outlives_the_process_that_was_told(clock):
    ledger = Ledger()
    limiter = await Limiter.open("client", Limits(), clock=clock, rng=random.Random(1), ledger=ledger)
    await limiter.refused(90.0)
    await limiter.refused(None)  # names no time: nothing to keep
    await limiter.close()
    assert ledger.pauses == [("client", 90.0)]

    ledger.left = 60.0
    again = await Limiter.open("client", Limits(), clock=clock, rng=random.Random(1), ledger=ledger)
    assert again.delay("getWebinars", "acme") == pytest.approx(60.0)
    await again.close()
