"""The living operations of GoTo Meeting 1.0: the vendor's reference page. The names are ours, the vendor gives none.

Deprecated ones are left out; raw requests reach them. Every list comes whole, but the history of one meeting.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

from poller.goto.operations import bodies, meeting_answers
from poller.goto.operations.kinds import KEY, MOMENT, Key, Moment, number
from poller.goto.operations.spec import Operation, Paging, Parameter

_ORGANIZER: Final = Parameter("organizerKey", "path", Annotated[Key, KEY], required=True)
_GROUP: Final = Parameter("groupKey", "path", Annotated[Key, KEY], required=True)
_MEETING: Final = Parameter("meetingId", "path", Annotated[Key, KEY], required=True)
_SESSION: Final = Parameter("sessionId", "path", Annotated[Key, KEY], required=True)
_FROM: Final = Parameter("startDate", "query", Annotated[Moment, MOMENT], required=True)
_TO: Final = Parameter("endDate", "query", Annotated[Moment, MOMENT], required=True)
_SINCE: Final = Parameter("startDate", "query", Annotated[Moment, MOMENT])
_UNTIL: Final = Parameter("endDate", "query", Annotated[Moment, MOMENT])
_FIRST: Final = Parameter("firstResult", "query", Annotated[int, number(0)])
_MOST: Final = Parameter("maxResults", "query", Annotated[int, number(1)])
_USER: Final = Parameter("userKey", "query", Annotated[Key, KEY], required=True)

_HELD: Final = Paging(
    "firstResult", "maxResults", (), ("meetingId", "sessionId"), meeting_answers.HistoricalMeeting, offset=True
)
_ONE: Final = "/meetings/{meetingId}"
_OWN: Final = "/organizers/{organizerKey}"
_HELD_SESSION: Final = f"{_OWN}/sessions/{{sessionId}}"
_IN_GROUP: Final = "/groups/{groupKey}"


_MEETING_API: Final = (
    Operation(
        "getUpcomingMeetings",
        "Meetings",
        "GET",
        "/upcomingMeetings",
        "One's meetings to come and those that run now",
        list[meeting_answers.UpcomingMeeting],
        (),
    ),
    Operation(
        "getHistoricalMeetings",
        "Meetings",
        "GET",
        "/historicalMeetings",
        "One's meetings that began in a range and have ended",
        list[meeting_answers.HistoricalMeeting],
        (_FROM, _TO),
    ),
    Operation(
        "getHistoricalMeetingsByMeetingId",
        "Meetings",
        "GET",
        f"{_ONE}/historicalMeetings",
        "The held sessions of a meeting; of the last 30 days unless a range is given",
        list[meeting_answers.HistoricalMeeting],
        (_MEETING, _SINCE, _UNTIL, _FIRST, _MOST),
        paging=_HELD,
    ),
    Operation(
        "getAttendeesByMeeting",
        "Meetings",
        "GET",
        f"{_ONE}/attendees",
        "Who attended a meeting; needs the scope identity:",
        list[meeting_answers.MeetingAttendee],
        (_MEETING,),
    ),
    Operation(
        "getMeeting",
        "Meetings",
        "GET",
        _ONE,
        "One meeting, as a list that holds it",
        list[meeting_answers.Meeting],
        (_MEETING,),
    ),
    Operation(
        "createMeeting",
        "Meetings",
        "POST",
        "/meetings",
        "Schedule a meeting; answers a list that holds it",
        list[meeting_answers.MeetingCreated],
        (),
        body=bodies.MeetingRequest,
        look="getUpcomingMeetings",
    ),
    Operation(
        "updateMeeting",
        "Meetings",
        "PUT",
        _ONE,
        "Change a meeting; everything is said anew",
        None,
        (_MEETING,),
        body=bodies.MeetingRequest,
        look="getMeeting",
    ),
    Operation(
        "deleteMeeting",
        "Meetings",
        "DELETE",
        _ONE,
        "Delete a meeting",
        None,
        (_MEETING,),
        look="getMeeting",
    ),
    Operation(
        "startMeeting",
        "Meetings",
        "GET",
        f"{_ONE}/start",
        "The address that starts a meeting; whoever has it is the host",
        meeting_answers.HostUrl,
        (_MEETING,),
    ),
    Operation(
        "getUpcomingMeetingsByOrganizer",
        "Meetings of an organizer",
        "GET",
        f"{_OWN}/upcomingMeetings",
        "An organizer's meetings to come, for administrators",
        list[meeting_answers.UpcomingMeeting],
        (_ORGANIZER,),
    ),
    Operation(
        "getHistoricalMeetingsByOrganizer",
        "Meetings of an organizer",
        "GET",
        f"{_OWN}/historicalMeetings",
        "An organizer's meetings that began in a range and have ended",
        list[meeting_answers.HistoricalMeeting],
        (_ORGANIZER, _FROM, _TO),
    ),
    Operation(
        "getAttendeesByOrganizer",
        "Meetings of an organizer",
        "GET",
        f"{_OWN}/attendees",
        "Who attended an organizer's meetings in a range, for administrators",
        list[meeting_answers.OrganizerAttendee],
        (_ORGANIZER, _FROM, _TO),
    ),
    Operation(
        "deleteMeetingSession",
        "Meetings of an organizer",
        "DELETE",
        _HELD_SESSION,
        "Erase a held session with its attendees and recordings",
        None,
        (_ORGANIZER, _SESSION),
        look="getHistoricalMeetings",
        erases=True,
    ),
    Operation(
        "deleteMeetingSessionAttendees",
        "Meetings of an organizer",
        "DELETE",
        f"{_HELD_SESSION}/attendees",
        "Erase the list of those who attended a held session",
        None,
        (_ORGANIZER, _SESSION),
        look="getAttendeesByMeeting",
        erases=True,
    ),
    Operation(
        "deleteMeetingSessionRecordings",
        "Meetings of an organizer",
        "DELETE",
        f"{_HELD_SESSION}/recordings",
        "Erase the recordings of a held session",
        None,
        (_ORGANIZER, _SESSION),
        look="getHistoricalMeetings",
        erases=True,
    ),
    Operation(
        "getUpcomingMeetingsByGroup",
        "Meetings of a group",
        "GET",
        f"{_IN_GROUP}/upcomingMeetings",
        "A group's meetings to come, for administrators; groups of at most 50 organizers",
        list[meeting_answers.GroupUpcomingMeeting],
        (_GROUP,),
    ),
    Operation(
        "getHistoricalMeetingsByGroup",
        "Meetings of a group",
        "GET",
        f"{_IN_GROUP}/historicalMeetings",
        "A group's meetings that began in a range and have ended, for administrators",
        list[meeting_answers.GroupHistoricalMeeting],
        (_GROUP, _FROM, _TO),
    ),
    Operation(
        "getAttendeesByGroup",
        "Meetings of a group",
        "GET",
        f"{_IN_GROUP}/attendees",
        "Who attended a group's meetings in a range, for administrators",
        list[meeting_answers.GroupAttendee],
        (_GROUP, _FROM, _TO),
    ),
)

MEETINGS: Final = tuple(replace(operation, product="meeting") for operation in _MEETING_API)

ROOMS: Final = (
    Operation(
        "getProfileMeeting",
        "Meeting rooms",
        "GET",
        "/profiles",
        "The personal meeting rooms of a user",
        list[meeting_answers.RoomProfile],
        (_USER,),
        product="room",
    ),
)
