"""GoTo Meeting in one normal form: five spellings of a time, keys as texts, and what is nobody's to see left out."""

from __future__ import annotations

import msgspec
import pytest

from poller.errors import Malformed, PermissionRefused, Wait
from poller.roster import HISTORY, MEETINGS
from poller.sources import MeetingAttendeeSource, MeetingSessionSource, MeetingSource, Readers
from poller.sources.meeting_shapes import normal_meeting
from poller.sources.meeting_times import parse, rfc3339
from poller.testing import START, FakeClock
from state.records import Scope, Target
from tests.integration.scripted_goto import MEETING, Goto
from tests.integration.scripted_goto import MEETINGS as UPCOMING

UNUSED = {"since": START, "until": START}


@pytest.fixture
def goto() -> Goto:
    return Goto(FakeClock())


def readers(goto: Goto, organizer: str = "1", **fields) -> Readers:
    client = goto.client(organizer)
    options = {"account": organizer == "account", "organizer_key": organizer, "now": goto.now, **fields}
    return Readers(client, **options)  # type: ignore[arg-type]


def meetings(goto: Goto, organizer: str = "1", **fields) -> MeetingSource:
    return MeetingSource(goto.client(organizer), readers(goto, organizer, **fields))  # type: ignore[arg-type]


# ── times and shapes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "2021-07-01T23:00:00.+0000",
        "2021-07-01T23:00:00.000+0000",
        "2021-07-01T23:00:00.000Z",
        "2021-07-01T23:00:00",
        "2021-07-01T23:00:00Z",
        "2021-07-01T23:00:00+00:00",
        "2021-07-02T01:00:00.+0200",
    ],
)
def test_all_forms_of_a_time_are_one_moment(text):
    assert rfc3339(text) == "2021-07-01T23:00:00Z"


@pytest.mark.parametrize("value", ["soon", "2021-13-01T00:00:00Z", 7, None, ["2021-07-01T23:00:00"], "9999-99"])
def test_what_is_no_time_stays_as_it_came(value):
    assert parse(value) is None
    assert rfc3339(value) == value


def test_no_time_is_null_and_parts_of_seconds_are_kept():
    assert rfc3339("") is None
    assert rfc3339("2021-07-01T23:00:00.25Z") == "2021-07-01T23:00:00.250Z"


def test_keys_are_texts_in_one_spelling_and_secrets_are_not_there():
    assert normal_meeting(
        {
            "organizerkey": 5511973216410820613,
            "meetingid": 417382905,
            "meetingInstanceKey": 91550021,
            "uniqueMeetingId": 417382905,
            "status": "active",
            "startTime": "",
            "hostURL": "https://secret.example.com",
            "joinURL": "https://meet.example.com/1",
            "passwordRequired": "false",
        }
    ) == {
        "organizerKey": "5511973216410820613",
        "meetingId": "417382905",
        "meetingInstanceKey": "91550021",
        "uniqueMeetingId": "417382905",
        "status": "ACTIVE",
        "startTime": None,
        "joinURL": "https://meet.example.com/1",
        "passwordRequired": "false",
    }


def test_where_both_spellings_come_the_usual_one_counts():
    assert normal_meeting({"organizerkey": 1, "organizerKey": "2"}) == {"organizerKey": "2"}


# ── walking and asking ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_bytes_are_not_read_again(goto):
    goto.meeting()
    source = meetings(goto)
    first = await source.walk(Target("acme", MEETINGS), **UNUSED)
    assert (await source.walk(Target("acme", MEETINGS, digest=first.digest), **UNUSED)).unchanged
    goto.meeting()
    again = await source.walk(Target("acme", MEETINGS, digest=first.digest), **UNUSED)
    assert (again.unchanged, again.complete, len(again.records)) == (False, True, 2)


@pytest.mark.parametrize("fields", [{"meetingId": None}, {"subject": 7}, {"startTime": 1}])
async def test_garbage_among_them_is_set_aside(goto, fields):
    good = goto.meeting()
    goto.meeting(**fields)
    walk = await meetings(goto).walk(Target("acme", MEETINGS), **UNUSED)
    assert [record.key for record in walk.records] == [good]
    assert (walk.complete, walk.read_through, walk.set_aside) == (False, True, 1)


async def test_lists_of_an_account_that_break_off_keep_what_was_read(goto):
    keys = [goto.meeting(organizer=str(number)) for number in (5, 6, 7)]
    goto.fail(UPCOMING, lambda: Wait("503"), fits="7")
    walk = await meetings(goto, "account", organizer_key="").walk(Target("acme", MEETINGS), **UNUSED)
    assert [record.key for record in walk.records] == keys[:2]
    assert (walk.complete, walk.read_through, type(walk.problem)) == (False, False, Wait)


async def test_the_organizers_of_an_account_are_asked_for_once_an_hour_and_those_of_the_settings_do_without(goto):
    first = goto.meeting(organizer="5")
    target = Target("acme", MEETINGS)
    source = meetings(goto, "account", organizer_key="")
    assert (await source.walk(target, **UNUSED)).calls == 3
    assert (await source.walk(target, **UNUSED)).calls == 2
    goto.fail("organizers", lambda: PermissionRefused("403"), times=9)
    refused = meetings(goto, "account", organizer_key="", known=["5"])
    assert [record.key for record in (await refused.walk(target, **UNUSED)).records] == [first]


async def test_by_its_id_a_meeting_agrees_with_its_list(goto):
    key = goto.meeting()
    source = meetings(goto)
    (listed,) = (await source.walk(Target("acme", MEETINGS), **UNUSED)).records
    shown = await source.confirm(Target("acme", MEETINGS), key)
    assert shown is not None
    assert source.compare(listed.body, shown, START) is None
    assert source.merge(listed.body, shown, START) == listed.body
    goto.shape = lambda operation, item: {**item, "meetingId": 5} if operation == MEETING else item
    with pytest.raises(Malformed):
        await source.confirm(Target("acme", MEETINGS), key)


async def test_an_entry_of_the_history_is_a_record_and_its_recording_another(goto):
    meeting = goto.meeting()
    session = goto.meet(meeting, recording={"recordingId": "b1a7"})
    goto.meet(meeting, sessionId="")
    source = MeetingSessionSource(goto.client("1"), readers(goto))  # type: ignore[arg-type]
    walk = await source.walk(Target("acme", HISTORY), since=START.replace(year=2025), until=START)
    assert [record.key for record in walk.records] == [f"{meeting}/{session}", f"{meeting}/{session}/recording"]
    assert walk.complete
    ended, recorded = (source.facts(Target("acme", HISTORY), record.body) for record in walk.records)
    assert (ended.type, recorded.type) == ("meeting.ended", "meeting.recording.available")
    assert ended.subject == recorded.subject == f"meetings/{meeting}/sessions/{session}"
    assert ended.order < recorded.order
    assert (ended.sequel_of, recorded.sequel_of) == ("", f"{meeting}/{session}")


def test_minutes_come_from_joining_and_leaving():
    source = MeetingAttendeeSource(None)  # type: ignore[arg-type]
    target = Target("acme", Scope("meeting_attendee", "4"), organizer_key="1")

    def minutes(**fields) -> object:
        item = {"meetingInstanceKey": "9", "attendeeName": "Bo", "duration": 52, **fields}
        return source.facts(target, msgspec.json.encode(item)).data["attendanceMinutes"]

    assert minutes(joinTime="2026-02-10T17:01:10Z", leaveTime="2026-02-10T17:50:02Z") == 49
    assert minutes(joinTime="2026-02-10T17:01:10Z", leaveTime="2026-02-10T17:00:00Z") == 0
    assert minutes(joinTime="2026-02-10T17:01:10Z", leaveTime=None) is None
