"""A day of calls over crash loops, refusals and false clocks: never exceeded as the API counts, and used."""

from __future__ import annotations

from random import Random

import pytest

from poller.goto import Limits, Request
from poller.goto.transport import Answer
from poller.testing import FakeClock
from tests.benchmarks.virtual import Life, Planned, living

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def webinars(seed: int, count: int = 20, each: int = 10) -> list[Planned]:
    random, begin = Random(seed), FakeClock().now().timestamp()
    return [
        Planned(begin + 20 * DAY, sorted(begin + random.uniform(0, 1.2) * DAY for _ in range(each)), [begin - DAY])
        for _ in range(count)
    ]


async def is_kept(life: Life, quota: int, used: float) -> None:
    """No call too many in any window, nothing told twice, and so large a share of the calls used."""
    seen = await life.seen()
    moments = sorted(moment for _, moment in life.transport.calls)
    assert seen.breaches == 0
    assert all(later - earlier >= DAY for earlier, later in zip(moments, moments[quota:], strict=False))
    first = [moment for moment in moments if moment < moments[0] + DAY]
    assert len(first) >= used * quota, f"{len(first)} of {quota} calls used"
    assert seen.told == len({event["id"] for event in await life.events()}) > 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_crash_loop_neither_exceeds_a_days_calls_nor_wastes_them(seed: int) -> None:
    random = Random(seed)
    async with living(webinars(seed), Limits(100, 10, 0, 500), seed, on_disk=True) as life:
        end = life.clock.monotonic() + 1.3 * DAY
        while life.clock.monotonic() < end:
            await life.clock.advance(random.uniform(1 * MINUTE, 90 * MINUTE))
            await life.crash()
        await is_kept(life, 500, used=0.9)


async def test_refusals_with_and_without_a_pause_cost_no_call_too_many() -> None:
    random = Random(3)

    def now_and_then(request: Request) -> Answer | None:
        if random.random() > 0.05:
            return None
        headers = random.choice([{}, {"Retry-After": "30"}, {"Retry-After": "600"}])
        return Answer(random.choice([429, 503]), headers, b"")

    async with living(webinars(3), Limits(100, 10, 0, 500), 3, on_disk=True) as life:
        life.transport.instead = now_and_then
        for _ in range(10):
            await life.clock.advance(0.13 * DAY)
            await life.crash()
        await is_kept(life, 500, used=0.9)


async def test_a_clock_that_jumps_does_not_bring_a_day_back() -> None:
    random = Random(4)
    async with living(webinars(4), Limits(0, 0, 100, 500), 4, on_disk=True) as life:
        for _ in range(40):
            await life.clock.advance(45 * MINUTE)
            life.clock.jump(random.choice([-HOUR, -1.0, 1.0, HOUR]))
        seen = await life.seen()
        assert seen.breaches == 0
        assert len(life.transport.calls) >= 0.9 * 500


async def test_a_count_hint_over_crashes_keeps_to_the_day_as_well() -> None:
    random = Random(5)
    async with living(webinars(5), Limits(100, 10, 0, 500), 5, on_disk=True, hint=True) as life:
        end = life.clock.monotonic() + 1.3 * DAY
        while life.clock.monotonic() < end:
            await life.clock.advance(random.uniform(30 * MINUTE, 180 * MINUTE))
            await life.crash()
        await is_kept(life, 500, used=0.9)
        assert len((await life.seen()).found) >= 0.95 * sum(len(webinar.arrivals) for webinar in webinars(5))
