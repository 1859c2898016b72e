"""What has news only after an end is looked at soon after it, then ever more rarely, and then no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from poller.appointments import Appointments
from poller.looks import looks, next_look
from poller.roster import Roster
from poller.testing import START, FakeClock
from state.records import Scope, Target

DAY = 86_400.0
SESSIONS = Scope("session", "4")
KEY = ("acme", SESSIONS)
END = START.timestamp() + 600


def target(*ends: float, connection: str = "acme", **fields) -> Target:
    return Target(connection, SESSIONS, ends=ends, **fields)


def test_the_looks_begin_two_minutes_after_the_end_and_grow_apart_until_everything_has_settled():
    hours = [round(after / 3600, 2) for after in looks(DAY)]
    assert hours == [0.03, 0.1, 0.3, 0.9, 2.7, 8.1, 24.0, 48.0, 168.0]


@pytest.mark.parametrize("settle", [0.0, 60.0, DAY, 30 * DAY])
def test_however_long_the_settling_takes_the_looks_ascend_and_one_is_when_it_is_over(settle):
    dates = list(looks(settle))
    assert dates == sorted(dates)
    assert settle in dates
    assert len(dates) < 20


def test_each_end_has_looks_of_its_own():
    both = target(END, END + DAY)
    assert next_look(both, DAY, 0.0) == END + 120
    assert next_look(both, DAY, END + DAY - 1) == END + DAY
    assert next_look(both, DAY, END + DAY) == END + DAY + 120
    assert next_look(both, DAY, END + 8 * DAY) is None
    assert next_look(target(), DAY, 0.0) is None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def appointments(clock: FakeClock, *targets: Target) -> Appointments:
    return Appointments(Roster(targets=targets), clock, lambda name: DAY)


async def test_nothing_is_due_before_the_end_and_once_it_was_looked_at_not_before_the_next_date(clock):
    ahead = target(END)
    desk = appointments(clock, ahead)
    assert desk.keeps(KEY)
    assert not desk.is_due(KEY)
    assert desk.moment(ahead) == clock.monotonic() + 720
    await clock.advance(720)
    assert desk.is_due(KEY)
    seen = target(END, polled_at=clock.now().timestamp())
    assert not appointments(clock, seen).is_due(KEY)


async def test_a_look_by_whoever_sees_it_counts_for_all(clock):
    ours, theirs = target(END), target(END, connection="beta", polled_at=END + 120)
    assert appointments(clock, ours, theirs).next(ours) == END + 360


async def test_a_date_that_has_passed_is_due_now_whatever_the_monotonic_clock_says(clock):
    long_ago = target(START.timestamp() - 30 * DAY)
    desk = appointments(clock, long_ago)
    assert desk.is_due(KEY)
    assert desk.moment(long_ago) == clock.monotonic()
    seen = target(START.timestamp() - 30 * DAY, polled_at=START.timestamp())
    assert appointments(clock, seen).next(seen) is None


async def test_a_refused_look_is_not_made_up_for_but_the_next_one_is_tried(clock):
    one = target(END)
    desk = appointments(clock, one)
    await clock.advance(720)
    assert desk.after_refusal(one) == 240
    await clock.advance(timedelta(days=8).total_seconds())
    assert desk.after_refusal(one) == 0.0
    assert desk.next(one) is None
    desk.renew([KEY])
    assert desk.next(one) is not None


def test_what_has_no_ends_is_not_kept_by_appointment(clock):
    desk = appointments(clock, Target("acme", SESSIONS))
    assert not desk.keeps(KEY)
    assert desk.is_due(KEY)
    assert desk.is_due(("acme", Scope("webinar")))
