"""How the API writes things: model values to plain JSON values.

Field names and key types follow the GoTo Webinar v2 OpenAPI document; where client authors saw other types,
the key mode decides (`spec` as documented, `wild` as seen, `strings` strings everywhere).
"""

from __future__ import annotations

from datetime import datetime

from poller.simulator.attendance import Participant, Session
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.options import KeyMode

JsonObject = dict[str, object]

REGISTRATION_LIMIT = 1000
ORGANIZATIONS = ("Northwind Tools", "Harbour Clinic", "Blue Fern School", "Ostmark Logistics", "Kite & Sons")
JOB_TITLES = ("Trainer", "Nurse", "Planner", "Engineer", "Owner")


def utc(moment: datetime) -> str:
    return f"{moment.isoformat()[:19]}Z"  # a tenth of what strftime costs, and lists are long


def times_of(spans: tuple[Span, ...]) -> list[JsonObject]:
    return [{"startTime": utc(span.start), "endTime": utc(span.end)} for span in spans]


class Shapes:
    """The answers' shapes in one key mode."""

    def __init__(self, keys: KeyMode) -> None:
        self._keys = keys

    def seen_as_number(self, key: str) -> int | str:
        """A key that is a number in the document and on the wire."""
        return key if self._keys == "strings" else int(key)

    def seen_as_string(self, key: str) -> int | str:
        """A key that is a number in the document, but a string to the clients who read it."""
        return int(key) if self._keys == "spec" else key

    def account_key(self, key: str) -> int | str:
        """A string by rights; one client met a number in who-am-I."""
        return int(key) if self._keys == "wild" else key

    def listed_webinar(self, webinar: Webinar) -> JsonObject:
        """An item of the v2 lists. Both spellings of the id: the document requires one and defines the other."""
        return {
            "webinarKey": webinar.webinar_key,
            "webinarId": webinar.webinar_id,
            "webinarID": webinar.webinar_id,
            "organizerKey": webinar.organizer_key,
            "accountKey": webinar.account_key,
            "subject": webinar.subject,
            "description": webinar.description,
            "times": times_of(webinar.times),
            "timeZone": webinar.time_zone,
            "locale": webinar.locale,
            "status": "NEW",
            "approvalType": webinar.approval,
            "registrationUrl": registration_url(webinar),
            "impromptu": webinar.impromptu,
            "isPasswordProtected": webinar.password_protected,
            "recurrenceType": webinar.recurrence,
            "experienceType": webinar.experience,
        }

    def webinar_by_key(self, webinar: Webinar, organizer: Organizer, registrants: int, now: datetime) -> JsonObject:
        """A sequence shows only the times that lie ahead."""
        ahead = tuple(span for span in webinar.times if span.end > now)
        spans = ahead if webinar.recurrence == "sequence" else webinar.times
        return {
            "webinarKey": self.seen_as_string(webinar.webinar_key),
            "webinarID": webinar.webinar_id,
            "subject": webinar.subject,
            "description": webinar.description,
            "organizerKey": self.seen_as_string(webinar.organizer_key),
            "organizerEmail": organizer.email,
            "organizerName": organizer.name,
            "times": times_of(spans),
            "registrationUrl": registration_url(webinar),
            "inSession": webinar.in_session(now),
            "impromptu": webinar.impromptu,
            "type": webinar.recurrence,
            "timeZone": webinar.time_zone,
            "numberOfRegistrants": registrants,
            "registrationLimit": REGISTRATION_LIMIT,
            "locale": webinar.locale,
            "accountKey": webinar.account_key,
            "recurrencePeriod": webinar.recurrence,
            "experienceType": webinar.experience,
            "isPasswordProtected": webinar.password_protected,
        }

    def broker_webinar(
        self, webinar: Webinar, hosts: dict[str, Organizer], registrants: int, now: datetime
    ) -> JsonObject:
        """An item of insessionWebinars."""
        owner = hosts[webinar.organizer_key]
        return {
            **self.counted_webinar(webinar, registrants, now),
            "organizerEmail": owner.email,
            "organizerName": owner.name,
            "coorganizers": [
                {"email": hosts[key].email, "organizerKey": self.seen_as_number(key)} for key in webinar.coorganizers
            ],
            "isOndemand": False,
        }

    def counted_webinar(self, webinar: Webinar, registrants: int, now: datetime) -> JsonObject:
        """An item of the old list upcomingWebinars: it has the two counts which the v2 lists lack."""
        return {
            "webinarKey": self.seen_as_number(webinar.webinar_key),
            "webinarID": webinar.webinar_id,
            "organizerKey": self.seen_as_number(webinar.organizer_key),
            "subject": webinar.subject,
            "description": webinar.description,
            "numberOfRegistrants": registrants,
            "times": times_of(webinar.times),
            "timeZone": webinar.time_zone,
            "inSession": webinar.in_session(now),
            "impromptu": webinar.impromptu,
            "registrationUrl": registration_url(webinar),
            "experienceType": webinar.experience,
        }

    def listed_registrant(self, registrant: Registrant) -> JsonObject:
        return {
            "lastName": registrant.last_name,
            "email": registrant.email,
            "firstName": registrant.first_name,
            "registrantKey": self.seen_as_number(registrant.registrant_key),
            "registrationDate": utc(registrant.registered),
            "status": registrant.status,
            "joinUrl": registrant.join_url,
            "timeZone": registrant.time_zone,
        }

    def registrant_by_key(self, registrant: Registrant, webinar: Webinar) -> JsonObject:
        """With the fields which lists leave out. `type` is not passed for a series."""
        pick = int(registrant.registrant_key) % len(ORGANIZATIONS)
        late = registrant.registered > webinar.ends
        kind: JsonObject = {} if webinar.recurrence == "series" else {"type": "LATE" if late else "REGULAR"}
        return {
            "organization": ORGANIZATIONS[pick],
            "jobTitle": JOB_TITLES[pick],
            "unsubscribed": False,
            "responses": [],
            **kind,
            **registrant.details,
            **self.listed_registrant(registrant),
        }

    def session(self, session: Session) -> JsonObject:
        """An item of the lists of past sessions, without its counts."""
        webinar = session.webinar
        return {
            "sessionKey": session.session_key,
            "webinarKey": webinar.webinar_key,
            "webinarName": webinar.subject,
            "startTime": utc(session.held.start),
            "endTime": utc(session.held.end),
            "accountKey": webinar.account_key,
            "creatingOrganizerKey": session.creator.organizer_key,
            "creatingOrganizerName": session.creator.name,
            "startingOrganizerKey": session.starter.organizer_key,
            "startingOrganizerName": session.starter.name,
            "timeZone": webinar.time_zone,
            "experienceType": webinar.experience,
            "webinarID": webinar.webinar_id,
        }

    def attendee(self, participant: Participant) -> JsonObject:
        stays = [{"joinTime": span["startTime"], "leaveTime": span["endTime"]} for span in times_of(participant.stays)]
        return {
            "registrantKey": self.seen_as_number(participant.key),
            "sessionKey": self.seen_as_number(participant.session.session_key),
            "email": participant.registrant.email,
            "attendanceTimeInSeconds": participant.seconds,
            "attendance": stays,
            "firstName": participant.registrant.first_name,
            "lastName": participant.registrant.last_name,
        }

    def participation(self, participant: Participant) -> JsonObject:
        """In the list over all sessions: numbers in the document, strings to the client author who typed them."""
        return {
            **self.attendee(participant),
            "registrantKey": self.seen_as_string(participant.key),
            "sessionKey": self.seen_as_string(participant.session.session_key),
        }

    def registered(self, registrant: Registrant) -> JsonObject:
        """What POST registrants answers, and the usable part of its 409."""
        return {
            "registrantKey": self.seen_as_number(registrant.registrant_key),
            "joinUrl": registrant.join_url,
        }


def registration_url(webinar: Webinar) -> str:
    return f"https://attendee.gotowebinar.com/register/{webinar.webinar_key}"
