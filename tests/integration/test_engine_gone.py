"""When something counts as gone, what is polled no more, and how it comes back."""

from __future__ import annotations

import pytest

from poller.errors import Wait
from poller.roster import WEBINARS as WEBINAR_LIST
from tests.integration.scripted_goto import REGISTRANT, REGISTRANTS, WEBINAR, WEBINARS, busy, without, zulu
from tests.integration.world import after, begun, known

DAY = 86_400.0


async def test_gone_means_missing_from_a_complete_walk_and_a_404_of_its_own(goto, home):
    webinar, (person,) = await known(goto, home)
    goto.leave(webinar, person)
    await home.sweep()
    assert await after(home) == [("registrant.removed", person)]
    goto.cancel(webinar)
    await home.sweep(3)
    assert await after(home) == [("registrant.removed", person), ("webinar.cancelled", webinar)]


@pytest.mark.parametrize("operation", [WEBINAR, REGISTRANT])
async def test_without_quota_for_the_confirming_get_a_removal_waits(goto, clock, home, operation):
    webinar, (person,) = await known(goto, home)
    goto.leave(webinar, person)
    if operation == WEBINAR:
        goto.cancel(webinar)
    goto.fail(operation, busy, times=3)
    await home.sweep(3)
    assert await after(home) == []
    await home.settled()
    assert (await after(home))[-1][0] == ("webinar.cancelled" if operation == WEBINAR else "registrant.removed")


async def test_a_removal_that_waited_over_a_restart_is_still_told(goto, clock, tmp_path):
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    webinar, (person,) = await known(goto, home)
    goto.leave(webinar, person)
    goto.fail(REGISTRANT, busy)
    await home.sweep()
    await home.crash(tmp_path / "again")
    await home.sweep()
    assert await after(home) == [("registrant.removed", person)]
    await home.close()


async def test_a_walk_that_broke_off_proves_nobody_gone(goto, clock):
    goto.page_size = 2
    home = await begun(goto, clock, page_above=-1)
    webinar, people = await known(goto, home, 6)
    goto.leave(webinar, people[0])
    calls = goto.count(REGISTRANT)
    for _ in range(3):
        goto.fail(REGISTRANTS, skip=1)
        await home.look(webinar)
    assert await after(home) == []
    assert goto.count(REGISTRANT) == calls
    await home.close()


async def test_a_key_that_a_list_keeps_leaving_out_is_asked_about_ever_more_rarely(goto, clock, home):
    webinar, people = await known(goto, home, 3)
    goto.lie(REGISTRANTS, without(people[1]), times=999)
    for _ in range(60):
        await home.look(webinar)
        await clock.advance(60)
    assert await after(home) == []
    assert goto.count(REGISTRANT) <= 8
    goto.mend()
    goto.leave(webinar, people[1])
    await clock.advance(3600)
    await home.look(webinar)
    assert await after(home) == [("registrant.removed", people[1])]


async def test_many_cancellations_are_all_told_a_few_confirmations_at_a_time(goto, clock, home):
    webinar, people = await known(goto, home, 60)
    for person in people:
        goto.leave(webinar, person)
    before = goto.count(REGISTRANT)
    await home.look(webinar)
    assert goto.count(REGISTRANT) - before == 25
    await home.settled()
    assert sorted(await after(home)) == sorted(("registrant.removed", person) for person in people)


async def test_a_404_on_the_registrants_makes_the_webinar_be_looked_at(goto, clock, home):
    webinar, _ = await known(goto, home)
    kept = goto.cancel(webinar)
    goto.lie(WEBINARS, lambda items: [kept.body, *items])
    problems = await home.sweep()
    assert [str(problem) for problem in problems] == ["GoTo answered 404"]
    assert await after(home) == []
    await home.sweep()
    assert await after(home) == [("webinar.cancelled", webinar)]


async def test_a_cancelled_webinar_is_not_polled_any_more(goto, home):
    webinar, _ = await known(goto, home)
    goto.cancel(webinar)
    await home.sweep()
    calls = goto.count(REGISTRANTS, webinar)
    await home.sweep(3)
    assert goto.count(REGISTRANTS, webinar) == calls
    assert not home.holds(webinar)


async def test_a_webinar_cancelled_while_its_registrants_are_read_stays_dropped(goto, home, monkeypatch):
    webinar, _ = await known(goto, home)
    people = home.engine.links["acme"].sources["registrant"]
    walk = people.walk

    async def slowly(target, **how):
        answer = await walk(target, **how)
        goto.cancel(webinar)
        await home.walk()
        return answer

    monkeypatch.setattr(people, "walk", slowly)
    await home.look(webinar)
    assert await after(home) == [("webinar.cancelled", webinar)]
    assert not home.holds(webinar)


async def test_a_webinar_that_left_the_window_is_not_cancelled(goto, clock, home):
    webinar, _ = await known(goto, home, days=0.5)
    await clock.advance(10 * DAY)
    await home.sweep(3)
    assert await after(home) == []
    assert goto.count(WEBINAR, webinar) == 0


async def test_a_webinar_that_moves_beyond_the_window_is_changed_not_cancelled(goto, clock, home):
    webinar, _ = await known(goto, home)
    goto.move(webinar, days=900)
    await home.sweep(3)
    assert await after(home) == [("webinar.changed", webinar)]
    (event,) = await home.events("webinar.changed")
    assert event["data"]["times"] == [goto.span(900)]
    await clock.advance(3600)
    await home.sweep(2)
    assert len(await after(home)) == 1


async def test_a_past_webinar_is_polled_until_it_has_settled_and_then_once_more(goto, clock, home):
    """Who registers for the recording within that time is still told; after it nothing is read."""
    webinar, _ = await known(goto, home, days=0.1)
    await clock.advance(0.9 * DAY)
    late = goto.register(webinar)
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", late)
    last = goto.register(webinar)
    await clock.advance(1 * DAY)
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", last)
    calls = goto.count(REGISTRANTS, webinar)
    await clock.advance(3600)
    await home.sweep(2)
    assert goto.count(REGISTRANTS, webinar) == calls
    assert home.scheduler.due(("acme", WEBINAR_LIST)) is not None


async def test_the_last_look_at_a_past_webinar_comes_although_one_record_stays_unreadable(goto, clock, home):
    webinar, _ = await known(goto, home, days=0.1)
    goto.register(webinar, key="1", registrantKey=None)
    await clock.advance(3 * DAY)
    await home.sweep(2)
    calls = goto.count(REGISTRANTS, webinar)
    await home.sweep(2)
    assert goto.count(REGISTRANTS, webinar) == calls


async def test_a_registrant_may_come_go_and_come_back_and_every_step_is_told_once(goto, home):
    webinar, (person,) = await known(goto, home)
    entry = goto.leave(webinar, person)
    goto.fail(REGISTRANT, busy)
    await home.sweep()
    goto.webinars[webinar].people[person] = entry  # back before the removal was confirmed
    await home.sweep(2)
    assert await after(home) == []
    goto.leave(webinar, person)
    await home.sweep()
    goto.webinars[webinar].people[person] = {**entry, "registrationDate": zulu(goto.now())}
    goto.fail(REGISTRANT, busy)  # nobody can say whether it is really back
    await home.sweep()
    assert await after(home) == [("registrant.removed", person)]
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", person)


async def test_failing_polls_raise_and_forget_nothing(goto, home):
    webinar, _ = await known(goto, home)
    goto.fail(REGISTRANTS)
    new = goto.register(webinar)
    with pytest.raises(Wait):
        await home.look(webinar)
    await home.look(webinar)
    assert (await home.news())[-1] == ("registrant.added", new)
