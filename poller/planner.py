"""Pure: which target is worth the next call, and when. No clock, no socket; the time comes in.

What is polled how often follows from how much news there is (see `poller.rates`) and how many calls there are: `Plan`.
`poller.agenda` keeps what follows from that, moment by moment.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

# The share of a limit that polls plan with; the rest is for confirmations, people's own calls and second tries. Short
# windows lose a little to the time that answers take; of a day nothing is lost.
POLLING_SHARE = 0.95
DAILY_SHARE = 0.97

HOUR, DAY = 3600.0, 86_400.0

_PER_OCTAVE = 16  # classes of stretch per doubling
_CLASSES_PER_LEVEL = 4
_HALVINGS = 40
# Without any interval a target is polled again as soon as it has answered. So long (seconds) that is taken to last
# where calls a day are told: they cannot be without an end.
_ANSWER = 0.1
_MOST_SURGE = 8.0
_MOST = 1e18  # what is this large might as well be infinite

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls that the API allows one client; 0 = as many as one likes."""

    per_second: int = 0
    per_operation_per_second: int = 0
    per_connection_per_minute: int = 0
    per_day: int = 0


class Weight(NamedTuple):
    """What one target asks of the plan."""

    rate: float  # pieces of news a second to be expected that nothing but its own polls will find
    cost: float = 1.0  # calls of one poll
    announced: float = 0.0  # pieces of news a second of which a count hint tells that they are there

    @property
    def stretch(self) -> float:
        """Intervals are in proportion to this: √(cost ÷ rate)."""
        return math.sqrt(self.cost / self.rate)


def batch(announced: float, worth: float) -> int:
    """How many pieces of news must be known to wait at a target before a poll of it is worth its calls.

    `worth`: what these calls bring elsewhere, in seconds of delay saved, summed over pieces of news. Where k pieces
    make a poll, news coming at a rate r, each waits (k - 1) / 2r on average; taking one more for a poll is better as
    long as k (k + 1) / 2r is less than `worth` (Whittle's index of this queue).
    """
    return max(math.ceil((math.sqrt(1 + min(8 * announced * worth, _MOST)) - 1) / 2), 1)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan comes to, of one connection or of all."""

    targets: int = 0
    calls_per_day: float = 0.0
    mean_interval: float = 0.0  # seconds, on average over the targets
    mean_delay: float = 0.0  # seconds from a piece of news to its detection, on average over the news
    shortest: float = 0.0  # intervals, seconds
    longest: float = 0.0
    keeps_ceiling: bool = True  # whether no target waits longer than the settings want


class Plan(Generic[Key]):
    """How long each target waits between two polls, so that news is found as soon as the calls allow.

    With news coming as a Poisson process, the mean delay is least where each interval is in proportion to
    √(cost ÷ rate): what is polled twice as often costs twice as much and gains ever less. The factor is the same for
    all targets that share a limit, and is as small as the limit permits. No interval is shorter than `floor` nor
    longer than `ceiling`, unless even the ceiling asks for more calls than there are.

    Targets are counted in classes of nearly the same stretch (1/16 octave), so that a change costs O(1) and settling
    depends on the number of classes alone.
    """

    def __init__(self, floor: float, ceiling: float = math.inf) -> None:
        """Both in seconds."""
        self.floor = floor
        self.ceiling = max(ceiling, floor)
        self._weights: dict[Key, _Placed] = {}
        self._groups: dict[str, _Group] = {}
        self._scales: dict[str, float] = {}
        self.strained: frozenset[str] = frozenset()  # connections whose limits cannot keep the ceiling
        # Connections whose own limit is narrower than their share of the client's.
        self.held: frozenset[str] = frozenset()
        # Connections that could not poll everything at the floor: those which a count hint would help.
        self.crowded: frozenset[str] = frozenset()

    def __contains__(self, key: Key) -> bool:
        return key in self._weights

    def __len__(self) -> int:
        return len(self._weights)

    def connections(self) -> list[str]:
        """Those with any target."""
        return [name for name, group in self._groups.items() if group.classes]

    @property
    def scales(self) -> Mapping[str, float]:
        """By connection: a target's interval is this times its stretch, within the bounds."""
        return self._scales

    def put(self, key: Key, connection: str, weight: Weight) -> float:
        """Add a target, or change its weight; intervals of the others change with the next `settle`. Returns its own
        interval in seconds."""
        stretch = weight.stretch
        placed = _Placed(connection, weight, _number(stretch), stretch)
        known, self._weights[key] = self._weights.get(key), placed
        group = self._groups.get(connection)
        if group is None:
            group = self._groups[connection] = _Group()
        if known is not None and known.connection == connection and known.number == placed.number:
            group.change(known, placed)
        else:
            if known is not None:
                self._groups[known.connection].count(known, -1)
            group.count(placed, 1)
        return self._clamped(connection, stretch)

    def hint(self, connection: str, cost: float) -> None:
        """Plan for a count hint whose readings cost so many calls; 0: for none."""
        self._groups.setdefault(connection, _Group()).hint_cost = cost

    def correct(self, connection: str, asked_for: float) -> None:
        """A count hint asked for so many calls a second of late: the plan does not rest on learnt rates alone."""
        group = self._groups[connection]
        expected = group.follow_ups(self._scales.get(connection, 0.0), self.hint_interval(connection)) / group.surge
        group.surge = min(max(asked_for / expected, 1 / _MOST_SURGE), _MOST_SURGE) if expected > 0 else 1.0

    def remove(self, key: Key) -> None:
        known = self._weights.pop(key, None)
        if known is not None:
            self._groups[known.connection].count(known, -1)

    def settle(self, budgets: Iterable[Budget]) -> None:
        """Find the factor of every connection anew. Connections that no budget names are polled at the floor."""
        self._scales = {}
        strained: set[str] = set()
        held: set[str] = set()
        crowded: set[str] = set()
        for budget in budgets:
            groups = {name: self._groups[name] for name in budget.own if name in self._groups}
            crowded.update(_crowded(groups, budget, self.floor))
            for name, scale, kept, is_held in _scales(groups, budget, self.floor, self.ceiling):
                self._scales[name] = scale
                if not kept:
                    strained.add(name)
                if is_held:
                    held.add(name)
        self.strained, self.held, self.crowded = frozenset(strained), frozenset(held), frozenset(crowded)

    def interval(self, key: Key) -> float:
        """Seconds between two polls of a target that was `put`."""
        placed = self._weights[key]
        return self._clamped(placed.connection, placed.stretch)

    def level(self, key: Key) -> int:
        """Targets of one connection and level have intervals within a fifth of each other."""
        return self._weights[key].number // _CLASSES_PER_LEVEL

    def news(self, connection: str) -> float:
        """Pieces of news a second to be expected of all its targets."""
        group = self._groups.get(connection)
        return 0.0 if group is None else sum(of.rate + of.announced for of in group.classes.values())

    def hinting(self, connection: str) -> float:
        """Calls a second that a count hint takes with the polls that it asks for; they come beside the planned ones."""
        group, hint = self._groups.get(connection), self.hint_interval(connection)
        return 0.0 if group is None else group.hinting(self._scales.get(connection, 0.0), hint)

    def is_worth_a_poll(self, key: Key, waiting: int, seconds: float) -> bool:
        """Whether to poll a target at once of which a count hint says that so many pieces of news wait there, for so
        many seconds by now."""
        connection, weight, *_ = self._weights[key]
        worth = _worth(self._scales.get(connection, 0.0)) * weight.cost
        gained = waiting * (waiting + 1) / 2 / max(weight.announced, 1e-12)
        return max(gained, waiting * seconds) >= worth

    def hint_interval(self, connection: str) -> float:
        """Seconds between two readings of a connection's count hint; infinite without one."""
        group = self._groups.get(connection)
        if group is None or not group.hint_cost or not group.announced:
            return math.inf
        return self._clamped(connection, group.hint_stretch)

    def outlook(self, connection: str) -> Outlook:
        """What the connection's targets can expect. Those of a class count as equal, which is exact to about 3 %."""
        group = self._groups.get(connection)
        if group is None or not group.classes:
            return Outlook()
        scale, hint = self._scales.get(connection, 0.0), self.hint_interval(connection)
        ceiling = math.inf if connection in self.strained else self.ceiling
        calls = group.calls(scale, max(self.floor, _ANSWER), max(ceiling, _ANSWER))
        intervals = {number: self._clamped(connection, of.stretch) for number, of in group.classes.items()}
        own = [(of, intervals[number]) for number, of in group.classes.items()]
        news = sum(of.rate + of.announced for of, _ in own)
        waited = sum(of.rate * interval / 2 + of.announced * of.waits(scale, hint) for of, interval in own)
        targets = sum(of.targets for of, _ in own)
        return Outlook(
            targets=targets,
            mean_interval=sum(of.targets * intervals[number] for number, of in group.classes.items()) / targets,
            calls_per_day=calls * DAY,
            mean_delay=waited / news if news else 0.0,
            shortest=min(intervals.values()),
            longest=max(intervals.values()),
            keeps_ceiling=connection not in self.strained,
        )

    def _clamped(self, connection: str, stretch: float) -> float:
        interval = self._scales.get(connection, 0.0) * stretch
        if interval < self.floor:
            interval = self.floor
        return self.ceiling if interval > self.ceiling and connection not in self.strained else interval


@dataclass(slots=True)
class _Class:
    targets: int = 0
    cost: float = 0.0
    rate: float = 0.0
    announced: float = 0.0
    stretches: float = 0.0

    @property
    def stretch(self) -> float:
        """Of its targets, on average."""
        return self.stretches / self.targets

    def batch(self, scale: float) -> int:
        """Pieces of news that must be known to wait at one of its targets before it is polled for them."""
        return batch(self.announced / self.targets, _worth(scale) * self.cost / self.targets)

    def follow_ups(self, scale: float, hint: float) -> float:
        """Calls a second that a hint read every so many seconds asks for."""
        if self.announced < 1e-15:
            return 0.0
        apart = self.batch(scale) * self.targets / self.announced + hint / 2
        return self.cost / max(apart, hint, 1e-9)

    def waits(self, scale: float, hint: float) -> float:
        """Seconds that a piece of news waits for such a poll, on average."""
        if self.announced < 1e-15:
            return 0.0
        return hint / 2 + (self.batch(scale) - 1) * self.targets / self.announced / 2


class _Placed(NamedTuple):
    connection: str
    weight: Weight
    number: int  # of its class
    stretch: float


class _Group:
    """The targets of one connection, by class, and what a reading of its count hint costs (0: it is not read)."""

    def __init__(self) -> None:
        self.classes: dict[int, _Class] = {}
        self.announced = 0.0
        self.hint_cost = 0.0
        self.surge = 1.0  # how many times as many polls a hint asks for as its targets' rates suggest

    def count(self, placed: _Placed, sign: int) -> None:
        _, weight, number, stretch = placed
        of = self.classes.get(number)
        if of is None:
            of = self.classes[number] = _Class()
        of.targets += sign
        of.cost += sign * weight.cost
        of.rate += sign * weight.rate
        of.announced += sign * weight.announced
        of.stretches += sign * stretch
        self.announced = max(self.announced + sign * weight.announced, 0.0)
        if not of.targets:
            del self.classes[number]

    def change(self, known: _Placed, placed: _Placed) -> None:
        """One of a class has another weight, and stays in it."""
        of, before, after = self.classes[placed.number], known.weight, placed.weight
        of.cost += after.cost - before.cost
        of.rate += after.rate - before.rate
        of.stretches += placed.stretch - known.stretch
        announced = after.announced - before.announced
        if announced:
            of.announced += announced
            self.announced = max(self.announced + announced, 0.0)

    def calls(self, scale: float, floor: float, ceiling: float) -> float:
        """Calls a second at this scale; infinite where an interval is 0."""
        hint = math.inf
        if self.hint_cost and self.announced:
            hint = min(max(scale * self.hint_stretch, floor), ceiling)
        intervals = [(of, min(max(scale * of.stretch, floor), ceiling)) for of in self.classes.values()]
        if hint <= 0 or any(interval <= 0 for _, interval in intervals):
            return math.inf
        if math.isinf(hint):
            return sum(of.cost / interval for of, interval in intervals)
        # A poll that a hint asks for puts off the one that was planned.
        asked = ((of.cost / interval, self.surge * of.follow_ups(scale, hint)) for of, interval in intervals)
        return self.hint_cost / hint + sum(map(max, asked))

    @property
    def hint_stretch(self) -> float:
        return math.sqrt(self.hint_cost / self.announced)

    def hinting(self, scale: float, hint: float) -> float:
        """Calls a second of a hint read every so many seconds, and of the polls that it asks for."""
        if not self.hint_cost or math.isinf(hint):
            return 0.0
        return self.hint_cost / max(hint, 1e-9) + self.follow_ups(scale, hint)

    def follow_ups(self, scale: float, hint: float) -> float:
        """Calls a second of the polls alone."""
        return self.surge * sum(of.follow_ups(scale, hint) for of in self.classes.values())

    def at_floor(self, floor: float) -> float:
        """Calls a second if everything were polled at the floor, without any hint."""
        cost = sum(of.cost for of in self.classes.values())
        if not cost:
            return 0.0
        return cost / floor if floor > 0 else math.inf


def _worth(scale: float) -> float:
    """Seconds of delay, summed over pieces of news, that the last call at this scale saves: rate × interval² ÷ 2."""
    return scale * scale / 2


def _number(stretch: float) -> int:
    """Its class."""
    return round(_PER_OCTAVE * math.log2(stretch))


def _scales(
    groups: Mapping[str, _Group], budget: Budget, floor: float, ceiling: float
) -> Iterator[tuple[str, float, bool, bool]]:
    """(connection, scale, whether the ceiling is kept, whether its own limit holds it). A connection that its own limit
    holds back further than the shared one leaves the rest to the others."""
    own = {name: _scale([group], budget.own[name], floor, ceiling) for name, group in groups.items()}
    free, left = dict(groups), budget.shared
    while True:
        shared, kept = _scale(list(free.values()), left, floor, ceiling)
        held = [name for name in free if own[name][0] > shared]
        if not held:
            break
        for name in held:
            scale, own_kept = own[name]
            left -= free.pop(name).calls(scale, floor, ceiling if own_kept else math.inf)
        left = max(left, 1e-12)
    for name in groups:
        yield (name, shared, kept, False) if name in free else (name, *own[name], True)


def _crowded(groups: Mapping[str, _Group], budget: Budget, floor: float) -> list[str]:
    """Those whose targets cannot all be polled at the floor."""
    needs = {name: group.at_floor(floor) for name, group in groups.items()}
    all_of_them = sum(needs.values()) > budget.shared
    return [name for name, needed in needs.items() if all_of_them or needed > budget.own[name]]


def _scale(groups: Sequence[_Group], calls: float, floor: float, ceiling: float) -> tuple[float, bool]:
    """The least scale that costs at most so many calls a second, and whether the ceiling is kept at it."""

    def cost(scale: float, ceiling: float) -> float:
        return sum(group.calls(scale, floor, ceiling) for group in groups)

    if math.isinf(calls) or cost(0.0, ceiling) <= calls:
        return 0.0, True
    kept = cost(math.inf, ceiling) <= calls if not math.isinf(ceiling) else True
    if not kept:
        ceiling = math.inf
    low, high = -60.0, 60.0  # powers of 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(2.0**middle, ceiling) <= calls else (middle, high)
    return 2.0**high, kept


class Budget(NamedTuple):
    """Calls a second that polls may make: all connections of a client together, and each of its connections."""

    shared: float
    own: Mapping[str, float]

    def divided(self, by: float) -> Budget:
        return Budget(self.shared / by, {name: rate / by for name, rate in self.own.items()})


def budget_of(quota: Quota, connections: Iterable[str], spent: Sequence[float] = ()) -> Budget:
    """What a client's limits leave for polls from now on.

    `spent`: calls of the last 24 hours, hour by hour, the oldest first; each is free again a day after it was made.
    """
    rates = [limit * POLLING_SHARE for limit in (quota.per_second, quota.per_operation_per_second) if limit]
    if quota.per_day:
        rates.append(daily_rate(quota.per_day * DAILY_SHARE, spent))
    own = quota.per_connection_per_minute / 60 * POLLING_SHARE if quota.per_connection_per_minute else math.inf
    return Budget(min(rates, default=math.inf), dict.fromkeys(connections, own))


def daily_rate(limit: float, spent: Sequence[float]) -> float:
    """Calls a second that can be kept up for a day without more than `limit` in any 24 hours.

    After a burst it is less until the burst is a day old; it is never 0 for want of a few calls, because limits are
    kept by the limiter, and this only spreads what there is.
    """
    hours = [0.0] * (24 - len(spent)) + list(spent[-24:])
    left, rate = limit - sum(hours), math.inf
    freed = 0.0
    for number, calls in enumerate(hours, start=1):
        freed += calls
        rate = min(rate, (left + freed) / (number * HOUR))
    return max(min(rate, limit / DAY * 2), limit / DAY / 20)
