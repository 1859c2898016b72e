"""The old list's counts beside the whole engine: found sooner, nothing lost, whatever the counts say."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from random import Random

from poller.goto import Limits, Request
from poller.simulator.options import ApiOptions
from poller.testing import FakeClock
from tests.benchmarks.virtual import Planned, Seen, run

HOUR, DAY = 3600.0, 86_400.0
SCARCE = Limits(0, 0, 0, 300)  # calls a day for ten webinars: one poll of each in 50 minutes


def webinars(count: int = 10, each: int = 12, hours: float = 24.0) -> list[Planned]:
    """Registrations at random moments of so many hours; the first person came before."""
    random, begin = Random(3), FakeClock().now().timestamp()
    return [
        Planned(
            begin + 20 * DAY,
            sorted(begin + random.uniform(0.05, hours - 1) * HOUR for _ in range(each)),
            [begin - DAY],
        )
        for _ in range(count)
    ]


def mean_delay(seen: Seen) -> float:
    return statistics.fmean(delay for _, delay in seen.found)


def calls(seen: Seen, operation: str) -> int:
    return sum(name == operation for name, _ in seen.calls)


async def watched(plan: Sequence[Planned], *, hint: bool = True, **more: object) -> Seen:
    seen = await run(plan, SCARCE, DAY, 1, hint=hint, **more)  # type: ignore[arg-type]
    assert seen.breaches == 0
    return seen


async def test_a_count_hint_finds_everything_much_sooner_with_the_same_calls() -> None:
    plan = webinars()
    plain, hinted = await watched(plan, hint=False), await watched(plan)
    arrivals = sum(len(webinar.arrivals) for webinar in plan)
    assert len(plain.found) == len(hinted.found) == arrivals
    assert mean_delay(hinted) < mean_delay(plain) / 3
    assert calls(plain, "getUpcomingWebinars") == 0
    assert len(hinted.calls) <= 300


async def test_where_the_old_list_is_gone_everything_is_found_without_it() -> None:
    plan = webinars()
    seen = await watched(plan, options=ApiOptions(old_lists=False))
    assert len(seen.found) > 0.9 * sum(len(webinar.arrivals) for webinar in plan)
    assert seen.hint is None
    assert calls(seen, "getUpcomingWebinars") <= 30  # it is tried again ever more rarely


def falsified(change: Callable[[int], int]) -> Callable[[Request, bytes], bytes]:
    """Counts of the old list as `change` makes them."""

    def falsify(request: Request, body: bytes) -> bytes:
        if request.operation != "getUpcomingWebinars":
            return body
        items = json.loads(body)
        return json.dumps(
            [{**item, "numberOfRegistrants": change(item["numberOfRegistrants"])} for item in items]
        ).encode()

    return falsify


async def test_counts_that_never_move_lose_nothing_and_are_given_up() -> None:
    plan = webinars(each=40)
    seen = await watched(plan, falsify=falsified(lambda count: 1))
    assert len(seen.found) > 0.9 * sum(len(webinar.arrivals) for webinar in plan)
    plain = await watched(plan, hint=False)
    assert mean_delay(seen) < 2 * mean_delay(plain)


async def test_counts_drawn_at_random_lose_nothing_and_are_given_up() -> None:
    plan, random = webinars(), Random(5)
    seen = await watched(plan, falsify=falsified(lambda count: random.randrange(100)))
    assert len(seen.found) > 0.9 * sum(len(webinar.arrivals) for webinar in plan)
    assert seen.hint is None


async def test_where_calls_abound_the_old_list_is_left_alone() -> None:
    plan = webinars(count=4, each=3, hours=2)
    seen = await run(plan, Limits(10, 10, 0, 0), 2 * HOUR, 1, hint=True)
    assert len(seen.found) == 12
    assert calls(seen, "getUpcomingWebinars") == 0


async def test_the_same_seed_gives_the_same_run_call_by_call() -> None:
    first, second = [await watched(webinars()) for _ in range(2)]
    assert first.calls == second.calls
    assert first.found == second.found
