"""What is polled next, and when: the plan's proportions, turned into one poll after the other.

It is told the time by a clock; it starts nothing and waits for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from poller.agenda import Agenda
from poller.planner import Outlook, Plan, Quota, Weight, budget_of
from poller.pools import SOONEST, First, Key, Load, Pool, refilled
from poller.ports import Clock
from poller.rates import Experience
from poller.roster import Roster
from state.records import Target

# How often (seconds) the plan is brought up to what was learnt and spent since.
SETTLE = 60.0

# Where calls are scarce there is always something to poll. Nothing is, before this share of its interval has passed.
_EARLY = 0.5

# Multiples of it, without their whole parts, are spread evenly however many there are.
_GOLDEN = (math.sqrt(5) - 1) / 2

# Where count hints take all the calls there are, this many a second are left for planned polls.
_LEAST = 1e-6

# The share of a free day that first looks take at once; those beyond are planned like other polls.
_FIRST_LOOKS = 0.5

# An interval of 0 counts as this (seconds): among such, whoever has waited longest comes first as well.
_SHORTEST = 1e-6

# After the end of a webinar (seconds) one look is due: whatever its lists say then is final, or nearly.
_AFTER_END = 60.0


@dataclass(frozen=True, slots=True)
class Calls:
    """What polls may spend, and what one costs."""

    client_of: Callable[[str], str]  # connection → OAuth client
    quota_of: Callable[[str], Quota]  # of a client
    spent: Callable[[str], list[float]]  # of a client: calls in each of the last 24 hours, the oldest first
    cost: Callable[[Target], float]  # calls of one poll
    announced: Callable[[Target], float] = lambda _: 0.0  # the share of its news that a count hint tells of
    slowness: Callable[[], float] = lambda: 1.0  # how many times rarer than usual polls are to be


class Pacing:
    """Gives every member its turn. Who is a member is the caller's to say.

    A date was asked for (a first look, a nudge, a second try), or there is none and the plan decides: of all members
    the one that has waited for the largest share of its interval. That is the largest λ·τ², which minimises the mean
    delay whatever the number of calls turns out to be. Where limits hold polls back, one is made whenever there is a
    call to be had, and they are spread evenly over time; elsewhere whenever an interval is over.
    """

    def __init__(
        self, roster: Roster, experience: Experience, calls: Calls, clock: Clock, *, floor: float, ceiling: float
    ) -> None:
        """`floor` and `ceiling` of intervals in seconds; the limits may ask for longer ones."""
        self._roster = roster
        self._experience = experience
        self._calls = calls
        self._clock = clock
        self._asked: Agenda[str, Key] = Agenda()
        self._pools: dict[str, Pool] = {}
        self._in_pool: dict[str, str] = {}  # connection → its pool
        self._floor = floor
        self._plan: Plan[Key] = Plan(floor, ceiling)
        self._loads: dict[str, Load] = {}  # of connections with a count hint
        self._settled = -math.inf
        self._phase = 0.0

    def bounds(self, floor: float, ceiling: float) -> None:
        """Other bounds from now on."""
        if (floor, ceiling) != (self._floor, self._plan.ceiling):
            self._floor, self._plan.ceiling = floor, max(floor, ceiling)
            self._settled = -math.inf

    # ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def review(self, keys: Collection[Key]) -> None:
        """These are all members: what they have in common, and with it their weights, are found anew. More may `join`
        until the next review."""
        self._experience.recount(target for key in keys if (target := self._roster.target(*key)) is not None)
        self._weigh(keys)

    def join(self, keys: Iterable[Key]) -> None:
        """Plan for these, too; they have no date yet."""
        self._weigh(key for key in keys if key not in self._plan)

    def _weigh(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if (target := self._roster.target(*key)) is not None:
                self._plan.put(key, key[0], self._weight(target, self._clock.now().timestamp()))
                self._rank(key)

    def _rank(self, key: Key) -> None:
        """Its weight has changed: among those of another level it would wait for too long, or without an end."""
        pool = self._pools.get(self._in_pool.get(key[0], ""))
        level = None if pool is None else pool.members.queue_of(key)
        if pool is None or level is None:
            return
        if level != self._plan.level(key):
            since = pool.members.due(key)
            assert since is not None
            self._wait(key, since)
        elif key == pool.firsts[level].key:
            self._look_at(pool, level)

    def reweigh(self, keys: Iterable[Key]) -> None:
        """What is known of these has changed, though no poll has shown it."""
        self._weigh(key for key in keys if key in self._plan)

    def leave(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._asked.remove(key)
            self._forget(key)
            self._plan.remove(key)

    def settle(self) -> None:
        """Find the intervals anew for what is known, spent and asked for now."""
        self._settled = now = self._clock.monotonic()
        clients: dict[str, list[str]] = {}
        for connection in self._plan.connections():
            clients.setdefault(self._calls.client_of(connection), []).append(connection)
        slowness = self._calls.slowness()
        self._plan.floor = self._floor * slowness
        budgets = {
            client: budget_of(self._calls.quota_of(client), names, self._calls.spent(client)).divided(slowness)
            for client, names in clients.items()
        }
        for connection, load in self._loads.items():
            self._plan.correct(connection, load.rate(now))
        self._plan.settle(budgets.values())
        rates: dict[str, float] = {}
        for client, budget in budgets.items():
            hinting = {name: self._plan.hinting(name) for name in budget.own}
            held = self._plan.held & budget.own.keys()
            rates |= {f"connection {name}": max(budget.own[name] - hinting.pop(name), _LEAST) for name in held}
            rates[f"client {client}"] = max(budget.shared - sum(hinting.values()), _LEAST)
        for client, names in clients.items():
            for connection in names:
                is_held = connection in self._plan.held
                self._move(connection, f"connection {connection}" if is_held else f"client {client}")
        for name, pool in self._pools.items():
            pool.bucket = refilled(pool.bucket, rates.get(name, math.inf), now)
            pool.scarce = self._is_scarce(pool.connection)
            for level in pool.members.queues():
                self._look_at(pool, level)

    def _pool(self, connection: str) -> Pool:
        name = self._in_pool.get(connection)
        if name is None:
            name = self._in_pool[connection] = f"client {self._calls.client_of(connection)}"
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = Pool(connection, scarce=self._is_scarce(connection))
        return pool

    def _move(self, connection: str, name: str) -> None:
        """Into another pool, with all who wait."""
        if self._in_pool.get(connection) == name:
            self._pools[name].connection = connection
            return
        before = self._pool(connection).members
        former, self._in_pool[connection] = self._in_pool[connection], name
        for key in [key for key in before.keys() if key[0] == connection]:  # noqa: SIM118 - no dict
            since = before.due(key)
            assert since is not None
            self._take_out(self._pools[former], key)
            self._wait(key, since)
        self._pool(connection).connection = connection

    def settle_now_and_then(self) -> bool:
        """Whether it was time to."""
        is_time = self._clock.monotonic() - self._settled >= SETTLE
        if is_time:
            self.settle()
        return is_time

    # ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, key: Key) -> None:
        """The first date of a member: now, or when the interval since its last poll, perhaps by another process, is
        over. A clock that was set back in between delays nothing for longer than one interval."""
        target = self._roster.target(*key)
        now = self._clock.monotonic()
        if target is None or target.polled_at is None:
            if self._has_calls_for_a_first_look(key[0]):
                self.at(key, now)
            else:
                self._phase = (self._phase + _GOLDEN) % 1.0
                self._wait(key, now - (1 + self._phase) / 2 * self._plan.interval(key))
            return
        waited = max(self._clock.now().timestamp() - target.polled_at, 0.0)
        self._wait(key, now - min(waited, self._plan.interval(key)))

    def _has_calls_for_a_first_look(self, connection: str) -> bool:
        """First looks come at once, and with all a day's calls they would leave nothing for the rest of it."""
        client = self._calls.client_of(connection)
        limit = self._calls.quota_of(client).per_day
        return not limit or len(self._asked) < _FIRST_LOOKS * (limit - sum(self._calls.spent(client)))

    def again(self, key: Key) -> None:
        """A poll is over: the next one is due an interval from now, or at the start or soon after the end of its
        webinar: who came until then is of most use there."""
        target = self._roster.target(*key)
        assert target is not None, "a member is in the roster"
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        interval = self._plan.put(key, key[0], self._weight(target, wall + self._plan.interval(key) / 2))
        if not target.exposure and self._plan.scales.get(key[0]):
            # All first looks come together; what follows them must not, nor come before the floor.
            self._phase = (self._phase + _GOLDEN) % 1.0
            floor = self._plan.floor
            self._wait(key, max(now - self._phase * interval, now + floor - max(_EARLY * interval, floor)))
            return
        left = _until_next_moment(target, wall)
        if left < interval:
            self.at(key, now + max(left, self._plan.floor))
        else:
            self._wait(key, now)

    def at(self, key: Key, moment: float) -> None:
        """Due at a moment (monotonic), whatever the plan says."""
        self._forget(key)
        self._asked.put(key[0], key, moment)

    def sooner(self, key: Key, moment: float) -> None:
        """Due at a moment (monotonic), unless it is to come before that for sure."""
        due = self.due(key)
        certain = key in self._asked or not self._pool(key[0]).scarce
        if due is not None and not (certain and due <= moment):
            self.at(key, moment)

    def announce(self, key: Key, waiting: int, seconds: float, soonest: float) -> bool:
        """A count hint says that so many pieces of news wait at a member, for so many seconds by now: it is due at
        `soonest` (monotonic) if that is worth a poll as things stand. Whether it was."""
        if key not in self or not self._plan.is_worth_a_poll(key, waiting, seconds):
            return False
        target, due = self._roster.target(*key), self._asked.due(key)
        if target is not None and target.polled_at is None:
            soonest = -math.inf  # of many first looks that are due those come first that will bring something
        if due is None or due > soonest:
            self.at(key, soonest)
            if key[0] in self._loads and target is not None:
                self._loads[key[0]].add(self._calls.cost(target), self._clock.monotonic())
        return True

    def _wait(self, key: Key, since: float) -> None:
        """As the plan says; its interval began at a moment (monotonic)."""
        self._asked.remove(key)
        pool = self._pool(key[0])
        self._take_out(pool, key)
        level = self._plan.level(key)
        pool.members.put(level, key, since)
        first = pool.firsts.get(level)
        if first is None or since < first.since:
            self._look_at(pool, level)

    def _forget(self, key: Key) -> None:
        if key[0] in self._in_pool:
            self._take_out(self._pool(key[0]), key)

    def _take_out(self, pool: Pool, key: Key) -> None:
        level = pool.members.queue_of(key)
        if level is not None:
            pool.members.remove(key)
            first = pool.firsts.get(level)
            if first is None or first.key == key:
                self._look_at(pool, level)

    def _look_at(self, pool: Pool, level: int) -> None:
        """Another one is first in this level, or the first one's interval has changed."""
        pool.ready = None
        found = pool.members.first(level)
        if found is None:
            pool.firsts.pop(level, None)
            return
        since, key = found
        interval = self._plan.interval(key)
        pace = 1 / max(interval, _SHORTEST)
        pool.firsts[level] = First(since, pace, since + self._least(pool, interval), key)

    def pop(self, now: float, blocked: Mapping[str, float]) -> Key | None:
        """Take what was asked for and is due longest, else what the plan wants next, of connections that are not
        `blocked` until a moment. It has no date then: `again` or `at` give it one."""
        key = self._asked.pop(now, blocked)
        while key is None and (found := self._next_planned(now)) is not None:
            self._spend(found, now)
            until = blocked.get(found[0], 0.0)
            if until > now:
                self.at(found, until)  # its turn comes as soon as its connection may call again
                continue
            self._take_out(self._pool(found[0]), found)
            key = found
        return key

    def _next_planned(self, now: float) -> Key | None:
        best, most = None, -1.0
        for pool in self._pools.values():
            if pool.opens() > now or (pool.ready is not None and pool.ready > now):
                continue
            for first in pool.firsts.values():
                share = (now - first.since) * first.pace
                if share > most and first.soonest <= now:
                    best, most = first.key, share
        return best

    def _ready_at(self, pool: Pool) -> float:
        """When (monotonic) a planned poll of this pool may begin."""
        if pool.ready is None:
            pool.ready = min(map(SOONEST, pool.firsts.values()), default=math.inf)
        return max(pool.ready, pool.opens())

    def _is_scarce(self, connection: str) -> bool:
        """Whether limits hold its polls back further than the plan's bounds do."""
        return self._plan.scales.get(connection, 0.0) > 0

    def _least(self, pool: Pool, interval: float) -> float:
        """Seconds that a member with such an interval has to wait for its turn."""
        return max(_EARLY * interval, self._plan.floor) if pool.scarce else interval

    def _spend(self, key: Key, now: float) -> None:
        pool = self._pool(key[0])
        if pool.bucket is not None and pool.scarce:
            target = self._roster.target(*key)
            pool.bucket.take(1.0 if target is None else self._calls.cost(target), now)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def __contains__(self, key: Key) -> bool:
        return key in self._asked or (key[0] in self._in_pool and key in self._pool(key[0]).members)

    def keys(self) -> Iterable[Key]:
        return [*self._asked.keys(), *(key for pool in self._pools.values() for key in pool.members.keys())]  # noqa: SIM118

    def due(self, key: Key) -> float | None:
        """When (monotonic) a key is likely to have its turn; None if it does not wait for one."""
        if key in self._asked:
            return self._asked.due(key)
        since = self._pool(key[0]).members.due(key) if key[0] in self._in_pool else None
        return None if since is None else since + self._plan.interval(key)

    def next_due(self, blocked: Mapping[str, float]) -> float | None:
        """The next moment at which `pop` may have something."""
        moments = [self._ready_at(pool) for pool in self._pools.values()]
        asked = self._asked.next_due(blocked)
        due = min(moments if asked is None else [*moments, asked], default=math.inf)
        return None if math.isinf(due) else due

    def interval(self, key: Key) -> float | None:
        """Seconds between two polls of a member as things stand."""
        return self._plan.interval(key) if key in self._plan else None

    def outlook(self, connection: str) -> Outlook:
        return self._plan.outlook(connection)

    # ── count hints ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def crowded(self) -> frozenset[str]:
        """Connections that cannot poll everything as often as the settings wish: those that a count hint helps."""
        return self._plan.crowded

    def hint(self, connection: str, cost: float) -> None:
        """Plan for a count hint whose readings cost so many calls, from the next `settle` on; 0: for none."""
        self._plan.hint(connection, cost)
        now = self._clock.monotonic()
        if cost:
            self._loads.setdefault(connection, Load(at=now, since=now))
        else:
            self._loads.pop(connection, None)

    def hint_interval(self, connection: str) -> float:
        """Seconds between two readings of a connection's count hint; infinite without one."""
        return self._plan.hint_interval(connection)

    def connections(self) -> Iterable[str]:
        return self._plan.connections()

    def _weight(self, target: Target, moment: float) -> Weight:
        """What it asks of the plan at a moment (POSIX seconds)."""
        rate, share = self._experience.rate(target, moment), self._calls.announced(target)
        return Weight(rate * (1 - share), self._calls.cost(target), rate * share)


def _until_next_moment(target: Target, now: float) -> float:
    """Seconds from now (POSIX seconds) until a look that the webinar itself asks for; infinite if it asks for none any
    more."""
    soonest = math.inf
    if target.starts_at is not None and target.starts_at > now:
        soonest = target.starts_at
    if target.ends_at is not None and now < target.ends_at + _AFTER_END < soonest:
        soonest = target.ends_at + _AFTER_END
    return soonest - now
