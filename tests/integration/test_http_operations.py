"""GoTo's operations over HTTP: by the names of the seeds and the vendor, with shapes that flows rely on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from jsonschema import Draft4Validator
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from poller import listening
from poller.clock import SystemClock
from poller.simulator import Simulator
from poller.web import connector, openapi
from tests.integration.http_house import House, Reply, http_house, problem
from tests.integration.recording_goto import CUT, RecordingGoto, recording
from tests.integration.terminal_world import WORLD, key_of, pat_of

PATH = "/v1/operations"
PERSON = {"firstName": "Bo", "lastName": "Lind", "email": "bo.lind@example.com"}
CLIENT = {"client_id": "client", "client_secret": "secret"}

DEFINITIONS: dict[str, Any] = connector.definition("https://poller.example.com", "1")["definitions"]
DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi.document("https://poller.example.com", "1")))


@pytest.fixture
async def sim() -> AsyncIterator[tuple[Simulator, str]]:
    simulator = Simulator(WORLD, clock=SystemClock())
    async with simulator.serve(ticker=False) as url:
        yield simulator, url


@pytest.fixture
async def house(sim: tuple[Simulator, str], tmp_path: Path) -> AsyncIterator[House]:
    """One connection, to the simulator."""
    simulator, url = sim
    goto = {"api_url": url, "auth_url": url, "room_url": url, **CLIENT}
    goto |= {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    async with http_house(tmp_path, goto=goto, connections=[{"name": "acme", "pat": pat_of(simulator)}]) as made:
        yield made


@pytest.fixture
async def goto() -> AsyncIterator[RecordingGoto]:
    async with recording() as made:
        yield made


@pytest.fixture
async def asked(goto: RecordingGoto, tmp_path: Path) -> AsyncIterator[House]:
    """One connection, to a GoTo that answers what the test says."""
    urls = {"api_url": goto.url, "auth_url": goto.url, "room_url": goto.url}
    connections = [{"name": "acme", "pat": "pat"}]
    async with http_house(tmp_path, goto={**urls, **CLIENT}, connections=connections) as made:
        yield made


def webinar_of(simulator: Simulator) -> str:
    """One of the first organizer that people are registered for."""
    return max(
        (webinar.webinar_key for webinar in simulator.world.webinars(key_of(simulator))),
        key=lambda key: len(simulator.world.registrants(key)),
    )


async def perform(house: House, operation: str, **how: Any) -> Reply:
    return await house.ask("POST", f"{PATH}/{operation}", **how)


def require_fitting(action: str, reply: Reply) -> Any:
    """The answer is what both documents promise of it: the connector's for flows, OpenAPI's for other programs."""
    assert reply.status == 200, reply
    method = "post" if action == "AddRegistrant" else "get"
    named = connector.definition("https://x.example", "1")["paths"][f"{PATH}/{action}"][method]
    shape = named["responses"]["200"]["schema"]
    Draft4Validator({**shape, "definitions": DEFINITIONS}).validate(reply.json)
    described = DOCUMENT["paths"][f"{PATH}/{action}"][method]["responses"]["200"]["content"]["application/json"]
    registry = Registry().with_resource("urn:document", DRAFT202012.create_resource(DOCUMENT))
    schema = json.loads(json.dumps(described["schema"]).replace("#/components", "urn:document#/components"))
    OAS31Validator(schema, registry=registry).validate(reply.json)
    return reply.json


# ── the actions of the seeds ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_actions_of_the_connector_do_what_they_say_in_the_shapes_that_it_promises(
    house: House, sim: tuple[Simulator, str]
) -> None:
    simulator, _ = sim
    key = webinar_of(simulator)
    listed = require_fitting("ListWebinars", await house.get(f"{PATH}/ListWebinars"))
    one = require_fitting("GetWebinar", await house.get(f"{PATH}/GetWebinar?webinarKey={key}"))
    before = require_fitting("ListRegistrations", await house.get(f"{PATH}/ListRegistrations?webinarKey={key}"))
    person = {**PERSON, "organization": "Kite", "source": None}
    made = require_fitting("AddRegistrant", await perform(house, f"AddRegistrant?webinarKey={key}", json=person))
    who = f"webinarKey={key}&registrantKey={made['registrantKey']}"
    details = require_fitting("GetRegistrant", await house.get(f"{PATH}/GetRegistrant?{who}"))
    after = require_fitting("ListRegistrations", await house.get(f"{PATH}/ListRegistrations?webinarKey={key}"))

    own = {webinar.webinar_key for webinar in simulator.world.webinars(key_of(simulator))}
    assert listed and {found["webinarKey"] for found in listed} <= own
    assert one["webinarKey"] == key and one["times"]
    assert all(webinar["times"] and webinar["webinarID"] and "webinarId" not in webinar for webinar in [*listed, one])
    assert (details["email"], details["organization"]) == (PERSON["email"], "Kite")
    came = {found["registrantKey"] for found in after} - {found["registrantKey"] for found in before}
    assert before and came == {made["registrantKey"]}


async def test_webinars_without_a_range_are_those_from_yesterday_to_two_years_ahead(
    goto: RecordingGoto, asked: House
) -> None:
    goto.say({"page": {"size": 200, "totalElements": 0, "totalPages": 0, "number": 0}})
    assert (await asked.get(f"{PATH}/ListWebinars?fromTime=")).json == []
    assert (await asked.get(f"{PATH}/getWebinars?fromTime=2020-01-01T00:00:00Z")).json == []
    usual, own = (one.query for one in goto.asked)
    now = asked.app.clock.now()
    assert usual["fromTime"] < f"{now:%Y-%m-%dT%H:%M:%SZ}" and usual["toTime"][:4] >= str(now.year + 1)
    assert own["fromTime"] == "2020-01-01T00:00:00Z" and own["toTime"] >= usual["toTime"]


async def test_a_list_comes_whole_unless_one_page_of_it_is_chosen(house: House, sim: tuple[Simulator, str]) -> None:
    key = webinar_of(sim[0])
    everybody = (await house.get(f"{PATH}/ListRegistrations?webinarKey={key}")).json
    first = (await house.get(f"{PATH}/getAllRegistrantsForWebinar?webinarKey={key}&page=0&limit=1")).json
    webinars = (await house.get(f"{PATH}/ListWebinars?fromTime=2000-01-01T00:00:00Z")).json
    second = (await house.get(f"{PATH}/getWebinars?fromTime=2000-01-01T00:00:00Z&page=1&size=1")).json
    beyond = (await house.get(f"{PATH}/getWebinars?page=90")).json
    assert len(everybody) > 1 and len(first) == 1 and first[0] in everybody
    assert len(webinars) > 1 and [found["webinarKey"] for found in second] == [webinars[1]["webinarKey"]]
    assert beyond == []


async def test_many_pages_are_walked_and_become_one_array(goto: RecordingGoto, asked: House) -> None:
    def page(request: Any) -> Any:
        number = int(request.query["page"])
        webinars = [{"webinarKey": 10 * number + place} for place in range(2)]
        return {
            "_embedded": {"webinars": webinars},
            "page": {"size": 2, "totalElements": 6, "totalPages": 3, "number": number},
        }

    goto.say(page)
    found = (await asked.get(f"{PATH}/ListWebinars")).json
    assert [webinar["webinarKey"] for webinar in found] == ["0", "1", "10", "11", "20", "21"]


async def test_who_is_registered_already_is_returned_and_a_note_says_so(
    house: House, sim: tuple[Simulator, str]
) -> None:
    path = f"AddRegistrant?webinarKey={webinar_of(sim[0])}"
    made = await perform(house, path, json=PERSON)
    again = await perform(house, path, json=PERSON)
    assert require_fitting("AddRegistrant", again)["registrantKey"] == made.json["registrantKey"]
    assert "already" in again.headers["Poller-Note"] and "Poller-Note" not in made.headers


async def test_answers_to_questions_are_sent_with_keys_that_are_texts(goto: RecordingGoto, asked: House) -> None:
    goto.say((201, {"registrantKey": 6820277626085326123, "joinUrl": "https://x.example/j", "status": "APPROVED"}))
    responses = [{"questionKey": "7", "answerKey": "71"}, {"questionKey": "8", "responseText": "by post"}]
    made = await perform(asked, "AddRegistrant?webinarKey=42", json={**PERSON, "responses": responses})
    assert require_fitting("AddRegistrant", made)["registrantKey"] == "6820277626085326123"
    sent = goto.asked[0].json["responses"]
    assert [str(response["questionKey"]) for response in sent] == ["7", "8"]
    assert str(sent[0]["answerKey"]) == "71" and sent[1]["responseText"] == "by post"


# ── all other operations ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_operation_is_called_by_its_name_or_an_alias(house: House, sim: tuple[Simulator, str]) -> None:
    key = webinar_of(sim[0])
    for name in ("getWebinar", "get_webinar", "Get%20webinar", "GETWEBINAR"):
        assert (await house.get(f"{PATH}/{name}?webinarKey={key}")).json["webinarKey"] == key
        assert (await perform(house, f"{name}?webinarKey={key}")).json["webinarKey"] == key
    span = {"startTime": "2096-04-01T10:00:00Z", "endTime": "2096-04-01T11:00:00Z"}
    made = await perform(house, "createWebinar", json={"subject": "Kites", "times": [span], "timeZone": "UTC"})
    changed = await perform(house, f"updateWebinar?webinarKey={made.json['webinarKey']}", json={"subject": "Dragons"})
    assert (changed.status, changed.json) == (200, None)
    known = await house.get(f"{PATH}/getWebinar?webinarKey={made.json['webinarKey']}")
    assert known.json["subject"] == "Dragons"
    assert (await perform(house, f"cancelWebinar?webinarKey={made.json['webinarKey']}")).status == 200
    problem(await house.get(f"{PATH}/getWebinar?webinarKey={made.json['webinarKey']}"), 404)


async def test_what_changes_something_takes_post(house: House, sim: tuple[Simulator, str]) -> None:
    key = webinar_of(sim[0])
    refused = await house.get(f"{PATH}/cancelWebinar?webinarKey={key}")
    problem(refused, 405)
    assert refused.headers["Allow"] == "POST"
    assert (await house.get(f"{PATH}/getWebinar?webinarKey={key}")).status == 200


async def test_what_erases_needs_a_yes(goto: RecordingGoto, asked: House) -> None:
    path = "deleteMeetingSessionRecordings?sessionId=2"
    goto.say((204, b""))
    for yes in ("", "&yes=0", "&yes="):
        found = problem(await perform(asked, path + yes), 400)
        assert found["parameter"] == "yes" and "yes=1" in found["detail"]
    assert not goto.asked
    assert (await perform(asked, f"{path}&yes=1")).status == 200
    assert [one.method for one in goto.asked] == ["DELETE"]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_operation_is_told_the_nearest_right_name(asked: House) -> None:
    for method in ("GET", "POST"):
        found = problem(await asked.ask(method, f"{PATH}/getWebinr?webinarKey=1"), 404)
        assert "getWebinar" in found["detail"]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("getWebinar", "webinarKey"),
        ("getWebinar?webinarKey=Intro", "webinarKey"),
        ("getWebinar?webinarKey=1&webinarKey=2", "webinarKey"),
        ("getWebinar?webinarKey=1&webinar=2", "webinar"),
        ("GetWebinar", "webinarKey"),
        ("GetWebinar?webinarKey=../../me", "webinarKey"),
        ("GetWebinar?webinarkey=1", "webinarKey"),
        ("GetWebinar?webinarKey=1&unknown=1", "unknown"),
        ("GetRegistrant?webinarKey=1", "registrantKey"),
        ("getWebinars?fromTime=yesterday", "fromTime"),
        ("getWebinars?size=201", "size"),
        ("getWebinars?page=-1", "page"),
        ("ListWebinars?toTime=2001-01-01T00:00:00Z", "toTime"),
    ],
)
async def test_a_wrong_parameter_is_named_and_nothing_is_sent(
    goto: RecordingGoto, asked: House, path: str, word: str
) -> None:
    found = problem(await asked.get(f"{PATH}/{path}"), 400)
    assert word in found["detail"]
    assert not goto.asked


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "firstName"),
        (b"{}", 400, "firstName"),
        (b'{"firstName": "Bo", "lastName": "Lind"}', 400, "email"),
        (b'{"firstName": "Bo", "lastName": "Lind", "email": "bo"}', 400, "email"),
        (b"[1]", 400, "body"),
        (b"{", 400, "JSON"),
        (b"[" * 1_000_001, 413, "larger"),
    ],
)
async def test_a_wrong_body_is_told_and_nothing_is_sent(
    goto: RecordingGoto, asked: House, body: bytes, status: int, word: str
) -> None:
    headers = {"Content-Type": "application/json"}
    found = problem(await perform(asked, "AddRegistrant?webinarKey=1", data=body, headers=headers), status)
    assert word in found["detail"] and not goto.asked


@pytest.mark.parametrize(
    ("answer", "status", "retry"),
    [
        ((404, {"errorCode": "NotFound", "description": "Webinar with specified key does not exist."}), 404, None),
        ((403, {"errorCode": "Forbidden", "description": "not yours"}), 403, None),
        ((400, {"errorCode": "Bad", "description": "no such thing"}), 422, None),
        ((503, b"down", {"Retry-After": "17"}), 503, "17"),
        ((500, b""), 503, "30"),
        ((200, b"<html>"), 502, None),
        (CUT, 503, "30"),
    ],
)
async def test_what_goto_says_is_told_in_the_status(
    goto: RecordingGoto, asked: House, answer: Any, status: int, retry: str | None
) -> None:
    goto.say(answer)
    reply = await asked.get(f"{PATH}/GetWebinar?webinarKey=1")
    assert problem(reply, status)["operation"] == "getWebinar"
    assert reply.headers.get("Retry-After") == retry


@pytest.mark.parametrize("answer", [CUT, (500, b""), (200, b"<html>"), (408, b"")])
async def test_of_a_change_without_an_answer_it_is_said_that_nobody_knows(
    goto: RecordingGoto, asked: House, answer: Any
) -> None:
    goto.say(answer)
    found = problem(await perform(asked, "AddRegistrant?webinarKey=1", json=PERSON), 502)
    assert "Nobody knows" in found["detail"] and "getAllRegistrantsForWebinar" in found["detail"]
    assert PERSON["email"] not in found["detail"]
    assert len(goto.asked) == 1, "it is not asked for again"


async def test_without_a_free_call_the_caller_is_told_when_there_is_one(
    goto: RecordingGoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LONGEST_WAIT", 0.0)
    urls = {"api_url": goto.url, "auth_url": goto.url, **CLIENT}
    connections, limits = [{"name": "acme", "pat": "pat"}], {"per_day": 2}
    async with http_house(tmp_path, goto=urls, connections=connections, limits=limits) as house:
        async with asyncio.timeout(30):
            while (reply := await house.get(f"{PATH}/GetWebinar?webinarKey=1")).status == 200:
                pass
    problem(reply, 429)
    assert int(reply.headers["Retry-After"]) > 3600


async def test_a_connection_without_a_login_says_what_to_do(goto: RecordingGoto, tmp_path: Path) -> None:
    urls = {"api_url": goto.url, "auth_url": goto.url, **CLIENT}
    async with http_house(tmp_path, goto=urls, connections=[{"name": "acme"}]) as house:
        found = problem(await house.get(f"{PATH}/GetWebinar?webinarKey=1"), 503)
    assert "poller login" in found["detail"]


async def test_of_several_connections_one_has_to_be_named(goto: RecordingGoto, tmp_path: Path) -> None:
    goto.say({"webinarKey": 1})
    urls = {"api_url": goto.url, "auth_url": goto.url, **CLIENT}
    connections = [{"name": name, "pat": "pat"} for name in ("acme", "umbra")]
    async with http_house(tmp_path, goto=urls, connections=connections) as house:
        found = problem(await house.get(f"{PATH}/GetWebinar?webinarKey=1"), 400)
        assert found["parameter"] == "connection" and "acme, umbra" in found["detail"]
        found = problem(await house.get(f"{PATH}/GetWebinar?webinarKey=1&connection=acne"), 400)
        assert found["parameter"] == "connection" and "acme" in found["detail"]
        assert (await house.get(f"{PATH}/GetWebinar?webinarKey=1&connection=umbra")).status == 200


async def test_a_key_is_asked_for_and_pages_of_other_sites_can_do_nothing(
    goto: RecordingGoto, asked: House, tmp_path: Path
) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        problem(await perform(asked, "cancelWebinar?webinarKey=1", headers=headers), 403)
    (tmp_path / "closed").mkdir()
    async with http_house(tmp_path / "closed", http={"api_keys": ["k"]}) as closed:
        problem(await perform(closed, "cancelWebinar?webinarKey=1"), 401)
    assert not goto.asked


async def test_what_a_caller_sends_cannot_break_a_header_or_get_into_the_log(goto: RecordingGoto, asked: House) -> None:
    goto.say((201, {"registrantKey": 5}))
    person = {**PERSON, "nick\r\nSet-Cookie: a=b\r\n\u00e9": "B"}
    with structlog.testing.capture_logs() as lines:
        made = await perform(asked, "AddRegistrant?webinarKey=1", json=person)
    assert made.status == 200 and "Set-Cookie" not in made.headers
    assert "nick" in made.headers["Poller-Note"]
    [line] = [line for line in lines if line["event"] == "http.request"]
    assert line["operation"] == "createRegistrant" and line["log_level"] == "info"
    assert not any(word in str(lines) for word in (PERSON["email"], "Lind", "nick"))
