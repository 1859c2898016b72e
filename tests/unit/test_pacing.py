"""What is polled next: the plan's proportions, turned into one poll after the other on a clock that only counts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from poller.pacing import Calls, Pacing
from poller.planner import Quota
from poller.pools import Key
from poller.rates import Experience
from poller.roster import Roster
from poller.testing import FakeClock
from state.records import Scope, Target

DAY, HOUR = 86_400.0, 3600.0


class Known(Experience):
    """Rates a day, by webinar."""

    def __init__(self, rates: dict[str, float]) -> None:
        super().__init__()
        self.rates = rates

    def rate(self, target: Target, moment: float) -> float:
        return self.rates[target.scope.parent] / DAY


class Desk:
    """Targets that have been polled before, and what they would be polled."""

    def __init__(
        self, rates: dict[str, float], quota: Quota, *, floor: float = 1.0, ceiling: float = math.inf, costs: float = 1
    ) -> None:
        self.clock = FakeClock()
        self.roster = Roster()
        self.quota = quota
        self.spent = [0.0] * 24
        for name in rates:
            self.roster.put(self.target(name))
        calls = Calls(lambda name: "client", lambda client: self.quota, lambda client: self.spent, lambda target: costs)
        self.pacing = Pacing(self.roster, Known(rates), calls, self.clock, floor=floor, ceiling=ceiling)
        self.polls: list[tuple[float, str]] = []

    def target(self, name: str) -> Target:
        connection = name.split()[0]
        return Target(connection, Scope("registrant", name), polled_at=self.clock.now().timestamp(), exposure=1.0)

    def members(self) -> list[Key]:
        return [(target.connection, target.scope) for target in self.roster]

    def begin(self) -> None:
        self.pacing.review(self.members())
        self.pacing.settle()
        for key in self.members():
            self.pacing.begin(key)

    async def run(self, seconds: float, blocked: dict[str, float] | None = None) -> None:
        """Poll whatever may be polled, each in no time."""
        until = self.clock.monotonic() + seconds
        while True:
            now = self.clock.monotonic()
            self.pacing.settle_now_and_then()
            while (key := self.pacing.pop(now, blocked or {})) is not None:
                self.polls.append((now, key[1].parent))
                target = self.roster.target(*key)
                assert target is not None
                self.roster.put(replace(target, polled_at=self.clock.now().timestamp()))
                self.pacing.again(key)
            due = self.pacing.next_due(blocked or {})
            moment = min(until, self.clock.monotonic() + 60.0, math.inf if due is None else due)
            assert moment > now or moment == until, "it says that something is due, and gives nothing"
            if now >= until:
                return
            await self.clock.advance(moment - now)

    def counts(self) -> Counter[str]:
        return Counter(name for _, name in self.polls)


async def test_of_few_calls_each_target_gets_its_share_and_none_is_left_unused():
    rates = {f"acme {number}": 100.0 / (number + 1) ** 1.2 for number in range(20)}
    desk = Desk(rates, Quota(per_day=500))
    desk.begin()
    await desk.run(4 * DAY)
    counts = desk.counts()
    assert sum(counts.values()) == pytest.approx(4 * 485, rel=0.02)
    assert counts["acme 0"] / counts["acme 15"] == pytest.approx(
        math.sqrt(rates["acme 0"] / rates["acme 15"]), rel=0.15
    )


async def test_few_calls_are_spread_over_the_day():
    desk = Desk({f"acme {number}": 1.0 for number in range(200)}, Quota(per_day=500))
    desk.begin()
    await desk.run(DAY)
    hours = Counter(int(moment // HOUR) for moment, _ in desk.polls)
    # All were polled just before, so the first half of an interval of ten hours brings none.
    assert all(18 <= hours[hour] <= 23 for hour in range(6, 24)), hours


async def test_many_calls_are_not_used_beyond_the_interval():
    desk = Desk({"acme 1": 100.0, "acme 2": 0.1}, Quota(per_second=10), floor=120.0)
    desk.begin()
    await desk.run(HOUR)
    assert desk.counts() == {"acme 1": 30, "acme 2": 30}


def test_without_any_interval_all_have_their_turn_one_after_the_other():
    rates = {f"acme {number}": 10.0**number for number in range(-3, 4)}
    desk = Desk(rates, Quota(), floor=0.0)
    desk.begin()
    for _ in range(70):
        key = desk.pacing.pop(desk.clock.monotonic(), {})
        assert key is not None
        desk.polls.append((0.0, key[1].parent))
        desk.clock._monotonic += 0.01
        desk.pacing.again(key)
    assert set(desk.counts().values()) == {10}


async def test_what_was_asked_for_comes_first_and_the_plan_is_not_heard():
    desk = Desk({f"acme {number}": 1.0 for number in range(50)}, Quota(per_day=100))
    desk.begin()
    key = desk.members()[30]
    desk.pacing.at(key, 5.0)
    await desk.run(6.0)
    assert desk.polls[0] == (5.0, key[1].parent)


async def test_what_is_wanted_now_does_not_wait_for_the_plan_although_it_would_be_its_turn():
    desk = Desk({f"acme {number}": 1.0 for number in range(50)}, Quota(per_day=50))
    desk.begin()
    await desk.clock.advance(3 * DAY)  # all are long overdue, and there is one call every half hour
    key = desk.members()[40]
    desk.pacing.sooner(key, desk.clock.monotonic() + 2.0)
    await desk.run(3.0)
    assert (3 * DAY + 2.0, key[1].parent) in desk.polls and len(desk.polls) < 5


async def test_a_blocked_connection_holds_up_nobody_else():
    desk = Desk({"acme 1": 1.0, "beta 1": 1.0}, Quota(), floor=60.0)
    desk.begin()
    await desk.run(600.0, blocked={"acme": math.inf})
    assert desk.counts() == {"beta 1": 10}


async def test_nobody_is_starved_by_others_that_have_much_more_news():
    rates = {**{f"acme {number}": 10_000.0 for number in range(20)}, "acme quiet": 0.001}
    desk = Desk(rates, Quota(per_day=2000), ceiling=6 * HOUR)
    desk.begin()
    await desk.run(2 * DAY)
    times = [0.0, *(moment for moment, name in desk.polls if name == "acme quiet"), 2 * DAY]
    assert max(after - before for before, after in pairwise(times)) <= 6 * HOUR * 1.1


async def test_first_looks_come_at_once_and_what_follows_them_does_not():
    desk = Desk({f"acme {number}": 1.0 for number in range(100)}, Quota(per_day=500))
    for target in list(desk.roster):
        desk.roster.put(replace(target, polled_at=None, exposure=0.0))
    desk.begin()
    await desk.run(DAY)
    first = [moment for moment, _ in desk.polls[:100]]
    assert first == [0.0] * 100 and len({name for _, name in desk.polls[:100]}) == 100
    later = Counter(int(moment // HOUR) for moment, _ in desk.polls[100:])
    assert max(later.values()) <= 30


@pytest.mark.parametrize("floor", [60.0, 600.0, 3000.0])
async def test_the_floor_lies_between_any_two_polls_the_first_two_and_those_around_an_end_too(floor: float):
    desk = Desk({f"acme {number}": 1.0 for number in range(30)}, Quota(per_day=1000), floor=floor)
    now = desk.clock.now().timestamp()
    for number, target in enumerate(list(desk.roster)):
        desk.roster.put(replace(target, polled_at=None, exposure=0.0, ends_at=now + 10 + number * 200))
    desk.begin()
    await desk.run(DAY)
    for name in desk.counts():
        times = [moment for moment, polled in desk.polls if polled == name]
        assert min(after - before for before, after in pairwise(times)) >= floor


async def test_a_list_of_many_pages_takes_the_calls_of_many():
    desk = Desk({f"acme {number}": 1.0 for number in range(10)}, Quota(per_day=500), costs=5)
    desk.begin()
    await desk.run(2 * DAY)
    assert len(desk.polls) * 5 == pytest.approx(2 * 485, rel=0.03)


async def test_when_calls_were_spent_by_others_polls_make_do_with_the_rest():
    desk = Desk({f"acme {number}": 1.0 for number in range(10)}, Quota(per_day=500))
    desk.spent = [0.0] * 23 + [400.0]
    desk.begin()
    await desk.run(12 * HOUR)
    assert len(desk.polls) == pytest.approx(85 * 12 / 23, abs=4)


async def test_a_connection_with_a_limit_of_its_own_leaves_the_rest_to_the_others():
    rates = {f"{name} {number}": 1.0 for name in ("acme", "beta") for number in range(200)}
    desk = Desk(rates, Quota(per_second=1, per_connection_per_minute=24))
    desk.begin()
    await desk.run(2 * HOUR)
    by_connection = Counter(name.split()[0] for moment, name in desk.polls if moment >= HOUR)
    assert by_connection["acme"] == pytest.approx(HOUR * 24 / 60 * 0.95, rel=0.03)
    assert by_connection["beta"] == pytest.approx(by_connection["acme"], rel=0.03)


async def test_soon_after_the_end_of_a_webinar_it_is_looked_at():
    desk = Desk({"acme 1": 0.01, "acme 2": 50.0}, Quota(per_day=100))
    end = desk.clock.now().timestamp() + 10 * HOUR
    target = next(target for target in desk.roster if target.scope.parent == "acme 1")
    desk.roster.put(replace(target, ends_at=end))
    desk.begin()
    desk.pacing.again(("acme", target.scope))
    await desk.run(12 * HOUR)
    assert any(0 < moment - 10 * HOUR <= 120.0 for moment, name in desk.polls if name == "acme 1")


async def test_one_look_is_due_when_a_webinar_starts():
    desk = Desk({f"acme {number}": 1.0 for number in range(50)}, Quota(per_day=30))
    desk.begin()
    key = desk.members()[0]
    target = desk.roster.target(*key)
    start = desk.clock.now().timestamp() + 2 * HOUR
    desk.roster.put(replace(target, starts_at=start, ends_at=start + 100 * DAY))
    desk.pacing.again(key)
    await desk.run(3 * HOUR)
    assert desk.polls == [(2 * HOUR, "acme 0")]


def test_who_left_has_no_turn_and_no_interval():
    desk = Desk({"acme 1": 1.0, "acme 2": 1.0}, Quota())
    desk.begin()
    gone = desk.members()[0]
    desk.pacing.leave([gone])
    assert gone not in desk.pacing and desk.pacing.interval(gone) is None and desk.pacing.due(gone) is None
    assert list(desk.pacing.keys()) == [desk.members()[1]]


async def test_a_connection_that_is_gone_from_the_settings_leaves_the_others_to_go_on():
    desk = Desk({"acme 1": 1.0, "beta 1": 1.0}, Quota(per_day=100))
    desk.begin()

    def client_of(name: str) -> str:
        return {"beta": "client"}[name]  # as the settings have it now

    desk.pacing._calls = replace(desk.pacing._calls, client_of=client_of)
    gone = [key for key in desk.members() if key[0] == "acme"]
    desk.pacing.leave([*gone, ("never", Scope("webinar"))])
    desk.pacing.settle()
    await desk.run(12 * HOUR)
    assert set(desk.counts()) == {"beta 1"}


async def test_a_connection_whose_calls_are_used_up_for_a_while_does_not_owe_more_polls_than_there_are_calls():
    desk = Desk({f"acme {number}": 100.0 for number in range(200)}, Quota(per_connection_per_minute=60))
    desk.begin()
    await desk.run(10 * 60)
    desk.polls.clear()
    for _ in range(60):  # as it is looked at while its limiter lets nothing through
        now = desk.clock.monotonic()
        assert desk.pacing.pop(now, {"acme": now + 1.0}) is None
        await desk.clock.advance(1.0)
    await desk.run(0.0)
    assert 50 <= len(desk.polls) <= 60  # what a minute has calls for, not everything that waits


async def test_a_target_that_turns_out_to_be_busy_has_its_turns_from_then_on():
    rates = {f"acme {number}": 0.001 for number in range(50)}
    desk = Desk(rates, Quota(per_day=500))
    desk.begin()
    await desk.run(DAY)
    rates["acme 7"] = 1000.0
    desk.pacing.reweigh(desk.members())
    desk.pacing.settle()
    desk.polls.clear()
    await desk.run(DAY)
    assert desk.counts()["acme 7"] > 200


async def test_polls_are_rarer_during_maintenance_and_as_frequent_as_before_after_it():
    desk = Desk({"acme 1": 10.0}, Quota(per_second=10), floor=120.0)
    factor = [1.0]
    desk.pacing._calls = replace(desk.pacing._calls, slowness=lambda: factor[0])
    desk.begin()
    await desk.run(HOUR)
    factor[0] = 2.0
    await desk.run(HOUR)
    factor[0] = 1.0
    await desk.run(HOUR)
    hours = Counter(int(moment // HOUR) for moment, _ in desk.polls)
    assert hours[1] <= 17 and hours[0] >= 28 and hours[2] >= 28


async def test_very_many_first_looks_leave_calls_for_the_rest_of_the_day():
    desk = Desk({f"acme {number}": 1.0 for number in range(2000)}, Quota(per_day=500))
    for key in desk.members():
        target = desk.roster.target(*key)
        desk.roster.put(replace(target, polled_at=None, exposure=0.0))
    desk.begin()
    await desk.run(DAY)
    hours = Counter(int(moment // HOUR) for moment, _ in desk.polls)
    assert 240 <= hours[0] <= 290
    assert all(hours[hour] >= 8 for hour in range(1, 24)), hours


# ── count hints ──────────────────────────────────────────────────────────────────────────────────────────────────────


def hinted(rates: dict[str, float], quota: Quota, share: float = 0.95) -> Desk:
    desk = Desk(rates, quota)
    desk.pacing._calls = replace(desk.pacing._calls, announced=lambda target: share)
    desk.begin()
    desk.pacing.hint("acme", 1.0)
    desk.pacing.settle()
    return desk


async def test_polls_leave_the_calls_that_a_count_hint_takes():
    rates = {f"acme {number}": 5.0 for number in range(20)}
    desk, plain = hinted(rates, Quota(per_day=500)), Desk(rates, Quota(per_day=500))
    plain.begin()
    await desk.run(4 * DAY)
    await plain.run(4 * DAY)
    readings = 4 * DAY / desk.pacing.hint_interval("acme")
    assert readings > 200
    assert len(desk.polls) + readings <= 4 * 500
    assert len(plain.polls) > 1.8 * len(desk.polls) > 0


def test_one_piece_of_news_is_worth_a_poll_where_news_is_rare_and_not_where_more_will_soon_join_it():
    desk = hinted({"acme 1": 1.0, "acme 2": 2000.0, "acme 3": 1.0}, Quota(per_day=100))
    rare, busy, _ = desk.members()
    now = desk.clock.monotonic()
    assert desk.pacing.announce(rare, 1, 0.0, now)
    assert not desk.pacing.announce(busy, 1, 0.0, now)
    assert desk.pacing.announce(busy, 200, 0.0, now)
    assert desk.pacing.pop(now, {}) == rare and desk.pacing.pop(now, {}) == busy


def test_news_that_waits_for_long_is_worth_a_poll_in_the_end():
    desk = hinted({"acme 1": 1.0, "acme 2": 2000.0}, Quota(per_day=100))
    busy = desk.members()[1]
    assert not desk.pacing.announce(busy, 1, 60.0, 0.0)
    assert desk.pacing.announce(busy, 1, DAY, 0.0)


def test_only_connections_that_cannot_poll_everything_at_the_interval_are_said_to_need_a_hint():
    crowded, free = (
        Desk({"acme 1": 1.0, "acme 2": 1.0}, Quota(per_day=500)),
        Desk({"acme 1": 1.0}, Quota(per_second=10)),
    )
    crowded.begin()
    free.begin()
    assert crowded.pacing.crowded == {"acme"} and not free.pacing.crowded
