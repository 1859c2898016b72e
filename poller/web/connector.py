"""Pure: a Power Automate custom connector for this engine, as the two files that `paconn create` and the portal take.

The definition is Swagger 2.0 with Microsoft's extensions (https://learn.microsoft.com/connectors/custom-connectors/),
the names of operations and objects are those of Microsoft's own GoToWebinar connector, so that a flow can move over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from poller.errors import UsageError
from poller.web import schemas
from poller.web.routes import JSON, Parameter
from poller.web.schemas import Properties, Schema, record
from poller.web.surface import LIMIT, ORGANIZER_KEY, TRIGGER_STATE, WEBINAR_KEY

DEFINITION_FILE: Final = "apiDefinition.swagger.json"
PROPERTIES_FILE: Final = "apiProperties.json"

_KEY: Final = "api_key"

_Operation = dict[str, Any]


def definition(public_url: str, version: str) -> dict[str, Any]:
    """`apiDefinition.swagger.json` for an engine that Power Automate reaches at `public_url`. Raises UsageError."""
    scheme, host, path = _address(public_url)
    return {
        "swagger": "2.0",
        "info": {
            "title": "GoTo Webinar (goto-poller)",
            "description": "New webinars and registrants of GoTo Webinar as triggers, served by a goto-poller of your"
            " own, and the usual actions within its limits.",
            "version": version,
        },
        "host": host,
        "basePath": path,
        "schemes": [scheme],
        "consumes": [JSON],
        "produces": [JSON],
        "paths": {**_triggers(), **_subscriptions(), **_actions()},
        "definitions": _definitions(),
        "parameters": {},
        "responses": {},
        "securityDefinitions": {_KEY: {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        "security": [{_KEY: []}],
        "tags": [],
    }


def _address(public_url: str) -> tuple[str, str, str]:
    """Scheme, host with port, and path of the URL; a user and a password in it are left out."""
    try:
        parts = urlsplit(public_url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or ":" in parts.hostname:
        raise UsageError("public_url must be a web address with a host name, such as https://poller.example.com")
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return parts.scheme, host, parts.path.rstrip("/") or "/"


def properties() -> dict[str, Any]:
    """`apiProperties.json`. A connection asks for the API key; the file holds none."""
    ask = {
        "displayName": "API key",
        "description": "One of the keys under [http] api_keys in the engine's settings",
        "tooltip": "Ask whoever runs the engine for a key",
        "constraints": {"clearText": False, "required": "true", "tabIndex": 2},
    }
    return {
        "properties": {
            "connectionParameters": {_KEY: {"type": "securestring", "uiDefinition": ask}},
            "iconBrandColor": "#007ee5",
            "capabilities": ["actions", "triggers"],
            "policyTemplateInstances": [],
        }
    }


# ── triggers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _triggers() -> dict[str, Any]:
    return {
        "/v1/triggers": {"get": _list_triggers()},
        "/v1/triggers/OnNewWebinar/poll": {
            "get": _polled(
                "OnNewWebinar",
                "When a webinar is created",
                "Triggers for each webinar that is scheduled from now on.",
                "To see it work now, schedule a webinar.",
                "NewWebinars",
                [],
            )
        },
        "/v1/triggers/OnNewRegistration/poll": {
            "get": _polled(
                "OnNewRegistration",
                "When a registrant is added",
                "Triggers for each person who registers from now on, for one webinar or for all.",
                "To see it work now, register somebody for a webinar.",
                "NewRegistrations",
                [_webinar_key(required=False)],
            )
        },
    }


def _polled(
    operation: str, summary: str, description: str, hint: str, result: str, parameters: list[dict[str, Any]]
) -> _Operation:
    own = [
        _query(ORGANIZER_KEY, "Organizer key", "advanced"),
        _query(LIMIT, "Limit", "advanced"),
        _query(TRIGGER_STATE, "Trigger state", "internal"),
    ]
    answers = {
        "200": {"description": "New ones, the oldest first.", "schema": _ref(result)},
        "202": {"description": "Nothing new."},
        "default": {"description": "The poll failed."},
    }
    found = _operation(operation, summary, description, [*parameters, *own], answers)
    return {**found, "x-ms-trigger": "batch", "x-ms-trigger-hint": hint, "x-ms-visibility": "important"}


def _list_triggers() -> _Operation:
    answers = {"200": {"description": "All triggers.", "schema": _ref("Triggers")}}
    found = _operation("ListTriggers", "List triggers", "Names the triggers of the engine.", [], answers)
    return {**found, "x-ms-visibility": "internal"}


def _subscriptions() -> dict[str, Any]:
    """REST hooks as a webhook trigger: it fires as soon as the engine has seen the event, without polls of the flow."""
    body = {"name": "body", "in": "body", "required": True, "schema": _ref("NewSubscription")}
    answers = {
        "201": {"description": "Subscribed.", "schema": _ref("Subscription")},
        "default": {"description": "The subscription failed."},
    }
    subscribe = _operation(
        "OnEvent",
        "When an event happens (instant)",
        "Triggers for each event of one of the engine's own triggers, as soon as it is seen.",
        [body],
        answers,
    )
    subscription = {"name": "id", "in": "path", "type": "string", "required": True, "description": "Its id."}
    gone = {"204": {"description": "It is gone."}}
    end = _operation("Unsubscribe", "Unsubscribe", "Ends a subscription.", [subscription], gone)
    hint = "To see it work now, register somebody for a webinar."
    return {
        "/v1/subscriptions": {
            "x-ms-notification-content": {"description": "The event.", "schema": _ref("EventItem")},
            "post": {**subscribe, "x-ms-trigger": "single", "x-ms-trigger-hint": hint},
        },
        "/v1/subscriptions/{id}": {"delete": {**end, "x-ms-visibility": "internal"}},
    }


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _actions() -> dict[str, Any]:
    webinar_key = _webinar_key(required=True)
    registrant = {"name": "registrantKey", "in": "query", "type": "string", "required": True}
    registrant_key = {**registrant, "x-ms-summary": "Registrant key", "description": "The registrant's key."}
    person = {"name": "body", "in": "body", "required": True, "schema": _ref("NewRegistrant")}
    # operation id → method, summary, description, parameters, the object of its answer
    found: Mapping[str, tuple[str, str, str, list[dict[str, Any]], str]] = {
        "ListWebinars": ("get", "List webinars", "Lists the webinars ahead.", _range(), "Webinars"),
        "GetWebinar": ("get", "Get webinar", "Tells everything about a webinar.", [webinar_key], "Webinar"),
        "ListRegistrations": (
            "get",
            "List registrants",
            "Lists everybody who is registered for a webinar.",
            [webinar_key],
            "Registrants",
        ),
        "GetRegistrant": (
            "get",
            "Get registrant",
            "Tells everything about one registrant.",
            [webinar_key, registrant_key],
            "Registrant",
        ),
        "AddRegistrant": (
            "post",
            "Add registrant",
            "Registers a person, known by the e-mail address, for a webinar.",
            [webinar_key, person],
            "RegistrationResult",
        ),
    }
    paths: dict[str, Any] = {}
    for operation, (method, summary, description, parameters, result) in found.items():
        answers = {
            "200": {"description": "What GoTo answers.", "schema": _ref(result)},
            "default": {"description": "The operation failed."},
        }
        described = _operation(operation, summary, description, [*parameters, _connection()], answers)
        paths[f"/v1/operations/{operation}"] = {method: described}
    return paths


def _range() -> list[dict[str, Any]]:
    bounds = {"fromTime": "Not before this moment, UTC.", "toTime": "Not after this moment, UTC."}
    titles = {"fromTime": "From", "toTime": "To"}
    about = {"in": "query", "type": "string", "format": "date-time", "required": False, "x-ms-visibility": "advanced"}
    return [
        {"name": name, **about, "x-ms-summary": titles[name], "description": description}
        for name, description in bounds.items()
    ]


# ── parts of operations ──────────────────────────────────────────────────────────────────────────────────────────────


def _operation(
    name: str, summary: str, description: str, parameters: list[dict[str, Any]], answers: Mapping[str, Any]
) -> _Operation:
    return {
        "operationId": name,
        "summary": summary,
        "description": description,
        "parameters": parameters,
        "responses": answers,
    }


def _webinar_key(*, required: bool) -> dict[str, Any]:
    """With the webinars' titles to choose from."""
    choose = {"operationId": "ListWebinars", "value-path": "webinarKey", "value-title": "subject"}
    shown = {**_query(WEBINAR_KEY, "Webinar key", "important"), "required": required}
    if required:
        shown["description"] = "The webinar's key."
    return {**shown, "x-ms-dynamic-values": choose}


def _connection() -> dict[str, Any]:
    return {
        "name": "connection",
        "in": "query",
        "type": "string",
        "required": False,
        "x-ms-summary": "Connection",
        "x-ms-visibility": "advanced",
        "description": "Which of the engine's connections to use; may be left out where there is only one.",
    }


def _query(parameter: Parameter, summary: str, visibility: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        **parameter.schema(),
        "x-ms-summary": summary,
        "x-ms-visibility": visibility,
        "description": parameter.description,
    }


# ── definitions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _definitions() -> dict[str, Schema]:
    """GoTo's objects; lists of them, bare as operations answer and wrapped as polls do; and our own few."""
    own = {name: _swagger(schema) for name, schema in schemas.OBJECTS.items()}
    lists = {
        "Webinars": _list("WebinarSummary"),
        "Registrants": _list("RegistrantSummary"),
        "Triggers": {"type": "array", "items": _swagger(record({"name": schemas.text("Name", "Its name.")}, ["name"]))},
        "NewWebinars": _batch("NewWebinarItem"),
        "NewRegistrations": _batch("NewRegistrationItem"),
    }
    items = {
        "NewWebinarItem": _item(schemas.NEW_WEBINAR_ITEM),
        "NewRegistrationItem": _item(schemas.NEW_REGISTRATION_ITEM),
        "EventItem": _item({**schemas.NEW_WEBINAR_ITEM, **schemas.NEW_REGISTRATION_ITEM, **schemas.CHANGE}),
    }
    return {**own, **lists, **items, **_hooks()}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _batch(name: str) -> Schema:
    return {"type": "object", "properties": {"value": _list(name)}}


def _item(fields: Properties) -> Schema:
    """The keys of the envelope are for programs; people choose from the other fields."""
    found: Schema = _swagger(record(fields, schemas.ENVELOPE))
    for name in ("id", "sequence"):
        found["properties"][name]["x-ms-visibility"] = "advanced"
    return found


def _hooks() -> dict[str, Schema]:
    callback: Schema = {
        "type": "string",
        "description": "Where events are posted.",
        "x-ms-notification-url": True,
        "x-ms-visibility": "internal",
    }
    trigger: Schema = {
        "type": "string",
        "x-ms-summary": "Trigger",
        "description": "One of the engine's triggers.",
        "x-ms-dynamic-values": {"operationId": "ListTriggers", "value-path": "name", "value-title": "name"},
    }
    return {
        "NewSubscription": {
            "type": "object",
            "properties": {"callbackUrl": callback, "trigger": trigger},
            "required": ["callbackUrl", "trigger"],
        },
        "Subscription": {"type": "object", "properties": {"id": {"type": "string", "description": "Its id."}}},
    }


def _swagger(schema: Any) -> Any:
    """The same in Swagger 2.0, which knows no null and calls a title x-ms-summary."""
    if not isinstance(schema, dict):
        return [_swagger(entry) for entry in schema] if isinstance(schema, list) else schema
    found = {name: _swagger(value) for name, value in schema.items()}
    if isinstance(schema.get("type"), list):
        found["type"], found["x-nullable"] = schema["type"][0], True
    if isinstance(schema.get("title"), str):
        found["x-ms-summary"] = found.pop("title")
    return found
