"""When what is polled: floors, nudges, back-offs, quotas, jumping clocks, cancellation. The engine here only counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from poller.errors import Malformed, NotFound, Reauthorize, Wait
from poller.membership import Membership, Pace
from poller.planner import Quota
from poller.poll import Polled
from poller.roster import WEBINARS, Roster
from poller.scheduler import Scheduler
from poller.testing import FakeClock
from state.records import Scope, Target

DAY, YEAR = 86_400.0, 365 * 86_400.0
Key = tuple[str, Scope]


def people(webinar: str) -> Scope:
    return Scope("registrant", webinar)


class CountingEngine:
    """Polls in no time, unless told to fail, to take long, or to hang."""

    def __init__(self, clock: FakeClock, roster: Roster) -> None:
        self.clock, self.roster = clock, roster
        self.polls: list[tuple[float, Key]] = []
        self.errors: dict[Key, Exception] = {}
        self.problems: dict[Key, Exception] = {}
        self.takes: dict[Key, float] = {}
        self.gates: dict[Key, asyncio.Event] = {}
        self.found: list[Target] = []  # by the next poll
        self.under_way = self.most_at_once = 0

    async def poll(self, target: Target) -> Polled:
        key = (target.connection, target.scope)
        self.polls.append((self.clock.monotonic(), key))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            if key in self.takes:
                await self.clock.sleep(self.takes[key])
            if key in self.gates:
                await self.gates[key].wait()
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        if key in self.errors:
            raise self.errors[key]
        polled = replace(target, polled_at=self.clock.now().timestamp())
        self.roster.put(polled)
        found, self.found = self.found, []
        for target in found:
            self.roster.learn(target)
        return Polled(polled, "unchanged", problem=self.problems.get(key), found=found)

    def times(self, key: Key) -> list[float]:
        return [round(moment, 3) for moment, polled in self.polls if polled == key]

    def gaps(self, key: Key) -> list[float]:
        return [round(after - before, 3) for before, after in pairwise(self.times(key))]


class Desk:
    """A scheduler with everything it asks."""

    def __init__(self, *targets: Target, pace: Pace | None = None, quota: Quota | None = None) -> None:
        self.clock = FakeClock()
        self.roster = Roster(targets=targets)
        self.engine = CountingEngine(self.clock, self.roster)
        self.connections = sorted({target.connection for target in targets})
        self.quota = quota or Quota()
        self.delays: dict[str, float] = {}
        self.failures: list[tuple[Key, float]] = []
        self.refusals: list[str] = []
        self.scheduler = self.make(pace or Pace())

    def make(self, pace: Pace) -> Scheduler:
        membership = Membership(
            connections=lambda: self.connections,
            roots=lambda name: [WEBINARS],
            wants=lambda target: True,
            client_of=lambda name: "client",
            quota_of=lambda client: self.quota,
            spent=lambda client: [],
            cost=lambda target: 1,
            delay=lambda name, kind: self.delays.get(name, 0.0),
            settle=lambda name: DAY,
        )
        return Scheduler(self.engine, self.roster, membership, self.clock, Random(7), self, pace)  # type: ignore[arg-type]

    # the observer

    def polled(self, polled: Polled, seconds: float) -> None: ...

    def failed(self, target: Target, error: Exception, retry_in: float) -> None:
        self.failures.append(((target.connection, target.scope), retry_in))

    def hint_changed(self, connection: str, state: str, reason: str) -> None: ...

    async def refused(self, connection: str, error: Reauthorize) -> None:
        self.refusals.append(connection)
        self.connections.remove(connection)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Scheduler]:
        task = asyncio.create_task(self.scheduler.run())
        try:
            yield self.scheduler
        finally:
            self.scheduler.stop()
            await asyncio.wait({task})
            assert not [left for left in asyncio.all_tasks() if left.get_name().startswith("poll ")]
            task.result()


def list_of(connection: str = "acme", **fields) -> Target:
    return Target(connection, WEBINARS, **fields)


def room(webinar: str, connection: str = "acme", **fields) -> Target:
    return Target(connection, people(webinar), organizer_key="1", **fields)


ACME: Key = ("acme", WEBINARS)


# ── floors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_interval_lies_between_two_polls_of_each_target():
    desk = Desk(list_of(), room("1"), room("2"))
    async with desk.running():
        await desk.clock.advance(1000)
    for key in (ACME, ("acme", people("1")), ("acme", people("2"))):
        assert desk.engine.gaps(key) == [120.0] * 8


async def test_a_slow_poll_is_followed_by_a_whole_interval():
    desk = Desk(list_of())
    desk.engine.takes[ACME] = 50.0
    async with desk.running():
        await desk.clock.advance(700)
    assert set(desk.engine.gaps(ACME)) == {170.0}


async def test_the_floor_holds_over_a_restart():
    desk = Desk(list_of())
    now = desk.clock.now().timestamp()
    desk.roster.put(list_of(polled_at=now - 30))
    desk.roster.put(room("1", polled_at=now - 500))
    desk.roster.put(room("2"))
    async with desk.running():
        await desk.clock.advance(100)
    first = {key: moment for moment, key in reversed(desk.engine.polls)}
    assert first == {("acme", people("1")): 0.0, ("acme", people("2")): 0.0, ACME: 90.0}


async def test_no_more_polls_at_once_than_allowed():
    targets = [room(str(number)) for number in range(40)]
    desk = Desk(list_of(), *targets, pace=Pace(concurrency=5))
    for target in targets:
        desk.engine.takes["acme", target.scope] = 1.0
    async with desk.running():
        await desk.clock.advance(60)
    assert desk.engine.most_at_once == 5
    assert len(desk.engine.polls) == 41


async def test_a_hanging_poll_holds_up_only_its_own_target():
    desk = Desk(list_of(), room("1"), room("2"))
    desk.engine.gates["acme", people("1")] = asyncio.Event()
    async with desk.running():
        await desk.clock.advance(1000)
        assert len(desk.engine.times(("acme", people("1")))) == 1
        assert len(desk.engine.times(("acme", people("2")))) == 9


# ── nudges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_nudge_makes_a_target_due_now():
    desk = Desk(list_of(), room("1"))
    async with desk.running() as scheduler:
        await desk.clock.advance(50)
        scheduler.nudge(*ACME)
        await desk.clock.advance(1)
        assert desk.engine.times(ACME) == [0.0, 50.0]
        assert desk.engine.times(("acme", people("1"))) == [0.0]


async def test_many_nudges_cost_one_poll_per_nudge_interval():
    desk = Desk(list_of())
    async with desk.running() as scheduler:
        await desk.clock.advance(50)
        for _ in range(100):
            scheduler.nudge(*ACME)
            await desk.clock.advance(0.1)
    polls = desk.engine.times(ACME)[1:]
    assert polls == [50.0, 52.0, 54.0, 56.0, 58.0, *([60.0] if len(polls) > 5 else [])]


async def test_nudges_during_a_poll_become_one_more_poll():
    desk = Desk(list_of())
    desk.engine.takes[ACME] = 5.0
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        for _ in range(10):
            scheduler.nudge(*ACME)
        await desk.clock.advance(60)
    assert desk.engine.times(ACME) == [0.0, 5.0]


async def test_a_nudge_for_what_nobody_polls_is_ignored():
    desk = Desk(list_of())
    async with desk.running() as scheduler:
        scheduler.nudge("acme", people("9"))
        scheduler.nudge("nobody", WEBINARS)
        await desk.clock.advance(10)
        with pytest.raises(NotFound):
            await scheduler.nudged("acme", people("9"))
    assert desk.engine.times(ACME) == [0.0]


async def test_who_waits_for_a_nudge_gets_the_outcome_of_a_poll_that_began_after_it():
    desk = Desk(list_of())
    desk.engine.takes[ACME] = 5.0
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        waiting = [scheduler.nudged(*ACME) for _ in range(3)]
        await desk.clock.advance(4.5)
        assert not any(future.done() for future in waiting)
        await desk.clock.advance(5)
        assert [(await future).outcome for future in waiting] == ["unchanged"] * 3
    assert desk.engine.times(ACME) == [0.0, 5.0]


async def test_who_waits_hears_of_a_failure_and_of_the_end():
    desk = Desk(list_of(), room("1"))
    desk.engine.errors[ACME] = Wait("GoTo answered 503")
    async with desk.running() as scheduler:
        await desk.clock.advance(3)
        waiting = scheduler.nudged(*ACME)
        await desk.clock.advance(3)
        with pytest.raises(Wait):
            await waiting
        desk.engine.gates["acme", people("1")] = asyncio.Event()
        last = scheduler.nudged("acme", people("1"))
        await desk.clock.advance(3)
    assert last.cancelled()


async def test_who_waits_for_what_is_over_by_then_gets_one_more_poll():
    desk = Desk(list_of())
    key = ("acme", people("1"))
    desk.roster.put(room("1", ends_at=0.0))
    desk.engine.takes[key] = 5.0
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        waiting = scheduler.nudged(*key)
        await desk.clock.advance(20)
        assert (await waiting).outcome == "unchanged"
        await desk.clock.advance(1000)
    assert desk.engine.times(key) == [0.0, 5.0]


@pytest.mark.parametrize("refused", [False, True])
async def test_who_waits_hears_when_the_target_is_left_alone_meanwhile(refused: bool):
    desk = Desk(list_of(), list_of("beta"))
    desk.engine.takes[ACME] = 5.0
    if refused:
        desk.engine.errors[ACME] = Reauthorize("log in again")
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        waiting = scheduler.nudged(*ACME)
        if not refused:
            desk.connections.remove("acme")
            scheduler.refresh()
        await desk.clock.advance(10)
        assert waiting.done()
        with pytest.raises(NotFound):
            await waiting


async def test_who_waits_hears_when_the_target_was_dropped_before_its_turn():
    desk = Desk(list_of(), room("1"), pace=Pace(concurrency=1))
    desk.engine.takes[ACME] = 5.0
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        waiting = scheduler.nudged("acme", people("1"))
        desk.roster.drop("acme", people("1"))
        await desk.clock.advance(10)
        assert waiting.done()
        with pytest.raises(NotFound):
            await waiting


async def test_a_login_while_the_refusal_is_being_told_is_not_undone_by_it():
    desk = Desk(list_of())
    desk.engine.errors[ACME] = Reauthorize("log in again")

    async def logged_in_meanwhile(connection: str, error: Reauthorize) -> None:
        desk.engine.errors.clear()
        desk.scheduler.refresh()

    desk.refused = logged_in_meanwhile  # type: ignore[method-assign]
    async with desk.running():
        await desk.clock.advance(130)
    assert desk.engine.times(ACME)[:2] == [0.0, 0.0]


async def test_the_webinars_a_connection_sees_are_also_those_that_another_one_reads_for_it():
    desk = Desk(list_of(), list_of("beta"), room("1"), room("1", "beta"), room("2"))
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        assert scheduler.polled_keys("beta") == [("beta", WEBINARS), ("acme", people("1"))]


def test_who_is_polled_can_be_asked_before_the_loop_has_begun():
    assert Desk(list_of(), room("1")).scheduler.polled_keys() == [ACME, ("acme", people("1"))]


async def test_a_nudge_keeps_the_pause_that_goto_asked_for():
    desk = Desk(list_of())
    desk.engine.errors[ACME] = Wait("GoTo answered 503", retry_after=300.0)
    async with desk.running() as scheduler:
        await desk.clock.advance(1)
        desk.engine.errors.clear()
        for _ in range(250):
            scheduler.nudge(*ACME)
            await desk.clock.advance(1)
        assert desk.engine.times(ACME) == [0.0]
        await desk.clock.advance(60)
    assert desk.engine.times(ACME)[1] == 300.0


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failing_target_backs_off_alone():
    desk = Desk(list_of(), room("1"), room("2"))
    desk.engine.errors["acme", people("1")] = Malformed("HTML with status 200")
    async with desk.running():
        await desk.clock.advance(2 * 3600)
    pauses = [retry_in for key, retry_in in desk.failures if key == ("acme", people("1"))]
    assert all(later > earlier for earlier, later in pairwise(pauses[:8]))
    assert max(pauses) <= 3600
    assert set(desk.engine.gaps(("acme", people("2")))) == {120.0}


async def test_after_an_outage_detection_resumes_within_one_interval():
    desk = Desk(list_of())
    desk.engine.errors[ACME] = Wait("GoTo answered 503")
    async with desk.running():
        await desk.clock.advance(5 * 3600)
        desk.engine.errors.clear()
        await desk.clock.advance(120)
        assert desk.engine.times(ACME)[-1] > 5 * 3600


async def test_a_stated_pause_is_a_floor():
    desk = Desk(list_of())
    desk.engine.errors[ACME] = Wait("GoTo answered 429", retry_after=900.0)
    async with desk.running():
        await desk.clock.advance(3700)
    assert min(desk.engine.gaps(ACME)) >= 900


async def test_a_walk_that_broke_off_is_tried_again_soon_and_then_ever_later():
    desk = Desk(list_of())
    desk.engine.problems[ACME] = Wait("page 3 failed")
    async with desk.running():
        await desk.clock.advance(3600)
    gaps = desk.engine.gaps(ACME)
    assert gaps[0] == 2.0
    assert max(gaps) <= 120.0
    assert len(gaps) < 60


async def test_a_404_of_registrants_sends_for_the_webinar_list():
    desk = Desk(list_of(), room("1"))
    async with desk.running():
        await desk.clock.advance(10)
        desk.engine.errors["acme", people("1")] = NotFound("GoTo answered 404")
        desk.scheduler.nudge("acme", people("1"))
        await desk.clock.advance(10)
    assert desk.engine.times(ACME) == [0.0, 10.0]


async def test_a_refused_login_stops_that_connection_only():
    desk = Desk(list_of("acme"), room("1", "acme"), list_of("beta"), room("2", "beta"))
    desk.engine.errors[ACME] = Reauthorize("log in again")
    async with desk.running():
        await desk.clock.advance(1000)
        polled = Counter(key for _, key in desk.engine.polls)
        assert desk.refusals == ["acme"]
        assert polled[ACME] == 1
        assert polled["acme", people("1")] <= 1
        assert polled["beta", WEBINARS] == polled["beta", people("2")] == 9
        desk.engine.errors.clear()
        desk.connections.append("acme")
        desk.scheduler.refresh()
        await desk.clock.advance(200)
        assert len(desk.engine.times(ACME)) == 3


async def test_a_defect_in_one_poll_does_not_end_the_loop():
    desk = Desk(list_of(), room("1"))
    desk.engine.errors[ACME] = ZeroDivisionError("a defect")
    async with desk.running():
        await desk.clock.advance(1000)
    assert len(desk.engine.times(("acme", people("1")))) == 9
    assert len(desk.engine.times(ACME)) > 2


# ── who is polled ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_paused_connection_rests_and_goes_on_at_once_when_its_interval_is_over():
    desk = Desk(list_of(), room("1"))
    async with desk.running():
        await desk.clock.advance(10)
        desk.connections.clear()
        desk.scheduler.refresh()
        await desk.clock.advance(1000)
        assert desk.engine.times(ACME) == [0.0]
        desk.connections.append("acme")
        desk.scheduler.refresh()
        await desk.clock.advance(1)
        assert desk.engine.times(ACME) == [0.0, 1010.0]


async def test_a_past_webinar_is_polled_once_more_after_it_has_settled():
    desk = Desk(list_of())
    over = desk.clock.now().timestamp() + 3600
    desk.roster.put(room("1", ends_at=over))
    async with desk.running():
        await desk.clock.advance(3 * DAY)
    times = desk.engine.times(("acme", people("1")))
    assert [moment for moment in times if moment >= 3600 + DAY] == [times[-1]]
    assert times[-1] <= 3600 + DAY + 120


async def test_an_engine_that_was_off_meanwhile_polls_a_past_webinar_once():
    desk = Desk(list_of(), room("1", ends_at=0.0, polled_at=1.0))
    async with desk.running():
        await desk.clock.advance(1000)
    assert desk.engine.times(("acme", people("1"))) == [0.0]


async def test_a_shared_webinar_is_read_by_one_connection_and_after_its_end_once():
    over = FakeClock().now().timestamp() + 60 - DAY
    desk = Desk(list_of("acme"), list_of("beta"), room("1", "acme", ends_at=over), room("1", "beta", ends_at=over))
    async with desk.running():
        await desk.clock.advance(1000)
        assert desk.engine.times(("acme", people("1"))) == [0.0, 120.0]
        assert desk.engine.times(("beta", people("1"))) == []


async def test_another_connection_takes_over_a_shared_webinar():
    desk = Desk(list_of("acme"), list_of("beta"), room("1", "acme"), room("1", "beta"))
    async with desk.running():
        await desk.clock.advance(500)
        desk.connections.remove("acme")
        desk.scheduler.refresh()
        await desk.clock.advance(500)
        assert len(desk.engine.times(("acme", people("1")))) == 5
        assert len(desk.engine.times(("beta", people("1")))) == 5


# ── quota ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_small_quota_stretches_the_interval_and_is_not_exceeded():
    """500 calls a day for 31 targets: each is polled about every 107 minutes, and the quota is well used."""
    targets = [room(str(number)) for number in range(30)]
    desk = Desk(list_of(), *targets, quota=Quota(per_day=500))
    async with desk.running():
        await desk.clock.advance(4 * DAY)
    last_day = [moment for moment, _ in desk.engine.polls if moment >= 3 * DAY]
    assert 0.95 * 500 <= len(last_day) <= 500
    assert desk.scheduler.intervals["acme"] == pytest.approx(31 / (500 / DAY * 0.97), rel=0.03)


async def test_a_connection_without_a_free_call_waits_without_keeping_others_or_the_processor_busy():
    desk = Desk(list_of("acme"), list_of("beta"))
    desk.delays["acme"] = 3600.0
    async with desk.running():
        await desk.clock.advance(300)
        assert desk.engine.times(ACME) == []
        assert desk.engine.times(("beta", WEBINARS)) == [0.0, 120.0, 240.0]
        desk.delays.clear()
        await desk.clock.advance(1.1)
        assert len(desk.engine.times(ACME)) == 1


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [1, -1, 3600, -3600, 10 * YEAR, -10 * YEAR])
async def test_a_wall_clock_that_jumps_changes_no_pace(seconds):
    """No herd, nothing frozen, and no busy loop: exactly the polls of a day without a jump."""
    desk = Desk(list_of(), room("1", ends_at=FakeClock().now().timestamp() + 30 * DAY))
    async with desk.running():
        await desk.clock.advance(500)
        desk.clock.jump(seconds)
        await desk.clock.advance(5000)
    assert set(desk.engine.gaps(ACME)) == {120.0}
    if seconds < YEAR:
        assert set(desk.engine.gaps(("acme", people("1")))) == {120.0}


async def test_a_webinar_that_a_false_clock_let_end_is_polled_again_when_the_clock_is_right():
    desk = Desk(list_of(), room("1", ends_at=FakeClock().now().timestamp() + 30 * DAY))
    async with desk.running():
        await desk.clock.advance(500)
        desk.clock.jump(10 * YEAR)
        await desk.clock.advance(2000)
        polls = len(desk.engine.times(("acme", people("1"))))
        desk.clock.jump(-10 * YEAR)
        await desk.clock.advance(2000)
    assert len(desk.engine.times(("acme", people("1")))) > polls + 5


async def test_after_eight_hours_of_suspend_each_target_is_polled_once_a_few_at_a_time():
    targets = [room(str(number)) for number in range(50)]
    desk = Desk(list_of(), *targets)
    async with desk.running():
        await desk.clock.advance(500)
        desk.engine.polls.clear()
        desk.engine.most_at_once = 0
        for target in targets:
            desk.engine.takes["acme", target.scope] = 0.5
        desk.clock._move_to(desk.clock.monotonic() + 8 * 3600)
        await desk.clock.advance(30)
    assert Counter(key for _, key in desk.engine.polls) == Counter({ACME: 1, **{("acme", t.scope): 1 for t in targets}})
    assert desk.engine.most_at_once <= 8


async def test_a_polled_at_from_the_future_delays_a_target_by_one_interval_at_most():
    desk = Desk(list_of(polled_at=FakeClock().now().timestamp() + 10 * YEAR))
    async with desk.running():
        await desk.clock.advance(121)
    assert desk.engine.times(ACME) == [120.0]


# ── beginning and end ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_twice_or_before_the_start_is_harmless():
    desk = Desk(list_of())
    desk.scheduler.stop()
    await desk.scheduler.run()
    desk.scheduler.stop()
    assert desk.engine.polls == []


async def test_a_cancelled_loop_leaves_no_poll_behind():
    desk = Desk(list_of(), *[room(str(number)) for number in range(20)])
    gate = asyncio.Event()
    desk.engine.gates = {(t.connection, t.scope): gate for t in desk.roster}
    before = asyncio.all_tasks()
    task = asyncio.create_task(desk.scheduler.run())
    await desk.clock.advance(1)
    waiting = desk.scheduler.nudged("acme", people("3"))
    assert desk.engine.under_way == 8
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert desk.engine.under_way == 0
    assert waiting.cancelled()
    assert asyncio.all_tasks() == before


async def test_one_pass_polls_everything_once_also_what_is_found_on_the_way():
    desk = Desk(list_of())
    poll = desk.engine.poll

    async def finding(target: Target) -> Polled:
        if target.scope == WEBINARS:
            desk.roster.put(room("7"))
        return await poll(target)

    desk.engine.poll = finding  # type: ignore[method-assign]
    done = await desk.scheduler.once()
    assert [key for _, key in desk.engine.polls] == [ACME, ("acme", people("7"))]
    assert (len(done.polls), done.errors) == (2, [])


async def test_one_pass_says_what_failed_and_polls_the_rest():
    desk = Desk(list_of("acme"), room("1", "acme"), list_of("beta"))
    desk.engine.errors["acme", people("1")] = Wait("GoTo answered 503")
    desk.engine.errors["beta", WEBINARS] = Reauthorize("log in again")
    done = await desk.scheduler.once()
    assert sorted(type(error).__name__ for error in done.errors) == ["Reauthorize", "Wait"]
    assert desk.refusals == ["beta"]
    assert len(done.polls) == 1


async def test_the_pace_may_change_while_it_runs():
    desk = Desk(list_of())
    async with desk.running() as scheduler:
        await desk.clock.advance(300)
        scheduler.pace = Pace(interval=timedelta(seconds=30))
        scheduler.refresh()
        await desk.clock.advance(400)
    assert desk.engine.gaps(ACME)[-3:] == [30.0] * 3
