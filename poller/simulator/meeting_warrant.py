"""Whether the caller may see the meetings that the path names, by the vendor's marks: role and scope."""

from __future__ import annotations

from poller.simulator.answers import bad_request, not_yours, unknown
from poller.simulator.desk import Visit
from poller.simulator.meeting_model import Meeting, MeetingGroup, MeetingSession
from poller.simulator.options import ApiOptions
from poller.simulator.roster import UnknownKeyError
from poller.simulator.warrant import Warrant
from poller.simulator.world import World

IDENTITY_SCOPE = "identity:"
LARGEST_GROUP = 50


class MeetingWarrant:
    def __init__(self, world: World, options: ApiOptions) -> None:
        self._world, self._options = world, options
        self._organizers = Warrant(world)

    def identity(self, visit: Visit) -> None:
        """The client needs the scope, unless the option lifts the rule."""
        if self._options.identity_scope and not visit.caller.may(IDENTITY_SCOPE):
            raise not_yours()

    def admin(self, visit: Visit) -> None:
        if not visit.caller.person.admin:
            raise not_yours()

    def organizer(self, visit: Visit, *, admin: bool = False) -> str:
        """The organizerKey of the path; asking for somebody else needs the scope. `admin`: the caller must be one."""
        if admin:
            self.admin(visit)
        asked = self._organizers.organizer(visit)
        if asked != visit.caller.person.organizer_key:
            self.identity(visit)
        return asked

    def meeting(self, visit: Visit) -> Meeting:
        """The meeting of the path, if it exists and is the caller's, or the caller administers the account."""
        try:
            meeting = self._world.meetings.meeting(_meeting_id(visit))
        except UnknownKeyError:
            raise unknown("Meeting") from None
        if not self._may_see(visit, meeting):
            raise unknown("Meeting")
        return meeting

    def with_history(self, visit: Visit) -> str:
        """The id of a meeting of the path that exists, or that did and was held: its history outlives it."""
        meeting_id, book = _meeting_id(visit), self._world.meetings.book
        sessions = book.history(visit.now, meeting_id=meeting_id)
        if book.meeting(meeting_id, visit.now) is None and sessions:
            if self._may_see(visit, sessions[0].session.meeting):
                return meeting_id
            raise unknown("Meeting")
        return self.meeting(visit).meeting_id

    def session(self, visit: Visit) -> MeetingSession:
        """The session of the path, held by the organizer of the path."""
        organizer_key = self.organizer(visit)
        try:
            session = self._world.meetings.session(visit.path["sessionId"])
        except UnknownKeyError:
            raise unknown("Session") from None
        if session.meeting.organizer_key != organizer_key:
            raise unknown("Session")
        return session

    def group(self, visit: Visit) -> MeetingGroup:
        """The group of the path, for administrators with the scope."""
        self.admin(visit)
        self.identity(visit)
        for group in self._world.meetings.groups:
            if group.group_key == visit.path["groupKey"]:
                return group
        raise unknown("Group")

    def small_group(self, visit: Visit) -> MeetingGroup:
        """As `group`: lists of meetings serve no group of more than fifty organizers."""
        group = self.group(visit)
        if len(group.members) > LARGEST_GROUP:
            raise bad_request(f"The group has more than {LARGEST_GROUP} organizers.")
        return group

    def _may_see(self, visit: Visit, meeting: Meeting) -> bool:
        caller = visit.caller.person
        return caller.admin or caller.organizer_key in (meeting.organizer_key, *meeting.coorganizers)


def _meeting_id(visit: Visit) -> str:
    meeting_id = visit.path["meetingId"]
    if not meeting_id.isdecimal():
        raise bad_request("meetingId must be numeric.")
    return meeting_id
