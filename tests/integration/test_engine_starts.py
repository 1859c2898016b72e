"""What begins is told once, to triggers that name it, and costs nothing without one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from poller.admission import Start
from poller.testing import FakeClock
from tests.integration.scripted_goto import MEETINGS, RUNNING, Goto, busy, empty
from tests.integration.world import Connection, House, Trigger, begun

HOUR = 3600.0
WEBINAR, MEETING = "webinar.session.started", "meeting.started"
BOTH = Connection(products=("webinar", "meeting"))


@pytest.fixture
async def home(goto: Goto, clock: FakeClock) -> AsyncIterator[House]:
    made = await begun(goto, clock, BOTH, triggers=[Trigger(), Trigger(name="live", on=(WEBINAR, MEETING))])
    yield made
    await made.close()


async def looked(home: House, seconds: float = 120) -> list[tuple[str, str]]:
    """What was told to have begun, after a pass over everything."""
    await home.clock.advance(seconds)
    await home.sweep()
    return [(kind, key) for kind, key in await home.news() if kind in (WEBINAR, MEETING)]


def runs(goto: Goto, meeting: str, status: str = "ACTIVE") -> None:
    goto.meetings[meeting].body["status"] = status


@pytest.mark.parametrize("on", [("*",), ("webinar.*", "meeting.*"), ("webinar.session.*",), ("*.started",)])
async def test_without_a_trigger_that_names_them_no_call_is_spent_and_nothing_told(goto, clock, on):
    home = await begun(goto, clock, BOTH, triggers=[Trigger(on=on)])
    webinar, meeting = goto.webinar(days=0), goto.meeting(days=0)
    goto.webinars[webinar].runs = True
    before = goto.count(MEETINGS)
    runs(goto, meeting)
    assert await looked(home) == []
    assert goto.count(RUNNING) == 0
    assert goto.count(MEETINGS) <= before + 1
    await home.close()


async def test_a_trigger_for_starts_alone_reads_nothing_else(goto, clock):
    home = await begun(goto, clock, triggers=[Trigger(on=(WEBINAR,))])
    webinar = goto.webinar(days=0)
    goto.webinars[webinar].runs = True
    assert len(await looked(home)) == 1
    assert {operation for operation, _, _ in goto.calls} == {RUNNING}
    await home.close()


async def test_a_webinar_that_begins_is_told_once_with_its_planned_time(goto, clock, home):
    webinar = goto.webinar(days=1 / 24)
    assert await looked(home) == []
    planned = goto.webinars[webinar].times_[0]["startTime"]
    await clock.advance(HOUR)
    goto.webinars[webinar].runs = True
    assert await looked(home) == [(WEBINAR, planned)]
    (event,) = await home.events(WEBINAR)
    data = event["data"]
    assert event["subject"] == f"webinars/{webinar}/starts/{planned}"
    assert (event["partitionkey"], event["source"]) == (webinar, "/organizers/1")
    assert (data["webinarKey"], data["webinarSubject"]) == (webinar, goto.webinars[webinar].body["subject"])
    assert (data["plannedStart"], data["inSession"]) == (planned, True)
    assert "backfill" not in event
    assert [row.key for _, row in (await home.store.explain(f"{webinar}/{planned}")).records] == [
        f"{webinar}/{planned}"
    ]
    assert len(await home.owed()) == len(await home.stored())


async def test_neither_a_restart_nor_a_gap_tells_it_again(goto, clock, tmp_path):
    triggers = [Trigger(on=(WEBINAR, MEETING))]
    home = await begun(goto, clock, BOTH, triggers=triggers, path=tmp_path / "state.db")
    webinar, meeting = goto.webinar(days=0), goto.meeting(days=0)
    goto.webinars[webinar].runs = True
    runs(goto, meeting)
    told = await looked(home)
    assert sorted(kind for kind, _ in told) == [MEETING, WEBINAR]
    await home.restart()
    assert await looked(home) == told
    goto.lie(RUNNING, empty)
    goto.lie(MEETINGS, empty, times=2)
    assert await looked(home) == told
    goto.fail(RUNNING, busy)
    assert await looked(home) == told
    assert await looked(home) == told
    await home.close()


async def test_each_time_of_a_sequence_begins_on_its_own(goto, clock, home):
    times = [goto.span(1), goto.span(8)]
    webinar = goto.webinar(recurrenceType="sequence", times=times)
    told = []
    for days, time in ((1, times[0]), (7, times[1])):
        await clock.advance(days * 24 * HOUR)
        goto.webinars[webinar].runs = True
        told.append((WEBINAR, time["startTime"]))
        assert await looked(home) == told
        assert await looked(home, 1800) == told
        goto.webinars[webinar].runs = False
        await looked(home)


async def test_one_that_begins_early_is_the_one_that_was_planned(goto, clock, home):
    webinar = goto.webinar(days=1 / 24)
    planned = goto.webinars[webinar].times_[0]["startTime"]
    await clock.advance(HOUR / 2)
    goto.webinars[webinar].runs = True
    assert await looked(home) == [(WEBINAR, planned)]
    assert await looked(home, HOUR) == [(WEBINAR, planned)]


async def test_what_runs_at_the_first_look_has_begun_before(goto, clock):
    webinar, meeting = goto.webinar(days=0), goto.meeting(days=0)
    goto.webinars[webinar].runs = True
    runs(goto, meeting)
    home = await begun(goto, clock, BOTH, triggers=[Trigger(on=(WEBINAR, MEETING))])
    assert await looked(home) == []
    await home.close()


async def test_of_two_organizers_of_a_webinar_only_the_first_tells_it(goto, clock):
    both = (Connection("a", "1"), Connection("b", "2"))
    home = await begun(goto, clock, *both, triggers=[Trigger(on=(WEBINAR,))])
    webinar = goto.webinar(organizers="12", days=0)
    goto.webinars[webinar].runs = True
    assert len(await looked(home)) == 1
    assert len(await home.owed()) == 1
    await home.close()


async def test_a_meeting_that_begins_is_told_each_time(goto, clock, home):
    meeting = goto.meeting(days=None)
    assert await looked(home) == []
    for times in (1, 2, 3):
        runs(goto, meeting)
        assert await looked(home) == [(MEETING, meeting)] * times
        runs(goto, meeting, "INACTIVE")
        assert await looked(home, HOUR) == [(MEETING, meeting)] * times
        await looked(home, HOUR)
    events = await home.events(MEETING)
    assert len({event["id"] for event in events}) == 3
    assert {event["data"]["status"] for event in events} == {"ACTIVE"}
    assert not [name for event in events for name in event["data"] if name.startswith("$")]


async def test_a_meeting_at_once_is_told_although_it_was_never_ahead(goto, clock, home):
    meeting = goto.meeting(days=None, meetingType="immediate", status="ACTIVE")
    assert await looked(home) == [(MEETING, meeting)]


async def test_a_list_that_shows_an_old_copy_begins_nothing_again(goto, clock, home):
    meeting = goto.meeting(days=None)
    await looked(home)
    runs(goto, meeting)
    assert await looked(home) == [(MEETING, meeting)]
    goto.lie(MEETINGS, lambda items: [{**item, "status": "INACTIVE"} for item in items], times=2)
    assert await looked(home) == [(MEETING, meeting)]
    assert await looked(home) == [(MEETING, meeting)]


async def test_with_history_wanted_only_what_runs_is_told(goto, clock):
    idle, running = goto.meeting(days=None), goto.meeting(days=None)
    runs(goto, running)
    first = Connection(products=("meeting",), start=Start(history=True))
    home = await begun(goto, clock, first, triggers=[Trigger(on=(MEETING,))])
    (event,) = await home.events(MEETING)
    assert (event["data"]["meetingId"], event["backfill"]) == (running, True)
    runs(goto, idle)
    assert (MEETING, idle) in await looked(home)
    await home.close()


async def test_a_garbled_entry_does_not_hide_the_others(goto, clock, home):
    good, bad = goto.webinar(days=0), goto.webinar(days=0, subject="bad")
    for key in (good, bad):
        goto.webinars[key].runs = True
    goto.shape = lambda operation, item: (
        {**item, "webinarKey": None} if operation == RUNNING and item["subject"] == "bad" else item
    )
    await looked(home)
    (event,) = await home.events(WEBINAR)
    assert event["data"]["webinarKey"] == good
