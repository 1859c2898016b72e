"""How the API writes meetings: field names, types and the five forms of a time, list by list.

After the vendor's GoTo Meeting reference. Numbers are strings in the meeting and history lists; identifiers are
numbers in the attendee lists, unless the key mode is `strings`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from poller.simulator.meeting_facts import flag, host_fields, join_url, recording
from poller.simulator.meeting_model import Attended, Held, Meeting, MeetingGroup, Upcoming
from poller.simulator.model import Organizer, Span
from poller.simulator.shapes import JsonObject, Shapes

MAX_PARTICIPANTS = 250
PRODUCTS = ("G2M", "G2W")

TimeForm = Callable[[datetime | None], str]


def lone_dot(moment: datetime | None) -> str:
    """A dot without a fraction, then the offset without a colon; empty when no time is set."""
    return f"{moment.isoformat()[:19]}.+0000" if moment else ""


def milliseconds(moment: datetime | None) -> str:
    return f"{moment.isoformat()[:19]}.000Z" if moment else ""


def no_zone(moment: datetime | None) -> str:
    return moment.isoformat()[:19] if moment else ""


class MeetingShapes:
    """Answers about meetings in one key mode."""

    def __init__(self, shapes: Shapes) -> None:
        self._number = shapes.seen_as_number

    # ---- meetings

    def upcoming(self, item: Upcoming) -> JsonObject:
        meeting = item.meeting
        return {
            **_times(meeting.times, lone_dot),
            **_listed(meeting),
            "passwordRequired": flag(meeting.password_required),
            "status": _status(item),
            "conferenceCallInfo": meeting.conference_call_info,
            "joinURL": join_url(meeting),
        }

    def upcoming_of_group(self, item: Upcoming, group_name: str) -> JsonObject:
        """The status is optional here: only what runs has one."""
        meeting = item.meeting
        return {
            **_times(meeting.times, milliseconds),
            **_listed(meeting),
            "passwordRequired": flag(meeting.password_required),
            **({"status": _status(item)} if item.running else {}),
            "joinURL": join_url(meeting),
            "groupName": group_name,
        }

    def by_id(self, item: Upcoming) -> JsonObject:
        """The one object of GET meeting. Co-organizers are left out where there are none."""
        meeting, span = item.meeting, item.meeting.planned
        coorganizers: JsonObject = {"coorganizerKeys": list(meeting.coorganizers)} if meeting.coorganizers else {}
        return {
            **_times(meeting.times, lone_dot),
            "createTime": "",
            "passwordRequired": flag(meeting.password_required),
            "status": _status(item),
            "subject": meeting.subject,
            "conferenceCallInfo": meeting.conference_call_info,
            "maxParticipants": MAX_PARTICIPANTS,
            "meetingId": self._number(meeting.meeting_id),
            "meetingKey": self._number(meeting.meeting_id),
            "uniqueMeetingId": self._number(meeting.meeting_id),
            "meetingType": meeting.kind,
            **coorganizers,
            "joinURL": join_url(meeting),
            "duration": round((span.end - span.start).total_seconds() / 60) if span else 0,
        }

    def created(self, meeting: Meeting) -> JsonObject:
        """The one object that POST meetings answers."""
        return {
            "joinURL": join_url(meeting),
            "meetingid": self._number(meeting.meeting_id),
            "maxParticipants": MAX_PARTICIPANTS,
            "uniqueMeetingId": self._number(meeting.meeting_id),
            "conferenceCallInfo": meeting.conference_call_info,
        }

    # ---- history

    def historical(self, item: Held) -> JsonObject:
        """A session that was removed leaves its meeting behind: nobody came, and there is no session to name."""
        session = item.session
        return {
            **_times(session.held, lone_dot),
            **_listed(session.meeting),
            "duration": str(session.minutes),
            "numAttendees": str(session.heads) if item.kept else "0",
            "sessionId": session.session_id if item.kept else "",
            "conferenceCallInfo": session.meeting.conference_call_info,
            **({"recording": recording(session)} if item.recorded else {}),
        }

    def historical_of_group(self, item: Held, group_name: str) -> JsonObject:
        """No sessionId and no recording; the end is optional here: one in five lacks it."""
        session = item.session
        times = _times(session.held, milliseconds)
        if int(session.session_id) % 5 == 0:
            del times["endTime"]
        return {
            **times,
            **_listed(session.meeting),
            "duration": str(session.minutes),
            "numAttendees": str(session.heads) if item.kept else "0",
            "groupName": group_name,
        }

    # ---- attendees

    def attendee(self, row: Attended) -> JsonObject:
        """Of one meeting: `name` is the attendee, `duration` the meeting's, the group is never named."""
        return {
            **self._row(row, no_zone, no_zone),
            "meetingId": self._number(row.session.meeting.meeting_id),
            "groupName": "NA",
            "name": row.visitor.name,
            "duration": row.session.minutes,
        }

    def attendee_of_organizer(self, row: Attended, group_name: str) -> JsonObject:
        """Of one organizer: `name` is the organizer, `duration` the attendee's."""
        host, meeting_id = row.session.meeting.host, row.session.meeting.meeting_id
        return {
            **self._row(row, no_zone, no_zone),
            "meetingId": self._number(meeting_id),
            "newMeetingId": f"{meeting_id[:3]}-{meeting_id[3:6]}-{meeting_id[6:]}",
            "groupName": group_name,
            "name": f"{host.first_name} {host.last_name}",
            "duration": _stay_minutes(row),
        }

    def attendee_of_group(self, row: Attended, group_name: str) -> JsonObject:
        """Of one group: no `name`, the meeting's id a string, both spellings of the organizer's key."""
        return {
            **self._row(row, milliseconds, milliseconds),
            "meetingId": row.session.meeting.meeting_id,
            "groupName": group_name,
            "organizerKey": row.session.meeting.organizer_key,
            "duration": _stay_minutes(row),
        }

    def _row(self, row: Attended, meeting_time: TimeForm, stay_time: TimeForm) -> JsonObject:
        """What all attendee lists have. Apart from the attendee's two fields, the person is the organizer."""
        session, meeting, visitor = row.session, row.session.meeting, row.visitor
        left: JsonObject = {"leaveTime": stay_time(visitor.left)} if visitor.left else {}
        return {
            **_times(session.held, meeting_time),
            **host_fields(meeting),
            "subject": meeting.subject,
            "conferenceCallInfo": meeting.conference_call_info,
            "numAttendees": session.heads,
            "organizerkey": self._number(meeting.organizer_key),
            "meetingInstanceKey": self._number(session.instance_key),
            "meetingType": meeting.kind,
            "attendeeName": visitor.name,
            "attendeeEmail": visitor.email,
            "joinTime": stay_time(visitor.joined),
            **left,
        }

    # ---- groups and people

    def group(self, group: MeetingGroup) -> JsonObject:
        return {
            "groupkey": self._number(group.group_key),
            "groupName": group.name,
            "parentKey": self._number(group.members[0].account_key),
            "status": "active",
            "numOrganizers": len(group.members),
        }

    def organizer(self, person: Organizer, group: MeetingGroup, *, both_spellings: bool) -> JsonObject:
        """The lower-case spelling of the key is deprecated, and missing from the list of a group."""
        key = self._number(person.organizer_key)
        return {
            "lastName": person.last_name,
            "firstName": person.first_name,
            "email": person.email,
            "groupId": self._number(group.group_key),
            "groupName": group.name,
            "status": "active",
            "organizerKey": key,
            **({"organizerkey": key} if both_spellings else {}),
            "products": list(PRODUCTS),
            "maxNumAttendeesAllowed": MAX_PARTICIPANTS,
        }

    def profile(self, person: Organizer) -> JsonObject:
        """A personal room, its number made from the person's key."""
        return {
            "userKey": person.organizer_key,
            "meetingId": person.organizer_key[-9:],
            "profileId": f"{person.first_name}{person.last_name}".lower(),
            "theme": "default",
            "showMeetMePage": True,
        }


def _times(span: Span | None, form: TimeForm) -> JsonObject:
    start, end = (span.start, span.end) if span else (None, None)
    return {"startTime": form(start), "endTime": form(end)}


def _listed(meeting: Meeting) -> JsonObject:
    """What upcoming and historical lists have in common."""
    return {
        **host_fields(meeting),
        "accountKey": meeting.host.account_key,
        "subject": meeting.subject,
        "locale": meeting.locale,
        "organizerKey": meeting.organizer_key,
        "meetingId": meeting.meeting_id,
        "meetingType": meeting.kind,
    }


def _status(item: Upcoming) -> str:
    return "ACTIVE" if item.running else "INACTIVE"


def _stay_minutes(row: Attended) -> int:
    left = row.visitor.left or row.session.held.end
    return round((left - row.visitor.joined).total_seconds() / 60)
