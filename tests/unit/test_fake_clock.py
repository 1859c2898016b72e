"""The clock that tests move."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from poller.testing import START, FakeClock


async def test_sleepers_wake_in_order_each_at_its_own_time():
    clock, woken = FakeClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic(), clock.now() - START))

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3.0, 1.0, 2.0)]
    await clock.advance(2.5)

    assert woken == [(1.0, 1.0, timedelta(seconds=1)), (2.0, 2.0, timedelta(seconds=2))]
    assert clock.sleepers == 1 and clock.monotonic() == 2.5
    await clock.advance(0.5)
    await asyncio.gather(*tasks)
    assert clock.sleepers == 0


async def test_a_sleep_begun_on_the_way_is_part_of_the_way():
    clock, ticks = FakeClock(), 0

    async def ticker():
        nonlocal ticks
        while True:
            await clock.sleep(10)
            ticks += 1

    task = asyncio.create_task(ticker())
    await clock.advance(100)
    assert ticks == 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0


async def test_a_jump_moves_the_wall_clock_alone_and_wakes_nobody():
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(0)

    clock.jump(-3600)

    assert clock.now() == START - timedelta(hours=1) and clock.monotonic() == 0.0
    assert not task.done()
    await clock.advance(1)
    assert task.done()


async def test_a_cancelled_sleep_is_forgotten():
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert clock.sleepers == 0
    await clock.sleep(0)


def test_a_start_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point
