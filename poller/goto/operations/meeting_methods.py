"""Methods of poller.goto.operations.methods: coroutines, and streams over all pages.

Written by poller.goto.operations.writing from what stands in meeting.py: do not edit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from poller.goto.operations.bodies import MeetingRequest
from poller.goto.operations.calling import Calls
from poller.goto.operations.kinds import Key, Moment
from poller.goto.operations.meeting_answers import (
    GroupAttendee,
    GroupHistoricalMeeting,
    GroupUpcomingMeeting,
    HistoricalMeeting,
    HostUrl,
    Meeting,
    MeetingAttendee,
    MeetingCreated,
    OrganizerAttendee,
    RoomProfile,
    UpcomingMeeting,
)


class MeetingMethods(Calls):
    async def get_upcoming_meetings(self) -> list[UpcomingMeeting]:
        """One's meetings to come and those that run now."""
        result: list[UpcomingMeeting] = await self.perform("getUpcomingMeetings", {})
        return result

    async def get_historical_meetings(self, *, start_date: Moment, end_date: Moment) -> list[HistoricalMeeting]:
        """One's meetings that began in a range and have ended."""
        result: list[HistoricalMeeting] = await self.perform(
            "getHistoricalMeetings", {"startDate": start_date, "endDate": end_date}
        )
        return result

    async def get_historical_meetings_by_meeting_id(
        self,
        meeting_id: Key,
        *,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        first_result: int | None = None,
        max_results: int | None = None,
    ) -> list[HistoricalMeeting]:
        """The held sessions of a meeting; of the last 30 days unless a range is given."""
        result: list[HistoricalMeeting] = await self.perform(
            "getHistoricalMeetingsByMeetingId",
            {
                "meetingId": meeting_id,
                "startDate": start_date,
                "endDate": end_date,
                "firstResult": first_result,
                "maxResults": max_results,
            },
        )
        return result

    def stream_get_historical_meetings_by_meeting_id(
        self, meeting_id: Key, *, start_date: Moment | None = None, end_date: Moment | None = None
    ) -> AsyncIterator[HistoricalMeeting]:
        """The items of get_historical_meetings_by_meeting_id, over all pages."""
        return self.items(
            "getHistoricalMeetingsByMeetingId", {"meetingId": meeting_id, "startDate": start_date, "endDate": end_date}
        )

    async def get_attendees_by_meeting(self, meeting_id: Key) -> list[MeetingAttendee]:
        """Who attended a meeting; needs the scope identity:."""
        result: list[MeetingAttendee] = await self.perform("getAttendeesByMeeting", {"meetingId": meeting_id})
        return result

    async def get_meeting(self, meeting_id: Key) -> list[Meeting]:
        """One meeting, as a list that holds it."""
        result: list[Meeting] = await self.perform("getMeeting", {"meetingId": meeting_id})
        return result

    async def create_meeting(self, body: MeetingRequest) -> list[MeetingCreated]:
        """Schedule a meeting; answers a list that holds it."""
        result: list[MeetingCreated] = await self.perform("createMeeting", {}, body)
        return result

    async def update_meeting(self, meeting_id: Key, body: MeetingRequest) -> None:
        """Change a meeting; everything is said anew."""
        await self.perform("updateMeeting", {"meetingId": meeting_id}, body)

    async def delete_meeting(self, meeting_id: Key) -> None:
        """Delete a meeting."""
        await self.perform("deleteMeeting", {"meetingId": meeting_id})

    async def start_meeting(self, meeting_id: Key) -> HostUrl:
        """The address that starts a meeting; whoever has it is the host."""
        result: HostUrl = await self.perform("startMeeting", {"meetingId": meeting_id})
        return result

    async def get_upcoming_meetings_by_organizer(self, *, organizer_key: Key | None = None) -> list[UpcomingMeeting]:
        """An organizer's meetings to come, for administrators."""
        result: list[UpcomingMeeting] = await self.perform(
            "getUpcomingMeetingsByOrganizer", {"organizerKey": organizer_key}
        )
        return result

    async def get_historical_meetings_by_organizer(
        self, *, start_date: Moment, end_date: Moment, organizer_key: Key | None = None
    ) -> list[HistoricalMeeting]:
        """An organizer's meetings that began in a range and have ended."""
        result: list[HistoricalMeeting] = await self.perform(
            "getHistoricalMeetingsByOrganizer",
            {"organizerKey": organizer_key, "startDate": start_date, "endDate": end_date},
        )
        return result

    async def get_attendees_by_organizer(
        self, *, start_date: Moment, end_date: Moment, organizer_key: Key | None = None
    ) -> list[OrganizerAttendee]:
        """Who attended an organizer's meetings in a range, for administrators."""
        result: list[OrganizerAttendee] = await self.perform(
            "getAttendeesByOrganizer", {"organizerKey": organizer_key, "startDate": start_date, "endDate": end_date}
        )
        return result

    async def delete_meeting_session(self, session_id: Key, *, organizer_key: Key | None = None) -> None:
        """Erase a held session with its attendees and recordings."""
        await self.perform("deleteMeetingSession", {"organizerKey": organizer_key, "sessionId": session_id})

    async def delete_meeting_session_attendees(self, session_id: Key, *, organizer_key: Key | None = None) -> None:
        """Erase the list of those who attended a held session."""
        await self.perform("deleteMeetingSessionAttendees", {"organizerKey": organizer_key, "sessionId": session_id})

    async def delete_meeting_session_recordings(self, session_id: Key, *, organizer_key: Key | None = None) -> None:
        """Erase the recordings of a held session."""
        await self.perform("deleteMeetingSessionRecordings", {"organizerKey": organizer_key, "sessionId": session_id})

    async def get_upcoming_meetings_by_group(self, group_key: Key) -> list[GroupUpcomingMeeting]:
        """A group's meetings to come, for administrators; groups of at most 50 organizers."""
        result: list[GroupUpcomingMeeting] = await self.perform("getUpcomingMeetingsByGroup", {"groupKey": group_key})
        return result

    async def get_historical_meetings_by_group(
        self, group_key: Key, *, start_date: Moment, end_date: Moment
    ) -> list[GroupHistoricalMeeting]:
        """A group's meetings that began in a range and have ended, for administrators."""
        result: list[GroupHistoricalMeeting] = await self.perform(
            "getHistoricalMeetingsByGroup", {"groupKey": group_key, "startDate": start_date, "endDate": end_date}
        )
        return result

    async def get_attendees_by_group(
        self, group_key: Key, *, start_date: Moment, end_date: Moment
    ) -> list[GroupAttendee]:
        """Who attended a group's meetings in a range, for administrators."""
        result: list[GroupAttendee] = await self.perform(
            "getAttendeesByGroup", {"groupKey": group_key, "startDate": start_date, "endDate": end_date}
        )
        return result

    async def get_profile_meeting(self, *, user_key: Key | None = None) -> list[RoomProfile]:
        """The personal meeting rooms of a user."""
        result: list[RoomProfile] = await self.perform("getProfileMeeting", {"userKey": user_key})
        return result
