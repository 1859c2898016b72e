"""Pure: what polling will come to, at one moment or hour by hour, on what is known now; and what would better it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from poller.planner import HOUR, Outlook, Plan, Quota, Weight, budget_of
from poller.rates import Experience
from state.records import Scope, Target

# The share of the news that a count hint is taken to announce where none has been read yet.
HINT_SHARE = 0.9

# How soon (seconds) a webhook of GoTo's brings news, with the poll that it asks for.
WEBHOOK_DELAY = 3.0

_Key = tuple[str, Scope]


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a connection. Delays and intervals in seconds."""

    begins: float  # POSIX seconds
    connection: str
    calls: float
    news: float  # pieces of it to be expected
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Gains:
    """The mean delay (seconds) that a connection would have; None: it would gain nothing."""

    interval: tuple[float, float, float] | None = None  # a lower floor (seconds), the delay with it, calls a day
    count_hint: float | None = None
    webhooks: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`targets` are those that are polled; `spent` of a client: calls in each of the last 24 hours, the oldest first.

    `hints`: of connections whose count hint is read, the share of the news that it announces.
    """

    targets: Sequence[Target]
    experience: Experience
    client_of: Callable[[str], str]
    quota: Quota
    spent: Mapping[str, Sequence[float]]
    cost: Callable[[Target], float]
    floor: float
    ceiling: float
    hints: Mapping[str, float] = field(default_factory=dict)

    def at(self, moment: float, **changed: object) -> dict[str, Outlook]:
        """By connection, at a moment (POSIX seconds); `changed`: fields that are otherwise."""
        plan = self._settled(moment, self.spent, **changed)
        return {name: plan.outlook(name) for name in plan.connections()}

    def hours(self, begins: float, count: int) -> list[Hour]:
        """So many hours from a moment (POSIX seconds) on. What one spends is not there for those after it."""
        found: list[Hour] = []
        spent = {client: list(calls)[-24:] for client, calls in self.spent.items()}
        for number in range(count):
            moment = begins + number * HOUR
            plan = self._settled(moment + HOUR / 2, spent)
            used: dict[str, float] = {}
            for name in plan.connections():
                outlook = plan.outlook(name)
                calls = outlook.calls_per_day / 24
                found.append(Hour(moment, name, calls, plan.news(name) * HOUR, outlook))
                used[self.client_of(name)] = used.get(self.client_of(name), 0.0) + calls
            for client, calls in used.items():
                spent[client] = [*spent.get(client, [0.0] * 24), calls][-24:]
        return found

    def gains(self, moment: float, offers_hint: Callable[[str], bool]) -> dict[str, Gains]:
        """What each connection would gain by a lower interval, a count hint where that is on offer, webhooks."""
        now = self.at(moment)
        crowded = self._settled(moment, self.spent).crowded
        halved = self.at(moment, floor=self.floor / 2)
        hinted = self.at(moment, hints={name: HINT_SHARE for name in now if offers_hint(name)} | dict(self.hints))
        return {
            name: Gains(
                interval=_better(outlook, halved[name], self.floor / 2) if name not in crowded else None,
                count_hint=_sooner(outlook, hinted[name]) if name in crowded and name not in self.hints else None,
                webhooks=WEBHOOK_DELAY if outlook.mean_delay > 2 * WEBHOOK_DELAY else None,
            )
            for name, outlook in now.items()
        }

    def _settled(self, moment: float, spent: Mapping[str, Sequence[float]], **changed: object) -> Plan[_Key]:
        floor, hints = changed.get("floor", self.floor), changed.get("hints", self.hints)
        assert isinstance(floor, float) and isinstance(hints, Mapping)
        plan: Plan[_Key] = Plan(floor, self.ceiling)
        clients: dict[str, set[str]] = {}
        for target in self.targets:
            name = target.connection
            rate = self.experience.rate(target, moment)
            share = hints.get(name, 0.0) if target.ends_at is not None and target.ends_at > moment else 0.0
            plan.put((name, target.scope), name, Weight(rate * (1 - share), self.cost(target), rate * share))
            clients.setdefault(self.client_of(name), set()).add(name)
        for name in hints:
            plan.hint(name, 1.0)
        plan.settle(budget_of(self.quota, names, spent.get(client, ())) for client, names in clients.items())
        return plan


def _better(now: Outlook, then: Outlook, floor: float) -> tuple[float, float, float] | None:
    """A lower interval is worth its calls only where it really shortens the delay."""
    return (floor, then.mean_delay, then.calls_per_day) if then.mean_delay < 0.8 * now.mean_delay else None


def _sooner(now: Outlook, then: Outlook) -> float | None:
    return then.mean_delay if then.mean_delay < 0.8 * now.mean_delay else None
