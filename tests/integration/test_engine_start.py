"""What the setting `start` promises: what is history, what is news, and what is neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from poller.admission import Start
from poller.errors import Wait
from tests.integration.scripted_goto import (
    REGISTRANTS,
    WEBINARS,
    Goto,
    empty,
    gone,
    without,
    zulu,
)
from tests.integration.world import Connection, House, begun, house

DAY = 86_400.0


def crowd(goto: Goto, webinar: str, count: int = 3, **ago: float) -> list[str]:
    return [goto.register(webinar, registrationDate=goto.ago(**(ago or {"days": 40}))) for _ in range(count)]


# ── now ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_start_now_emits_nothing_of_what_is_there(goto, clock):
    for days in (-0.5, 3, 300):
        crowd(goto, goto.webinar(days=days), 40, hours=2)
    async with house(goto, clock) as home:
        await home.sweep(3)
        assert await home.events() == []


async def test_start_now_is_silent_about_fifty_thousand_registrants(goto, clock):
    webinar = goto.webinar()
    crowd(goto, webinar, 50_000, days=1)
    async with house(goto, clock) as home:
        await home.sweep(2)
        assert await home.events() == []
        late = goto.register(webinar)
        await home.sweep()
        assert await home.news() == [("registrant.added", late)]


async def test_a_restart_in_the_middle_of_the_baseline_changes_nothing(goto, clock, tmp_path):
    webinars = [goto.webinar() for _ in range(4)]
    for webinar in webinars:
        crowd(goto, webinar, 5, hours=1)
    home = await House(goto, clock, path=tmp_path / "poller.db").open()
    await home.walk()
    await home.look(webinars[0])
    await home.crash(tmp_path / "again")
    await home.look(webinars[1])
    await home.restart()
    await home.sweep(2)
    assert await home.events() == []
    new = goto.register(webinars[3])
    await home.sweep()
    assert await home.news() == [("registrant.added", new)]
    await home.close()


async def test_a_restart_within_a_large_baseline_of_one_webinar_stays_silent(goto, clock, tmp_path, monkeypatch):
    """A poll of many records takes several transactions; the process dies after the first of them."""
    monkeypatch.setattr("poller.engine.BATCH", 10)
    webinar = goto.webinar()
    crowd(goto, webinar, 35, hours=1)
    home = await House(goto, clock, path=tmp_path / "poller.db").open()
    await home.walk()
    commit, commits = home.store.commit_poll, []

    async def dying(what):
        if commits:
            raise Wait("the process dies here")
        commits.append(what)
        return await commit(what)

    monkeypatch.setattr(home.store, "commit_poll", dying)
    with pytest.raises(Wait):
        await home.look(webinar)
    monkeypatch.undo()
    assert commits
    await home.crash(tmp_path / "again")
    await home.sweep(2)
    assert await home.events() == []
    await home.close()


# ── what is found later ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_webinar_found_later_is_told_and_so_are_its_registrants(goto, clock):
    goto.webinar()
    home = await begun(goto, clock)
    await clock.advance(100)
    webinar = goto.webinar()
    people = [goto.register(webinar), goto.register(webinar)]
    await home.sweep()
    assert await home.news() == [
        ("webinar.created", webinar),
        *(("registrant.added", person) for person in people),
    ]
    assert not any("backfill" in event for event in await home.events())
    await home.close()


async def test_a_webinar_that_merely_moved_into_the_window_brings_silent_registrants(goto, clock):
    """It was there before the baseline; every registration is more than 24 hours older than that."""
    webinar = goto.webinar(days=900)
    crowd(goto, webinar, 3, hours=24, seconds=5)
    home = await begun(goto, clock)
    await clock.advance(60)
    goto.move(webinar, days=20)
    await home.sweep()
    assert await home.news() == [("webinar.created", webinar)]
    new = goto.register(webinar)
    await home.sweep()
    assert await home.news() == [("webinar.created", webinar), ("registrant.added", new)]
    await home.close()


async def test_one_registration_younger_than_that_makes_all_of_them_news(goto, clock):
    webinar = goto.webinar(days=900)
    people = crowd(goto, webinar, 3, days=40)
    people.append(goto.register(webinar, registrationDate=goto.ago(hours=23)))
    home = await begun(goto, clock)
    goto.move(webinar, days=20)
    await home.sweep()
    assert [key for _, key in await home.news()] == [webinar, *people]
    await home.close()


async def test_an_incomplete_first_look_does_not_split_that_decision(goto, clock):
    """One young registration is seen on the first page; the old ones behind it are told with it, though later."""
    goto.page_size = 2
    webinar = goto.webinar(days=900)
    people = [goto.register(webinar, registrationDate=goto.ago(hours=1)), *crowd(goto, webinar, 4, days=40)]
    home = await begun(goto, clock, page_above=-1)
    goto.move(webinar, days=20)
    goto.fail(REGISTRANTS, skip=1)
    await home.sweep(2)
    assert sorted(key for _, key in await home.news()) == sorted([webinar, *people])
    await home.close()


async def test_an_incomplete_first_look_at_old_registrations_decides_nothing(goto, clock):
    goto.page_size = 2
    webinar = goto.webinar(days=900)
    crowd(goto, webinar, 5, days=40)
    home = await begun(goto, clock, page_above=-1)
    goto.move(webinar, days=20)
    goto.fail(REGISTRANTS, skip=1)
    await home.sweep(2)
    assert await home.news() == [("webinar.created", webinar)]
    await home.close()


async def test_an_empty_lie_about_a_webinar_that_moved_in_does_not_make_its_old_registrants_news(goto, clock):
    webinar = goto.webinar(days=900)
    crowd(goto, webinar, 3, days=40)
    home = await begun(goto, clock)
    goto.move(webinar, days=20)
    goto.lie(REGISTRANTS, empty)
    await home.sweep(2)
    assert await home.news() == [("webinar.created", webinar)]
    await home.close()


@pytest.mark.parametrize("trouble", ["fails", "is gone for a moment", "is empty", "is cut short", "comes late"])
async def test_no_registrant_of_a_webinar_found_later_is_swallowed(goto, clock, tmp_path, trouble):
    """Whatever happens to the first look at its registrants."""
    goto.page_size = 2
    home = await begun(goto, clock, page_above=-1, path=tmp_path / "poller.db")
    webinar = goto.webinar()
    people = [goto.register(webinar) for _ in range(5)]
    if trouble == "fails":
        goto.fail(REGISTRANTS, times=3)
    elif trouble == "is gone for a moment":
        goto.fail(REGISTRANTS, gone, times=2)
    elif trouble == "is empty":
        goto.lie(REGISTRANTS, empty, times=2)
    elif trouble == "is cut short":
        goto.fail(REGISTRANTS, skip=1)
    await home.walk()
    if trouble == "comes late":
        await clock.advance(3 * DAY)
        await home.crash(tmp_path / "again")
    await home.sweep(4)
    assert sorted(await home.news()) == sorted(
        [("webinar.created", webinar), *(("registrant.added", person) for person in people)]
    )
    await home.close()


async def test_a_webinar_without_registrants_at_the_baseline_tells_its_first_one(goto, clock):
    webinar = goto.webinar()
    home = await begun(goto, clock)
    await clock.advance(10 * DAY)
    new = goto.register(webinar)
    await home.sweep()
    assert await home.news() == [("registrant.added", new)]
    await home.close()


# ── lies at the beginning ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_empty_lie_at_the_very_first_webinar_walk_does_not_make_old_webinars_news(goto, clock):
    webinar = goto.webinar()
    crowd(goto, webinar)
    goto.lie(WEBINARS, empty)
    async with house(goto, clock) as home:
        await home.sweep(3)
        assert await home.events() == []


@pytest.mark.parametrize("looks", [1, 3])
async def test_an_empty_lie_at_the_first_look_at_registrants_does_not_make_old_ones_news(goto, clock, looks):
    webinar = goto.webinar()
    crowd(goto, webinar)
    goto.lie(REGISTRANTS, empty, times=looks)
    async with house(goto, clock) as home:
        await home.sweep(looks + 2)
        assert await home.events() == []
        new = goto.register(webinar)
        await home.sweep()
        assert await home.news() == [("registrant.added", new)]


async def test_a_failing_first_walk_takes_no_baseline(goto, clock):
    goto.page_size = 1
    webinars = [goto.webinar() for _ in range(3)]
    for webinar in webinars:
        crowd(goto, webinar)
    goto.fail(WEBINARS, skip=1, times=2)
    async with house(goto, clock) as home:
        await home.sweep(4)
        assert await home.events() == []
        assert home.roster.connection("acme").baseline_at is not None


async def test_a_record_that_stays_unreadable_does_not_keep_the_baseline_open_for_ever(goto, clock):
    """Its good siblings are told from the next poll on, of webinars and of registrants."""
    first, bad = goto.webinar(), goto.webinar()
    goto.change(bad, webinarKey=None)
    crowd(goto, first)
    goto.register(first, key="1", registrantKey=None)
    async with house(goto, clock) as home:
        await home.sweep(3)
        assert await home.events() == []
        await clock.advance(60)
        later, new = goto.webinar(), goto.register(first)
        await home.sweep(2)
        assert sorted(await home.news()) == [("registrant.added", new), ("webinar.created", later)]


async def test_one_unreadable_record_at_the_baseline_is_looked_at_twice(goto, clock):
    """An answer that is garbled once must not make a webinar news that was there all along."""
    webinars = [goto.webinar() for _ in range(3)]
    garbled = [{**item, "webinarKey": None} for item in goto.listed("1", goto.now(), goto.now() + timedelta(days=60))]
    goto.lie(WEBINARS, lambda items: [garbled[0], *items[1:]])
    people = crowd(goto, webinars[1])
    goto.lie(REGISTRANTS, lambda items: [{**items[0], "registrantKey": None}, *items[1:]], parent=webinars[1])
    async with house(goto, clock) as home:
        await home.sweep(3)
        assert people
        assert await home.events() == []


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_start_all_emits_the_whole_window_as_history(goto, clock):
    webinars = [goto.webinar(days=days) for days in (-0.5, 5)]
    people = [*crowd(goto, webinars[0], 2, days=400), *crowd(goto, webinars[1], 2, hours=1)]
    outside = goto.webinar(days=-30)
    async with house(goto, clock, Connection(start=Start(history=True))) as home:
        await home.sweep(2)
        events = await home.events()
        assert sorted(key for _, key in await home.news()) == sorted([*webinars, *people])
        assert all(event["backfill"] is True for event in events)
        assert outside not in str(events)
        new = goto.register(webinars[1])
        await home.sweep()
        (event,) = (await home.events())[len(events) :]
        assert event["subject"].endswith(new)
        assert "backfill" not in event


async def test_start_all_over_a_restart_emits_each_once(goto, clock, tmp_path):
    webinars = [goto.webinar() for _ in range(3)]
    people = [key for webinar in webinars for key in crowd(goto, webinar, 4)]
    home = await House(goto, clock, Connection(start=Start(history=True)), path=tmp_path / "poller.db").open()
    await home.walk()
    await home.look(webinars[0])
    await home.crash(tmp_path / "again")
    await home.sweep(2)
    assert sorted(key for _, key in await home.news()) == sorted([*webinars, *people])
    await home.close()


async def test_a_date_widens_the_first_walk_and_cuts_at_utc_midnight(goto, clock):
    """Webinars count by their last end, registrants by their registration."""
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    early = goto.webinar(times=[{"startTime": "2026-01-31T22:00:00Z", "endTime": "2026-01-31T23:59:59Z"}])
    late = goto.webinar(
        times=[
            {"startTime": "2026-01-10T10:00:00Z", "endTime": "2026-01-10T11:00:00Z"},
            {"startTime": "2026-01-31T23:30:00Z", "endTime": "2026-02-01T00:00:00Z"},
        ]
    )
    old, young = (goto.register(late, registrationDate=zulu(midnight - timedelta(seconds=s))) for s in (1, 0))
    too_old = goto.register(early, registrationDate=zulu(midnight - timedelta(days=9)))
    async with house(goto, clock, Connection(start=Start(history=True, since=midnight))) as home:
        await home.sweep(2)
        assert sorted(await home.news()) == [("registrant.added", young), ("webinar.created", late)]
        assert all(event["backfill"] for event in await home.events())
        assert not {old, too_old, early} & {key for _, key in await home.news()}


async def test_an_empty_lie_does_not_turn_history_into_news_nor_swallow_it(goto, clock):
    webinar = goto.webinar()
    old = crowd(goto, webinar, 2)
    goto.lie(REGISTRANTS, empty)
    async with house(goto, clock, Connection(start=Start(history=True))) as home:
        await home.sweep()
        await clock.advance(60)
        new = goto.register(webinar)
        await home.sweep()
        told = {e["subject"].rpartition("/")[2]: e.get("backfill", False) for e in await home.events()}
        assert told == {webinar: True, old[0]: True, old[1]: True, new: False}


# ── a wider window later ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_widening_past_later_only_baselines(goto, clock):
    old = goto.webinar(days=-20)
    crowd(goto, old)
    goto.webinar(days=20)
    home = await begun(goto, clock)
    await clock.advance(3600)
    home.introduce(Connection(past=timedelta(days=60)))
    await home.sweep(2)
    assert await home.events() == []
    assert home.holds(old)
    await home.close()


async def test_what_was_created_and_held_during_five_days_of_outage_is_found(goto, clock, tmp_path):
    """The window of the first walk afterwards reaches back to the last one before."""
    goto.webinar()
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    await clock.advance(0.5 * DAY)
    webinar = goto.webinar(days=1)
    person = goto.register(webinar)
    goto.fail(WEBINARS, times=1)
    await home.sweep()
    await clock.advance(5 * DAY)
    await home.sweep()
    assert await home.news() == [("webinar.created", webinar), ("registrant.added", person)]
    await home.close()


async def test_the_same_when_the_engine_itself_was_off(goto, clock, tmp_path):
    goto.webinar()
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    await home.close()
    webinar = goto.webinar(days=1)
    person = goto.register(webinar)
    await clock.advance(6 * DAY)
    await home.open()
    await home.sweep()
    assert await home.news() == [("webinar.created", webinar), ("registrant.added", person)]
    await home.close()


async def test_a_webinar_missing_from_one_walk_before_it_is_known_is_told_by_the_next(goto, clock):
    home = await begun(goto, clock)
    webinar = goto.webinar()
    goto.lie(WEBINARS, without(webinar))
    await home.sweep(2)
    assert await home.news() == [("webinar.created", webinar)]
    await home.close()
