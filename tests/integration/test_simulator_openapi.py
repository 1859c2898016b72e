"""The simulator's answers against the vendor's OpenAPI document.

Tolerated are only errors of the document itself, each by name:
- WEBINAR_ID, STATUS: the schema Webinar requires both and defines neither.
- EMPTY_PAGE: `_embedded` is required, though an empty page comes without it.
- UNTYPED: object schemas do not say that they are objects, so that a list would pass for one of them.
- SURNAME: the schema Coorganizer requires it, the operation's text says that external ones have none.
- CREATED_MORE: `status` and `asset` of a new registrant were seen by client authors, the document is silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

from poller.simulator import Simulator, WorldOptions
from poller.testing import FakeClock
from tests.integration.receiver import answering, receiver
from tests.integration.simulator_guest import ALL_TIME, Guest, visiting

DOCUMENT = Path(__file__).parents[2].parent / "shared" / "goto" / "goto-webinar-openapi.yml"
pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason=f"the vendor's OpenAPI document is not at {DOCUMENT}")

VENDOR = "urn:vendor"
WEBINAR_ID, STATUS, ASSET = "webinarId", "status", "asset"
EMPTY_PAGE = "'_embedded' is a required property"
SURNAME = "'surname' is a required property"
CREATED_MORE = {STATUS, ASSET}
ONE = "/organizers/{organizerKey}/webinars/{webinarKey}"
PERSON = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}
TIMES = [{"startTime": "2026-09-01T10:00:00Z", "endTime": "2026-09-01T11:00:00Z"}]


@pytest.fixture(scope="module")
def document():
    """With UNTYPED mended: a schema with properties is one of an object."""
    loaded = yaml.safe_load(DOCUMENT.read_text())
    for schema in loaded["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("type", "object")
    return loaded


class Judge:
    """Finds the schema the document gives for an answer, and says what is wrong with the answer."""

    def __init__(self, document):
        self.document = document
        self.registry = Registry().with_resource(VENDOR, DRAFT4.create_resource(document))

    def response(self, template, method, status):
        return self.document["paths"][template][method]["responses"][str(status)]

    def mistakes(self, template, method, reply):
        declared = self.response(template, method, reply.status)
        if "content" not in declared:
            return [] if reply.body == b"" else ["a body where none is declared"]
        steps = ("paths", template, method, "responses", str(reply.status), "content", "application/json", "schema")
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
        schema = {"$ref": f"{VENDOR}#/{pointer}"}
        checker = OAS30Validator(schema, registry=self.registry, format_checker=oas30_format_checker)
        return [error.message for error in checker.iter_errors(reply.json)]

    def undefined(self, schema_name, item):
        return set(item) - set(self.document["components"]["schemas"][schema_name]["properties"])


@pytest.fixture
def judge(document):
    return Judge(document)


@pytest.fixture
async def guest():
    options = WorldOptions(webinars=12, registrants=60, rate_per_minute=0, series_share=0.3, sequence_share=0.3)
    async with visiting(Simulator(options, clock=FakeClock())) as visitor:
        yield visitor


async def test_lists_of_webinars_are_as_documented(guest, judge):
    listed = await guest.get(f"{guest.home}/webinars", **ALL_TIME)
    assert judge.mistakes("/organizers/{organizerKey}/webinars", "get", listed) == []
    for item in listed.json["_embedded"]["webinars"]:
        assert judge.undefined("Webinar", item) == {WEBINAR_ID, STATUS}
    await guest.log_in(guest.sim.world.admin.pat)
    path = f"/G2W/rest/v2/accounts/{guest.sim.world.admin.account_key}/webinars"
    account = await guest.get(path, size=200, **ALL_TIME)
    assert len(account.json["_embedded"]["webinars"]) == 12
    assert judge.mistakes("/accounts/{accountKey}/webinars", "get", account) == []


async def test_an_empty_page_differs_from_the_document_only_by_leaving_embedded_out(guest, judge):
    past = {"fromTime": "2001-01-01T00:00:00Z", "toTime": "2001-01-02T00:00:00Z"}
    reply = await guest.get(f"{guest.home}/webinars", **past)
    assert judge.mistakes("/organizers/{organizerKey}/webinars", "get", reply) == [EMPTY_PAGE]


async def test_every_kind_of_webinar_by_key_is_as_documented(guest, judge):
    kinds = set()
    for key in await guest.listed():
        reply = await guest.get(f"{guest.home}/webinars/{key}")
        assert judge.mistakes(ONE, "get", reply) == []
        assert judge.undefined("WebinarByKey", reply.json) == set()
        kinds.add(reply.json["type"])
    assert kinds == {"single_session", "series", "sequence"}


async def test_webinars_in_session_are_as_documented(judge):
    clock = FakeClock()
    options = WorldOptions(organizers=2, webinars=2, coorganized_share=1.0, rate_per_minute=0)
    async with visiting(Simulator(options, clock=clock)) as guest:
        start = guest.sim.world.webinars()[0].times[0].start
        await clock.advance((start - guest.sim.world.now).total_seconds() + 1)
        await guest.log_in()
        reply = await guest.get(f"{guest.home}/insessionWebinars")
        template = "/organizers/{organizerKey}/insessionWebinars"
        assert judge.mistakes(template, "get", reply) == []
        assert reply.json[0]["coorganizers"]
        assert judge.undefined("BrokerWebinar", reply.json[0]) == set()


async def test_sessions_and_attendance_are_as_documented(judge):
    options = WorldOptions(webinars=8, registrants=80, past_share=1.0, rate_per_minute=0)
    async with visiting(Simulator(options, clock=FakeClock())) as guest:
        sessions = await guest.get(f"{guest.home}/sessions", **ALL_TIME)
        assert judge.mistakes("/organizers/{organizerKey}/sessions", "get", sessions) == []
        session = sessions.json["_embedded"]["sessionInfoResources"][0]
        one = f"{guest.home}/webinars/{session['webinarKey']}"
        assert judge.mistakes(f"{ONE}/sessions", "get", await guest.get(f"{one}/sessions")) == []
        everybody = await guest.get(f"{one}/attendees")
        assert judge.mistakes(f"{ONE}/attendees", "get", everybody) == []
        came = await guest.get(f"{one}/sessions/{session['sessionKey']}/attendees")
        assert judge.mistakes(f"{ONE}/sessions/{{sessionKey}}/attendees", "get", came) == []
        assert came.json == everybody.json["_embedded"]["attendeeParticipationResponses"] != []
        assert judge.undefined("ReportingSession", session) == set()
        assert judge.undefined("Attendee", came.json[0]) == set()


async def test_registrants_in_all_their_forms_are_as_documented(guest, judge):
    many = f"{ONE}/registrants"
    path = guest.registrants_of()
    bare = await guest.get(path)
    assert judge.mistakes(many, "get", bare) == []
    assert judge.mistakes(many, "get", await guest.get(path, page=1, limit=2)) == []
    assert judge.undefined("Registrant", bare.json[0]) == set()
    made = await guest.call("POST", path, json=PERSON)
    assert judge.mistakes(many, "post", made) == []
    assert judge.undefined("RegistrantCreated", made.json) == CREATED_MORE
    again = await guest.call("POST", path, json=PERSON)
    assert judge.response(many, "post", again.status)
    one = f"{path}/{made.json['registrantKey']}"
    detail = await guest.get(one)
    assert judge.mistakes(f"{many}/{{registrantKey}}", "get", detail) == []
    assert judge.undefined("RegistrantDetailed", detail.json) == set()
    assert judge.mistakes(f"{many}/{{registrantKey}}", "delete", await guest.call("DELETE", one)) == []


async def test_making_changing_and_cancelling_a_webinar_is_answered_as_documented(guest, judge):
    many = "/organizers/{organizerKey}/webinars"
    made = await guest.call("POST", f"{guest.home}/webinars", json={"subject": "New", "times": TIMES})
    assert judge.mistakes(many, "post", made) == []
    one = f"{guest.home}/webinars/{made.json['webinarKey']}"
    assert judge.mistakes(ONE, "put", await guest.call("PUT", one, json={"subject": "Newer"})) == []
    assert judge.mistakes(ONE, "delete", await guest.call("DELETE", one)) == []


PAST = WorldOptions(organizers=2, webinars=8, registrants=200, past_share=1.0, coorganized_share=0.5, rate_per_minute=0)
V2 = "/G2W/rest/v2"


@dataclass
class Walk:
    """Calls operations as templates of the document and judges each answer; notes which ones it called."""

    guest: Guest
    judge: Judge
    keys: dict[str, str]
    called: set[tuple[str, str]] = field(default_factory=set)

    async def call(self, method, template, *, tolerated=(), status=None, **more):
        reply = await self.guest.call(method, V2 + filled(template, self.keys), **more)
        assert status is None or reply.status == status, (template, reply.body)
        assert set(self.judge.mistakes(template, method.lower(), reply)) <= set(tolerated), template
        self.called.add((method, template))
        return reply.json if reply.body else None


@pytest.fixture
async def walk(judge):
    async with visiting(Simulator(PAST, clock=FakeClock())) as guest:
        world = guest.sim.world
        mine = [w for w in world.webinars() if w.organizer_key == world.organizers[0].organizer_key]
        session = max(world.sessions.completed(mine, world.now), key=lambda s: len(world.sessions.everybody(s)))
        keys = {
            "organizerKey": session.webinar.organizer_key,
            "accountKey": world.admin.account_key,
            "webinarKey": session.webinar_key,
            "sessionKey": session.session_key,
            "registrantKey": world.sessions.everybody(session)[0].key,
        }
        yield Walk(guest, judge, keys)


async def walk_reports(walk):
    one = f"{ONE}/sessions/{{sessionKey}}"
    for what in ("", "/attendees", "/polls", "/questions", "/surveys", "/performance"):
        assert await walk.call("GET", one + what, status=200)
    for what in ("", "/polls", "/questions", "/surveys"):
        await walk.call("GET", f"{one}/attendees/{{registrantKey}}{what}", status=200)
    for what in ("/performance", "/attendees", "/sessions", "/meetingtimes", "/registrants/fields", "/audio"):
        assert await walk.call("GET", ONE + what, status=200)
    assert await walk.call("GET", "/organizers/{organizerKey}/sessions", params=ALL_TIME, status=200)


async def walk_room(walk):
    numbers = {"type": "PSTN", "pstnInfo": {"tollCountries": ["FR"], "tollFreeCountries": ["US"]}}
    private = {"type": "Private", "privateInfo": {"attendee": "+49 1"}}
    for audio in (numbers, private):
        await walk.call("POST", f"{ONE}/audio", json=audio, status=204)
        assert (await walk.call("GET", f"{ONE}/audio", status=200))["type"] == audio["type"]
    assert await walk.call("GET", "/webinars/{webinarKey}/startUrl", status=200)
    copy = {"subject": "Again", "times": TIMES}
    assert await walk.call("PUT", "/webinars/{webinarKey}/copy", json=copy, status=201)
    assert await walk.call("GET", "/webinars/{webinarKey}/recordingAssets", params={"limit": 5}, status=200)


async def walk_team(walk):
    many = f"{ONE}/coorganizers"
    other = walk.guest.sim.world.organizers[1].organizer_key
    wanted = [
        {"external": False, "organizerKey": other},
        {"external": True, "givenName": "Bo", "email": "b@example.com"},
    ]
    made = await walk.call("POST", many, json=wanted, status=201, tolerated=[SURNAME])
    assert made == await walk.call("GET", many, status=200, tolerated=[SURNAME])
    for helper in made:
        walk.keys["coorganizerKey"] = helper["memberKey"]
        external = {"external": str(helper["external"]).lower()}
        await walk.call("POST", f"{many}/{{coorganizerKey}}/resendInvitation", params=external, status=204)
        await walk.call("DELETE", f"{many}/{{coorganizerKey}}", params=external, status=204)
    panel = f"{ONE}/panelists"
    (made,) = await walk.call("POST", panel, json=[{"name": "Ida Berg", "email": "ida@example.com"}], status=201)
    walk.keys["panelistKey"] = made["panelistKey"]
    assert await walk.call("GET", panel, status=200)
    await walk.call("POST", f"{panel}/{{panelistKey}}/resendInvitation", status=204)
    await walk.call("DELETE", f"{panel}/{{panelistKey}}", status=204)


async def walk_recordings(walk):
    body = {"accountKey": walk.keys["accountKey"]}
    wanted = {"includes": "recordingShareUrl,webinarKey"}
    assert (await walk.call("POST", "/recordingassets/search", json=body, params=wanted, status=200))["_embedded"]
    await walk.guest.log_in(walk.guest.sim.world.admin.pat)
    body = {"organizerKey": walk.keys["organizerKey"], "sortField": "NAME", "sortOrder": "ASC"}
    whole = "/accounts/{accountKey}/recordingassets/search"
    assert (await walk.call("POST", whole, json=body, status=200))["_embedded"]
    assert await walk.call("GET", "/accounts/{accountKey}/webinars", params=ALL_TIME, status=200)
    await walk.guest.log_in()


async def walk_webhooks(walk, url):
    assert await walk.call("POST", "/webhooks/secretkey", json={}, status=200)
    new = {"callbackUrl": url, "eventName": "registrant.added", "eventVersion": "1.0.0", "product": "g2w"}
    (webhook,) = (await walk.call("POST", "/webhooks", json=[new], status=200))["_embedded"]["webhooks"]
    key = {"webhookKey": webhook["webhookKey"]}
    await walk.call("PUT", "/webhooks", json=[{**key, "state": "ACTIVE"}], status=204)
    assert (await walk.call("GET", "/webhooks", params={"product": "g2w"}, status=200))["_embedded"]["webhooks"]
    made = (await walk.call("POST", "/userSubscriptions", json=[key], status=200))["_embedded"]["userSubscriptions"]
    both = {**key, "userSubscriptionKey": made[0]["userSubscriptionKey"]}
    await walk.call("PUT", "/userSubscriptions", json=[{**both, "callbackUrl": url}], status=204)
    listed = await walk.call("GET", "/userSubscriptions", params={"product": "g2w"}, status=200)
    assert [item["activationState"] for item in listed["_embedded"]["userSubscriptions"]] == ["ACTIVE"]
    walk.keys.update(webhookKey=key["webhookKey"], userSubscriptionsKey=both["userSubscriptionKey"])
    assert await walk.call("GET", "/webhooks/{webhookKey}", status=200)
    assert await walk.call("GET", "/userSubscriptions/{userSubscriptionsKey}", status=200)
    await walk.call("DELETE", "/userSubscriptions", json=[both["userSubscriptionKey"]], status=202)
    await walk.call("DELETE", "/webhooks", json=[key["webhookKey"]], status=202)


async def walk_webinars_and_registrants(walk):
    lists = "/organizers/{organizerKey}"
    assert await walk.call("GET", f"{lists}/webinars", params=ALL_TIME, status=200)
    assert await walk.call("GET", f"{lists}/insessionWebinars", status=200) == []
    made = await walk.call("POST", f"{lists}/webinars", json={"subject": "New", "times": TIMES}, status=201)
    walk.keys["webinarKey"] = made["webinarKey"]
    await walk.call("PUT", ONE, json={"subject": "Newer"}, status=202)
    assert await walk.call("GET", ONE, status=200)
    person = await walk.call("POST", f"{ONE}/registrants", json=PERSON, status=201)
    walk.keys["registrantKey"] = person["registrantKey"]
    assert await walk.call("GET", f"{ONE}/registrants", status=200)
    assert await walk.call("GET", f"{ONE}/registrants/{{registrantKey}}", status=200)
    await walk.call("DELETE", f"{ONE}/registrants/{{registrantKey}}", status=204)
    await walk.call("DELETE", ONE, status=204)


async def test_every_operation_of_the_document_is_answered_as_documented(walk, document):
    await walk_reports(walk)
    await walk_room(walk)
    await walk_team(walk)
    await walk_recordings(walk)
    async with receiver(answering(200)) as callback:
        await walk_webhooks(walk, callback.url)
    await walk_webinars_and_registrants(walk)
    declared = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert len(declared) == 53
    assert walk.called == declared


async def test_unknown_keys_are_refused_by_every_operation_that_takes_one(walk, document):
    for path, methods in document["paths"].items():
        if "{webinarKey}" not in path:
            continue
        for method, operation in methods.items():
            walk.keys["webinarKey"] = "1"
            assert "404" in operation["responses"] or operation["operationId"] == "updateWebinar"
            reply = await walk.guest.call(method.upper(), V2 + filled(path, walk.keys), json={"times": TIMES})
            assert reply.status == 404, path
            assert reply.json["errorCode"] == "NotFound"


def filled(path, keys):
    names = {"coorganizerKey": "1", "panelistKey": "1", **keys}
    for name, key in names.items():
        path = path.replace(f"{{{name}}}", str(key))
    return path


async def test_refusals_have_statuses_the_document_declares(guest, judge):
    lists = "/organizers/{organizerKey}/webinars"
    assert judge.response(lists, "get", (await guest.get(f"{guest.home}/webinars")).status)
    assert judge.response(ONE, "get", (await guest.get(f"{guest.home}/webinars/1")).status)
    unknown = await guest.call("GET", f"{guest.home}/webinars/1", headers={})
    assert judge.response(ONE, "get", unknown.status)


async def test_a_wrong_answer_would_be_noticed(guest, judge):
    reply = await guest.get(guest.registrants_of())
    reply.body = reply.body.replace(b'"status":"APPROVED"', b'"status":"PENDING"', 1)
    assert judge.mistakes(f"{ONE}/registrants", "get", reply) != []
