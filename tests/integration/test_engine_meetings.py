"""GoTo Meeting: what is ahead, what was held, who was there, and what of it is news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from poller.admission import Start
from poller.backfill import Backfill
from poller.errors import PermissionRefused
from poller.roster import HISTORY as HISTORY_LIST
from poller.roster import MEETINGS as MEETING_LIST
from poller.testing import FakeClock
from tests.integration.scripted_goto import HISTORY, MEETING, MEETINGS, PEOPLE, Goto, busy, empty, without
from tests.integration.world import Connection, House, Trigger, begun

HOUR, DAY = 3600.0, 86_400.0


def meeting_connection(name: str = "acme", organizer: str = "1", **fields) -> Connection:
    return Connection(name, organizer, products=("meeting",), **fields)


@pytest.fixture
async def home(goto: Goto, clock: FakeClock):
    made = await begun(goto, clock, meeting_connection())
    yield made
    await made.close()


async def looked(home: House, *seconds: float) -> None:
    for pause in seconds:
        await home.clock.advance(pause)
        await home.sweep()


async def subjects(home: House, *types: str) -> list[tuple[str, str]]:
    return [(e["type"].removeprefix("com.goto."), e["subject"]) for e in await home.events(*types)]


# ── ahead ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_meetings_that_were_there_are_silent_and_a_new_one_is_told_once(goto, clock):
    goto.meeting()
    home = await begun(goto, clock, meeting_connection())
    new = goto.meeting()
    await looked(home, 60, 60, HOUR)
    assert await subjects(home) == [("meeting.created", f"meetings/{new}")]
    (event,) = await home.events()
    data = event["data"]
    assert (event["source"], event["partitionkey"]) == ("/organizers/1", new)
    assert data["startTime"] == goto.span(3 - (HOUR + 120) / DAY)["startTime"]
    assert (data["meetingId"], data["organizerKey"], data["joinURL"]) == (new, "1", f"https://meet.example.com/{new}")
    await home.close()


async def test_a_meeting_without_a_time_has_none(goto, clock, home):
    new = goto.meeting(days=None)
    await home.sweep()
    (event,) = await home.events("meeting.created")
    assert event["subject"] == f"meetings/{new}"
    assert (event["data"]["startTime"], event["data"]["endTime"]) == (None, None)


async def test_what_changed_is_told_and_that_it_is_running_is_not(goto, clock, home):
    meeting = goto.meeting()
    await home.sweep()
    goto.meetings[meeting].body["status"] = "ACTIVE"
    await home.sweep()
    assert len(await home.events()) == 1
    goto.meetings[meeting].body["subject"] = "Moved"
    await home.sweep()
    (event,) = await home.events("meeting.changed")
    assert (event["data"]["changed"], event["data"]["status"]) == (["subject"], "ACTIVE")
    assert event["data"]["previous"] == {"subject": f"Meeting {meeting[-3:]}"}


async def test_the_next_time_of_a_recurring_meeting_is_no_change_once_the_last_has_passed(goto, clock, home):
    meeting = goto.meeting(days=1, meetingType="recurring")
    await home.sweep()
    await clock.advance(2 * DAY)
    goto.meetings[meeting].body["startTime"] = goto.span(5)["startTime"]
    await home.sweep()
    assert await subjects(home, "meeting.changed") == []
    goto.meetings[meeting].body["startTime"] = goto.span(6)["startTime"]
    await home.sweep()
    assert await subjects(home, "meeting.changed") == [("meeting.changed", f"meetings/{meeting}")]


async def test_a_stale_list_is_not_believed(goto, clock, home):
    meeting = goto.meeting()
    await home.sweep()
    old = dict(goto.meetings[meeting].body)
    goto.meetings[meeting].body["subject"] = "New"
    await home.sweep()
    goto.lie(MEETINGS, lambda items: [old])
    await home.sweep(2)
    assert [e["data"]["subject"] for e in await home.events("meeting.changed")] == ["New"]


@pytest.mark.parametrize("knows_history", [True, False], ids=["an empty history", "no history"])
async def test_a_meeting_that_was_called_off_is_cancelled(goto, clock, home, knows_history):
    meeting = goto.meeting()
    await home.sweep()
    if knows_history:
        goto.meetings[meeting].upcoming = goto.meetings[meeting].known = False
    else:
        del goto.meetings[meeting]
    await home.sweep(2)
    assert await subjects(home) == [
        ("meeting.created", f"meetings/{meeting}"),
        ("meeting.cancelled", f"meetings/{meeting}"),
    ]


@pytest.mark.parametrize("lie", [empty, without("417382905")])
async def test_a_list_that_lies_cancels_nothing(goto, clock, home, lie):
    goto.meeting()
    await home.sweep()
    goto.lie(MEETINGS, lie, times=2)
    await looked(home, 60, 60, 600, HOUR)
    assert await subjects(home, "meeting.cancelled") == []


async def test_a_meeting_that_has_begun_or_was_held_is_not_cancelled(goto, clock, home):
    early, over = goto.meeting(days=3), goto.meeting(days=1)
    await home.sweep()
    goto.meet(early)  # somebody began before its time
    for meeting in (early, over):
        goto.meetings[meeting].known = False
        goto.meetings[meeting].upcoming = False
    await clock.advance(DAY + 60)
    await home.settled()
    assert await subjects(home, "meeting.cancelled") == []
    assert goto.count(MEETING, over) == 0  # there was nothing to ask


async def test_while_nothing_can_be_asked_nothing_is_cancelled(goto, clock, home):
    meeting = goto.meeting(days=30)
    await home.sweep()
    goto.meetings[meeting].known = goto.meetings[meeting].upcoming = False
    goto.fail(HISTORY, busy, times=9, fits=meeting)
    await looked(home, 60, 600)
    assert await subjects(home, "meeting.cancelled") == []
    goto.mend()
    await looked(home, HOUR, HOUR)
    assert await subjects(home, "meeting.cancelled") == [("meeting.cancelled", f"meetings/{meeting}")]


# ── held ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_is_told_when_it_shows_in_the_history(goto, clock, home):
    meeting = goto.meeting()
    await home.sweep()
    await clock.advance(HOUR)
    session = goto.meet(meeting, minutes=52)
    await looked(home, 60, 60, DAY, 3 * DAY)
    (event,) = await home.events("meeting.ended")
    assert event["subject"] == f"meetings/{meeting}/sessions/{session}"
    assert (event["data"]["duration"], event["data"]["sessionId"]) == ("52", session)
    assert event["time"] == event["data"]["endTime"]
    assert event["data"]["endTime"].endswith("Z")


async def test_a_meeting_that_was_never_planned_is_told_when_it_was_held(goto, clock, home):
    meeting = goto.meeting(days=None, meetingType="immediate")
    goto.meetings[meeting].upcoming = False
    session = goto.meet(meeting)
    await home.sweep()
    assert await subjects(home) == [("meeting.ended", f"meetings/{meeting}/sessions/{session}")]


async def test_a_meeting_that_ran_for_a_day_and_showed_up_late_is_told(goto, clock, home):
    meeting = goto.meeting()
    await looked(home, *[HOUR] * 30)
    session = goto.meet(meeting, minutes=24 * 60)
    await home.sweep()
    assert ("meeting.ended", f"meetings/{meeting}/sessions/{session}") in await subjects(home)


async def test_an_entry_without_a_session_says_nothing(goto, clock, home):
    meeting = goto.meeting()
    goto.meet(meeting, sessionId=None)
    await home.sweep()
    assert await subjects(home, "meeting.ended") == []
    assert home.roster.target("acme", HISTORY_LIST).polled_at is not None


async def test_a_recording_is_told_when_it_appears_also_of_a_session_from_before_our_time(goto, clock):
    meeting = goto.meeting()
    old = goto.meet(meeting)
    home = await begun(goto, clock, meeting_connection())
    await clock.advance(HOUR)
    new = goto.meet(meeting)
    await home.sweep()
    recording = {"recordingId": "b1a7", "downloadUrl": "https://example.com/d", "fileSize": 1048576}
    for session in (old, new):
        goto.meetings[meeting].sessions[session]["recording"] = recording
    await looked(home, HOUR, 60)
    sessions = f"meetings/{meeting}/sessions"
    assert sorted(await subjects(home)) == [
        ("meeting.ended", f"{sessions}/{new}"),
        ("meeting.recording.available", f"{sessions}/{old}"),
        ("meeting.recording.available", f"{sessions}/{new}"),
    ]
    (event, _) = await home.events("meeting.recording.available")
    assert event["data"]["recording"] == recording
    assert not [name for name in event["data"] if name.startswith("$")]
    await home.close()


async def test_history_before_the_baseline_is_silent_and_stays_so_when_the_window_is_widened(goto, clock):
    meeting = goto.meeting()
    ago = goto.ago
    for days in (2, 20):
        times = {"startTime": ago(days=days, hours=1), "endTime": ago(days=days)}
        goto.meet(meeting, recording={"recordingId": f"r{days}"}, **times)
    home = await begun(goto, clock, meeting_connection())
    home.introduce(meeting_connection(past=timedelta(days=40)))
    await looked(home, 60, HOUR, DAY)
    assert await subjects(home) == []
    assert goto.count(PEOPLE, meeting) == 0
    await home.close()


async def test_history_that_is_asked_for_is_told_as_history(goto, clock):
    meeting = goto.meeting()
    session = goto.meet(meeting, recording={"recordingId": "r"})
    await clock.advance(HOUR)
    goto.join(meeting, session)
    home = await begun(goto, clock, meeting_connection(start=Start(history=True)))
    events = await home.events()
    assert sorted(e["type"].removeprefix("com.goto.") for e in events) == [
        "meeting.attended",
        "meeting.created",
        "meeting.ended",
        "meeting.recording.available",
    ]
    assert all(event["backfill"] for event in events)
    await home.close()


async def test_a_backfill_tells_what_was_silent_once(goto, clock):
    meeting = goto.meeting()
    session = goto.meet(meeting)
    goto.join(meeting, session)
    await clock.advance(DAY)
    home = await begun(goto, clock, meeting_connection())
    since, roots = goto.now().replace(year=2025), (MEETING_LIST, HISTORY_LIST)
    tally = await Backfill(home.engine, home.roster, clock, "acme", since, roots=roots).run(lambda _: None)
    assert dict(tally.found) == {"meeting": 1, "meeting_session": 1, "meeting_attendee": 1}
    again = await Backfill(home.engine, home.roster, clock, "acme", since, roots=roots).run(lambda _: None)
    assert (again.found.total(), len(await home.events())) == (0, 3)
    await home.close()


# ── who was there ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_attended_is_told_once_with_minutes_and_one_identity(goto, clock, home):
    meeting = goto.meeting()
    await clock.advance(HOUR)
    session = goto.meet(meeting, minutes=42)
    goto.join(meeting, session, "Bo@Example.com")
    await looked(home, 60, 300)
    (event,) = await home.events("meeting.attended")
    start, kind, hashed = event["subject"].partition("/attendees/")
    assert start == f"meetings/{meeting}/instances/{int(session) + 1}"
    assert (kind, len(hashed)) == ("/attendees/", 24)
    data = event["data"]
    assert (data["attendanceMinutes"], data["attendeeEmail"], data["email"]) == (
        42,
        "Bo@Example.com",
        "ana@example.com",
    )
    assert (data["meetingId"], data["organizerKey"], data["meetingInstanceKey"]) == (
        meeting,
        "1",
        str(int(session) + 1),
    )
    assert "organizerkey" not in data
    assert event["time"] == data["joinTime"]
    goto.meetings[meeting].people[0]["attendeeEmail"] = "bo@example.com"
    goto.meetings[meeting].people[0]["leaveTime"] = None
    await looked(home, HOUR, DAY, DAY)
    assert len(await home.events("meeting.attended")) == 1


async def test_who_comes_twice_or_without_an_address_is_told_apart(goto, clock, home):
    meeting = goto.meeting()
    await clock.advance(HOUR)
    session = goto.meet(meeting)
    goto.join(meeting, session)
    goto.join(meeting, session, joinTime=goto.ago(minutes=5).replace("Z", ""))
    goto.join(meeting, session, email="", attendeeName="Caller 1")
    goto.join(meeting, session, email="", attendeeName="Caller 2")
    goto.join(meeting, session, email="", attendeeName="")
    await looked(home, 300)
    found = await home.events("meeting.attended")
    assert len({event["subject"] for event in found}) == len(found) == 4


async def test_each_session_of_a_recurring_meeting_brings_its_attendees(goto, clock, home):
    meeting = goto.meeting(days=None)
    for number in range(3):
        await clock.advance(2 * DAY)
        session = goto.meet(meeting)
        goto.join(meeting, session)
        await looked(home, 60, 300)
        assert len(await home.events("meeting.attended")) == number + 1
    await looked(home, *[DAY] * 10)
    calls = goto.count(PEOPLE, meeting)
    assert calls < 30
    await looked(home, *[DAY] * 10)
    assert goto.count(PEOPLE, meeting) == calls


async def test_without_the_scope_for_attendees_everything_else_goes_on(goto, clock, home):
    goto.fail(PEOPLE, lambda: PermissionRefused("GoTo answered 403"), times=999)
    meeting = goto.meeting()
    await clock.advance(HOUR)
    goto.join(meeting, goto.meet(meeting))
    await looked(home, 60, 600)
    other = goto.meeting()
    await home.sweep()
    kinds = [kind for kind, _ in await subjects(home)]
    assert kinds == ["meeting.created", "meeting.ended", "meeting.created"]
    assert (await subjects(home))[-1][1] == f"meetings/{other}"


async def test_a_forgotten_person_did_not_attend(goto, clock, home):
    home.forgotten.add("bo@example.com")
    meeting = goto.meeting()
    await clock.advance(HOUR)
    goto.join(meeting, goto.meet(meeting))
    await looked(home, 300)
    assert await subjects(home, "meeting.attended") == []


# ── whose, and what it costs ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_reads_the_lists_of_all_its_organizers(goto, clock):
    goto.meeting(organizer="5")
    home = await begun(goto, clock, meeting_connection("acme", "account"))
    new = [goto.meeting(organizer=key) for key in ("5", "6")]
    await looked(home, 60)
    assert [event["source"] for event in await home.events()] == [
        "/organizers/5"
    ]  # the other one is new to the account
    await looked(home, HOUR)
    assert [(e["source"], e["subject"]) for e in await home.events()] == [
        ("/organizers/5", f"meetings/{new[0]}"),
        ("/organizers/6", f"meetings/{new[1]}"),
    ]
    home.paused_organizers.add("5")
    goto.meetings[new[0]].upcoming = goto.meetings[new[0]].known = False
    await looked(home, HOUR)
    assert await subjects(home, "meeting.cancelled") == []
    home.paused_organizers.clear()
    await looked(home, HOUR, 60)
    assert await subjects(home, "meeting.cancelled") == [("meeting.cancelled", f"meetings/{new[0]}")]
    await home.close()


async def test_one_organizer_that_is_refused_does_not_hold_up_the_others(goto, clock):
    first = goto.meeting(organizer="5")
    goto.meeting(organizer="6")
    goto.fail(MEETINGS, lambda: PermissionRefused("GoTo answered 403"), times=99, fits="6")
    home = await begun(goto, clock, meeting_connection("acme", "account"))
    goto.meetings[first].body["subject"] = "Changed"
    await looked(home, 60)
    assert await subjects(home) == [("meeting.changed", f"meetings/{first}")]
    await home.close()


async def test_a_meeting_seen_by_two_connections_is_one_event_for_both(goto, clock):
    both = [Trigger("a", connections=["acme"]), Trigger("b", connections=["beta"], sinks=["queue"])]
    home = await begun(goto, clock, meeting_connection(), meeting_connection("beta"), triggers=both)
    meeting = goto.meeting()
    await clock.advance(HOUR)
    session = goto.meet(meeting)
    goto.join(meeting, session)
    await looked(home, 60, 300)
    assert len(await home.events()) == 3
    assert sorted(await home.owed("crm")) == sorted(await home.owed("queue"))
    assert len(await home.owed("crm")) == 3
    await home.close()


@pytest.mark.parametrize(
    ("on", "calls"),
    [
        ("registrant.*", (False, False, False)),
        ("meeting.created", (True, False, False)),
        ("meeting.ended", (False, True, False)),
        ("meeting.attended", (False, True, True)),
    ],
)
async def test_what_no_trigger_could_match_costs_no_call(goto, clock, on, calls):
    home = await begun(goto, clock, meeting_connection(), triggers=[Trigger(on=[on])])
    meeting = goto.meeting()
    await clock.advance(HOUR)
    goto.join(meeting, goto.meet(meeting))
    await looked(home, 60, 600, DAY)
    found = {operation for operation, _, _ in goto.calls}
    assert tuple(operation in found for operation in (MEETINGS, HISTORY, PEOPLE)) == calls
    await home.close()


async def test_both_products_of_one_connection_have_baselines_of_their_own(goto, clock):
    webinar = goto.webinar()
    home = await begun(goto, clock, Connection())
    old = goto.meeting()
    home.introduce(Connection(products=("webinar", "meeting")))
    person = goto.register(webinar)
    await home.sweep()
    new = goto.meeting()
    await looked(home, 60)
    assert await home.news() == [("registrant.added", person), ("meeting.created", new)]
    assert old != new
    await home.close()


async def test_a_restart_and_an_outage_lose_nothing(goto, clock, tmp_path):
    home = await begun(goto, clock, meeting_connection(), path=tmp_path / "poller.db")
    meeting = goto.meeting()
    await home.sweep()
    await home.restart()
    await clock.advance(10 * DAY)
    session = goto.meet(meeting, endTime=goto.ago(days=8), startTime=goto.ago(days=8, hours=1))
    goto.fail(HISTORY, busy, times=1)
    await looked(home, 60, 60)
    assert ("meeting.ended", f"meetings/{meeting}/sessions/{session}") in await subjects(home)
    await home.close()
