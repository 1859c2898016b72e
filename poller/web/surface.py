"""Pure: every path of the HTTP surface. Handlers read their parameters by these, and the documents are made of them.

Those of the dashboard are in poller.web.pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from poller.web.cursors import PATTERN as PLACE
from poller.web.pages import PAGES
from poller.web.routes import (
    CSV,
    EVENT,
    EVENTS,
    METRICS,
    PROBLEM,
    STREAM,
    Answer,
    Header,
    Parameter,
    Route,
)
from poller.web.schemas import Schema

# Items and events that one answer holds: without a word, and at most.
USUAL: Final = 100
USUAL_ITEMS: Final = 50
MOST: Final = 1000
LONGEST_WAIT: Final = 60_000  # milliseconds of a long poll; who asks for more is answered then

POLL_LOCATION: Final = Header("Location", "The address of the next poll, absolute, its state in the query.")
RETRY_AFTER: Final = Header("Retry-After", "Seconds until the next poll is worth while; 0 while more waits.")
CURSOR: Final = Header("Poller-Cursor", "Where the reader is after this answer.")
GAP: Final = Header("Poller-Gap", '"true" where events behind the cursor are no longer kept, or were of another state.')


def ref(name: str) -> Schema:
    """An object of the documents by its name; see `poller.web.openapi`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _array(name: str) -> Schema:
    return {"type": "array", "items": ref(name)}


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────

KEY: Final = "[0-9]{1,20}"
TYPE_PATTERN: Final = r"[A-Za-z0-9_.*?\[\]!-]{1,100}"  # a type of events, or a glob of some

TRIGGER: Final = Parameter(
    "trigger",
    "A trigger's name, or OnNewWebinar or OnNewRegistration.",
    "path",
    required=True,
    longest=200,
    example="OnNewRegistration",
)
WEBINAR_KEY: Final = Parameter("webinarKey", "Only of this webinar; its key, all digits.", pattern=KEY)
ORGANIZER_KEY: Final = Parameter("organizerKey", "Only of this organizer; the key, all digits.", pattern=KEY)
LIMIT: Final = Parameter("limit", "So many at most.", kind="integer", default=USUAL, minimum=1, maximum=MOST)
LIMIT_OF_ITEMS: Final = replace(LIMIT, default=USUAL_ITEMS)
TRIGGER_STATE: Final = Parameter(
    "triggerState",
    "The cursor where the last poll ended, <epoch>-<sequence>; its Location has it.",
    pattern=PLACE,
)
AFTER: Final = Parameter("after", "The cursor that an earlier answer gave, <epoch>-<sequence>.", pattern=PLACE)
ENVELOPE: Final = Parameter(
    "envelope", "1: an object with value and cursor, instead of the bare list.", kind="boolean", default=False
)
LAST_EVENT_ID: Final = Parameter(
    "lastEventId", "The id of the last event read; the feed goes on after it.", longest=200
)
LAST_EVENT_ID_HEADER: Final = Parameter("Last-Event-ID", "What a browser sends when it connects again.", "header")
TIMEOUT: Final = Parameter(
    "timeout",
    f"Milliseconds to wait for an event; {LONGEST_WAIT} at most, who asks for more is answered then.",
    kind="integer",
    default=0,
    minimum=0,
    maximum=86_400_000,
)
TYPE: Final = Parameter(
    "type",
    "Only events of these types, such as registrant.*; repeated, or separated by commas.",
    kind="strings",
    pattern=TYPE_PATTERN,
)
CONNECTION: Final = Parameter(
    "connection", "A connection's name; may be left out where there is only one.", longest=200
)
YES: Final = Parameter("yes", "1: yes, erase what nobody can bring back.", kind="boolean", default=False)
GROUP: Final = Parameter(
    "group",
    "Everybody, or once attendance has settled who came or who did not.",
    choices=("registered", "attended", "absent"),
    default="registered",
)
PARTICIPANTS_FORMAT: Final = Parameter("format", "How to write them.", choices=("json", "csv"), default="json")
FORMAT: Final = Parameter("format", "What is posted.", "body", choices=("item", "cloudevent", "data"), default="item")

SUBSCRIBING: Final = (
    Parameter(
        "callbackUrl",
        "Where events are posted: https, and public unless the settings allow others.",
        "body",
        required=True,
        aliases=("targetUrl", "hookUrl"),
        example="https://example.com/hook",
    ),
    Parameter("trigger", "Whose items; without it and types, every event.", "body", longest=200),
    Parameter(
        "types", "Instead of a trigger: event types, such as registrant.*.", "body", "strings", pattern=TYPE_PATTERN
    ),
    replace(WEBINAR_KEY, where="body"),
    replace(ORGANIZER_KEY, where="body"),
    FORMAT,
)
SYNCING: Final = (
    Parameter("connection", "Only of this connection.", "body", longest=200),
    Parameter("webinarKey", "Only this webinar's registrants; its key, all digits.", "body", pattern=KEY),
    Parameter("wait", "Answer after the commit, with counts.", "body", "boolean", default=False),
)


def _at(name: str, description: str, pattern: str = "") -> Parameter:
    return Parameter(name, description, "path", required=True, longest=200, pattern=pattern)


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────

HEALTH: Final = (
    Route(
        "isAlive",
        "GET",
        "/healthz",
        "Whether the process answers",
        (Answer(200, "It does.", ref("Health")),),
        description="Touches neither disk nor network.",
        tag="engine",
        open=True,
    ),
    Route(
        "isReady",
        "GET",
        "/readyz",
        "Whether it polls and can write",
        (Answer(200, "It does.", ref("Health")), Answer(503, "Not now; the body says why.", ref("Problem"), PROBLEM)),
        tag="engine",
        open=True,
    ),
    Route(
        "getMetrics",
        "GET",
        "/metrics",
        "Metrics for Prometheus",
        (Answer(200, "The text format of Prometheus.", {"type": "string"}, METRICS),),
        tag="engine",
    ),
    Route(
        "getOpenApi",
        "GET",
        "/openapi.json",
        "This document",
        (Answer(200, "OpenAPI 3.1.", {"type": "object"}),),
        tag="engine",
    ),
)

TRIGGERS: Final = (
    Route(
        "listTriggers",
        "GET",
        "/v1/triggers",
        "The trigger catalogue",
        (Answer(200, "Every trigger, with schema and sample of its items.", _array("Trigger")),),
        tag="triggers",
    ),
    Route(
        "pollTrigger",
        "GET",
        "/v1/triggers/{trigger}/poll",
        "Poll a trigger, as Power Automate and Logic Apps do",
        (
            Answer(200, "Items, ascending.", ref("Items"), headers=(POLL_LOCATION, RETRY_AFTER, CURSOR, GAP)),
            Answer(202, "Nothing new.", headers=(POLL_LOCATION, RETRY_AFTER, CURSOR, GAP)),
        ),
        (TRIGGER, TRIGGER_STATE, WEBINAR_KEY, ORGANIZER_KEY, LIMIT),
        "The first poll brings no history. Follow Location; it keeps your own parameters.",
        "triggers",
    ),
    Route(
        "listItems",
        "GET",
        "/v1/triggers/{trigger}/items",
        "Newest items first, as Zapier, n8n and Make want them",
        (
            Answer(
                200,
                "A list with unique ids; with envelope=1 an object.",
                {"oneOf": [_array("Item"), ref("ItemPage")]},
                headers=(CURSOR, GAP),
            ),
        ),
        (TRIGGER, AFTER, WEBINAR_KEY, ORGANIZER_KEY, LIMIT_OF_ITEMS, ENVELOPE),
        "With after: the oldest items behind the cursor.",
        "triggers",
    ),
)

EVENTS_OUT: Final = (
    Route(
        "readFeed",
        "GET",
        "/v1/feed",
        "Events in order, with long polling (HTTP Feeds)",
        (Answer(200, "CloudEvents, ascending.", _array("Event"), EVENTS, headers=(CURSOR, GAP)),),
        (LAST_EVENT_ID, TIMEOUT, LIMIT, TYPE),
        tag="events",
    ),
    Route(
        "streamEvents",
        "GET",
        "/v1/stream",
        "Events as they are committed (server-sent events)",
        (Answer(200, "A stream that does not end; comments are heartbeats.", {"type": "string"}, STREAM),),
        (LAST_EVENT_ID_HEADER, LAST_EVENT_ID, TYPE),
        tag="events",
    ),
    Route(
        "getEvent",
        "GET",
        "/v1/events/{id}",
        "One event",
        (Answer(200, "The CloudEvent.", ref("Event"), EVENT),),
        (_at("id", "The event's id."),),
        tag="events",
    ),
)

SUBSCRIPTIONS: Final = (
    Route(
        "subscribe",
        "POST",
        "/v1/subscriptions",
        "Have items posted to an address (REST hooks)",
        (
            Answer(
                201,
                "Subscribed; the secret is shown this once.",
                ref("Subscription"),
                headers=(Header("Location", "The subscription's address; DELETE it to end."),),
            ),
        ),
        SUBSCRIBING,
        "Each POST has an id of its own; an address gets an event once, however often it is subscribed.",
        "subscriptions",
    ),
    Route(
        "listSubscriptions",
        "GET",
        "/v1/subscriptions",
        "All subscriptions",
        (Answer(200, "Without their secrets.", _array("Subscription")),),
        tag="subscriptions",
    ),
    Route(
        "getSubscription",
        "GET",
        "/v1/subscriptions/{id}",
        "One subscription",
        (Answer(200, "Without its secret.", ref("Subscription")),),
        (_at("id", "The subscription's id."),),
        tag="subscriptions",
    ),
    Route(
        "unsubscribe",
        "DELETE",
        "/v1/subscriptions/{id}",
        "End a subscription",
        (Answer(204, "It is gone, now or already before."),),
        (_at("id", "The subscription's id."),),
        tag="subscriptions",
    ),
)

ON_DEMAND: Final = (
    Route(
        "sync",
        "POST",
        "/v1/sync",
        "Check now",
        (
            Answer(200, "Done, and counted.", ref("Synced")),
            Answer(202, "Under way.", ref("Synced")),
            Answer(503, "The engine is being stopped.", ref("Problem"), PROBLEM),
        ),
        SYNCING,
        tag="on demand",
    ),
    Route(
        "listParticipants",
        "GET",
        "/v1/webinars/{webinarKey}/participants",
        "Registrants joined with attendance",
        (
            Answer(200, "One row a registrant and session.", {"type": "array", "items": {"type": "object"}}),
            Answer(200, "The same as a table.", {"type": "string"}, CSV),
        ),
        (_at("webinarKey", "The webinar's key, all digits.", KEY), GROUP, PARTICIPANTS_FORMAT),
        "As the engine knows them; GoTo is not asked. Whether somebody came is null where it is not known, or not yet.",
        tag="on demand",
    ),
    Route(
        "readOperation",
        "GET",
        "/v1/operations/{operationId}",
        "Ask GoTo: an operation that changes nothing",
        (Answer(200, "What GoTo answers; lists are bare arrays, keys are strings.", {}),),
        (_at("operationId", "As GoTo or Power Automate names it: getWebinar, ListWebinars."), CONNECTION),
        "The operation's own parameters stand in the query; without those that choose a page all of a list comes."
        " Counts against the limits.",
        "on demand",
    ),
    Route(
        "performOperation",
        "POST",
        "/v1/operations/{operationId}",
        "Have GoTo do something",
        (Answer(200, "What GoTo answers; null where it answers nothing.", {}),),
        (_at("operationId", "As GoTo or Power Automate names it: createRegistrant, AddRegistrant."), CONNECTION, YES),
        "The operation's own parameters stand in the query, its body is the body. Counts against the limits.",
        "on demand",
        body={},
    ),
)


def _action(
    name: str, summary: str, answers: Schema, parameters: tuple[Parameter, ...], body: Schema | None = None
) -> Route:
    """An operation by the name that Power Automate has for it."""
    return Route(
        name,
        "GET" if body is None else "POST",
        f"/v1/operations/{name}",
        summary,
        (Answer(200, "What GoTo answers, keys as strings.", answers),),
        (*parameters, CONNECTION),
        tag="actions",
        body=body,
    )


_WEBINAR: Final = Parameter("webinarKey", "The webinar's key, all digits.", required=True, pattern=KEY)
_REGISTRANT: Final = Parameter("registrantKey", "The registrant's key, all digits.", required=True, pattern=KEY)
_RANGE: Final = (
    Parameter("fromTime", "Not before this moment, UTC; else a day ago.", longest=40),
    Parameter("toTime", "Not after this moment, UTC; else two years ahead.", longest=40),
)
ACTIONS: Final = (
    _action("ListWebinars", "Webinars whose own times lie in a range", _array("WebinarSummary"), _RANGE),
    _action("GetWebinar", "One webinar", ref("Webinar"), (_WEBINAR,)),
    _action("ListRegistrations", "Everybody registered for a webinar", _array("RegistrantSummary"), (_WEBINAR,)),
    _action("GetRegistrant", "One registrant", ref("Registrant"), (_WEBINAR, _REGISTRANT)),
    _action("AddRegistrant", "Register somebody", ref("RegistrationResult"), (_WEBINAR,), ref("NewRegistrant")),
)

_TOKEN: Final = _at("token", "The unguessable part of the address that was registered at GoTo.")
RECEIVER: Final = (
    Route(
        "probeWebhook",
        "GET",
        "/v1/goto/webhooks/{token}",
        "GoTo's probe of its webhook's address",
        (Answer(200, "It is here."),),
        (_TOKEN,),
        tag="webhooks",
        open=True,
    ),
    Route(
        "receiveWebhook",
        "POST",
        "/v1/goto/webhooks/{token}",
        "GoTo's webhooks; each makes its target due now",
        (Answer(200, "Taken."),),
        (_TOKEN,),
        tag="webhooks",
        open=True,
        body={},
    ),
)

CONNECTOR: Final = (
    Route(
        "getConnectorDefinition",
        "GET",
        "/v1/connector/apiDefinition.swagger.json",
        "The Power Automate connector: its definition",
        (Answer(200, "Swagger 2.0.", {"type": "object"}),),
        tag="connector",
    ),
    Route(
        "getConnectorProperties",
        "GET",
        "/v1/connector/apiProperties.json",
        "The Power Automate connector: its properties",
        (Answer(200, "What paconn wants beside the definition.", {"type": "object"}),),
        tag="connector",
    ),
)

ROUTES: Final = (*HEALTH, *TRIGGERS, *EVENTS_OUT, *SUBSCRIPTIONS, *ON_DEMAND, *ACTIONS, *RECEIVER, *CONNECTOR)
BY_NAME: Final[Mapping[str, Route]] = {route.name: route for route in (*ROUTES, *PAGES)}
