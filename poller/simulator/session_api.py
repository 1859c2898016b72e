"""Sessions and who attended them. Shapes and rules: the vendor's OpenAPI document, tags Sessions and Attendees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from poller.simulator.answers import Answer, json_answer
from poller.simulator.attendance import Participant, Session
from poller.simulator.desk import Operation, Visit
from poller.simulator.feedback import polls_of
from poller.simulator.lister import Lister, required_range
from poller.simulator.model import Webinar
from poller.simulator.shapes import JsonObject, Shapes
from poller.simulator.warrant import Warrant
from poller.simulator.world import World


class SessionApi:
    """Only what is over is shown, and of its attendance what has become visible."""

    def __init__(self, world: World, shapes: Shapes, lister: Lister) -> None:
        self._world, self._shapes, self._lister = world, shapes, lister
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        organizer = "/G2W/rest/v2/organizers/{organizerKey}"
        webinar = f"{organizer}/webinars/{{webinarKey}}"
        one = f"{webinar}/sessions/{{sessionKey}}"
        person = f"{one}/attendees/{{registrantKey}}"
        return [
            Operation("getOrganizerSessions", "GET", f"{organizer}/sessions", self._list),
            Operation("getAllSessions", "GET", f"{webinar}/sessions", self._of_webinar),
            Operation("getAttendeesForAllWebinarSessions", "GET", f"{webinar}/attendees", self._attendance),
            Operation("getWebinarSession", "GET", one, self._attendees),
            Operation("getAttendees", "GET", f"{one}/attendees", self._attendees),
            Operation("getAttendee", "GET", person, self._attendee),
        ]

    def _list(self, visit: Visit) -> Answer:
        organizer_key, asked = self._warrant.organizer(visit), required_range(visit)

        def held_by(moment: datetime) -> list[Session]:
            completed = self._world.sessions.completed(self._world.webinars(organizer_key), moment)
            return [session for session in completed if session.held.overlaps(asked)]

        return self._page(visit, held_by)

    def _of_webinar(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)
        return self._page(visit, lambda moment: self._world.sessions.completed([webinar], moment))

    def _page(self, visit: Visit, held_by: Callable[[datetime], list[Session]]) -> Answer:
        def earlier(age: timedelta) -> list[Session]:
            return held_by(visit.now - age)

        page = self._lister.sized_page(visit, lambda: held_by(visit.now), earlier)
        return self._lister.hal(page, "sessionInfoResources", self._session)

    def _attendance(self, visit: Visit) -> Answer:
        webinar = self._warrant.webinar(visit)

        def earlier(age: timedelta) -> list[Participant]:
            return self._came(webinar, visit.now - age)

        page = self._lister.sized_page(visit, lambda: self._came(webinar, visit.now), earlier)
        return self._lister.hal(page, "attendeeParticipationResponses", self._shapes.participation)

    def _came(self, webinar: Webinar, moment: datetime) -> list[Participant]:
        sessions = self._world.sessions
        completed = sessions.completed([webinar], moment)
        return [participant for session in completed for participant in sessions.attendees(session, moment)]

    def _attendees(self, visit: Visit) -> Answer:
        """The same for a session and for its attendees, as the document has it."""
        session, sessions = self._warrant.session(visit), self._world.sessions
        return self._lister.bare(visit, lambda moment: sessions.attendees(session, moment), self._shapes.attendee)

    def _attendee(self, visit: Visit) -> Answer:
        """The registration of one attendee; of somebody without one, what is known of the person."""
        participant = self._warrant.participant(visit)
        known = self._world.registrants(participant.webinar_key).get(participant.key, participant.registrant)
        return json_answer(self._shapes.listed_registrant(known))

    def _session(self, session: Session) -> JsonObject:
        """With counts; that of those who came is complete from the first."""
        return {
            **self._shapes.session(session),
            "registrantsAttended": len(self._world.sessions.everybody(session)),
            "registrantCount": self._world.registrant_count(session.webinar_key),
            "totalPollCount": len(polls_of(session)),
        }
