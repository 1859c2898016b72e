"""The simulated GoTo Meeting API over a real socket: what each call does, to whom it answers, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from poller.simulator import ApiOptions, Simulator, Span, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import visiting

REST = "/G2M/rest"
EMPTY = WorldOptions(webinars=0, registrants=0, rate_per_minute=0, meeting_held_share=1.0)
RANGE = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2027-01-01T00:00:00Z"}
BODY = {
    "subject": "Budget",
    "starttime": "2026-07-01T22:00:00Z",
    "endtime": "2026-07-01T23:00:00Z",
    "passwordrequired": True,
    "conferencecallinfo": "VoIP",
    "timezonekey": "",
    "meetingtype": "scheduled",
}


def empty(clock=None, organizers=1, world=EMPTY, **api) -> Simulator:
    return Simulator(replace(world, organizers=organizers), clock=clock or FakeClock(), api=ApiOptions(**api))


async def upcoming(guest) -> dict[str, dict]:
    return {item["meetingId"]: item for item in (await guest.get(f"{REST}/upcomingMeetings")).json}


async def history(guest, **query) -> list[dict]:
    return (await guest.get(f"{REST}/historicalMeetings", **{**RANGE, **query})).json


async def test_a_meeting_is_made_changed_and_deleted():
    async with visiting(empty()) as guest:
        meeting_id = str((await guest.call("POST", f"{REST}/meetings", json=BODY)).json[0]["meetingid"])
        item = (await upcoming(guest))[meeting_id]
        assert (item["subject"], item["passwordRequired"]) == ("Budget", "true")
        assert (item["startTime"], item["endTime"]) == ("2026-07-01T22:00:00.+0000", "2026-07-01T23:00:00.+0000")
        one = f"{REST}/meetings/{meeting_id}"
        changed = await guest.call("PUT", one, json={**BODY, "subject": "a < b", "passwordrequired": False})
        assert (changed.status, changed.body) == (204, b"")
        item = (await upcoming(guest))[meeting_id]
        assert (item["subject"], item["passwordRequired"]) == ("a &lt; b", "false")
        assert (await guest.call("DELETE", one)).status == 204
        assert await upcoming(guest) == {}
        reply = await guest.get(one)
        assert (reply.status, reply.json["errorCode"]) == (404, "NotFound")
        kinds = [fact.kind for fact in guest.sim.world.truth.facts]
        assert kinds == ["meeting.created", "meeting.changed", "meeting.cancelled"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": ""},
        {"subject": "x" * 101},
        {"starttime": "2020-07-01T22:00:00Z"},
        {"starttime": "2026-07-01T22:00:00"},
        {"endtime": "2026-07-01T21:00:00Z"},
        {"passwordrequired": "true"},
        {"conferencecallinfo": ""},
        {"meetingtype": "daily"},
    ],
)
async def test_a_meeting_without_its_sound_fields_is_refused(wrong):
    async with visiting(empty()) as guest:
        reply = await guest.call("POST", f"{REST}/meetings", json={**BODY, **wrong})
        assert reply.status == 400
        assert set(reply.json) == {"errorCode", "description", "incident"}
        assert await upcoming(guest) == {}


@pytest.mark.parametrize("kind", ["recurring", "immediate"])
async def test_recurring_and_immediate_meetings_have_empty_times(kind):
    async with visiting(empty()) as guest:
        await guest.call("POST", f"{REST}/meetings", json={**BODY, "meetingtype": kind})
        (item,) = (await upcoming(guest)).values()
        assert (item["startTime"], item["endTime"], item["meetingType"]) == ("", "", kind)
        assert item["status"] == ("ACTIVE" if kind == "immediate" else "INACTIVE")


async def test_a_running_meeting_is_active_cannot_be_changed_or_deleted_and_is_no_history_yet():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        world = guest.sim.world
        meeting = world.meetings.create(kind="recurring")
        world.meetings.start(meeting.meeting_id)
        one = f"{REST}/meetings/{meeting.meeting_id}"
        assert (await upcoming(guest))[meeting.meeting_id]["status"] == "ACTIVE"
        assert (await guest.get(one)).json[0]["status"] == "ACTIVE"
        assert (await guest.call("PUT", one, json=BODY)).status == 400
        assert (await guest.call("DELETE", one)).status == 409
        assert await history(guest) == []
        await clock.advance(60)
        world.meetings.end(meeting.meeting_id)
        assert (await upcoming(guest))[meeting.meeting_id]["status"] == "INACTIVE"
        (item,) = await history(guest)
        assert (item["meetingId"], item["duration"]) == (meeting.meeting_id, "1")


@pytest.mark.parametrize(("mode", "status"), [("kept", 200), ("gone", 404)])
async def test_a_meeting_that_is_over_is_still_found_or_gone_by_the_chosen_habit(mode, status):
    clock = FakeClock()
    async with visiting(empty(clock, ended_meetings=mode)) as guest:
        meeting = guest.sim.world.meetings.create(kind="immediate")
        one = f"{REST}/meetings/{meeting.meeting_id}"
        assert (await guest.get(one)).status == 200
        guest.sim.world.meetings.end(meeting.meeting_id)
        await clock.advance(2)
        assert await upcoming(guest) == {}
        assert (await guest.get(one)).status == status
        assert len(await history(guest)) == 1


async def test_a_range_is_about_when_meetings_started_and_is_required():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        meetings = guest.sim.world.meetings
        meeting = meetings.create(kind="recurring")
        starts = []
        for _ in range(3):
            starts.append(meetings.hold(meeting.meeting_id).held.start)
            await clock.advance(600)
        found = await history(guest, startDate=starts[1].isoformat(), endDate=(starts[2]).isoformat())
        assert [item["startTime"] for item in found] == [f"{starts[1]:%Y-%m-%dT%H:%M:%S}.+0000"]
        assert len({item["sessionId"] for item in await history(guest)}) == 3
        for query in ({}, {"startDate": RANGE["startDate"]}, {**RANGE, "endDate": "2027-01-01T00:00:00"}):
            assert (await guest.get(f"{REST}/historicalMeetings", **query)).status == 400


async def test_the_history_of_one_meeting_goes_back_thirty_days_and_can_be_read_in_pieces():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        meetings = guest.sim.world.meetings
        meeting = meetings.create(kind="recurring", planned=None, every=None)
        path = f"{REST}/meetings/{meeting.meeting_id}/historicalMeetings"
        sessions = []
        for _ in range(4):
            sessions.append(meetings.hold(meeting.meeting_id).session_id)
            await clock.advance(9 * 86400)
        await guest.log_in()

        async def ids(**query):
            return [item["sessionId"] for item in (await guest.get(path, **query)).json]

        assert await ids() == sessions[1:]
        assert await ids(**RANGE) == sessions
        assert await ids(**RANGE, firstResult=1, maxResults=2) == sessions[1:3]
        assert (await guest.get(path, maxResults=0)).status == 400


async def test_the_history_of_a_deleted_meeting_and_its_attendees_stay():
    async with visiting(empty()) as guest:
        meetings = guest.sim.world.meetings
        meeting = meetings.create()
        session = meetings.hold(meeting.meeting_id)
        meetings.cancel(meeting.meeting_id)
        one = f"{REST}/meetings/{meeting.meeting_id}"
        assert (await guest.get(one)).status == 404
        assert [item["sessionId"] for item in (await guest.get(f"{one}/historicalMeetings")).json] == [
            session.session_id
        ]
        assert len((await guest.get(f"{one}/attendees")).json) == len(session.visitors)


async def test_an_attendee_list_has_each_stay_and_the_two_durations():
    async with visiting(empty()) as guest:
        world = guest.sim.world
        meeting = world.meetings.create()
        start = world.now - timedelta(minutes=30)
        stays = [("Bo Lind", "bo@example.org", 1, 5), ("Ann", "", 2, 30), ("Bo Lind", "bo@example.org", 10, 28)]

        def moment(minute):
            return (start + timedelta(minutes=minute)).isoformat()

        guests = [
            {"name": name, "email": email, "joinTime": moment(joined), "leaveTime": moment(left)}
            for name, email, joined, left in stays
        ]
        action = {"action": "hold-meeting", "meetingId": meeting.meeting_id, "guests": guests, "recorded": False}
        held = (await guest.call("POST", "/_simulator/actions", json=action)).json["results"][0]
        rows = (await guest.get(f"{REST}/meetings/{meeting.meeting_id}/attendees")).json
        assert [(row["attendeeName"], row["attendeeEmail"]) for row in rows] == [stay[:2] for stay in stays]
        assert {str(row["meetingInstanceKey"]) for row in rows} == {held["meetingInstanceKey"]}
        assert {(row["duration"], row["numAttendees"]) for row in rows} == {(30, 2)}
        await guest.log_in(world.admin.pat)
        home = f"{REST}/organizers/{meeting.organizer_key}"
        assert [row["duration"] for row in (await guest.get(f"{home}/attendees", **RANGE)).json] == [4, 28, 18]


async def test_a_recording_appears_on_its_history_entry_later():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        meeting = guest.sim.world.meetings.create()
        guest.sim.world.meetings.hold(meeting.meeting_id, recorded=True)
        (item,) = await history(guest)
        assert "recording" not in item
        await clock.advance(600)
        (later,) = await history(guest)
        assert later.pop("recording")["recordingName"] == meeting.subject
        assert later == item


async def test_removing_recordings_attendees_and_the_session_removes_just_that():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        meeting = guest.sim.world.meetings.create()
        guests = [{"name": "Bo Lind"}]
        action = {"action": "hold-meeting", "meetingId": meeting.meeting_id, "guests": guests, "recorded": True}
        await guest.call("POST", "/_simulator/actions", json=action)
        await clock.advance(600)
        (item,) = await history(guest)
        attendees = f"{REST}/meetings/{meeting.meeting_id}/attendees"
        session = f"{REST}/organizers/{meeting.organizer_key}/sessions/{item['sessionId']}"
        assert (await guest.call("DELETE", f"{session}/recordings")).status == 204
        (item,) = await history(guest)
        assert "recording" not in item
        assert len((await guest.get(attendees)).json) == 1
        assert (await guest.call("DELETE", f"{session}/attendees")).status == 204
        assert (await guest.get(attendees)).json == []
        assert (await guest.call("DELETE", session)).status == 204
        assert await history(guest) == [{**item, "sessionId": "", "numAttendees": "0"}]
        assert (await guest.call("DELETE", session)).status == 404


async def test_somebody_elses_meeting_is_404_and_somebody_elses_lists_are_403():
    async with visiting(empty(organizers=2)) as guest:
        world = guest.sim.world
        mine, other = world.organizers
        meeting = world.meetings.create(other.organizer_key)
        session = world.meetings.hold(meeting.meeting_id)
        one, home = f"{REST}/meetings/{meeting.meeting_id}", f"{REST}/organizers/{other.organizer_key}"
        for path in (one, f"{one}/historicalMeetings", f"{one}/attendees", f"{one}/start"):
            assert (await guest.get(path)).status == 404, path
        for method, path in (("PUT", one), ("DELETE", one)):
            assert (await guest.call(method, path, json=BODY)).status == 404
        for path in (f"{home}/historicalMeetings", f"{home}/upcomingMeetings", f"{home}/attendees"):
            assert (await guest.get(path, **RANGE)).status == 403, path
        assert (await guest.call("DELETE", f"{home}/sessions/{session.session_id}")).status == 403
        assert (await guest.get("/meeting-room/v1/profiles", userKey=other.organizer_key)).status == 403
        assert (await guest.get(f"{REST}/meetings/nonsense")).status == 400
        assert await upcoming(guest) == {}
        assert await history(guest) == []
        assert mine.organizer_key != meeting.organizer_key


async def test_lists_of_organizers_and_groups_are_for_administrators():
    async with visiting(empty(organizers=2)) as guest:
        world = guest.sim.world
        own, group = world.organizers[0].organizer_key, world.meetings.groups[0].group_key
        paths = [
            f"{REST}/organizers/{own}/upcomingMeetings", f"{REST}/organizers/{own}/attendees", f"{REST}/groups",
            f"{REST}/organizers", f"{REST}/groups/{group}/organizers", f"{REST}/groups/{group}/upcomingMeetings",
            f"{REST}/groups/{group}/historicalMeetings", f"{REST}/groups/{group}/attendees",
        ]  # fmt: skip
        assert [(await guest.get(path, **RANGE)).status for path in paths] == [403] * len(paths)
        await guest.log_in(world.admin.pat)
        assert [(await guest.get(path, **RANGE)).status for path in paths] == [200] * len(paths)
        assert (await guest.get(f"{REST}/groups/1/organizers")).status == 404
        email = world.organizers[1].email
        assert [person["email"] for person in (await guest.get(f"{REST}/organizers", email=email)).json] == [email]


async def test_a_group_of_more_than_fifty_organizers_has_no_lists_of_meetings():
    world = replace(EMPTY, meeting_group_size=60)
    async with visiting(empty(organizers=51, world=world)) as guest:
        await guest.log_in(guest.sim.world.admin.pat)
        home = f"{REST}/groups/{guest.sim.world.meetings.groups[0].group_key}"
        for name in ("upcomingMeetings", "historicalMeetings", "attendees"):
            assert (await guest.get(f"{home}/{name}", **RANGE)).status == 400
        assert len((await guest.get(f"{home}/organizers")).json) == 51


async def needs_of(sim: Simulator) -> dict[str, int]:
    """The status of each call that somebody may make for meetings, own ones and others'."""
    async with visiting(sim) as guest:
        world = sim.world
        own, group = world.organizers[0].organizer_key, world.meetings.groups[0].group_key
        meeting = world.meetings.create(own)
        statuses = {
            name: (await guest.get(f"{REST}/{path}", **RANGE)).status
            for name, path in {
                "own upcoming": "upcomingMeetings",
                "own history": "historicalMeetings",
                "own history by key": f"organizers/{own}/historicalMeetings",
                "attendees": f"meetings/{meeting.meeting_id}/attendees",
            }.items()
        }
        await guest.log_in(world.admin.pat)
        others = {
            "other's upcoming": f"organizers/{own}/upcomingMeetings",
            "other's attendees": f"organizers/{own}/attendees",
            "groups": "groups",
            "group's upcoming": f"groups/{group}/upcomingMeetings",
        }
        return statuses | {name: (await guest.get(f"{REST}/{path}", **RANGE)).status for name, path in others.items()}


async def test_without_the_identity_scope_attendees_other_organizers_and_groups_are_refused():
    statuses = await needs_of(empty(scopes="collab: identity:scim.me"))
    assert statuses == {
        "own upcoming": 200, "own history": 200, "own history by key": 200, "attendees": 403,
        "other's upcoming": 403, "other's attendees": 403, "groups": 403, "group's upcoming": 403,
    }  # fmt: skip


async def test_the_rule_of_the_identity_scope_can_be_lifted():
    statuses = await needs_of(empty(scopes="collab: identity:scim.me", identity_scope=False))
    assert set(statuses.values()) == {200}


async def test_an_expired_token_is_403_invalid_token_as_for_webinars():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        await clock.advance(3600)
        reply = await guest.get(f"{REST}/upcomingMeetings")
        assert (reply.status, reply.json["int_err_code"]) == (403, "InvalidToken")


async def test_actions_on_meetings_show_in_the_api_and_in_the_truth():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:

        async def act(**action):
            reply = await guest.call("POST", "/_simulator/actions", json=action)
            assert reply.status == 200, reply.body
            return reply.json["results"][0]

        times = {"startTime": "2026-06-01T10:00:00+02:00", "endTime": "2026-06-01T11:00:00+02:00"}
        made = await act(action="create-meeting", subject="Roadmap", times=times)
        assert (made["startTime"], made["endTime"]) == ("2026-06-01T08:00:00Z", "2026-06-01T09:00:00Z")
        one = {"meetingId": made["meetingId"]}
        await act(action="change-meeting", subject="Road map", **one)
        assert (await upcoming(guest))[made["meetingId"]]["subject"] == "Road map"
        await act(action="start-meeting", **one)
        await clock.advance(60)
        ended = await act(action="end-meeting", **one)
        assert [item["sessionId"] for item in await history(guest)] == [ended["sessionId"]]
        await act(action="cancel-meeting", visibleIn=60, **one)
        assert list(await upcoming(guest)) == [made["meetingId"]]
        await clock.advance(60)
        assert await upcoming(guest) == {}
        facts = (await guest.get("/_simulator/truth", initial="no")).json["facts"]
        kinds = [fact["kind"] for fact in facts if fact["kind"] != "meeting.attended"]
        assert kinds == ["meeting.created", "meeting.changed", "meeting.ended", "meeting.left"]


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"action": "create-meeting", "meetingType": "immediate", "times": {
            "startTime": "2026-06-01T10:00:00Z", "endTime": "2026-06-01T11:00:00Z"}}, "immediate"),
        ({"action": "create-meeting", "organizerKey": "1"}, "no such key"),
        ({"action": "end-meeting", "meetingId": "1"}, "no such key"),
        ({"action": "hold-meeting", "meetingId": "1", "guests": [{"email": "a@example.org"}]}, "name"),
    ],
)  # fmt: skip
async def test_a_wrong_action_on_a_meeting_is_refused_with_a_reason(action, says):
    async with visiting(empty()) as guest:
        reply = await guest.call("POST", "/_simulator/actions", json=action)
        assert reply.status == 400
        assert says in str(reply.json)


async def test_a_planned_meeting_is_held_while_nobody_asks():
    clock = FakeClock()
    async with visiting(empty(clock)) as guest:
        start = guest.sim.world.now + timedelta(minutes=10)
        meeting = guest.sim.world.meetings.create(planned=Span(start, start + timedelta(minutes=20)))
        await clock.advance(3599)
        assert await upcoming(guest) == {}
        (item,) = await history(guest)
        assert (item["meetingId"], item["startTime"]) == (meeting.meeting_id, f"{start:%Y-%m-%dT%H:%M:%S}.+0000")
