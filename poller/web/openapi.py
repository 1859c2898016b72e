"""Pure: the OpenAPI 3.1 document of the HTTP surface (https://spec.openapis.org/oas/v3.1.1.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from poller.web import schemas
from poller.web.routes import JSON, PROBLEM, Answer, Parameter, Route
from poller.web.schemas import Schema, flag, listed, moment, number, record, text
from poller.web.surface import ROUTES, ref

_ANY_OBJECT: Final[Schema] = {"type": "object", "additionalProperties": True}

# What our own objects are called; those of GoTo are in `schemas.OBJECTS`.
_OBJECTS: Final[Mapping[str, Schema]] = {
    "Problem": record(
        {
            "type": text("Type", "A name of this kind of problem, or about:blank."),
            "title": text("Title", "The problem in a few words."),
            "status": number("Status", "The status code."),
            "detail": text("Detail", "What is wrong here, and how to mend it."),
            "parameter": text("Parameter", "The one that is wrong, if one is."),
        },
        ["title", "status"],
        "RFC 9457.",
    ),
    "Health": record(
        {
            "status": text("Status", "alive or ready."),
            "store": text("Store", "ok, or why the state cannot be used."),
            "stalled": listed("Stalled", "Triggers that can have no news, with reasons.", _ANY_OBJECT),
            "sinks": listed("Sinks", "Those that are down, with reasons; no reason to be unready.", _ANY_OBJECT),
        },
        ["status"],
    ),
    "Trigger": record(
        {
            "name": text("Name", "What paths call it."),
            "eventTypes": listed("Event types", "Those it can send, as far as they are known.", {"type": "string"}),
            "parameters": listed("Parameters", "What its items can be filtered by.", _ANY_OBJECT),
            "schema": {"type": "object", "title": "Schema", "description": "JSON Schema of its items."},
            "sample": {"type": "object", "title": "Sample", "description": "An example item."},
        },
        ["name", "eventTypes", "parameters", "schema"],
    ),
    "Item": record(schemas.ENVELOPE, schemas.ENVELOPE, "An event as one flat object, with GoTo's fields beside these."),
    "Items": record({"value": listed("Items", "Ascending.", ref("Item"))}, ["value"]),
    "ItemPage": record(
        {
            "value": listed("Items", "Newest first.", ref("Item")),
            "cursor": text("Cursor", "For the parameter after."),
        },
        ["value", "cursor"],
    ),
    "Event": record(
        {
            "specversion": {**text("Version", "Of CloudEvents."), "const": "1.0"},
            "id": schemas.ENVELOPE["id"],
            "type": text("Type", "Such as com.goto.registrant.added."),
            "source": text("Source", "/organizers/ and the organizer's key."),
            "subject": text("Subject", "What it is about, as a path of keys."),
            "time": schemas.ENVELOPE["eventTime"],
            "observedtime": moment("Observed", "When the poll saw it."),
            "connection": text("Connection", "Whose poll saw it."),
            "sequence": schemas.ENVELOPE["sequence"],
            "partitionkey": text("Partition", "Events of one partition are in order."),
            "backfill": flag("Backfill", "True on history only."),
            "datacontenttype": text("Content type", "application/json."),
            "data": {**_ANY_OBJECT, "title": "Data", "description": "GoTo's fields, keys as strings."},
        },
        ["specversion", "id", "type", "source", "subject", "time", "sequence", "data"],
        "CloudEvents 1.0.",
    ),
    "Subscription": record(
        {
            "id": text("Id", "For its address."),
            "callbackUrl": text("Callback URL", "Where items are posted."),
            "trigger": text("Trigger", "Whose items."),
            "types": listed("Types", "Of which types.", {"type": "string"}),
            "webinarKey": schemas.WEBINAR_KEY,
            "organizerKey": schemas.ENVELOPE["organizerKey"],
            "format": text("Format", "What is posted."),
            "sink": text("Sink", "What deliveries call it."),
            "createdAt": moment("Created", "When it was made."),
            "secret": text("Secret", "Signs each delivery (Standard Webhooks); only in the answer to the POST."),
        },
        ["id", "callbackUrl"],
    ),
    "Synced": record(
        {
            name: number(name.capitalize(), "How many.")
            for name in ("nudged", "polls", "calls", "added", "changed", "removed", "events")
        }
        | {"problems": listed("Problems", "What kept polls from working, in words.", {"type": "string"})}
    ),
}

_PROBLEM_ANSWER: Final = {"description": "What is wrong.", "content": {PROBLEM: {"schema": ref("Problem")}}}


def document(public_url: str, version: str, routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """The document, for a server that is reached at `public_url`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.page:
            continue
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "goto-poller",
            "version": version,
            "description": "News of GoTo Webinar for programs that ask, and GoTo's operations within its limits.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "security": [{"key": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {**_OBJECTS, **schemas.OBJECTS},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "tags": [route.tag]}
    if route.description:
        found["description"] = route.description
    if parameters := [_parameter(one) for one in route.parameters if one.where != "body"]:
        found["parameters"] = parameters
    if body := _body(route):
        found["requestBody"] = body
    if route.open:
        found["security"] = []
    found["responses"] = _answers(route)
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required,
        "schema": _sent(parameter),
    }


def _sent(parameter: Parameter) -> Schema:
    """An empty text is as good as none; where it would break a pattern, the pattern says so."""
    schema = parameter.schema()
    if parameter.required or not parameter.pattern:
        return schema
    spelt = {"type": "string", "pattern": f"^(?:{parameter.pattern})?$"}
    return {**schema, "items": spelt} if parameter.kind == "strings" else {**schema, **spelt}


def _body(route: Route) -> dict[str, Any]:
    if route.body is not None:
        return {"required": bool(route.body), "content": {JSON: {"schema": route.body}}}
    fields = route.of("body")
    if not fields:
        return {}
    required = any(field.required for field in fields)
    return {"required": required, "content": {JSON: {"schema": _object(fields)}}}


def _object(fields: Iterable[Parameter]) -> Schema:
    """An object of these fields; of a required one with aliases, any of its names will do."""
    properties: dict[str, Schema] = {}
    choices: list[Schema] = []
    required = []
    for field in fields:
        names = (field.name, *field.aliases)
        described = [field.description, *(f"Another name of {field.name}." for _ in field.aliases)]
        schema = field.schema() if field.required and not field.aliases else _unless_empty(field.schema())
        properties |= {name: {**schema, "description": text} for name, text in zip(names, described, strict=True)}
        if field.required and field.aliases:
            choices.append({"anyOf": [_given(name) for name in names]})
        elif field.required:
            required.append(field.name)
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = required
    return {**found, "allOf": choices} if choices else found


def _unless_empty(schema: Schema) -> Schema:
    """What nobody filled in comes as null or as an empty text, and is as good as absent."""
    return {"anyOf": [schema, {"enum": [None, ""]}]}


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}


def _answers(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for answer in route.answers:
        shown = found.setdefault(str(answer.status), {"description": answer.description})
        if answer.schema is not None:
            shown.setdefault("content", {})[answer.media] = {"schema": answer.schema}
        if answer.headers:
            shown["headers"] = _headers(answer)
    return {**found, "default": _PROBLEM_ANSWER}


def _headers(answer: Answer) -> dict[str, Any]:
    return {header.name: {"description": header.description, "schema": {"type": "string"}} for header in answer.headers}
