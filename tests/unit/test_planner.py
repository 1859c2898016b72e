"""How often, and what next: pure arithmetic and one queue."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.agenda import Agenda
from poller.planner import Budget, Plan, Quota, Weight, budget_of, daily_rate

DAY, HOUR = 86_400.0, 3600.0


def plan_of(rates: dict[str, float], *budgets: Budget, floor: float = 1.0, ceiling: float = math.inf) -> Plan[str]:
    """Targets named like their connection and a number: "acme 1". Rates are pieces of news a day."""
    plan: Plan[str] = Plan(floor, ceiling)
    for name, rate in rates.items():
        plan.put(name, name.split()[0], Weight(rate / DAY))
    plan.settle(budgets)
    return plan


def calls_of(plan: Plan[str], names: list[str]) -> float:
    return sum(1 / plan.interval(name) for name in names)


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_calls_are_plenty_everything_is_polled_at_the_floor():
    plan = plan_of({"acme 1": 100.0, "acme 2": 0.01}, Budget(math.inf, {"acme": math.inf}), floor=120.0)
    assert [plan.interval(name) for name in ("acme 1", "acme 2")] == [120.0, 120.0]


def test_without_an_interval_and_without_limits_the_calls_of_a_day_are_still_a_number():
    plan = plan_of({"acme 1": 100.0, "acme 2": 0.01}, Budget(math.inf, {"acme": math.inf}), floor=0.0, ceiling=3600.0)
    outlook = plan.outlook("acme")
    assert (outlook.mean_interval, outlook.mean_delay) == (0.0, 0.0)
    assert 0 < outlook.calls_per_day < math.inf


def test_where_calls_are_scarce_intervals_go_with_the_root_of_the_rate_and_use_all_there_is():
    rates = {f"acme {number}": 100.0 / (number + 1) ** 1.3 for number in range(40)}
    plan = plan_of(rates, Budget(500 / DAY, {"acme": math.inf}))
    assert calls_of(plan, list(rates)) == pytest.approx(500 / DAY, rel=0.03)
    scale = plan.interval("acme 0") * math.sqrt(rates["acme 0"])
    for name, rate in rates.items():
        assert plan.interval(name) * math.sqrt(rate) == pytest.approx(scale)


def test_no_division_of_the_same_calls_finds_news_sooner():
    """A little less for one target and as much more for another is worse on average, whichever they are."""
    rates = {"acme 1": 40.0, "acme 2": 9.0, "acme 3": 0.3}
    plan = plan_of(rates, Budget(100 / DAY, {"acme": math.inf}))

    def delay(often: dict[str, float]) -> float:
        return sum(rates[name] / often[name] for name in rates)

    often = {name: 1 / plan.interval(name) for name in rates}
    for more in rates:
        for less in rates:
            if more != less:
                shift = 0.2 * min(often[more], often[less])
                assert delay(often) < delay({**often, more: often[more] + shift, less: often[less] - shift})


def test_a_list_of_many_pages_is_polled_less_often():
    plan: Plan[str] = Plan(1.0)
    plan.put("one call", "acme", Weight(1 / DAY, cost=1))
    plan.put("nine calls", "acme", Weight(1 / DAY, cost=9))
    plan.settle([Budget(100 / DAY, {"acme": math.inf})])
    assert plan.interval("nine calls") == pytest.approx(3 * plan.interval("one call"))
    assert 1 / plan.interval("one call") + 9 / plan.interval("nine calls") == pytest.approx(100 / DAY, rel=0.05)


def test_nothing_waits_longer_than_the_ceiling_if_the_calls_suffice_for_that():
    rates = {"acme 1": 1000.0, "acme 2": 0.001}
    plan = plan_of(rates, Budget(100 / DAY, {"acme": math.inf}), ceiling=2 * HOUR)
    assert plan.interval("acme 2") == 2 * HOUR
    assert calls_of(plan, list(rates)) == pytest.approx(100 / DAY, rel=0.05)
    assert plan.outlook("acme").keeps_ceiling


def test_where_even_the_ceiling_costs_too_much_it_is_given_up_and_said_so():
    rates = {f"acme {number}": 1.0 for number in range(1000)}
    plan = plan_of(rates, Budget(500 / DAY, {"acme": math.inf}), ceiling=HOUR)
    assert plan.strained == {"acme"} and not plan.outlook("acme").keeps_ceiling
    assert calls_of(plan, list(rates)) == pytest.approx(500 / DAY, rel=0.03)


def test_what_one_connection_cannot_use_is_left_to_the_others():
    rates = {f"{name} {number}": 1.0 for name in ("acme", "beta") for number in range(100)}
    plan = plan_of(rates, Budget(10.0, {"acme": 1.0, "beta": math.inf}), floor=0.001)
    assert calls_of(plan, [name for name in rates if name.startswith("acme")]) == pytest.approx(1.0, rel=0.05)
    assert calls_of(plan, [name for name in rates if name.startswith("beta")]) == pytest.approx(9.0, rel=0.05)


def test_equal_targets_of_all_connections_of_a_client_are_polled_alike():
    rates = {**{f"big {number}": 1.0 for number in range(300)}, "small 1": 1.0}
    plan = plan_of(rates, Budget(1.0, {"big": 2.0, "small": 2.0}))
    assert plan.interval("small 1") == plan.interval("big 7")


def test_the_outlook_is_what_the_intervals_come_to():
    rates = {f"acme {number}": 30.0 / (number + 1) for number in range(50)}
    plan = plan_of(rates, Budget(500 / DAY, {"acme": math.inf}))
    outlook = plan.outlook("acme")
    news = sum(rates.values())
    assert outlook.targets == 50
    assert outlook.calls_per_day == pytest.approx(500, rel=0.03)
    expected = sum(rate * plan.interval(name) / 2 for name, rate in rates.items()) / news
    assert outlook.mean_delay == pytest.approx(expected, rel=0.03)
    assert outlook.mean_interval == pytest.approx(sum(map(plan.interval, rates)) / 50, rel=0.03)
    assert outlook.shortest < outlook.mean_interval < outlook.longest


def test_a_target_that_left_is_not_counted_any_more():
    plan = plan_of({"acme 1": 1.0, "acme 2": 1.0}, Budget(10 / DAY, {"acme": math.inf}))
    plan.remove("acme 2")
    plan.remove("never there")
    plan.settle([Budget(10 / DAY, {"acme": math.inf})])
    assert plan.interval("acme 1") == pytest.approx(DAY / 10, rel=0.03)
    assert plan.connections() == ["acme"] and "acme 2" not in plan


@given(
    rates=st.lists(st.floats(1e-9, 10.0), min_size=1, max_size=60),
    calls=st.floats(1e-5, 20.0),
    floor=st.floats(0.01, 500.0),
    ceiling=st.floats(600.0, 1e6),
)
def test_a_plan_never_asks_for_more_calls_than_there_are(rates, calls, floor, ceiling):
    plan: Plan[int] = Plan(floor, ceiling)
    for number, rate in enumerate(rates):
        plan.put(number, "acme", Weight(rate))
    plan.settle([Budget(calls, {"acme": math.inf})])
    intervals = [plan.interval(number) for number in range(len(rates))]
    assert sum(1 / interval for interval in intervals) <= calls * 1.05
    assert all(floor <= interval for interval in intervals)
    assert plan.strained or all(interval <= ceiling * 1.0001 for interval in intervals)


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("quota", "shared", "own"),
    [
        (Quota(), math.inf, math.inf),
        (Quota(per_second=10), 9.5, math.inf),
        (Quota(per_second=10, per_operation_per_second=5), 4.75, math.inf),
        (Quota(per_connection_per_minute=100), math.inf, 95 / 60),
        (Quota(per_day=500), 485 / DAY, math.inf),
    ],
)
def test_polls_get_nearly_all_of_every_limit(quota, shared, own):
    budget = budget_of(quota, ["acme", "beta"])
    assert budget.shared == pytest.approx(shared)
    assert budget.own == pytest.approx({"acme": own, "beta": own})


def test_a_day_is_spent_evenly_while_it_is_spent_evenly():
    assert daily_rate(480, [20.0] * 24) == pytest.approx(480 / DAY)


def test_after_a_burst_the_rest_of_the_day_is_spread_until_the_burst_is_a_day_old():
    assert daily_rate(480, [200.0]) == pytest.approx(280 / (23 * HOUR))
    assert daily_rate(480, [200.0] + [0.0] * 23) >= 480 / DAY


@given(st.lists(st.floats(0, 500), max_size=24))
def test_whatever_was_spent_polls_go_on_and_do_not_spend_the_day_at_once(spent):
    rate = daily_rate(480, spent)
    assert 480 / DAY / 20 <= rate <= 2 * 480 / DAY


def test_a_day_that_follows_its_own_rate_is_used_up_and_not_exceeded():
    """Hour by hour, with a burst at the start."""
    hours = [0.0] * 23 + [200.0]
    for _ in range(24 * 10):
        hours.append(daily_rate(480, hours[-24:]) * HOUR)
    days = [sum(hours[first : first + 24]) for first in range(24, len(hours) - 24)]
    assert max(days) <= 480 * 1.02
    assert min(days[24:]) >= 480 * 0.95


# ── the agenda ───────────────────────────────────────────────────────────────────────────────────────────────────────


def drained(agenda: Agenda[str, str], now: float, blocked: dict[str, float] | None = None) -> list[str]:
    found = []
    while (key := agenda.pop(now, blocked or {})) is not None:
        found.append(key)
    return found


def test_what_is_due_longest_comes_first_and_equals_in_the_order_they_came():
    agenda: Agenda[str, str] = Agenda()
    for name, due in (("b", 2.0), ("a", 1.0), ("c", 3.0), ("b2", 2.0)):
        agenda.put("acme", name, due)
    assert drained(agenda, 2.5) == ["a", "b", "b2"]
    assert len(agenda) == 1
    assert agenda.next_due({}) == 3.0


def test_moving_and_removing_leave_no_trace():
    agenda: Agenda[str, str] = Agenda()
    agenda.put("acme", "a", 1.0)
    agenda.put("acme", "a", 9.0)
    agenda.put("acme", "b", 2.0)
    agenda.remove("b")
    agenda.remove("never there")
    assert agenda.next_due({}) == 9.0
    assert drained(agenda, 5.0) == []
    assert "b" not in agenda
    assert agenda.due("a") == 9.0
    agenda.put("acme", "a", 3.0)
    assert drained(agenda, 10.0) == ["a"]
    assert agenda.next_due({}) is None


def test_a_blocked_connection_holds_up_nobody_else():
    agenda: Agenda[str, str] = Agenda()
    agenda.put("acme", "a", 1.0)
    agenda.put("beta", "b", 2.0)
    blocked = {"acme": 10.0}
    assert drained(agenda, 5.0, blocked) == ["b"]
    assert agenda.next_due(blocked) == 10.0
    assert drained(agenda, 10.0, blocked) == ["a"]


def test_the_agenda_agrees_with_a_sorted_list_whatever_is_done_to_it():
    random = Random(7)
    agenda: Agenda[str, int] = Agenda()
    plain: dict[int, float] = {}
    now = 0.0
    for _ in range(5000):
        key = random.randrange(30)
        match random.randrange(4):
            case 0 | 1:
                plain[key] = now + random.randrange(50)
                agenda.put(f"c{key % 3}", key, plain[key])
            case 2:
                plain.pop(key, None)
                agenda.remove(key)
            case _:
                now += random.randrange(5)
                popped = agenda.pop(now, {})
                due = [moment for moment in plain.values() if moment <= now]
                assert (popped is None) == (not due)
                assert popped is None or plain.pop(popped) == min(due)
        assert set(agenda.keys()) == set(plain)
        assert agenda.next_due({}) == min(plain.values(), default=None)
