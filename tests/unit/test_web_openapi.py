"""The OpenAPI document: valid, and about everything that the surface has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from poller import samples
from poller.formats import item
from poller.web import catalogue, connector
from poller.web.openapi import document
from poller.web.surface import ROUTES

URL = "https://poller.example.com"
DOCUMENT: dict[str, Any] = json.loads(json.dumps(document(URL, "1.2.3")))

PATHS = {
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/openapi.json": {"get"},
    "/v1/triggers": {"get"},
    "/v1/triggers/{trigger}/poll": {"get"},
    "/v1/triggers/{trigger}/items": {"get"},
    "/v1/feed": {"get"},
    "/v1/stream": {"get"},
    "/v1/subscriptions": {"get", "post"},
    "/v1/subscriptions/{id}": {"get", "delete"},
    "/v1/sync": {"post"},
    "/v1/events/{id}": {"get"},
    "/v1/webinars/{webinarKey}/participants": {"get"},
    "/v1/goto/webhooks/{token}": {"get", "post"},
    "/v1/operations/{operationId}": {"get", "post"},
    "/v1/operations/ListWebinars": {"get"},
    "/v1/operations/GetWebinar": {"get"},
    "/v1/operations/ListRegistrations": {"get"},
    "/v1/operations/GetRegistrant": {"get"},
    "/v1/operations/AddRegistrant": {"post"},
    "/v1/connector/apiDefinition.swagger.json": {"get"},
    "/v1/connector/apiProperties.json": {"get"},
}


class Everything:
    def hears(self, short_type: str) -> bool:
        return True


class Nothing:
    def hears(self, short_type: str) -> bool:
        return False


def fits(name: str, value: object) -> bool:
    registry = Registry().with_resource("urn:document", DRAFT202012.create_resource(DOCUMENT))
    schema = {"$ref": f"urn:document#/components/schemas/{name}"}
    return bool(OAS31Validator(schema, registry=registry).is_valid(value))


def operations() -> dict[str, dict[str, Any]]:
    return {found["operationId"]: found for path in DOCUMENT["paths"].values() for found in path.values()}


def test_the_document_is_openapi_3_1() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["servers"] == [{"url": URL}]


def test_every_path_of_the_surface_is_described() -> None:
    assert {path: set(item) for path, item in DOCUMENT["paths"].items()} == PATHS


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(DOCUMENT)):
        assert reference in DOCUMENT["components"]["schemas"]


def test_only_health_and_gotos_own_webhooks_answer_without_a_key() -> None:
    assert DOCUMENT["security"] == [{"key": []}, {"bearer": []}]
    found = {path for path, item in DOCUMENT["paths"].items() for op in item.values() if op.get("security") == []}
    assert found == {"/healthz", "/readyz", "/v1/goto/webhooks/{token}"}


def test_every_operation_can_fail_with_a_problem() -> None:
    for found in operations().values():
        assert list(found["responses"]["default"]["content"]) == ["application/problem+json"]


def test_limits_and_defaults_are_in_the_document() -> None:
    parameters = {found["name"]: found for found in operations()["pollTrigger"]["parameters"]}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert parameters["trigger"]["in"] == "path"
    assert set(operations()["pollTrigger"]["responses"]["202"]["headers"]) == {
        *("Location", "Retry-After", "Poller-Cursor", "Poller-Gap")
    }
    assert operations()["listParticipants"]["responses"]["200"]["content"].keys() == {"application/json", "text/csv"}


def test_samples_fit_the_objects_they_are_answers_of() -> None:
    for type_ in samples.types():
        assert fits("Event", samples.sample(type_).event), type_
        assert fits("Items", {"value": [item(samples.sample(type_).event)]}), type_
    for entry in catalogue.entries([("all", Everything()), ("none", Nothing())]):
        assert fits("Trigger", entry)
    assert not fits("Items", {"value": [{"id": "1"}]})


@pytest.mark.parametrize(
    ("body", "is_right"),
    [
        ({"callbackUrl": "https://example.com", "trigger": "a"}, True),
        ({"targetUrl": "https://example.com", "trigger": "a", "webinarKey": "1", "types": ["webinar.*"]}, True),
        ({"trigger": "a"}, False),
        ({"callbackUrl": "https://example.com"}, True),
        ({"callbackUrl": "https://example.com", "trigger": "a", "more": 1}, False),
        ({"callbackUrl": "https://example.com", "trigger": "a", "format": "xml"}, False),
        ({"callbackUrl": "https://example.com", "trigger": None, "webinarKey": "", "format": "", "types": None}, True),
        ({"callbackUrl": "", "hookUrl": None, "targetUrl": "https://example.com"}, True),
        ({"callbackUrl": "", "hookUrl": None, "trigger": "a"}, False),
        ({"callbackUrl": "https://example.com", "types": ["a, b"]}, False),
        ({"callbackUrl": "https://example.com", "types": ["webinar.*"] * 51}, False),
    ],
)
def test_the_body_of_a_subscription_is_described_as_it_is_checked(body: dict[str, Any], is_right: bool) -> None:
    from poller.web.routes import read_body
    from poller.web.surface import SUBSCRIBING

    schema = operations()["subscribe"]["requestBody"]["content"]["application/json"]["schema"]
    assert OAS31Validator(schema).is_valid(body) is is_right
    assert (read_body(SUBSCRIBING, body).problems == []) is is_right


def test_what_forms_send_where_nobody_filled_in_is_described_as_right() -> None:
    described = {found["name"]: found["schema"] for found in operations()["listItems"]["parameters"]}
    for name in ("after", "webinarKey", "organizerKey"):
        assert OAS31Validator(described[name]).is_valid("")
        assert not OAS31Validator(described[name]).is_valid("x")
    assert OAS31Validator(operations()["readFeed"]["parameters"][-1]["schema"]).is_valid([""])


def test_actions_are_described_here_as_they_are_in_the_connector() -> None:
    """Two documents of one thing: method, parameters, what is required, body and answer."""

    def shape(found: dict[str, Any]) -> tuple[set[tuple[str, bool]], str]:
        given = {(one["name"], one["required"]) for one in found["parameters"] if one["in"] == "query"}
        return given, json.dumps(found).count('NewRegistrant"') * "with a person"

    other = connector.definition(URL, "1")
    for path, methods in other["paths"].items():
        if path.startswith("/v1/operations/"):
            ours = DOCUMENT["paths"][path]
            assert methods.keys() == ours.keys()
            for method, found in methods.items():
                assert found["operationId"] == ours[method]["operationId"]
                assert shape(found) == shape(ours[method])


def test_the_names_in_the_document_are_those_of_the_routes() -> None:
    assert set(operations()) == {route.name for route in ROUTES}
