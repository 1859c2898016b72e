"""The Power Automate connector: what Microsoft's schemas and Swagger want, and what flows of the old connector need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import json5
import pytest
from jsonschema import Draft4Validator, Draft7Validator
from openapi_spec_validator import OpenAPIV2SpecValidator

from poller import samples
from poller.errors import UsageError
from poller.formats import item
from poller.web.connector import definition, properties
from poller.web.surface import ROUTES

SCHEMAS = Path(__file__).parents[2].parent / "shared" / "connector-schemas"
with_schemas = pytest.mark.skipif(
    not SCHEMAS.exists(), reason=f"Microsoft's schemas of connectors are not at {SCHEMAS}"
)

DEFINITION: dict[str, Any] = json.loads(json.dumps(definition("https://poller.example.com/hooks/", "0.1.0")))
OPERATIONS = {
    found["operationId"]: (method, path, found)
    for path, methods in DEFINITION["paths"].items()
    for method, found in methods.items()
    if not method.startswith("x-")
}


def test_the_definition_is_swagger_2() -> None:
    assert [error.message for error in OpenAPIV2SpecValidator(DEFINITION).iter_errors()] == []


@with_schemas
def test_the_definition_is_what_microsoft_takes() -> None:
    schema = json5.loads((SCHEMAS / "apiDefinition.swagger.schema.json").read_text())
    assert [error.message for error in Draft4Validator(schema).iter_errors(DEFINITION)] == []


@with_schemas
def test_the_properties_are_what_microsoft_takes() -> None:
    schema = json5.loads((SCHEMAS / "paconn-apiProperties.schema.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(properties())] == []


# ── what flows rely on ───────────────────────────────────────────────────────────────────────────────────────────────


def test_operations_and_objects_have_the_names_that_flows_know() -> None:
    known = {
        *("OnNewWebinar", "OnNewRegistration"),
        *("GetWebinar", "ListRegistrations", "AddRegistrant", "GetRegistrant", "ListWebinars"),
    }
    assert known <= set(OPERATIONS)
    objects = {
        *("Webinar", "Webinars", "WebinarSummary", "Registrant", "Registrants", "RegistrantSummary"),
        *("NewRegistrant", "RegistrationResult"),
    }
    assert objects <= set(DEFINITION["definitions"])


def test_every_path_is_one_that_the_engine_serves() -> None:
    patterns = [(route.method, re.sub(r"{\w+}", "[^/]+", route.path)) for route in ROUTES]
    for method, path, _ in OPERATIONS.values():
        assert any(method == m.lower() and re.fullmatch(pattern, path) for m, pattern in patterns), path


@pytest.mark.parametrize(
    ("operation", "result"), [("OnNewWebinar", "NewWebinars"), ("OnNewRegistration", "NewRegistrations")]
)
def test_polling_triggers_bring_batches(operation: str, result: str) -> None:
    method, path, found = OPERATIONS[operation]
    assert (method, path) == ("get", f"/v1/triggers/{operation}/poll")
    assert found["x-ms-trigger"] == "batch"
    assert found["x-ms-trigger-hint"]
    assert found["responses"]["200"]["schema"] == {"$ref": f"#/definitions/{result}"}
    assert DEFINITION["definitions"][result]["properties"]["value"]["type"] == "array"
    assert "202" in found["responses"]
    state = next(parameter for parameter in found["parameters"] if parameter["name"] == "triggerState")
    assert state["x-ms-visibility"] == "internal"


def test_a_registration_trigger_offers_the_webinars_to_choose_from_but_needs_none() -> None:
    parameter = next(p for p in OPERATIONS["OnNewRegistration"][2]["parameters"] if p["name"] == "webinarKey")
    assert parameter["required"] is False
    choose = parameter["x-ms-dynamic-values"]
    assert choose["operationId"] in OPERATIONS
    offered = DEFINITION["definitions"]["WebinarSummary"]["properties"]
    assert {choose["value-path"], choose["value-title"]} <= set(offered)


@pytest.mark.parametrize(
    ("operation", "method", "parameters", "result"),
    [
        ("ListWebinars", "get", set(), "Webinars"),
        ("GetWebinar", "get", {"webinarKey"}, "Webinar"),
        ("ListRegistrations", "get", {"webinarKey"}, "Registrants"),
        ("GetRegistrant", "get", {"webinarKey", "registrantKey"}, "Registrant"),
        ("AddRegistrant", "post", {"webinarKey", "body"}, "RegistrationResult"),
    ],
)
def test_actions_need_what_they_always_needed(operation: str, method: str, parameters: set[str], result: str) -> None:
    found_method, path, found = OPERATIONS[operation]
    assert (found_method, path) == (method, f"/v1/operations/{operation}")
    assert {parameter["name"] for parameter in found["parameters"] if parameter["required"]} == parameters
    assert found["responses"]["200"]["schema"] == {"$ref": f"#/definitions/{result}"}


def test_lists_are_bare_arrays() -> None:
    for name, inner in (("Webinars", "WebinarSummary"), ("Registrants", "RegistrantSummary")):
        assert DEFINITION["definitions"][name] == {"type": "array", "items": {"$ref": f"#/definitions/{inner}"}}


def test_the_instant_trigger_tells_where_to_post_and_how_to_end() -> None:
    path = DEFINITION["paths"]["/v1/subscriptions"]
    assert path["post"]["x-ms-trigger"] == "single"
    assert path["x-ms-notification-content"]["schema"] == {"$ref": "#/definitions/EventItem"}
    body = DEFINITION["definitions"]["NewSubscription"]["properties"]
    assert body["callbackUrl"]["x-ms-notification-url"] is True
    assert OPERATIONS["Unsubscribe"][2]["x-ms-visibility"] == "internal"


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def schemas(value: Any = DEFINITION) -> Iterator[dict[str, Any]]:
    """Every object within the definition."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def test_every_reference_leads_somewhere_and_every_object_is_used() -> None:
    named = {found["$ref"].removeprefix("#/definitions/") for found in schemas() if "$ref" in found}
    assert named == set(DEFINITION["definitions"])


def test_all_keys_are_texts_and_nothing_is_of_a_later_dialect() -> None:
    for found in schemas():
        for name, schema in found.get("properties", {}).items():
            if isinstance(schema, dict) and name.endswith(("Key", "ID")):
                assert schema["type"] == "string", name
        assert not isinstance(found.get("type"), list)
        assert "const" not in found


def test_what_only_the_old_api_told_is_optional() -> None:
    summary = DEFINITION["definitions"]["WebinarSummary"]
    assert {"inSession", "numberOfRegistrants"} <= set(summary["properties"])
    assert summary["required"] == ["webinarKey"]
    assert DEFINITION["definitions"]["RegistrantSummary"]["required"] == ["registrantKey"]
    assert DEFINITION["definitions"]["NewRegistrant"]["required"] == ["firstName", "lastName", "email"]


@pytest.mark.parametrize(
    ("name", "type_"),
    [("NewWebinarItem", "webinar.created"), ("NewRegistrationItem", "registrant.added")]
    + [("EventItem", type_) for type_ in samples.types()],
)
def test_items_fit_the_objects_that_flows_get(name: str, type_: str) -> None:
    example = item(samples.sample(type_).event)
    schema = {**DEFINITION["definitions"][name], "definitions": DEFINITION["definitions"]}
    Draft4Validator(schema).validate(example)
    if name != "EventItem":
        assert set(example) <= set(schema["properties"])


# ── where it is, and what it does not tell ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "scheme", "host", "path"),
    [
        ("https://poller.example.com", "https", "poller.example.com", "/"),
        ("https://poller.example.com/hooks/", "https", "poller.example.com", "/hooks"),
        ("http://127.0.0.1:8470", "http", "127.0.0.1:8470", "/"),
        ("https://ann:secret@poller.example.com:444/x", "https", "poller.example.com:444", "/x"),
    ],
)
def test_the_address_is_the_engines_public_one_without_a_password(url: str, scheme: str, host: str, path: str) -> None:
    found = definition(url, "1")
    assert (found["schemes"], found["host"], found["basePath"]) == ([scheme], host, path)
    assert "secret@" not in json.dumps(found)


@pytest.mark.parametrize(
    "url", ["", "poller.example.com", "ftp://x", "https://", "https://h:port", "http://[::1]:8470"]
)
def test_an_address_that_the_format_cannot_hold_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="public_url"):
        definition(url, "1")


def test_the_connection_asks_for_the_key_and_no_file_holds_one() -> None:
    asked = properties()["properties"]["connectionParameters"]
    (name,) = asked
    assert asked[name]["type"] == "securestring"
    assert DEFINITION["securityDefinitions"][name] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert DEFINITION["security"] == [{name: []}]
    assert "default" not in json.dumps(asked)
