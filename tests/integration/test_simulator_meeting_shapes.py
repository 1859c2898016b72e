"""The simulator's meeting answers against the field lists of the vendor's GoTo Meeting reference, as read here anew.

A name with a question mark is optional. Every list must hold at least one item, and no field that is not listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from poller.simulator import ApiOptions, Simulator, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import visiting

RANGE = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2027-01-01T00:00:00Z"}

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def int32(value: Any) -> bool:
    return number(value) and abs(value) < 2**31


def like(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(*values: object) -> Check:
    return lambda value: value in values


def some(check: Check) -> Check:
    return lambda value: isinstance(value, list) and bool(value) and all(map(check, value))


SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
LONE_DOT = like(rf"({SECONDS}\.\+0000)?")
MILLISECONDS = like(rf"({SECONDS}\.000Z)?")
NO_ZONE = like(SECONDS)
DIGITS = like(r"\d+")
FLAG = one_of("true", "false")
STATUS = one_of("ACTIVE", "INACTIVE")
KIND = one_of("immediate", "recurring", "scheduled")

HOST = {"lastName": text, "firstName": text, "email": like(r".+@.+")}
LISTED = {**HOST, "accountKey": DIGITS, "subject": text, "locale": text, "organizerKey": DIGITS, "meetingId": DIGITS}

UPCOMING = {
    **LISTED, "startTime": LONE_DOT, "endTime": LONE_DOT, "passwordRequired": FLAG, "status": STATUS,
    "meetingType?": KIND, "conferenceCallInfo": text, "joinURL": like("https://.+"),
}  # fmt: skip
GROUP_UPCOMING = {
    **LISTED, "startTime": MILLISECONDS, "endTime": MILLISECONDS, "passwordRequired": FLAG, "status?": STATUS,
    "meetingType?": KIND, "joinURL": like("https://.+"), "groupName": text,
}  # fmt: skip
RECORDING = {
    "recordingName": text, "recordingId": text, "downloadUrl": text, "fileSize": number, "shareUrl": text,
    "transcriptUrl": text, "aiSummaryUrl": text,
}  # fmt: skip
HISTORICAL = {
    **LISTED, "startTime": LONE_DOT, "endTime": LONE_DOT, "duration": DIGITS, "numAttendees": DIGITS,
    "sessionId": DIGITS, "meetingType?": KIND, "conferenceCallInfo": text,
    "recording?": lambda value: mistakes(value, RECORDING) == [],
}  # fmt: skip
GROUP_HISTORICAL = {
    **LISTED, "startTime": MILLISECONDS, "endTime?": MILLISECONDS, "duration": DIGITS, "numAttendees": DIGITS,
    "meetingType?": KIND, "groupName": text,
}  # fmt: skip
ATTENDEE = {
    **HOST, "groupName": one_of("NA"), "subject": text, "conferenceCallInfo": text, "name": text,
    "attendeeName": text, "attendeeEmail": text, "numAttendees": int32, "organizerkey": number,
    "meetingInstanceKey": number, "meetingId": number, "duration?": int32, "startTime": NO_ZONE, "endTime?": NO_ZONE,
    "joinTime?": NO_ZONE, "leaveTime?": NO_ZONE, "meetingType?": KIND,
}  # fmt: skip
ORGANIZER_ATTENDEE = {**ATTENDEE, "groupName": like("Group .+"), "newMeetingId": like(r"\d{3}-\d{3}-\d{3}")}
GROUP_ATTENDEE = {
    **{name: check for name, check in ATTENDEE.items() if name != "name"},
    "groupName": like("Group .+"), "meetingId": DIGITS, "organizerKey": DIGITS, "startTime": MILLISECONDS,
    "endTime?": MILLISECONDS, "joinTime?": MILLISECONDS, "leaveTime?": MILLISECONDS,
}  # fmt: skip
BY_ID = {
    "createTime": one_of(""), "passwordRequired": FLAG, "status": STATUS, "subject": text, "conferenceCallInfo": text,
    "maxParticipants": int32, "meetingId": number, "meetingKey": number, "uniqueMeetingId": number,
    "meetingType": KIND, "coorganizerKeys?": some(DIGITS), "joinURL": like("https://.+"), "startTime": LONE_DOT,
    "endTime": LONE_DOT, "duration": int32,
}  # fmt: skip
CREATED = {
    "joinURL": text, "meetingid": number, "maxParticipants": int32, "uniqueMeetingId": number,
    "conferenceCallInfo": text,
}  # fmt: skip
GROUP = {"groupkey": number, "groupName": text, "parentKey": number, "status": text, "numOrganizers": int32}
MEMBER = {
    **HOST, "groupId": number, "groupName": text, "status": one_of("active", "suspended", "inactive"),
    "organizerKey": number, "products": some(one_of("G2M", "G2W", "G2T", "OPENVOICE", "G2ASEEIT", "G2ARS", "G2ASD")),
    "maxNumAttendeesAllowed": int32,
}  # fmt: skip
ORGANIZER = {**MEMBER, "organizerkey?": number}
PROFILE = {
    "userKey": text, "meetingId": text, "profileId": text, "theme": text,
    "showMeetMePage": lambda value: isinstance(value, bool),
}  # fmt: skip


def mistakes(item: dict, schema: dict[str, Check]) -> list[str]:
    """What is wrong with an item; pure."""
    checks = {name.removesuffix("?"): check for name, check in schema.items()}
    required = {name for name in schema if not name.endswith("?")}
    wrong = [f"{name}: {value!r}" for name, value in item.items() if name in checks and not checks[name](value)]
    missing, unknown = sorted(required - set(item)), sorted(set(item) - set(checks))
    return [*wrong, *(f"missing {name}" for name in missing), *(f"unknown {name}" for name in unknown)]


def test_the_check_itself_sees_what_is_wrong() -> None:
    sound = {"groupkey": 1, "groupName": "A", "parentKey": 2, "status": "active", "numOrganizers": 3}
    assert mistakes(sound, GROUP) == []
    assert mistakes({**sound, "groupkey": "1"}, GROUP) == ["groupkey: '1'"]
    assert mistakes({**sound, "more": 1}, GROUP) == ["unknown more"]
    assert mistakes({}, {"a?": text, "b": text}) == ["missing b"]


async def admin_of(guest) -> None:
    await guest.log_in(guest.sim.world.admin.pat)


@pytest.fixture
async def guest():
    """A world with every kind of meeting, some of them running, and a history with recordings."""
    clock = FakeClock()
    options = WorldOptions(
        organizers=2,
        webinars=0,
        rate_per_minute=0,
        meetings=40,
        meeting_rate_per_minute=2.0,
        meeting_recording_delay_seconds=0,
    )
    async with visiting(Simulator(options, clock=clock)) as visitor:
        await clock.advance(2000)
        visitor.sim.world.pause_arrivals()
        host, other = visitor.sim.world.organizers
        visitor.sim.world.meetings.create(host.organizer_key, coorganizers=(other.organizer_key,))
        yield visitor


async def sound(guest, path: str, schema: dict[str, Check], **query: str) -> list[dict]:
    reply = await guest.get(path, **query)
    assert reply.status == 200, reply.body
    assert isinstance(reply.json, list)
    assert reply.json
    assert {mistake for item in reply.json for mistake in mistakes(item, schema)} == set()
    return reply.json


async def test_upcoming_meetings_are_as_documented_with_or_without_times(guest):
    items = await sound(guest, "/G2M/rest/upcomingMeetings", UPCOMING)
    assert {item["status"] for item in items} == {"ACTIVE", "INACTIVE"}
    assert {item["meetingType"] for item in items} == {"immediate", "recurring", "scheduled"}
    assert {(item["meetingType"] == "scheduled", item["startTime"] == "") for item in items} == {
        (True, False), (False, True),
    }  # fmt: skip
    await admin_of(guest)
    home = f"/G2M/rest/organizers/{guest.sim.world.organizers[0].organizer_key}"
    assert await sound(guest, f"{home}/upcomingMeetings", UPCOMING) == items


async def test_histories_are_as_documented_with_and_without_recordings(guest):
    items = await sound(guest, "/G2M/rest/historicalMeetings", HISTORICAL, **RANGE)
    assert {"recording" in item for item in items} == {True, False}
    one = f"/G2M/rest/meetings/{items[0]['meetingId']}/historicalMeetings"
    assert items[0] in await sound(guest, one, HISTORICAL, **RANGE)
    home = f"/G2M/rest/organizers/{items[0]['organizerKey']}"
    assert await sound(guest, f"{home}/historicalMeetings", HISTORICAL, **RANGE) == items


async def test_each_attendee_list_has_its_own_fields_and_times(guest):
    await admin_of(guest)
    host = guest.sim.world.organizers[0].organizer_key
    of_organizer = await sound(guest, f"/G2M/rest/organizers/{host}/attendees", ORGANIZER_ATTENDEE, **RANGE)
    first = of_organizer[0]
    of_meeting = await sound(guest, f"/G2M/rest/meetings/{first['meetingId']}/attendees", ATTENDEE)
    group = (await guest.get("/G2M/rest/groups")).json[0]["groupkey"]
    of_group = await sound(guest, f"/G2M/rest/groups/{group}/attendees", GROUP_ATTENDEE, **RANGE)

    def identity(item):
        return str(item["meetingInstanceKey"]), item["attendeeName"], item["joinTime"][:19]

    same = [next(i for i in items if identity(i) == identity(first)) for items in (of_meeting, of_group)]
    assert {item["attendeeEmail"] for item in (first, *same)} == {first["attendeeEmail"]}
    assert same[0]["name"] == first["attendeeName"] != first["name"]
    assert {str(item["organizerkey"]) for item in (first, *same)} == {host} == {same[1]["organizerKey"]}
    assert "" in {item["attendeeEmail"] for item in of_group}


async def test_one_meeting_is_an_array_of_one(guest):
    seen = set()
    for item in (await guest.get("/G2M/rest/upcomingMeetings")).json:
        (one,) = await sound(guest, f"/G2M/rest/meetings/{item['meetingId']}", BY_ID)
        assert {name: one[name] for name in ("subject", "startTime", "status", "joinURL", "passwordRequired")} == {
            name: item[name] for name in ("subject", "startTime", "status", "joinURL", "passwordRequired")
        }
        seen.add("coorganizerKeys" in one)
    assert seen == {True, False}


async def test_lists_of_groups_are_as_documented(guest):
    await admin_of(guest)
    (group,) = await sound(guest, "/G2M/rest/groups", GROUP)
    home = f"/G2M/rest/groups/{group['groupkey']}"
    upcoming = await sound(guest, f"{home}/upcomingMeetings", GROUP_UPCOMING)
    assert {"status" in item for item in upcoming} == {True, False}
    history = await sound(guest, f"{home}/historicalMeetings", GROUP_HISTORICAL, **RANGE)
    assert {"endTime" in item for item in history} == {True, False}
    members = await sound(guest, f"{home}/organizers", MEMBER)
    assert len(members) == group["numOrganizers"] == 2
    everybody = await sound(guest, "/G2M/rest/organizers", ORGANIZER)
    assert [person["organizerKey"] for person in everybody] == [person["organizerKey"] for person in members]


async def test_what_making_starting_and_the_room_answer_is_as_documented(guest):
    body = {
        "subject": "New", "starttime": "2029-07-01T22:00:00Z", "endtime": "2029-07-01T23:00:00Z",
        "passwordrequired": False, "conferencecallinfo": "Hybrid", "timezonekey": "", "meetingtype": "scheduled",
    }  # fmt: skip
    made = await guest.call("POST", "/G2M/rest/meetings", json=body)
    assert made.status == 201
    (item,) = made.json
    assert mistakes(item, CREATED) == []
    start = (await guest.get(f"/G2M/rest/meetings/{item['meetingid']}/start")).json
    assert mistakes(start, {"hostURL": like("https://.+")}) == []
    key = guest.sim.world.organizers[0].organizer_key
    await sound(guest, "/meeting-room/v1/profiles", PROFILE, userKey=key)


async def test_identifiers_may_be_strings_everywhere():
    options = WorldOptions(webinars=0, meetings=20)
    async with visiting(Simulator(options, clock=FakeClock(), api=ApiOptions(keys="strings"))) as guest:
        held = (await guest.get("/G2M/rest/historicalMeetings", **RANGE)).json
        attended = next(item["meetingId"] for item in held if item["numAttendees"] != "0")
        row = (await guest.get(f"/G2M/rest/meetings/{attended}/attendees")).json[0]
        one = (await guest.get(f"/G2M/rest/meetings/{attended}")).json[0]
        keys = [row[name] for name in ("organizerkey", "meetingInstanceKey", "meetingId")]
        assert all(isinstance(key, str) for key in [*keys, one["meetingId"], one["meetingKey"]])
