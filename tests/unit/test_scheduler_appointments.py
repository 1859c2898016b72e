"""Targets that are read around an end: beside the plan, at their dates, until the last."""

from __future__ import annotations

import pytest

from poller.errors import NotFound, PermissionRefused, Wait
from poller.testing import FakeClock
from state.records import Scope, Target
from tests.unit.test_scheduler import ACME, DAY, Desk, Key, list_of

SESSIONS: Key = ("acme", Scope("session", "1"))


def timed(desk_start: float, ends_in: float = 3600.0, **fields) -> Target:
    return Target(*SESSIONS, organizer_key="1", ends=(desk_start + ends_in,), **fields)


async def test_a_target_with_ends_is_read_after_them_and_not_at_the_interval():
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now))
    async with desk.running():
        await desk.clock.advance(8 * DAY)
    hours = [round(moment / 3600, 2) for moment in desk.engine.times(SESSIONS)]
    assert hours == [1.03, 1.1, 1.3, 1.9, 3.7, 9.1, 25.0, 49.0, 169.0]


async def test_what_waits_for_an_end_has_no_part_in_the_plan():
    """Nor does it make what is in the plan wait."""
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), *(Target("acme", Scope("session", str(n)), ends=(now + DAY,)) for n in range(50)))
    async with desk.running() as scheduler:
        await desk.clock.advance(600)
        assert scheduler.outlooks["acme"].targets == 1
        assert scheduler.interval(SESSIONS) is None
        assert len(scheduler.polled_keys()) == 51
        assert scheduler.worth_asking() == [ACME]
        assert scheduler.worth_asking(webinar="1") == []
    assert desk.engine.times(ACME) == [0.0, 120.0, 240.0, 360.0, 480.0, 600.0]


@pytest.mark.parametrize("error", [NotFound("404"), PermissionRefused("403")])
async def test_a_look_that_is_refused_waits_for_the_next_and_ends_with_the_last(error):
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now))
    desk.engine.errors[SESSIONS] = error
    async with desk.running() as scheduler:
        await desk.clock.advance(9 * DAY)
        assert SESSIONS not in scheduler.polled_keys()
    assert len(desk.engine.times(SESSIONS)) == 9


async def test_a_look_that_fails_is_tried_again_soon():
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now))
    desk.engine.errors[SESSIONS] = Wait("503")
    async with desk.running():
        await desk.clock.advance(3720)
        del desk.engine.errors[SESSIONS]
        await desk.clock.advance(60)
    assert desk.engine.times(SESSIONS)[0] == 3720.0
    assert 2 <= len(desk.engine.times(SESSIONS)) < 9


async def test_who_names_a_webinar_gets_its_lists_read_as_soon_as_there_may_be_something_in_them():
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now, ends_in=0.0))
    async with desk.running() as scheduler:
        await desk.clock.advance(60)
        assert scheduler.worth_asking() == [ACME]
        assert scheduler.worth_asking(webinar="1") == [SESSIONS]
        scheduler.nudge(*SESSIONS)
        await desk.clock.advance(1)
    assert desk.engine.times(SESSIONS) == [60.0]


async def test_a_nudge_is_a_look_and_the_dates_stay():
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now))
    async with desk.running() as scheduler:
        await desk.clock.advance(60)
        scheduler.nudge(*SESSIONS)
        await desk.clock.advance(3680)
    assert desk.engine.times(SESSIONS) == [60.0, 3720.0]


async def test_an_end_that_moves_takes_the_look_along():
    now = FakeClock().now().timestamp()
    desk = Desk(list_of(), timed(now))
    desk.engine.found = [timed(now, 600.0)]
    async with desk.running():
        await desk.clock.advance(1000)
    assert desk.engine.times(SESSIONS)[0] == 720.0
