"""What the surface says about itself is what it does."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from poller.testing.events import draft
from poller.web.surface import PAGES, ROUTES
from tests.integration.http_house import House, http_house


# Described already, and served by nothing yet.
@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with http_house(tmp_path) as made:
        yield made


async def test_the_description_is_openapi_and_names_only_what_is_served(house: House) -> None:
    found = (await house.get("/openapi.json")).json
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    assert found["servers"] == [{"url": house.surface.url}]
    token = house.app.callback.terms().token
    for path, item in found["paths"].items():
        for method in item:
            if path == "/v1/stream":  # it has no end; see test_http_feed
                continue
            operation = "createWebinar" if method == "post" else "getPolls"
            asked = path.format(trigger="all", id="x", token=token, operationId=operation, webinarKey="1")
            reply = await house.ask(method.upper(), asked)
            assert reply.status not in (405, 500), path
            assert "nothing at this path" not in reply.text, path


async def test_what_is_described_is_served_and_what_is_served_is_described(house: House) -> None:
    """Asked of the library itself, not of our own list."""
    routes = house.surface._server._application.router.routes()
    served = {(one.method, one.resource.canonical) for one in routes if one.resource and one.method != "HEAD"}
    assert served == {(route.method, route.path) for route in (*ROUTES, *PAGES)}


async def test_answers_are_as_they_are_described(house: House) -> None:
    await house.people(2)
    found = (await house.get("/openapi.json")).json
    registry = Registry().with_resource("urn:document", DRAFT202012.create_resource(found))

    async def check(path: str, described: str, status: str = "200", **how: Any) -> Any:
        reply = await house.ask(how.pop("method", "GET"), path, **how)
        assert reply.status == int(status), reply
        operation = found["paths"][described]["post" if "json" in how else "get"]
        [(media, content)] = operation["responses"][status]["content"].items()
        assert reply.headers["Content-Type"].startswith(media), path
        schema = json.loads(json.dumps(content["schema"]).replace("#/components", "urn:document#/components"))
        OAS31Validator(schema, registry=registry).validate(reply.json)
        return reply

    await check("/healthz", "/healthz")
    await check("/readyz", "/readyz")
    await check("/v1/triggers", "/v1/triggers")
    await check("/v1/triggers/all/items", "/v1/triggers/{trigger}/items")
    await check("/v1/triggers/all/items?envelope=1", "/v1/triggers/{trigger}/items")
    await check("/v1/feed", "/v1/feed")
    await check(f"/v1/events/{house.told[0]}", "/v1/events/{id}")
    await check("/v1/sync", "/v1/sync", "202", method="POST", json={})
    body = {"callbackUrl": "https://example.com/hook", "trigger": "all"}
    await check("/v1/subscriptions", "/v1/subscriptions", "201", method="POST", json=body)
    await check("/v1/subscriptions", "/v1/subscriptions")
    state = (await house.get("/v1/triggers/all/poll")).cursor
    await house.tell(draft(3))
    await check(f"/v1/triggers/all/poll?triggerState={state}", "/v1/triggers/{trigger}/poll")


async def test_the_connector_leads_to_the_address_that_others_reach(tmp_path: Path) -> None:
    async with http_house(tmp_path, http={"public_url": "https://goto.example.com/poller"}) as house:
        definition = (await house.get("/v1/connector/apiDefinition.swagger.json")).json
        properties = (await house.get("/v1/connector/apiProperties.json")).json
    assert (definition["host"], definition["basePath"]) == ("goto.example.com", "/poller")
    assert "properties" in properties


async def test_metrics_need_a_key_like_everything_else(tmp_path: Path) -> None:
    async with http_house(tmp_path, http={"api_keys": ["k"]}) as house:
        await house.people(1)
        assert (await house.get("/metrics")).status == 401
        reply = await house.get("/metrics", headers={"Authorization": "Bearer k"})
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert 'poller_events_total{type="registrant.added"} 1.0' in reply.text


async def test_without_the_extra_metrics_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as if it were not installed
    async with http_house(tmp_path) as house:
        reply = await house.get("/metrics")
        assert (await house.get("/v1/feed")).status == 200
    assert reply.status == 404 and "goto-poller[metrics]" in reply.json["detail"]
