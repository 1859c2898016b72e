"""What a person or a test can do to the world over HTTP: one struct per action, checked when it is read.

Moments are ISO 8601 with an offset, `visibleIn` is in seconds. Each action answers what it made or touched.
"""

from __future__ import annotations

from datetime import UTC
from typing import Literal

import msgspec

from poller.errors import UsageError
from poller.simulator.action import Action, Delayed, said
from poller.simulator.meeting_actions import MeetingAction
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.oauth import Issuer
from poller.simulator.shapes import JsonObject, Shapes
from poller.simulator.webinar_request import Moment, Times, spans_of
from poller.simulator.world import World

_SHAPES = Shapes("strings")


def _spans(times: list[Times] | None) -> tuple[Span, ...] | None:
    return None if times is None else spans_of(times)


def _webinar(webinar: Webinar) -> JsonObject:
    return _SHAPES.listed_webinar(webinar)


def _registrant(person: Registrant) -> JsonObject:
    return {"webinarKey": person.webinar_key, **_SHAPES.listed_registrant(person)}


class CreateWebinar(Delayed, tag="create-webinar", kw_only=True):
    organizer_key: str | None = None
    subject: str | None = None
    description: str | None = None
    times: list[Times] | None = None
    approval_type: Literal["AUTOMATIC", "MANUAL"] | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        fields = said(
            subject=self.subject,
            description=self.description,
            times=_spans(self.times),
            approval=self.approval_type,
        )
        return _webinar(world.create_webinar(self.organizer_key, visible_in=self.delay, **fields))


class ChangeWebinar(Delayed, tag="change-webinar", kw_only=True):
    webinar_key: str
    subject: str | None = None
    description: str | None = None
    times: list[Times] | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        fields = said(subject=self.subject, description=self.description, times=_spans(self.times))
        return _webinar(world.change_webinar(self.webinar_key, visible_in=self.delay, **fields))


class CancelWebinar(Delayed, tag="cancel-webinar", kw_only=True):
    webinar_key: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        world.cancel_webinar(self.webinar_key, visible_in=self.delay)
        return {"webinarKey": self.webinar_key}


class Register(Delayed, tag="register", kw_only=True):
    """Fields left out are drawn; `registrationDate` may lie in the past."""

    webinar_key: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    status: str | None = None
    registration_date: Moment | None = None

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        fields = said(
            first_name=self.first_name,
            last_name=self.last_name,
            email=self.email,
            status=self.status,
            registered=self.registration_date and self.registration_date.astimezone(UTC),
        )
        return _registrant(world.register(self.webinar_key, visible_in=self.delay, **fields))


class SetStatus(Delayed, tag="set-status", kw_only=True):
    webinar_key: str
    registrant_key: str
    status: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        world.set_status(self.webinar_key, self.registrant_key, self.status, visible_in=self.delay)
        return {"registrantKey": self.registrant_key, "status": self.status}


class RemoveRegistrant(Delayed, tag="remove-registrant", kw_only=True):
    webinar_key: str
    registrant_key: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        world.remove_registrant(self.webinar_key, self.registrant_key, visible_in=self.delay)
        return {"registrantKey": self.registrant_key}


class SignIn(Action, tag="sign-in", kw_only=True):
    """Who consents at the login page from now on."""

    email: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        found = [person for person in world.people if person.email == self.email]
        if not found:
            raise UsageError("sign-in: nobody has this e-mail; GET /_simulator/organizers lists those who exist")
        issuer.signed_in = found[0]
        return {"organizerKey": found[0].organizer_key}


class RevokeLogin(Action, tag="revoke-login", kw_only=True):
    """invalid_grant from now on, until a new consent."""

    organizer_key: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        issuer.revoke(self.organizer_key)
        return {"organizerKey": self.organizer_key}


class RestorePat(Action, tag="restore-pat", kw_only=True):
    """The personal access token of a revoked login works again."""

    organizer_key: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        issuer.restore(self.organizer_key)
        return {"organizerKey": self.organizer_key}


class ExpireTokens(Action, tag="expire-tokens", kw_only=True):
    """Access tokens of this login are refused from now on; refreshing works."""

    organizer_key: str

    def perform(self, world: World, issuer: Issuer) -> JsonObject:
        issuer.expire_access_tokens(self.organizer_key)
        return {"organizerKey": self.organizer_key}


AnyAction = (
    CreateWebinar
    | ChangeWebinar
    | CancelWebinar
    | Register
    | SetStatus
    | RemoveRegistrant
    | SignIn
    | RevokeLogin
    | RestorePat
    | ExpireTokens
    | MeetingAction
)


def parse_actions(body: bytes) -> list[AnyAction]:
    """One action or a list of them. Raises msgspec.DecodeError with the path of what is wrong."""
    if body.lstrip().startswith(b"["):
        return msgspec.json.decode(body, type=list[AnyAction])
    return [msgspec.json.decode(body, type=AnyAction)]


def organizer_as_json(person: Organizer) -> JsonObject:
    """All that somebody needs to log in as this person."""
    return {
        "organizerKey": person.organizer_key,
        "accountKey": person.account_key,
        "email": person.email,
        "firstName": person.first_name,
        "lastName": person.last_name,
        "pat": person.pat,
        "admin": person.admin,
    }
