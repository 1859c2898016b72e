"""What GoTo's webhooks post: bodies by event, and the signature over them. Pure.

Fields follow the vendor's overview of events and its samples: every key is a JSON number, `joinTime` is in ms.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from random import Random

from poller.simulator.draws import draw_registrant
from poller.simulator.feedback import survey_answers
from poller.simulator.model import Registrant, Webinar
from poller.simulator.options import WebhookOptions
from poller.simulator.sessions import Happening
from poller.simulator.shapes import JsonObject, times_of
from poller.simulator.truth import ADDED, CANCELLED, CHANGED, CREATED, Fact

SIGNATURE_HEADER = "X-Webhook-Signature"


def millis(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


def event_of(fact: Fact, webinar: Webinar) -> JsonObject | None:
    """None: GoTo has no webhook for this."""
    thing = fact.thing
    if isinstance(thing, Registrant):
        return registrant_added(thing, webinar) if fact.kind == ADDED else None
    if not isinstance(thing, Webinar):
        return None
    if fact.kind == CREATED:
        created = {"webinarCreationDate": millis(fact.visible_at)}
        return {"eventName": "webinar.created", **_webinar(webinar, "NEW"), **created}
    if fact.kind in (CHANGED, CANCELLED):
        return {"eventName": "webinar.changed", **_webinar(webinar, "UPDATED" if fact.kind == CHANGED else "DELETED")}
    return None


def registrant_added(person: Registrant, webinar: Webinar) -> JsonObject:
    """`joinUrl` only where there is one: of an approved registration."""
    join = {"joinUrl": person.join_url} if person.join_url else {}
    return {
        "eventName": "registrant.added",
        **_person(person),
        "responses": [],
        "registrationDate": millis(person.registered),
        "status": person.status,
        **_about(webinar),
        **join,
    }


def happened(happening: Happening) -> JsonObject:
    participant = happening.participant
    session = participant.session
    where = {**_about(session.webinar), "sessionKey": int(session.session_key)}
    if happening.kind == "registrant.joined":
        joined = {"joinTime": round(happening.at.timestamp() * 1000)}
        return {"eventName": happening.kind, **where, **_person(participant.registrant), **joined}
    responses = [
        {"questionText": question, "questionType": "MULTIPLE_CHOICE", "answerText": [option]}
        for question, option in survey_answers(participant)
    ]
    who = {"registrantKey": int(participant.key)}
    return {"eventName": happening.kind, **where, **who, "surveyName": "Feedback", "responses": responses}


def forged(rng: Random, webinar: Webinar, now: datetime) -> JsonObject:
    """A registration that never was, for a webinar that exists."""
    person = draw_registrant(rng, webinar, now, "APPROVED")
    return registrant_added(replace(person, email=f"forged.{person.email}"), webinar)


def sealed(event: Mapping[str, object], event_key: str, moment: datetime) -> JsonObject:
    """The body: the event in the envelope that all have in common."""
    envelope = {"eventVersion": "1.0.0", "product": "g2w", "eventKey": event_key, "timestamp": millis(moment)}
    return {"eventName": event["eventName"], **envelope, **event}


def signature(options: WebhookOptions, secret: str, body: bytes, timestamp: str) -> str:
    """HMAC-SHA256; the content and encoding are the options'."""
    content = body if options.signed == "body" else f"{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256)
    return digest.hexdigest() if options.encoding == "hex" else base64.b64encode(digest.digest()).decode()


def _person(person: Registrant) -> JsonObject:
    names: JsonObject = {"firstName": person.first_name, "lastName": person.last_name, "email": person.email}
    return {**names, "registrantKey": int(person.registrant_key)}


def _about(webinar: Webinar) -> JsonObject:
    return {
        "webinarKey": int(webinar.webinar_key),
        "webinarTitle": webinar.subject,
        "experienceType": webinar.experience.upper(),
        "recurrenceType": webinar.recurrence,
        "webinarCreatorKey": int(webinar.organizer_key),
    }


def _webinar(webinar: Webinar, status: str) -> JsonObject:
    about = _about(webinar)
    about["organizerKey"] = about.pop("webinarCreatorKey")
    return {
        **about,
        "recurrenceKey": int(webinar.recurrence_key) if webinar.recurrence_key else None,
        "times": times_of(webinar.times),
        "status": status,
        "timeZone": webinar.time_zone,
        "accountKey": int(webinar.account_key),
    }
