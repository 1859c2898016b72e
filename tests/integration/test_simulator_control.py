"""The handles under /_simulator/: what a person or a test can see and do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import aiohttp
import pytest

from poller.errors import UsageError
from poller.simulator import Simulator, WorldOptions, simulate
from poller.testing import FakeClock
from tests.integration.simulator_guest import visiting

QUIET = WorldOptions(webinars=3, registrants=9, rate_per_minute=0)


async def act(guest, *actions):
    return await guest.call("POST", "/_simulator/actions", json=list(actions))


async def test_everybody_with_a_login_is_listed_and_can_log_in():
    async with visiting(Simulator(replace(QUIET, organizers=2), clock=FakeClock())) as guest:
        people = (await guest.get("/_simulator/organizers")).json
        assert [person["admin"] for person in people] == [False, False, True]
        for person in people:
            await guest.log_in(person["pat"])
            assert (await guest.get("/admin/rest/v1/me")).json["email"] == person["email"]


async def test_several_actions_at_once_show_in_the_api_and_in_the_truth():
    clock = FakeClock()
    async with visiting(Simulator(QUIET, clock=clock)) as guest:
        one, two, three = await guest.listed()
        person = (await guest.get(guest.registrants_of(1))).json[0]["registrantKey"]
        reply = await act(
            guest,
            {"action": "create-webinar", "subject": "New"},
            {"action": "change-webinar", "webinarKey": one, "subject": "Other"},
            {"action": "cancel-webinar", "webinarKey": three},
            {"action": "register", "webinarKey": one, "email": "a@example.com",
             "registrationDate": "2026-01-01T00:00:00Z", "visibleIn": 60},
            {"action": "set-status", "webinarKey": two, "registrantKey": str(person), "status": "DENIED"},
            {"action": "remove-registrant", "webinarKey": two, "registrantKey": str(person)},
        )  # fmt: skip
        assert reply.status == 200
        listed = await guest.listed()
        assert [item["subject"] for item in listed.values()].count("New") == 1
        assert listed[one]["subject"] == "Other"
        assert three not in listed
        await clock.advance(61)
        facts = (await guest.get("/_simulator/truth", initial="no")).json["facts"]
        assert [fact["kind"] for fact in facts] == [
            "webinar.created", "webinar.changed", "webinar.cancelled",
            "registrant.changed", "registrant.removed", "registrant.added",
        ]  # fmt: skip
        late = facts[-1]
        key = reply.json["results"][3]["registrantKey"]
        assert late["subject"] == f"webinars/{one}/registrants/{key}"
        assert late["data"]["registrationDate"] == "2026-01-01T00:00:00Z"


async def test_the_truth_has_the_start_marked_and_can_be_read_piece_by_piece():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        await act(guest, {"action": "register"}, {"action": "register"})
        everything = (await guest.get("/_simulator/truth")).json["facts"]
        assert [fact["initial"] for fact in everything] == [True] * 12 + [False] * 2
        rest = (await guest.get("/_simulator/truth", after=1)).json
        assert [fact["number"] for fact in rest["facts"]] == [2]
        assert rest["last"] == 2
        only = (await guest.get("/_simulator/truth", initial="only", kind="webinar.created")).json["facts"]
        assert {fact["data"]["webinarKey"] for fact in only} == set(await guest.listed())


async def test_moments_with_any_offset_are_shown_in_utc():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        times = [{"startTime": "2026-06-01T10:00:00+02:00", "endTime": "2026-06-01T11:00:00+02:00"}]
        made, person = (
            await act(
                guest,
                {"action": "create-webinar", "times": times},
                {"action": "register", "registrationDate": "2026-01-01T01:00:00+01:00"},
            )
        ).json["results"]
        assert made["times"] == [{"startTime": "2026-06-01T08:00:00Z", "endTime": "2026-06-01T09:00:00Z"}]
        assert person["registrationDate"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"action": "register", "registrationDate": "2026-01-01T00:00:00"}, "timezone"),
        ({"action": "explode"}, "explode"),
        ({"action": "register", "webinarKy": "1"}, "webinarKy"),
        ({"action": "cancel-webinar", "webinarKey": "1"}, "no such key"),
        ({"action": "sign-in", "email": "nobody@example.com"}, "organizers"),
    ],
)
async def test_a_wrong_action_is_refused_with_a_reason(action, says):
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        reply = await act(guest, action)
        assert reply.status == 400
        assert says in reply.json["error"]


async def test_logins_can_be_expired_revoked_and_restored():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        person = guest.sim.world.organizers[0]
        mine = {"organizerKey": person.organizer_key}
        await act(guest, {"action": "expire-tokens", **mine})
        assert (await guest.get("/admin/rest/v1/me")).status == 403
        await guest.log_in()
        await act(guest, {"action": "revoke-login", **mine})
        assert (await guest.get("/admin/rest/v1/me")).status == 403
        by_pat = {"grant_type": "personal_access_token", "pat": person.pat}
        assert (await guest.token(**by_pat)).json["error"] == "invalid_grant"
        await act(guest, {"action": "restore-pat", **mine})
        assert (await guest.token(**by_pat)).status == 200


async def test_faults_are_armed_counted_and_cleared():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        orders = [{"name": "500", "times": 1}, {"name": "503", "operation": "getMe"}]
        assert (await guest.call("POST", "/_simulator/faults", json=orders)).status == 200
        assert [(await guest.get("/admin/rest/v1/me")).status for _ in range(3)] == [500, 503, 503]
        state = (await guest.get("/_simulator/faults")).json
        assert state["struck"] == {"500": 1, "503": 2}
        assert [order["name"] for order in state["armed"]] == ["503"]
        await guest.call("DELETE", "/_simulator/faults")
        assert (await guest.get("/admin/rest/v1/me")).status == 200
        assert (await guest.call("POST", "/_simulator/faults", json={"name": "flood"})).status == 400


async def test_arrivals_can_be_stopped_and_the_clock_read():
    clock = FakeClock()
    lively = replace(QUIET, rate_per_minute=600)
    async with visiting(Simulator(lively, clock=clock)) as guest:
        stopped = await guest.call("POST", "/_simulator/arrivals", json={"running": False})
        assert stopped.json["arrivals"] is False
        await clock.advance(60)
        assert (await guest.get("/_simulator/truth", initial="no")).json["facts"] == []
        await guest.call("POST", "/_simulator/arrivals", json={"running": True})
        await clock.advance(60)
        assert len((await guest.get("/_simulator/truth", initial="no")).json["facts"]) > 400
        assert (await guest.get("/_simulator/clock")).json["now"].startswith(f"{clock.now():%Y-%m-%dT%H:%M}")


async def test_the_report_names_each_breach():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        await guest.get("/admin/rest/v1/me")
        report = (await guest.get("/_simulator/limits")).json
        assert report == {
            "calls": 1, "operations": {"token": {"200": 1}, "getMe": {"200": 1}},
            "breaches": [], "peaks": {}, "faults": {}, "facts": {}, "webhooks": {},
        }  # fmt: skip


async def test_the_truth_file_holds_the_start_and_then_every_fact(tmp_path):
    path = tmp_path / "truth.jsonl"
    clock = FakeClock()
    sim = Simulator(replace(QUIET, rate_per_minute=60, truth_path=path), clock=clock)
    async with sim.serve():
        await clock.advance(300)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [fact.as_json() for fact in sim.world.truth.all()]
    assert len(lines) > 200


async def test_simulate_serves_until_it_is_cancelled():
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(simulate(webinars=2, speed=60.0, ready=ready.set_result))
    base_url = await ready
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base_url}/_simulator/organizers") as response:
            assert len(await response.json()) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{base_url}/_simulator/organizers")


async def test_simulate_refuses_unknown_limits_and_faults_before_it_opens_a_port():
    for wrong in ({"limits": "none at all"}, {"faults": ["flood"]}, {"faults": ["500=often"]}):
        with pytest.raises(UsageError):
            await simulate(ready=lambda url: pytest.fail("the port is open"), **wrong)


async def test_a_closed_simulator_opens_again_with_the_same_world_and_tokens():
    async with visiting(Simulator(QUIET, clock=FakeClock())) as guest:
        listed = await guest.listed()
    async with visiting(guest.sim, log_in=False) as again:
        again.headers = guest.headers
        assert await again.listed() == listed
