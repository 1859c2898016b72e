"""What polls teach about how often a webinar has news is kept with the poll, and decides what is polled next."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from poller.planner import Quota
from poller.testing import FakeClock
from tests.integration.scripted_goto import Goto, zulu
from tests.integration.world import House, begun, known

HOUR = 3600.0


async def test_news_and_the_time_watched_are_kept_over_a_restart(goto: Goto, clock: FakeClock, tmp_path: Path) -> None:
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    webinar, _ = await known(goto, home)
    await clock.advance(HOUR)
    for _ in range(3):
        goto.register(webinar)
    await home.sweep()
    await clock.advance(2 * HOUR)
    await home.sweep()

    learnt = home.target(webinar)
    assert learnt.news == pytest.approx(3.0, rel=0.01)
    assert learnt.exposure == pytest.approx(3 * HOUR, rel=0.2)
    await home.restart()
    assert home.target(webinar) == learnt
    await home.close()


async def test_what_was_there_before_teaches_by_its_dates(goto: Goto, clock: FakeClock) -> None:
    busy, calm = goto.webinar(), goto.webinar()
    for hours in range(1, 100):
        goto.register(busy, registrationDate=zulu(goto.now() - timedelta(hours=hours)))
    for days in (1, 9):
        goto.register(calm, registrationDate=zulu(goto.now() - timedelta(days=days)))
    home = await begun(goto, clock, quota=Quota(per_day=100))

    assert home.target(busy).news == 98.0 and home.target(calm).news == 1.0
    home.scheduler.refresh()
    often, seldom = (home.scheduler.interval(("acme", home.target(key).scope)) for key in (busy, calm))
    assert often is not None and seldom == 3600.0 and often < 0.6 * seldom  # max_interval is an hour
    assert await home.events() == []
    await home.close()


async def test_dates_that_cannot_be_read_teach_nothing_and_harm_nothing(goto: Goto, clock: FakeClock) -> None:
    webinar = goto.webinar()
    for date in ("", None, "yesterday", 5, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        goto.register(webinar, registrationDate=date)
    home = await begun(goto, clock)
    assert home.target(webinar).size == 6
    assert (await known(goto, home))[0]
    await home.close()


async def test_history_that_is_told_on_request_is_no_news(goto: Goto, home: House) -> None:
    webinar, _ = await known(goto, home, people=5)
    before = home.target(webinar)
    await home.look(webinar, backfill=home.engine.links["acme"].start)
    assert home.target(webinar).news == before.news
