"""Groups of organizers and their meetings: all for administrators with the scope `identity:`.

Shapes and rules: the vendor's GoTo Meeting reference; of its deprecated calls those that find groups and organizers.
"""

from __future__ import annotations

from poller.simulator.answers import Answer, json_answer
from poller.simulator.desk import Operation, Visit
from poller.simulator.lister import Lister, required_range
from poller.simulator.meeting_api import BASE
from poller.simulator.meeting_history_api import RANGE
from poller.simulator.meeting_shapes import MeetingShapes
from poller.simulator.meeting_warrant import MeetingWarrant
from poller.simulator.options import ApiOptions
from poller.simulator.world import World


class MeetingGroupApi:
    def __init__(self, world: World, shapes: MeetingShapes, options: ApiOptions, lister: Lister) -> None:
        self._meetings, self._shapes, self._lister = world.meetings, shapes, lister
        self._warrant = MeetingWarrant(world, options)

    def operations(self) -> list[Operation]:
        group = f"{BASE}/groups/{{groupKey}}"
        return [
            Operation("getUpcomingMeetingsByGroup", "GET", f"{group}/upcomingMeetings", self._upcoming),
            Operation("getHistoricalMeetingsByGroup", "GET", f"{group}/historicalMeetings", self._history),
            Operation("getAttendeesByGroup", "GET", f"{group}/attendees", self._attendees),
            Operation("getGroups", "GET", f"{BASE}/groups", self._groups),
            Operation("getOrganizersByGroup", "GET", f"{group}/organizers", self._members),
            Operation("getOrganizers", "GET", f"{BASE}/organizers", self._organizers),
        ]

    def _upcoming(self, visit: Visit) -> Answer:
        group, book = self._warrant.small_group(visit), self._meetings.book
        return self._lister.bare(
            visit,
            lambda moment: book.upcoming(moment, group.keys),
            lambda item: self._shapes.upcoming_of_group(item, group.name),
        )

    def _history(self, visit: Visit) -> Answer:
        group, book, asked = self._warrant.small_group(visit), self._meetings.book, required_range(visit, *RANGE)
        return self._lister.bare(
            visit,
            lambda moment: book.history(moment, group.keys, started=asked),
            lambda item: self._shapes.historical_of_group(item, group.name),
        )

    def _attendees(self, visit: Visit) -> Answer:
        group, book, asked = self._warrant.small_group(visit), self._meetings.book, required_range(visit, *RANGE)
        return self._lister.bare(
            visit,
            lambda moment: book.attendees(moment, group.keys, started=asked),
            lambda row: self._shapes.attendee_of_group(row, group.name),
        )

    # ---- deprecated: which groups and organizers there are

    def _groups(self, visit: Visit) -> Answer:
        self._warrant.admin(visit)
        self._warrant.identity(visit)
        return json_answer([self._shapes.group(group) for group in self._meetings.groups])

    def _members(self, visit: Visit) -> Answer:
        group = self._warrant.group(visit)
        return json_answer([self._shapes.organizer(person, group, both_spellings=False) for person in group.members])

    def _organizers(self, visit: Visit) -> Answer:
        """With `email` only this one."""
        self._warrant.admin(visit)
        self._warrant.identity(visit)
        asked = visit.query.get("email")
        return json_answer(
            [
                self._shapes.organizer(person, group, both_spellings=True)
                for group in self._meetings.groups
                for person in group.members
                if asked in (None, person.email)
            ]
        )
