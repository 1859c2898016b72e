"""Meetings: upcoming ones, one by its id, and the calls that make, change, delete and start one.

Shapes and rules: the vendor's GoTo Meeting reference. Where it names no error, the webinar side's are answered.
"""

from __future__ import annotations

from poller.simulator.answers import Answer, application_error, bad_request, json_answer, not_yours, unknown
from poller.simulator.desk import Operation, Visit
from poller.simulator.lister import Lister
from poller.simulator.meeting_model import Meeting, Upcoming
from poller.simulator.meeting_request import parse_meeting
from poller.simulator.meeting_shapes import MeetingShapes
from poller.simulator.meeting_warrant import MeetingWarrant
from poller.simulator.options import ApiOptions
from poller.simulator.world import World

BASE = "/G2M/rest"


class MeetingApi:
    def __init__(self, world: World, shapes: MeetingShapes, options: ApiOptions, lister: Lister) -> None:
        self._world, self._shapes, self._options, self._lister = world, shapes, options, lister
        self._meetings = world.meetings
        self._warrant = MeetingWarrant(world, options)

    def operations(self) -> list[Operation]:
        one = f"{BASE}/meetings/{{meetingId}}"
        of_organizer = f"{BASE}/organizers/{{organizerKey}}/upcomingMeetings"
        return [
            Operation("getUpcomingMeetings", "GET", f"{BASE}/upcomingMeetings", self._own),
            Operation("getUpcomingMeetingsByOrganizer", "GET", of_organizer, self._of_organizer),
            Operation("getMeeting", "GET", one, self._get),
            Operation("createMeeting", "POST", f"{BASE}/meetings", self._create),
            Operation("updateMeeting", "PUT", one, self._change),
            Operation("deleteMeeting", "DELETE", one, self._delete),
            Operation("startMeeting", "GET", f"{one}/start", self._start),
            Operation("getProfileMeeting", "GET", "/meeting-room/v1/profiles", self._profile),
        ]

    # ---- lists

    def _own(self, visit: Visit) -> Answer:
        return self._upcoming(visit, visit.caller.person.organizer_key)

    def _of_organizer(self, visit: Visit) -> Answer:
        return self._upcoming(visit, self._warrant.organizer(visit, admin=True))

    def _upcoming(self, visit: Visit, organizer_key: str) -> Answer:
        book, mine = self._meetings.book, {organizer_key}
        return self._lister.bare(visit, lambda moment: book.upcoming(moment, mine), self._shapes.upcoming)

    # ---- one meeting

    def _get(self, visit: Visit) -> Answer:
        """An array of one. Whether a meeting that is over is still there is documented nowhere: an option."""
        meeting = self._warrant.meeting(visit)
        if self._options.ended_meetings == "gone" and self._meetings.book.over(meeting, visit.now):
            raise unknown("Meeting")
        return json_answer([self._shapes.by_id(Upcoming(meeting, self._runs(visit, meeting)))])

    def _create(self, visit: Visit) -> Answer:
        fields = parse_meeting(visit.body, visit.now)
        meeting = self._meetings.create(visit.caller.person.organizer_key, **fields)
        return json_answer([self._shapes.created(meeting)], 201)

    def _change(self, visit: Visit) -> Answer:
        """The body replaces everything."""
        meeting = self._warrant.meeting(visit)
        if self._runs(visit, meeting) or self._meetings.book.over(meeting, visit.now):
            raise bad_request("The meeting is in progress or has ended.")
        self._meetings.change(meeting.meeting_id, **parse_meeting(visit.body, visit.now))
        return Answer(204)

    def _delete(self, visit: Visit) -> Answer:
        meeting = self._warrant.meeting(visit)
        if self._runs(visit, meeting):
            raise application_error(409, "MeetingInSession", "The meeting is in session.")
        self._meetings.cancel(meeting.meeting_id)
        return Answer(204)

    def _start(self, visit: Visit) -> Answer:
        """A link that only its organizer gets, and that nobody else should: it opens the meeting as its host."""
        meeting = self._warrant.meeting(visit)
        if visit.caller.person.organizer_key != meeting.organizer_key:
            raise not_yours()
        return json_answer({"hostURL": f"https://meet.goto.com/host/{meeting.meeting_id}?authToken=simulated"})

    def _runs(self, visit: Visit, meeting: Meeting) -> bool:
        return self._meetings.book.runs(meeting.meeting_id, visit.now)

    # ---- personal rooms

    def _profile(self, visit: Visit) -> Answer:
        """On a host of its own. One's own profile, or for the administrator anybody's."""
        asked, caller = visit.query.get("userKey"), visit.caller.person
        if not asked:
            raise bad_request("userKey is required.")
        found = [person for person in self._world.people if person.organizer_key == asked]
        if not found or not (caller.admin or asked == caller.organizer_key):
            raise not_yours()
        return json_answer([self._shapes.profile(person) for person in found])
