"""Whether the caller may see what the path names."""

from __future__ import annotations

from poller.simulator.answers import bad_request, not_yours, unknown
from poller.simulator.attendance import Participant, Session
from poller.simulator.desk import Visit
from poller.simulator.model import Webinar
from poller.simulator.roster import UnknownKeyError
from poller.simulator.world import World


class Warrant:
    def __init__(self, world: World) -> None:
        self._world = world

    def organizer(self, visit: Visit) -> str:
        """The organizerKey of the path: the caller's own, or any of the account for its administrator."""
        asked, caller = visit.path["organizerKey"], visit.caller.person
        if asked == caller.organizer_key:
            return asked
        if caller.admin and any(person.organizer_key == asked for person in self._world.people):
            return asked
        raise not_yours()

    def account(self, visit: Visit) -> str:
        asked, caller = visit.path["accountKey"], visit.caller.person
        if not caller.admin or asked != caller.account_key:
            raise not_yours()
        return asked

    def webinar(self, visit: Visit) -> Webinar:
        """The webinar of the path; one that is cancelled, or of another organizer, does not exist."""
        organizer_key, webinar_key = self.organizer(visit), visit.path["webinarKey"]
        if not webinar_key.isdecimal():
            raise bad_request("webinarKey must be numeric.")
        try:
            webinar = self._world.webinar(webinar_key)
        except UnknownKeyError:
            raise unknown("Webinar") from None
        if not webinar.hosted_by(organizer_key):
            raise unknown("Webinar")
        return webinar

    def hosted(self, visit: Visit) -> Webinar:
        """The webinar of a path without an organizer: one the caller hosts, or any for the account's administrator."""
        webinar_key, caller = visit.path["webinarKey"], visit.caller.person
        if not webinar_key.isdecimal():
            raise bad_request("webinarKey must be numeric.")
        mine = self._world.webinars(None if caller.admin else caller.organizer_key)
        for webinar in mine:
            if webinar.webinar_key == webinar_key:
                return webinar
        raise unknown("Webinar")

    def session(self, visit: Visit) -> Session:
        """The completed session of the path, of a webinar that the caller may see."""
        for session in self._world.sessions.completed([self.webinar(visit)], visit.now):
            if session.session_key == visit.path["sessionKey"]:
                return session
        raise unknown("Session")

    def participant(self, visit: Visit) -> Participant:
        """The attendee of the path, once the API shows the attendance."""
        for participant in self._world.sessions.attendees(self.session(visit), visit.now):
            if participant.key == visit.path["registrantKey"]:
                return participant
        raise unknown("Attendee")
