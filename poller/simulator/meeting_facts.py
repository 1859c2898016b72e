"""Facts about meetings: their kinds, and how the truth writes what they are about.

The truth says each thing once, whatever list shows it: times are RFC 3339 with Z, null where the API writes an empty
string or leaves the field out, identifiers strings. What moves by itself (a meeting's running status) is not in it,
nor what the lists disagree on (`name`, `duration` and `groupName` of attendees).
"""

from __future__ import annotations

from collections.abc import Mapping

from poller.simulator.meeting_model import Attended, Meeting, MeetingSession, MeetingThing, Recorded
from poller.simulator.shapes import JsonObject, utc

CREATED, CHANGED, CANCELLED = "meeting.created", "meeting.changed", "meeting.cancelled"
ENDED, RECORDING, ATTENDED = "meeting.ended", "meeting.recording.available", "meeting.attended"
# No event: the meeting is off the upcoming list without having been cancelled. It is over, or it was deleted when
# no poll can tell that from being over: without a start that lies ahead, or with a history.
LEFT = "meeting.left"


def canonical(thing: MeetingThing) -> JsonObject:
    if isinstance(thing, Meeting):
        return _meeting(thing)
    if isinstance(thing, MeetingSession):
        return _session(thing)
    if isinstance(thing, Recorded):
        return _session(thing.session) | {"recording": recording(thing.session)}
    return _attended(thing)


def attended_subject(data: Mapping[str, object]) -> str:
    """The truth's subject for an event `meeting.attended` with this data: it has the identity in clear, not hashed."""
    who = f"{data.get('attendeeEmail') or data.get('attendeeName')}@{data.get('joinTime')}"
    return f"meetings/{data.get('meetingId')}/instances/{data.get('meetingInstanceKey')}/attendees/{who}"


def host_fields(meeting: Meeting) -> JsonObject:
    """The person behind the meeting, as every list of meetings names that person."""
    host = meeting.host
    return {"firstName": host.first_name, "lastName": host.last_name, "email": host.email}


def join_url(meeting: Meeting) -> str:
    return f"https://meet.goto.com/{meeting.meeting_id}"


def recording(session: MeetingSession) -> JsonObject:
    made = session.recording
    assert made is not None
    at = f"https://recordings.example.com/{made.recording_id}"
    return {
        "recordingName": session.meeting.subject,
        "recordingId": made.recording_id,
        "downloadUrl": f"{at}/download",
        "fileSize": made.size,
        "shareUrl": at,
        "transcriptUrl": f"{at}/transcript",
        "aiSummaryUrl": f"{at}/summary",
    }


def _common(meeting: Meeting) -> JsonObject:
    return {
        "meetingId": meeting.meeting_id,
        "organizerKey": meeting.organizer_key,
        "accountKey": meeting.host.account_key,
        "subject": meeting.subject,
        "meetingType": meeting.kind,
        "conferenceCallInfo": meeting.conference_call_info,
        "locale": meeting.locale,
        **host_fields(meeting),
    }


def _meeting(meeting: Meeting) -> JsonObject:
    times = meeting.times
    return {
        **_common(meeting),
        "startTime": times and utc(times.start),
        "endTime": times and utc(times.end),
        "passwordRequired": flag(meeting.password_required),
        "joinURL": join_url(meeting),
    }


def _session(session: MeetingSession) -> JsonObject:
    return {
        **_common(session.meeting),
        "sessionId": session.session_id,
        "startTime": utc(session.held.start),
        "endTime": utc(session.held.end),
        "duration": str(session.minutes),
        "numAttendees": str(session.heads),
    }


def _attended(row: Attended) -> JsonObject:
    meeting, visitor = row.session.meeting, row.visitor
    return {
        "meetingId": meeting.meeting_id,
        "meetingInstanceKey": row.session.instance_key,
        "organizerKey": meeting.organizer_key,
        "subject": meeting.subject,
        "meetingType": meeting.kind,
        "attendeeName": visitor.name,
        "attendeeEmail": visitor.email or None,
        "startTime": utc(row.session.held.start),
        "endTime": utc(row.session.held.end),
        "joinTime": utc(visitor.joined),
        "leaveTime": visitor.left and utc(visitor.left),
        **host_fields(meeting),
    }


def flag(value: bool) -> str:
    return "true" if value else "false"
