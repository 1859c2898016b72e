"""Methods of poller.goto.operations.methods: coroutines, and streams over all pages.

Written by poller.goto.operations.writing from what stands in people.py: do not edit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from poller.goto.operations.bodies import NewCoorganizer, NewPanelist, NewRegistrant
from poller.goto.operations.calling import Calls
from poller.goto.operations.kinds import Key
from poller.goto.operations.people_answers import (
    Attendee,
    AttendeeQuestion,
    Coorganizer,
    CreatedPanelist,
    Panelist,
    PollAnswer,
    Registrant,
    RegistrantCreated,
    RegistrantDetails,
    RegistrantsPage,
    RegistrationFields,
)


class PeopleMethods(Calls):
    async def get_all_registrants_for_webinar(
        self, webinar_key: Key, *, organizer_key: Key | None = None, page: int | None = None, limit: int | None = None
    ) -> list[Registrant] | RegistrantsPage:
        """The registrants of a webinar: all in one list, or a page of them once page or limit is given."""
        result: list[Registrant] | RegistrantsPage = await self.perform(
            "getAllRegistrantsForWebinar",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "page": page, "limit": limit},
        )
        return result

    def stream_get_all_registrants_for_webinar(
        self, webinar_key: Key, *, organizer_key: Key | None = None
    ) -> AsyncIterator[Registrant]:
        """The items of get_all_registrants_for_webinar, over all pages."""
        return self.items("getAllRegistrantsForWebinar", {"organizerKey": organizer_key, "webinarKey": webinar_key})

    async def get_registrant(
        self, webinar_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> RegistrantDetails:
        """One registrant with all details and answers."""
        result: RegistrantDetails = await self.perform(
            "getRegistrant", {"organizerKey": organizer_key, "webinarKey": webinar_key, "registrantKey": registrant_key}
        )
        return result

    async def get_registration_fields(
        self, webinar_key: Key, *, organizer_key: Key | None = None
    ) -> RegistrationFields:
        """What the registration form asks for, and which of it is required."""
        result: RegistrationFields = await self.perform(
            "getRegistrationFields", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def create_registrant(
        self,
        webinar_key: Key,
        body: NewRegistrant,
        *,
        organizer_key: Key | None = None,
        resend_confirmation: bool | None = None,
    ) -> RegistrantCreated:
        """Register somebody; who is registered already is returned as they are."""
        result: RegistrantCreated = await self.perform(
            "createRegistrant",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "resendConfirmation": resend_confirmation},
            body,
        )
        return result

    async def delete_registrant(
        self, webinar_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> None:
        """Remove a registrant from a webinar to come."""
        await self.perform(
            "deleteRegistrant",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "registrantKey": registrant_key},
        )

    async def get_attendees(
        self, webinar_key: Key, session_key: Key, *, organizer_key: Key | None = None
    ) -> list[Attendee]:
        """Who attended a session."""
        result: list[Attendee] = await self.perform(
            "getAttendees", {"organizerKey": organizer_key, "webinarKey": webinar_key, "sessionKey": session_key}
        )
        return result

    async def get_attendee(
        self, webinar_key: Key, session_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> Registrant:
        """One attendee of a session, as a registrant."""
        result: Registrant = await self.perform(
            "getAttendee",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "sessionKey": session_key,
                "registrantKey": registrant_key,
            },
        )
        return result

    async def get_attendee_poll_answers(
        self, webinar_key: Key, session_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> list[PollAnswer]:
        """What an attendee answered to the polls of a session."""
        result: list[PollAnswer] = await self.perform(
            "getAttendeePollAnswers",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "sessionKey": session_key,
                "registrantKey": registrant_key,
            },
        )
        return result

    async def get_attendee_questions(
        self, webinar_key: Key, session_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> list[AttendeeQuestion]:
        """What an attendee asked in a session."""
        result: list[AttendeeQuestion] = await self.perform(
            "getAttendeeQuestions",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "sessionKey": session_key,
                "registrantKey": registrant_key,
            },
        )
        return result

    async def get_attendee_survey_answers(
        self, webinar_key: Key, session_key: Key, registrant_key: Key, *, organizer_key: Key | None = None
    ) -> list[PollAnswer]:
        """What an attendee answered to the surveys of a session."""
        result: list[PollAnswer] = await self.perform(
            "getAttendeeSurveyAnswers",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "sessionKey": session_key,
                "registrantKey": registrant_key,
            },
        )
        return result

    async def get_coorganizers(self, webinar_key: Key, *, organizer_key: Key | None = None) -> list[Coorganizer]:
        """The co-organizers of a webinar."""
        result: list[Coorganizer] = await self.perform(
            "getCoorganizers", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def create_coorganizers(
        self, webinar_key: Key, body: list[NewCoorganizer], *, organizer_key: Key | None = None
    ) -> list[Coorganizer]:
        """Add co-organizers: those with an account by organizerKey, others by name and e-mail address."""
        result: list[Coorganizer] = await self.perform(
            "createCoorganizers", {"organizerKey": organizer_key, "webinarKey": webinar_key}, body
        )
        return result

    async def delete_coorganizer(
        self, webinar_key: Key, coorganizer_key: Key, *, organizer_key: Key | None = None, external: bool | None = None
    ) -> None:
        """Remove a co-organizer (external=true for those without an account)."""
        await self.perform(
            "deleteCoorganizer",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "coorganizerKey": coorganizer_key,
                "external": external,
            },
        )

    async def resend_coorganizer_invitation(
        self, webinar_key: Key, coorganizer_key: Key, *, organizer_key: Key | None = None, external: bool | None = None
    ) -> None:
        """Send a co-organizer the invitation again (external=true for those without an account)."""
        await self.perform(
            "resendCoorganizerInvitation",
            {
                "organizerKey": organizer_key,
                "webinarKey": webinar_key,
                "coorganizerKey": coorganizer_key,
                "external": external,
            },
        )

    async def get_panelists(self, webinar_key: Key, *, organizer_key: Key | None = None) -> list[Panelist]:
        """The panelists of a webinar."""
        result: list[Panelist] = await self.perform(
            "getPanelists", {"organizerKey": organizer_key, "webinarKey": webinar_key}
        )
        return result

    async def create_panelists(
        self, webinar_key: Key, body: list[NewPanelist], *, organizer_key: Key | None = None
    ) -> list[CreatedPanelist]:
        """Add panelists, who are sent an invitation."""
        result: list[CreatedPanelist] = await self.perform(
            "createPanelists", {"organizerKey": organizer_key, "webinarKey": webinar_key}, body
        )
        return result

    async def delete_webinar_panelist(
        self, webinar_key: Key, panelist_key: Key, *, organizer_key: Key | None = None
    ) -> None:
        """Remove a panelist."""
        await self.perform(
            "deleteWebinarPanelist",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "panelistKey": panelist_key},
        )

    async def resend_panelist_invitation(
        self, webinar_key: Key, panelist_key: Key, *, organizer_key: Key | None = None
    ) -> None:
        """Send a panelist the invitation again."""
        await self.perform(
            "resendPanelistInvitation",
            {"organizerKey": organizer_key, "webinarKey": webinar_key, "panelistKey": panelist_key},
        )
