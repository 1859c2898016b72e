"""Pure: the objects that go over the HTTP surface, each described once, as JSON Schema (draft 2020-12).

The trigger catalogue, the OpenAPI document and the Power Automate connector are made from these tables. The fields are
those of GoTo Webinar v2 (https://developer.goto.com/GoToWebinarV2); where a key is a number there, it is a string here.
A field that is not required may be absent or null: GoTo's two shapes of one object do not have the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

Schema = dict[str, Any]
Properties = Mapping[str, Schema]

DATE_TIME: Final = "date-time"


def text(title: str, description: str, **more: Any) -> Schema:
    return {"type": "string", "title": title, "description": description, **more}


def moment(title: str, description: str) -> Schema:
    return text(title, description, format=DATE_TIME)


def number(title: str, description: str, **more: Any) -> Schema:
    return {"type": "integer", "title": title, "description": description, **more}


def flag(title: str, description: str) -> Schema:
    return {"type": "boolean", "title": title, "description": description}


def listed(title: str, description: str, items: Schema) -> Schema:
    return {"type": "array", "title": title, "description": description, "items": items}


def record(properties: Properties, required: Iterable[str] = (), description: str = "") -> Schema:
    """An object that may have more fields than these: GoTo adds some at any time. What is not required may be null."""
    needed = [name for name in properties if name in set(required)]
    shown = {name: schema if name in needed else nullable(schema) for name, schema in properties.items()}
    found: Schema = {"type": "object", "properties": shown}
    if needed:
        found["required"] = needed
    if description:
        found["description"] = description
    return found


def nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else schema


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ENVELOPE: Final[Properties] = {
    "id": text("Event id", "The same for the same fact at every delivery; a repeat can be dropped by it."),
    "sequence": text("Sequence", "Twenty digits, strictly increasing within one engine's state."),
    "eventType": text("Event type", "Such as registrant.added."),
    "eventTime": moment("Event time", "When it happened, if GoTo says so; else when it was seen."),
    "organizerKey": text("Organizer key", "The organizer whose webinar it is."),
}
CHANGE: Final[Properties] = {
    "changed": listed("Changed fields", "The names of the fields that differ.", {"type": "string"}),
    "previous": {
        "type": "object",
        "title": "Previous values",
        "description": "What the changed fields held before.",
        "additionalProperties": True,
    },
}

TIMES: Final = listed(
    "Times",
    "The webinar's sessions.",
    record(
        {"startTime": moment("Start", "When it begins, UTC."), "endTime": moment("End", "When it ends, UTC.")},
        required=["startTime"],
    ),
)
WEBINAR_KEY: Final = text("Webinar key", "The webinar's key.")
REGISTRANT_KEY: Final = text("Registrant key", "The registrant's key.")

_WEBINAR_BOTH: Final[Properties] = {
    "webinarKey": WEBINAR_KEY,
    "webinarID": text("Webinar ID", "The public number of nine digits."),
    "organizerKey": ENVELOPE["organizerKey"],
    "accountKey": text("Account key", "The account the organizer belongs to."),
    "subject": text("Subject", "The webinar's title."),
    "description": text("Description", "A short description."),
    "times": TIMES,
    "timeZone": text("Time zone", "Where the webinar takes place, as an IANA name."),
    "locale": text("Language", "Such as en_US."),
    "registrationUrl": text("Registration URL", "Where people register."),
    "impromptu": flag("Impromptu", "Whether it was started without being scheduled."),
    "isPasswordProtected": flag("Password protected", "Whether joining takes a password."),
    "recurrenceType": text("Recurrence", "single_session, series or sequence."),
    "experienceType": text("Experience", "classic, broadcast or simulive."),
    "inSession": flag("In session", "Whether it is running. Only where GoTo says so."),
    "numberOfRegistrants": number("Number of registrants", "Only where GoTo says so."),
}
WEBINAR_SUMMARY: Final[Properties] = {
    **_WEBINAR_BOTH,
    "status": text("Status", "As GoTo writes it; its values are not documented."),
    "approvalType": text("Approval", "AUTOMATIC or MANUAL."),
}
WEBINAR: Final[Properties] = {
    **_WEBINAR_BOTH,
    "organizerEmail": text("Organizer e-mail", "The organizer's e-mail address."),
    "organizerName": text("Organizer name", "The organizer's name."),
    "registrationLimit": number("Registration limit", "How many people may register."),
    "type": text("Type", "single_session, series or sequence."),
    "recurrencePeriod": text("Recurrence period", "How it recurs."),
}

_PERSON: Final[Properties] = {
    "firstName": text("First name", "The registrant's first name."),
    "lastName": text("Last name", "The registrant's last name."),
    "email": text("E-mail", "The registrant's e-mail address."),
}
REGISTRANT_SUMMARY: Final[Properties] = {
    "registrantKey": REGISTRANT_KEY,
    **_PERSON,
    "status": text("Status", "WAITING, APPROVED or DENIED."),
    "registrationDate": moment("Registration date", "When the person registered, UTC."),
    "timeZone": text("Time zone", "The webinar's time zone."),
    "joinUrl": text("Join URL", "The registrant's own address to join; empty until approved."),
}
_DETAILS: Final[Properties] = {
    "source": text("Source", "What led to the registration, such as a campaign's name."),
    "address": text("Address", "The registrant's address."),
    "city": text("City", "The registrant's city."),
    "state": text("State", "The registrant's state (US only)."),
    "zipCode": text("Postal code", "The registrant's postal code."),
    "country": text("Country", "The registrant's country."),
    "phone": text("Phone", "The registrant's phone number."),
    "organization": text("Organization", "Where the registrant works."),
    "jobTitle": text("Job title", "What the registrant works as."),
    "industry": text("Industry", "The organization's industry."),
    "numberOfEmployees": text("Number of employees", "The organization's size."),
    "purchasingTimeFrame": text("Purchasing time frame", "When the product will be bought."),
    "purchasingRole": text("Purchasing role", "The registrant's part in the purchase."),
    "questionsAndComments": text("Questions and comments", "What the registrant wrote when registering."),
}
REGISTRANT: Final[Properties] = {
    **REGISTRANT_SUMMARY,
    **_DETAILS,
    "employeeCount": text("Employee count", "The organization's size, by its other name."),
    "implementationTimeFrame": text("Implementation time frame", "When the product will be put to use."),
    "type": text("Type", "REGULAR or LATE; absent for a series."),
    "unsubscribed": flag("Unsubscribed", "Whether the person wants no other e-mails of the organizer."),
    "responses": listed(
        "Responses",
        "Answers to the organizer's own questions.",
        record({"question": text("Question", "As asked."), "answer": text("Answer", "As given.")}),
    ),
}
NEW_REGISTRANT: Final[Properties] = {
    **_PERSON,
    **_DETAILS,
    "responses": listed(
        "Responses",
        "Answers to the organizer's own questions.",
        record(
            {
                "questionKey": text("Question key", "The question's key."),
                "responseText": text("Response text", "The answer to a question that takes a text."),
                "answerKey": text("Answer key", "The key of the answer to a multiple-choice question."),
            },
            required=["questionKey"],
        ),
    ),
}
REGISTRATION_RESULT: Final[Properties] = {
    "registrantKey": REGISTRANT_KEY,
    "joinUrl": REGISTRANT_SUMMARY["joinUrl"],
    "status": REGISTRANT_SUMMARY["status"],
    "asset": flag("Asset", "Whether the registration is for a recording."),
}

WEBINAR_OF_REGISTRANT: Final[Properties] = {
    "webinarKey": WEBINAR_KEY,
    "webinarSubject": text("Webinar subject", "The webinar's title."),
}
NEW_WEBINAR_ITEM: Final[Properties] = {**ENVELOPE, **WEBINAR_SUMMARY}
NEW_REGISTRATION_ITEM: Final[Properties] = {**ENVELOPE, **WEBINAR_OF_REGISTRANT, **REGISTRANT_SUMMARY}

# What GoTo's objects are called, by Power Automate's names for them.
OBJECTS: Final[Mapping[str, Schema]] = {
    "Webinar": record(WEBINAR, ["webinarKey"], "A webinar with everything that GoTo tells of it."),
    "WebinarSummary": record(WEBINAR_SUMMARY, ["webinarKey"], "A webinar as lists show it."),
    "Registrant": record(REGISTRANT, ["registrantKey"], "A registrant with everything that GoTo tells of them."),
    "RegistrantSummary": record(REGISTRANT_SUMMARY, ["registrantKey"], "A registrant as lists show them."),
    "NewRegistrant": record(NEW_REGISTRANT, _PERSON, "A person to register."),
    "RegistrationResult": record(REGISTRATION_RESULT, ["registrantKey"], "What a registration came to."),
}

# ── items ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_ITEM_FIELDS: Final[Mapping[str, tuple[Properties, tuple[str, ...]]]] = {
    "webinar": (WEBINAR_SUMMARY, ("webinarKey",)),
    "registrant": ({**WEBINAR_OF_REGISTRANT, **REGISTRANT_SUMMARY}, ("webinarKey", "registrantKey")),
}


def item(short_type: str, example: Mapping[str, Any] | None = None) -> Schema:
    """The schema of the items of one event type; a type without a table of its own is described by its example."""
    kind, _, happened = short_type.partition(".")
    fields, required = ({}, ()) if "." in happened else _ITEM_FIELDS.get(kind, ({}, ()))
    own = fields or {name: by_example(value) for name, value in (example or {}).items()}
    properties = {**own, **ENVELOPE, "eventType": {**ENVELOPE["eventType"], "const": short_type}}
    if happened == "changed":
        properties |= CHANGE
    return record(properties, [*ENVELOPE, *required])


def by_example(value: Any) -> Schema:
    """A schema that `value` and its like fit, for fields that no table names."""
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        return {"type": "array", "items": by_example(value[0]) if value else {}}
    if isinstance(value, Mapping):
        return record({name: by_example(inner) for name, inner in value.items()})
    return {}
