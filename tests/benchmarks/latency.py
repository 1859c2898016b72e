"""How soon a registration is noticed, in virtual time, beside what others do and what the best could do.

    python -m tests.benchmarks.latency [--webinars 20 200] [--limits 500/day] [--skew 1.2] [--days 2] [--seed 1]

The whole engine on a clock that only moves when everything rests, against the simulator in the same process;
registrations are Poisson, Zipf-skewed over the webinars, rising towards each start. `interval` is 1 s, so that the
limits alone decide. Delays run from the arrival to the end of the first poll that shows it; what nobody has found
when a part of the run ends counts as found then. All see the same arrivals:

best            √rate on true rates: the optimum of whoever knows everything and has no hints
ours            from a cold start
ours, hint      the same with the counts of the old list
uniform         every target equally often
proportional    as often as it has news, on true rates
power automate  every trigger each 120 s until the limit is used up

Those that need not learn run on the real scheduler, plan and limiter, with the list of arrivals in place of engine
and API. An answer takes 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import heapq
import logging
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import timedelta
from random import Random

import structlog

from poller.errors import Reauthorize
from poller.goto import Limiter, Limits
from poller.membership import Membership, Pace
from poller.planner import Quota
from poller.poll import Polled
from poller.rates import NO_HISTORY, Experience, History
from poller.roster import WEBINARS, Roster
from poller.scheduler import Scheduler
from poller.testing import FakeClock
from state.records import Scope, Target
from tests.benchmarks import virtual
from tests.benchmarks.measuring import machine
from tests.benchmarks.virtual import LATENCY

DAY = 86_400.0
LIMITS = {
    "500/day": Limits(100, 10, 0, 500),
    "100/60s": Limits(0, 0, 100, 0),
    "10/s": Limits(10, 10, 0, 0),
}


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Webinar:
    key: str
    factor: float  # registrations a second at a profile of 1
    ends_at: float
    arrivals: list[float] = field(default_factory=list)
    history: list[float] = field(default_factory=list)  # registrations before the first poll, where they can be seen

    def rate(self, moment: float) -> float:
        return self.factor * rise(self.ends_at - moment)


def rise(left: float) -> float:
    """Registrations come the faster the nearer the start is, and end with it."""
    return 0.0 if left <= 0 else 6 * DAY / (left + DAY)


HISTORY = 10.0  # days for which the webinars could be registered for before the first poll


def world(webinars: int, skew: float, a_day: float, begin: float, days: float, random: Random) -> list[Webinar]:
    shares = [1 / (rank + 1) ** skew for rank in range(webinars)]
    found = []
    for rank, share in enumerate(shares):
        ends_at = begin + random.uniform(0.5, 30.0) * DAY
        made = Webinar(f"{rank:05}", a_day / DAY * share / sum(shares), ends_at)
        moment, most = begin - HISTORY * DAY, made.factor * rise(1.0)
        while (moment := moment + random.expovariate(most)) < min(begin + days * DAY, ends_at):
            if random.random() < made.rate(moment) / most:
                (made.arrivals if moment >= begin else made.history).append(moment)
        found.append(made)
    return found


class Known(Experience):
    """For policies that need not learn: rates as they are, to a power. 0: all alike, 1: √, 2: proportional."""

    def __init__(self, webinars: Sequence[Webinar], power: float, floor: float) -> None:
        super().__init__()
        self._webinars = {webinar.key: webinar for webinar in webinars}
        self._power = power
        self._floor = floor

    def rate(self, target: Target, moment: float) -> float:
        if self._power == 0:
            return 1.0
        webinar = self._webinars.get(target.scope.parent)
        rate = 0.0 if webinar is None else webinar.rate(moment)
        return float(max(rate, self._floor) ** self._power)


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Engine:
    """Polls the arrivals through the real limiter, and notes how late each was found."""

    def __init__(
        self, clock: FakeClock, limiter: Limiter, roster: Roster, webinars: Sequence[Webinar], experience: Experience
    ) -> None:
        self._clock, self._limiter, self._roster, self._experience = clock, limiter, roster, experience
        self._webinars = {webinar.key: webinar for webinar in webinars}
        self._seen = dict.fromkeys(self._webinars, 0)
        self.found: list[tuple[float, float]] = []  # (arrival, delay)
        self.calls: list[float] = []
        self.waits: dict[str, float] = {}  # the longest between two polls
        self._last: dict[str, float] = {}

    async def poll(self, target: Target) -> Polled:
        operation = "getWebinars" if target.scope == WEBINARS else "getRegistrants"
        async with self._limiter.slot(operation=operation, connection=target.connection):
            started = self._clock.now().timestamp()
            self.calls.append(started)
            await self._clock.sleep(LATENCY)
        news = self._look(target.scope.parent, started)
        known = self._roster.target(target.connection, target.scope) or target
        webinar = self._webinars.get(target.scope.parent)
        history = History(webinar.history) if webinar is not None and known.polled_at is None else NO_HISTORY
        polled = replace(self._experience.watched(known, started, news, history), polled_at=started)
        self._roster.put(polled)
        return Polled(polled, "changed" if news else "unchanged", added=news)

    def _look(self, key: str, moment: float) -> int:
        if key not in self._webinars:
            return 0
        self.waits[key] = max(self.waits.get(key, 0.0), moment - self._last.get(key, moment))
        self._last[key] = moment
        arrivals, seen = self._webinars[key].arrivals, self._seen[key]
        until = bisect.bisect_right(arrivals, moment)
        self._seen[key] = until
        self.found += [(arrival, moment + LATENCY - arrival) for arrival in arrivals[seen:until]]
        return until - seen

    def delays(self, since: float, until: float) -> list[float]:
        """Of arrivals within a span; those not found by its end count as found then."""
        open_ = [
            arrival for webinar in self._webinars.values() for arrival in webinar.arrivals[self._seen[webinar.key] :]
        ]
        late = [(arrival, until - arrival) for arrival in open_]
        return [min(delay, until - arrival) for arrival, delay in [*self.found, *late] if since <= arrival < until]


@dataclass
class Outcome:
    """By part of the run: delays in seconds."""

    parts: list[list[float]]
    calls: list[int]
    breached: bool
    starved: int
    seconds: float

    def mean(self, part: int) -> float:
        return statistics.fmean(self.parts[part] or [0.0])

    def percentile(self, part: int, share: float) -> float:
        delays = sorted(self.parts[part]) or [0.0]
        return delays[int(share * (len(delays) - 1))]


class _Silent:
    def polled(self, polled: Polled, seconds: float) -> None: ...
    def failed(self, target: Target, error: Exception, retry_in: float) -> None:
        raise error

    def hint_changed(self, connection: str, state: str, reason: str) -> None: ...

    async def refused(self, connection: str, error: Reauthorize) -> None: ...


Spans = Sequence[tuple[float, float]]


async def run(webinars: Sequence[Webinar], limits: Limits, spans: Spans, experience: Experience, seed: int) -> Outcome:
    wall = time.perf_counter()
    clock = FakeClock()
    random = Random(seed)
    limiter = await Limiter.open("client", limits, clock=clock, rng=random)
    roster = Roster(targets=[Target("acme", WEBINARS)])
    for webinar in webinars:
        roster.put(Target("acme", Scope("registrant", webinar.key), ends_at=webinar.ends_at))
    engine = Engine(clock, limiter, roster, webinars, experience)
    membership = Membership(
        connections=lambda: ["acme"],
        roots=lambda name: [WEBINARS],
        wants=lambda target: True,
        client_of=lambda name: "client",
        quota_of=lambda client: Quota(*astuple(limits)),
        spent=lambda client: limiter.spent_by_hour(),
        cost=lambda target: 1.0,
        delay=lambda name, kind: limiter.delay("getWebinars" if kind == "webinar" else "getRegistrants", name),
        settle=lambda name: DAY,
    )
    pace = Pace(interval=timedelta(seconds=1), max_interval=timedelta(days=365))
    scheduler = Scheduler(engine, roster, membership, clock, random, _Silent(), pace, experience)  # type: ignore[arg-type]
    task = asyncio.create_task(scheduler.run())
    await clock.advance(spans[-1][1] - spans[0][0])
    scheduler.stop()
    await asyncio.wait({task})
    task.result()
    return Outcome(
        [engine.delays(*span) for span in spans],
        [sum(since <= call < until for call in engine.calls) for since, until in spans],
        _breached(engine.calls, limits),
        sum(1 for webinar in webinars if webinar.key not in engine.waits and webinar.ends_at > spans[-1][1]),
        time.perf_counter() - wall,
    )


def _breached(calls: Sequence[float], limits: Limits) -> bool:
    windows = [(limits.per_second, 1.0), (limits.per_connection_per_minute, 60.0), (limits.per_day, DAY)]
    return any(
        limit and any(later - earlier < width for earlier, later in zip(calls, calls[limit:], strict=False))
        for limit, width in windows
    )


async def ours(webinars: Sequence[Webinar], limits: Limits, spans: Spans, seed: int, *, hint: bool) -> Outcome:
    """The whole engine."""
    wall = time.perf_counter()
    plans = [virtual.Planned(webinar.ends_at, webinar.arrivals, webinar.history) for webinar in webinars]
    seen = await virtual.run(plans, limits, spans[-1][1] - spans[0][0], seed, hint=hint)
    never = Counter(arrival for webinar in webinars for arrival in webinar.arrivals)
    never.subtract(arrival for arrival, _ in seen.found)
    late = [(arrival, spans[-1][1] - arrival) for arrival in never.elements()]
    return Outcome(
        [[min(d, until - a) for a, d in [*seen.found, *late] if since <= a < until] for since, until in spans],
        [sum(since <= call < until for _, call in seen.calls) for since, until in spans],
        seen.breaches > 0,
        seen.unpolled,
        time.perf_counter() - wall,
    )


def power_automate(webinars: Sequence[Webinar], limits: Limits, spans: Spans) -> Outcome:
    """One trigger per webinar, each every 120 s, in the order in which they were made."""
    wall = time.perf_counter()
    windows = [(limits.per_second, 1.0), (limits.per_connection_per_minute, 60.0), (limits.per_day, DAY)]
    calls: list[float] = []
    found: dict[str, int] = dict.fromkeys((webinar.key for webinar in webinars), 0)
    delays: list[tuple[float, float]] = []
    begin, end = spans[0][0], spans[-1][1]
    due = [(begin + index * 120.0 / len(webinars), webinar.key) for index, webinar in enumerate(webinars)]
    heapq.heapify(due)
    by_key = {webinar.key: webinar for webinar in webinars}
    while due and due[0][0] < end:
        moment, key = heapq.heappop(due)
        heapq.heappush(due, (moment + 120.0, key))
        if any(limit and len(calls) >= limit and calls[-limit] > moment - width for limit, width in windows):
            continue  # 429: it tries again at its next turn
        calls.append(moment)
        arrivals, seen = by_key[key].arrivals, found[key]
        found[key] = bisect.bisect_right(arrivals, moment)
        delays += [(arrival, moment - arrival) for arrival in arrivals[seen : found[key]]]
    late = [(arrival, end - arrival) for webinar in webinars for arrival in webinar.arrivals[found[webinar.key] :]]
    return Outcome(
        [[min(d, until - a) for a, d in [*delays, *late] if since <= a < until] for since, until in spans],
        [sum(since <= call < until for call in calls) for since, until in spans],
        False,
        0,
        time.perf_counter() - wall,
    )


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


# How much virtual time (days) is enough for many calls and registrations to be seen.
ENOUGH = {"500/day": 2.0, "100/60s": 0.1, "10/s": 0.02}


def table(count: int, name: str, args: argparse.Namespace) -> None:
    limits, days = LIMITS[name], args.days or ENOUGH[name]
    begin = FakeClock().now().timestamp()
    parts = max(round(days), 2)
    spans = [(begin + part * days * DAY / parts, begin + (part + 1) * days * DAY / parts) for part in range(parts)]
    a_day = args.a_day or max(300.0, 600.0 / days)
    found = world(count, args.skew, a_day, begin, days, Random(f"{args.seed}:{count}:{args.skew}"))
    floor = 1e-3 * sum(webinar.factor for webinar in found) / len(found)

    def knowing(power: float) -> Callable[[], Outcome]:
        return lambda: asyncio.run(run(found, limits, spans, Known(found, power, floor), args.seed))

    policies: dict[str, Callable[[], Outcome]] = {
        "best": knowing(1.0),
        "ours": lambda: asyncio.run(ours(found, limits, spans, args.seed, hint=False)),
        "ours, hint": lambda: asyncio.run(ours(found, limits, spans, args.seed, hint=True)),
        "uniform": knowing(0.0),
        "proportional": knowing(2.0),
        "power automate": lambda: power_automate(found, limits, spans),
    }
    if args.only:
        policies = {policy: work for policy, work in policies.items() if policy == "best" or policy in args.only}
    arrivals = sum(len(webinar.arrivals) for webinar in found)
    print(f"\n{count} webinars, {name}, Zipf {args.skew}, {arrivals} registrations in {days:g} days; seconds")
    header = "".join(f"{f'part {part + 1}':>11}{'ratio':>7}{'p50':>9}{'p95':>9}{'calls':>8}" for part in range(parts))
    print(f"{'':16}{header}{'wall s':>8}")
    best: Outcome | None = None
    for policy, work in policies.items():
        outcome = work()
        best = best or outcome
        cells = "".join(
            f"{outcome.mean(part):11.1f}{outcome.mean(part) / max(best.mean(part), 1e-9):7.2f}"
            f"{outcome.percentile(part, 0.5):9.1f}{outcome.percentile(part, 0.95):9.1f}{outcome.calls[part]:8}"
            for part in range(parts)
        )
        notes = ("  BREACHED" if outcome.breached else "") + (f"  starved {outcome.starved}" if outcome.starved else "")
        print(f"{policy:16}{cells}{outcome.seconds:8.1f}{notes}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--webinars", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--limits", nargs="+", choices=list(LIMITS), default=["500/day"])
    parser.add_argument("--skew", type=float, default=1.2)
    parser.add_argument(
        "--a-day", type=float, default=None, help="registrations a day, all together, at a profile of 1"
    )
    parser.add_argument("--days", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], help="policies to run beside the best")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"{machine()}, seed {args.seed}")
    for name in args.limits:
        for count in args.webinars:
            table(count, name, args)


if __name__ == "__main__":
    sys.exit(main())
