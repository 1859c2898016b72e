"""Methods of poller.goto.operations.methods: coroutines, and streams over all pages.

Written by poller.goto.operations.writing from what stands in webinar.py: do not edit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from poller.goto.operations.bodies import (
    AssetSearch,
    AssetSearchForAdmin,
    AudioChanges,
    NewWebinar,
    WebinarChanges,
    WebinarCopy,
)
from poller.goto.operations.calling import Calls
from poller.goto.operations.kinds import Key, Moment
from poller.goto.operations.people_answers import AttendancePage, Attendee, AttendeeQuestion, Participation, Poll
from poller.goto.operations.webinar_answers import (
    Asset,
    AssetsPage,
    Audio,
    CopiedWebinar,
    CreatedWebinar,
    InSessionWebinar,
    ListedWebinar,
    RecordingAssetsPage,
    Session,
    SessionPerformance,
    SessionsPage,
    StartUrl,
    TimeRange,
    Webinar,
    WebinarsPage,
)


class WebinarMethods(Calls):
    async def get_webinars(
        self,
        *,
        from_time: Moment,
        to_time: Moment,
        organizer_key: Key | None = None,
        page: int | None = None,
        size: int | None = None,
    ) -> WebinarsPage:
        """An organizer's webinars whose own times lie in a range."""
        result: WebinarsPage = await self.perform(
            "getWebinars",
            {"organizerKey": organizer_key, "fromTime": from_time, "toTime": to_time, "page": page, "size": size},
        )
        return result

    def stream_get_webinars(
        self, *, from_time: Moment, to_time: Moment, organizer_key: Key | None = None
    ) -> AsyncIterator[ListedWebinar]:
        """The items of get_webinars, over all pages."""
        return self.items("getWebinars", {"organizerKey": organizer_key, "fromTime": from_time, "toTime": to_time})

    async def get_all_account_webinars(
        self,
        *,
        from_time: Moment,
        to_time: Moment,
        account_key: Key | None = None,
        page: int | None = None,
        size: int | None = None,
    ) -> WebinarsPage:
        """The webinars of all organizers of an account, for its administrators."""
        result: WebinarsPage = await self.perform(
            "getAllAccountWebinars",
            {"accountKey": account_key, "fromTime": from_time, "toTime": to_time, "page": page, "size": size},
        )
        return result

    def stream_get_all_account_webinars(
        self, *, from_time: Moment, to_time: Moment, account_key: Key | None = None
    ) -> AsyncIterator[ListedWebinar]:
        """The items of get_all_account_webinars, over all pages."""
        return self.items(
            "getAllAccountWebinars", {"accountKey": account_key, "fromTime": from_time, "toTime": to_time}
        )

    async def get_in_session_webinars(
        self, *, organizer_key: Key | None = None, from_time: Moment | None = None, to_time: Moment | None = None
    ) -> list[InSessionWebinar]:
        """Webinars that are running now."""
        result: list[InSessionWebinar] = await self.perform(
            "getInSessionWebinars", {"organizerKey": organizer_key, "fromTime": from_time, "toTime": to_time}
        )
        return result

    async def get_webinar(self, webinar_key: Key, *, organizer_key: Key | None = None) -> Webinar:
        """One webinar."""
        result: Webinar = await self.perform("getWebinar", {"organizerKey": organizer_key, "webinarKey": webinar_key})
        return result

    async def create_webinar(self, body: NewWebinar, *, organizer_key: Key | None = None) -> CreatedWebinar:
        """Schedule a single webinar, a series or a sequence."""
        result: CreatedWebinar = await self.perform("createWebinar", {"organizerKey": organizer_key}, body)
        return result

    async def update_webinar(
        self,
        webinar_key: Key,
        body: WebinarChanges,
        *,
        organizer_key: Key | None = None,
        notify_participants: bool | None = None,
    ) -> None:
        """Change a webinar; its times are sent again if the body has none."""
        await self.perform(
            "updateWebinar",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "notifyParticipants": notify_participants},
            body,
        )

    async def cancel_webinar(
        self,
        webinar_key: Key,
        *,
        organizer_key: Key | None = None,
        send_cancellation_emails: bool = False,
        delete_all: bool = False,
    ) -> None:
        """Cancel a webinar, with deleteAll all of its series; sends e-mails only if asked to."""
        await self.perform(
            "cancelWebinar",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "sendCancellationEmails": send_cancellation_emails,
                "deleteAll": delete_all,
            },
        )

    async def copy_webinar(self, webinar_key: Key, body: WebinarCopy) -> CopiedWebinar:
        """Schedule a new webinar after the pattern of another."""
        result: CopiedWebinar = await self.perform("copyWebinar", {"webinarKey": webinar_key}, body)
        return result

    async def get_webinar_meeting_times(self, webinar_key: Key, *, organizer_key: Key | None = None) -> list[TimeRange]:
        """The times of a webinar."""
        result: list[TimeRange] = await self.perform(
            "getWebinarMeetingTimes", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def get_audio_information(self, webinar_key: Key, *, organizer_key: Key | None = None) -> Audio:
        """How people dial in."""
        result: Audio = await self.perform(
            "getAudioInformation", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def update_audio_information(
        self,
        webinar_key: Key,
        body: AudioChanges,
        *,
        organizer_key: Key | None = None,
        notify_participants: bool | None = None,
    ) -> None:
        """Change how people dial in."""
        await self.perform(
            "updateAudioInformation",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "notifyParticipants": notify_participants},
            body,
        )

    async def get_performance_for_all_webinar_sessions(
        self, webinar_key: Key, *, organizer_key: Key | None = None
    ) -> dict[str, SessionPerformance]:
        """Figures of all sessions of a webinar, by session."""
        result: dict[str, SessionPerformance] = await self.perform(
            "getPerformanceForAllWebinarSessions", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def get_attendees_for_all_webinar_sessions(
        self, webinar_key: Key, *, organizer_key: Key | None = None, page: int | None = None, size: int | None = None
    ) -> AttendancePage:
        """Who attended a webinar, over all of its sessions."""
        result: AttendancePage = await self.perform(
            "getAttendeesForAllWebinarSessions",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "page": page, "size": size},
        )
        return result

    def stream_get_attendees_for_all_webinar_sessions(
        self, webinar_key: Key, *, organizer_key: Key | None = None
    ) -> AsyncIterator[Participation]:
        """The items of get_attendees_for_all_webinar_sessions, over all pages."""
        return self.items(
            "getAttendeesForAllWebinarSessions", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )

    async def get_start_url(self, webinar_key: Key) -> StartUrl:
        """The address that starts a webinar; whoever has it is the host."""
        result: StartUrl = await self.perform("getStartUrl", {"webinarKey": webinar_key})
        return result

    async def get_recording_assets(
        self, webinar_key: Key, *, page: int | None = None, limit: int | None = None
    ) -> RecordingAssetsPage:
        """The recordings of a webinar."""
        result: RecordingAssetsPage = await self.perform(
            "getRecordingAssets", {"webinarKey": webinar_key, "page": page, "limit": limit}
        )
        return result

    def stream_get_recording_assets(self, webinar_key: Key) -> AsyncIterator[Asset]:
        """The items of get_recording_assets, over all pages."""
        return self.items("getRecordingAssets", {"webinarKey": webinar_key})

    async def get_organizer_sessions(
        self,
        *,
        from_time: Moment,
        to_time: Moment,
        organizer_key: Key | None = None,
        page: int | None = None,
        size: int | None = None,
    ) -> SessionsPage:
        """An organizer's completed sessions in a range."""
        result: SessionsPage = await self.perform(
            "getOrganizerSessions",
            {"organizerKey": organizer_key, "fromTime": from_time, "toTime": to_time, "page": page, "size": size},
        )
        return result

    def stream_get_organizer_sessions(
        self, *, from_time: Moment, to_time: Moment, organizer_key: Key | None = None
    ) -> AsyncIterator[Session]:
        """The items of get_organizer_sessions, over all pages."""
        return self.items(
            "getOrganizerSessions", {"organizerKey": organizer_key, "fromTime": from_time, "toTime": to_time}
        )

    async def get_all_sessions(
        self, webinar_key: Key, *, organizer_key: Key | None = None, page: int | None = None, size: int | None = None
    ) -> SessionsPage:
        """The completed sessions of a webinar."""
        result: SessionsPage = await self.perform(
            "getAllSessions", {"organizerKey": organizer_key, "webinarKey": webinar_key, "page": page, "size": size}
        )
        return result

    def stream_get_all_sessions(self, webinar_key: Key, *, organizer_key: Key | None = None) -> AsyncIterator[Session]:
        """The items of get_all_sessions, over all pages."""
        return self.items("getAllSessions", {"organizerKey": organizer_key, "webinarKey": webinar_key})

    async def get_webinar_session(
        self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None
    ) -> list[Attendee]:
        """One session, as the list of those who attended it."""
        result: list[Attendee] = await self.perform(
            "getWebinarSession", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def get_performance(
        self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None
    ) -> SessionPerformance:
        """Figures of a session."""
        result: SessionPerformance = await self.perform(
            "getPerformance", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def get_polls(self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None) -> list[Poll]:
        """The polls of a session."""
        result: list[Poll] = await self.perform(
            "getPolls", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def get_questions(
        self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None
    ) -> list[AttendeeQuestion]:
        """What was asked in a session, and answered."""
        result: list[AttendeeQuestion] = await self.perform(
            "getQuestions", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def get_surveys(self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None) -> list[Poll]:
        """The surveys of a session."""
        result: list[Poll] = await self.perform(
            "getSurveys", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def search_assets(
        self,
        body: AssetSearch,
        *,
        page: int | None = None,
        size: int | None = None,
        includes: list[Literal["recordingShareUrl", "webinarKey"]] | None = None,
    ) -> AssetsPage:
        """Search one's recordings."""
        result: AssetsPage = await self.perform(
            "searchAssets", {"page": page, "size": size, "includes": includes}, body
        )
        return result

    def stream_search_assets(
        self, body: AssetSearch, *, includes: list[Literal["recordingShareUrl", "webinarKey"]] | None = None
    ) -> AsyncIterator[Asset]:
        """The items of search_assets, over all pages."""
        return self.items("searchAssets", {"includes": includes}, body)

    async def search_assets_for_admin(
        self,
        body: AssetSearchForAdmin,
        *,
        account_key: Key | None = None,
        page: int | None = None,
        size: int | None = None,
        includes: list[Literal["recordingShareUrl", "webinarKey"]] | None = None,
    ) -> AssetsPage:
        """Search the recordings of an organizer of the account."""
        result: AssetsPage = await self.perform(
            "searchAssetsForAdmin", {"accountKey": account_key, "page": page, "size": size, "includes": includes}, body
        )
        return result

    def stream_search_assets_for_admin(
        self,
        body: AssetSearchForAdmin,
        *,
        account_key: Key | None = None,
        includes: list[Literal["recordingShareUrl", "webinarKey"]] | None = None,
    ) -> AsyncIterator[Asset]:
        """The items of search_assets_for_admin, over all pages."""
        return self.items("searchAssetsForAdmin", {"accountKey": account_key, "includes": includes}, body)
