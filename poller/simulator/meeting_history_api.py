"""Meetings that were held: the history, who attended, and the calls that remove parts of it.

Shapes and rules: the vendor's GoTo Meeting reference. A range is about when meetings started.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from poller.simulator.answers import Answer
from poller.simulator.desk import Handler, Operation, Visit
from poller.simulator.lister import UNPAGED, Lister, optional_range, required_range, whole
from poller.simulator.meeting_api import BASE
from poller.simulator.meeting_model import Held
from poller.simulator.meeting_shapes import MeetingShapes
from poller.simulator.meeting_warrant import MeetingWarrant
from poller.simulator.model import Span
from poller.simulator.options import ApiOptions
from poller.simulator.world import World

RANGE = ("startDate", "endDate")
LATELY = timedelta(days=30)


class MeetingHistoryApi:
    def __init__(self, world: World, shapes: MeetingShapes, options: ApiOptions, lister: Lister) -> None:
        self._meetings, self._shapes, self._lister = world.meetings, shapes, lister
        self._warrant = MeetingWarrant(world, options)

    def operations(self) -> list[Operation]:
        meeting, organizer = f"{BASE}/meetings/{{meetingId}}", f"{BASE}/organizers/{{organizerKey}}"
        session = f"{organizer}/sessions/{{sessionId}}"
        by_organizer = f"{organizer}/historicalMeetings"
        by_meeting = f"{meeting}/historicalMeetings"
        return [
            Operation("getHistoricalMeetings", "GET", f"{BASE}/historicalMeetings", self._own),
            Operation("getHistoricalMeetingsByMeetingId", "GET", by_meeting, self._of_meeting),
            Operation("getHistoricalMeetingsByOrganizer", "GET", by_organizer, self._of_organizer),
            Operation("getAttendeesByMeeting", "GET", f"{meeting}/attendees", self._attendees),
            Operation("getAttendeesByOrganizer", "GET", f"{organizer}/attendees", self._attendees_of_organizer),
            Operation("deleteMeetingSession", "DELETE", session, self._removing("session")),
            Operation("deleteMeetingSessionAttendees", "DELETE", f"{session}/attendees", self._removing("attendees")),
            Operation(
                "deleteMeetingSessionRecordings", "DELETE", f"{session}/recordings", self._removing("recordings")
            ),
        ]

    # ---- history

    def _own(self, visit: Visit) -> Answer:
        return self._history(visit, visit.caller.person.organizer_key)

    def _of_organizer(self, visit: Visit) -> Answer:
        return self._history(visit, self._warrant.organizer(visit))

    def _history(self, visit: Visit, organizer_key: str) -> Answer:
        asked, mine, book = required_range(visit, *RANGE), {organizer_key}, self._meetings.book
        return self._lister.bare(
            visit, lambda moment: book.history(moment, mine, started=asked), self._shapes.historical
        )

    def _of_meeting(self, visit: Visit) -> Answer:
        """Without a range the last 30 days. Here administrators see only meetings of their own."""
        meeting_id, mine = self._warrant.with_history(visit), {visit.caller.person.organizer_key}
        asked = optional_range(visit, *RANGE, default=Span(visit.now - LATELY, visit.now))
        first, most = whole(visit, "firstResult", 0, least=0), whole(visit, "maxResults", UNPAGED, least=1)

        def shown(moment: datetime) -> list[Held]:
            every = self._meetings.book.history(moment, mine, meeting_id=meeting_id, started=asked)
            return every[first : first + most]

        return self._lister.bare(visit, shown, self._shapes.historical)

    # ---- attendees

    def _attendees(self, visit: Visit) -> Answer:
        self._warrant.identity(visit)
        meeting_id, book = self._warrant.with_history(visit), self._meetings.book
        return self._lister.bare(
            visit, lambda moment: book.attendees(moment, meeting_id=meeting_id), self._shapes.attendee
        )

    def _attendees_of_organizer(self, visit: Visit) -> Answer:
        mine, asked = {self._warrant.organizer(visit, admin=True)}, required_range(visit, *RANGE)
        group_name, book = self._meetings.group_name(*mine), self._meetings.book
        return self._lister.bare(
            visit,
            lambda moment: book.attendees(moment, mine, started=asked),
            lambda row: self._shapes.attendee_of_organizer(row, group_name),
        )

    # ---- removal

    def _removing(self, part: str) -> Handler:
        def remove(visit: Visit) -> Answer:
            self._meetings.remove(self._warrant.session(visit).session_id, part)
            return Answer(204)

        return remove
