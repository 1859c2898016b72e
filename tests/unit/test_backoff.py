"""Pauses after failures, and time that jumps."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.alarm import Alarm
from poller.backoff import backoff
from poller.testing import FakeClock
from poller.timeline import Timeline


@given(st.integers(1, 10_000), st.integers())
def test_pauses_double_up_to_the_cap_and_vary_in_their_upper_half(attempt: int, seed: int) -> None:
    longest = min(300.0, 2.0 * 2.0 ** min(attempt - 1, 20))
    assert longest / 2 <= backoff(attempt, Random(seed), base=2.0, cap=300.0) <= longest


def test_the_same_seed_gives_the_same_pauses_and_attempts_count_from_one() -> None:
    assert backoff(3, Random(1)) == backoff(3, Random(1)) != backoff(3, Random(2))
    with pytest.raises(ValueError, match="from 1"):
        backoff(0, Random(1))


async def test_the_timeline_never_goes_back_and_ages_nothing_by_a_jump() -> None:
    clock = FakeClock()
    born = clock.now().timestamp()
    timeline = Timeline(clock)
    clock.jump(-3600)
    assert timeline.now() == pytest.approx(born)
    await clock.advance(10)
    assert timeline.now() == pytest.approx(born + 10)
    clock.jump(100 * 86400)
    assert timeline.now() > born + 86400
    assert timeline.age(born) == pytest.approx(10)


async def test_a_ring_before_the_rest_ends_it_at_once_and_a_rest_ends_with_its_time() -> None:
    clock = FakeClock()
    alarm = Alarm(clock)
    alarm.ring()
    await alarm.rest(None)
    assert not alarm.is_rung
    resting = asyncio.create_task(alarm.rest(5))
    await clock.advance(4)
    assert not resting.done()
    await clock.advance(1)
    await resting


async def test_a_cancelled_rest_leaves_no_task_behind() -> None:
    clock = FakeClock()
    resting = asyncio.create_task(Alarm(clock).rest(5))
    await clock.advance(1)
    resting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert clock.sleepers == 0
