"""What breaks pollers that remember a time or the last so many ids: here nothing is lost and nothing told twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from poller.testing import FakeClock
from tests.integration.scripted_goto import REGISTRANTS, Goto, Item
from tests.integration.world import Connection, House, begun


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def goto(clock: FakeClock) -> Goto:
    return Goto(clock)


async def room(goto: Goto, clock: FakeClock, known: int, **how) -> tuple[House, str]:
    """A webinar with `known` registrants of before."""
    webinar = goto.webinar()
    for _ in range(known):
        goto.register(webinar, registrationDate=goto.ago(hours=1))
    home = await begun(goto, clock, Connection(), **how)
    return home, webinar


async def assert_told_once(home: House, keys: Iterable[str]) -> None:
    """0 lost, 0 doubled, and nothing else."""
    added = [event["subject"].rpartition("/")[2] for event in await home.events("registrant.added")]
    assert Counter(added) == Counter(keys)
    assert len(await home.events("registrant.changed", "registrant.removed")) == 0
    await home.close()


async def test_a_list_that_lags_thirty_seconds(goto, clock):
    """A registration shows up half a minute after it was made, when a time cursor has long gone past it."""
    home, webinar = await room(goto, clock, 3)
    keys = []

    def lagging(items: list[Item]) -> list[Item]:
        return [item for item in items if item["registrationDate"] <= goto.ago(seconds=30)]

    goto.lie(REGISTRANTS, lagging, times=10_000)
    for _ in range(40):
        keys.append(goto.register(webinar))
        await home.sweep()
        await clock.advance(7)
    await clock.advance(30)
    await home.sweep()
    await assert_told_once(home, keys)


async def test_two_registrants_in_one_second_on_both_sides_of_a_poll(goto, clock):
    home, webinar = await room(goto, clock, 2)
    second = goto.ago(seconds=0)
    keys = [goto.register(webinar, registrationDate=second)]
    await home.sweep()
    keys.append(goto.register(webinar, registrationDate=second))
    await home.sweep(2)
    await assert_told_once(home, keys)


async def test_an_engine_whose_clock_is_twenty_seconds_fast(goto, clock):
    goto.skew = -20.0
    home, webinar = await room(goto, clock, 2)
    keys = []
    for _ in range(20):
        keys.append(goto.register(webinar))
        await home.sweep()
        await clock.advance(5)
    await assert_told_once(home, keys)


async def test_a_webinar_and_its_registrants_of_an_engine_whose_clock_is_twenty_seconds_fast(goto, clock):
    """The rule for webinars that moved into the window compares GoTo's dates with our baseline."""
    goto.skew = -20.0
    home, _ = await room(goto, clock, 0)
    webinar = goto.webinar()
    keys = [goto.register(webinar)]
    await home.sweep()
    await assert_told_once(home, keys)


async def test_a_burst_of_250_on_300_known(goto, clock):
    home, webinar = await room(goto, clock, 300)
    keys = [goto.register(webinar) for _ in range(250)]
    await home.sweep(2)
    await assert_told_once(home, keys)


async def test_the_newest_registrant_cancels_between_two_polls(goto, clock):
    """Whoever remembers the newest one and reads until it comes would read for ever, or nothing."""
    home, webinar = await room(goto, clock, 5)
    keys = [goto.register(webinar)]
    await home.sweep()
    newest = goto.register(webinar)
    await home.sweep()
    goto.leave(webinar, newest)
    keys.append(goto.register(webinar))
    await home.sweep(2)
    added = [event["subject"].rpartition("/")[2] for event in await home.events("registrant.added")]
    removed = [event["subject"].rpartition("/")[2] for event in await home.events("registrant.removed")]
    assert Counter(added) == Counter([*keys, newest])
    assert removed == [newest]
    await home.close()


async def test_five_that_appear_late_with_old_dates(goto, clock):
    home, webinar = await room(goto, clock, 10)
    await clock.advance(3600)
    await home.sweep()
    keys = [goto.register(webinar, registrationDate=goto.ago(minutes=minutes)) for minutes in (10, 9, 55, 600, 90_000)]
    await home.sweep(2)
    await assert_told_once(home, keys)


async def test_three_new_among_seven_hundred_known(goto, clock):
    """More than any list of remembered ids holds, spread over all pages."""
    home, webinar = await room(goto, clock, 700, page_above=200)
    people = list(goto.webinars[webinar].people.items())
    keys = [goto.register(webinar) for _ in range(3)]
    new = [(key, goto.webinars[webinar].people[key]) for key in keys]
    goto.webinars[webinar].people = dict([new[0], *people[:350], new[1], *people[350:], new[2]])
    await home.sweep(2)
    await assert_told_once(home, keys)


async def test_an_order_that_changes_with_every_poll(goto, clock):
    home, webinar = await room(goto, clock, 50, page_above=10)
    goto.page_size = 10
    keys = []
    for turn in range(1, 20):
        keys.append(goto.register(webinar))
        people = list(goto.webinars[webinar].people.items())
        goto.webinars[webinar].people = dict([*people[turn:], *people[:turn]])
        await home.sweep()
    await assert_told_once(home, keys)
