"""Every fault over a real socket: what the visitor gets, that it is counted, and that its end is its end."""

from __future__ import annotations

import asyncio
import json
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from poller.errors import UsageError
from poller.simulator import FAULTS, FaultPlan, Simulator, WorldOptions
from poller.testing import FakeClock
from tests.integration.simulator_guest import ALL_TIME, visiting

OPTIONS = WorldOptions(webinars=6, registrants=60, rate_per_minute=0, manual_share=0.0)


class Scene:
    """A visitor and the three lists of the simulator, with one fault armed for one call."""

    def __init__(self, guest, clock):
        self.guest, self.clock, self.sim = guest, clock, guest.sim
        self.people = guest.registrants_of()

    async def struck(self, name, path=None, **query):
        """The reply to one call that the fault strikes; the call after it must be sound again."""
        path = path or self.people
        honest = await self.guest.get(path, **query)
        self.sim.faults.arm(name, times=1)
        reply = await self.guest.get(path, **query)
        assert self.sim.faults.struck[name] == 1
        assert self.sim.faults.armed == ()
        after = await self.guest.get(path, **query)
        assert (after.status, after.body) == (honest.status, honest.body)
        return honest, reply

    async def cut(self, name, call):
        self.sim.faults.arm(name, times=1)
        with pytest.raises(aiohttp.ClientConnectionError):
            await call
        assert self.sim.faults.struck[name] == 1


@pytest.fixture
async def scene():
    clock = FakeClock()
    async with visiting(Simulator(OPTIONS, clock=clock)) as guest:
        yield Scene(guest, clock)


@pytest.mark.parametrize("name", ["429", "429-seconds", "429-date", "429-absurd"])
async def test_429_says_when_to_come_back_in_the_chosen_way(scene, name):
    _, reply = await scene.struck(name)
    said = reply.headers.get("Retry-After")
    assert reply.status == 429
    if name == "429-seconds":
        assert said == "5"
    elif name == "429-date":
        assert 5 <= (parsedate_to_datetime(said) - scene.sim.world.now).total_seconds() <= 7
    else:
        assert (said is None) == (name == "429")
    assert scene.sim.report().breaches == ()


@pytest.mark.parametrize("name", ["500", "502", "503"])
async def test_server_errors_come_with_an_html_or_an_empty_body(scene, name):
    scene.sim.faults.arm(name, times=20)
    replies = [await scene.guest.get(scene.people) for _ in range(20)]
    assert {reply.status for reply in replies} == {int(name)}
    assert {reply.body[:9] for reply in replies} == {b"", b"<!DOCTYPE"}
    assert (await scene.guest.get(scene.people)).status == 200


async def test_reset_cuts_the_connection_and_nothing_is_done(scene):
    person = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}
    await scene.cut("reset", scene.guest.call("POST", scene.people, json=person))
    assert scene.sim.world.truth.facts == ()
    assert scene.sim.report().operations["createRegistrant"] == {"cut": 1}


async def test_answer_lost_cuts_the_connection_after_everything_is_done(scene):
    person = {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com"}
    await scene.cut("answer-lost", scene.guest.call("POST", scene.people, json=person))
    (fact,) = scene.sim.world.truth.facts
    assert fact.data["email"] == "bo@example.com"


async def asleep(clock):
    while not clock.sleepers:
        await asyncio.sleep(0)


async def test_latency_holds_the_answer_back_by_the_simulated_clock(scene):
    scene.sim.faults.arm("latency", times=1)
    call = asyncio.create_task(scene.guest.get(scene.people))
    await asleep(scene.clock)
    await scene.clock.advance(1.9)
    assert not call.done()
    await scene.clock.advance(0.2)
    assert (await call).status == 200


async def test_hang_ends_in_a_cut_after_its_maximum(scene):
    scene.sim.faults.arm("hang", times=1)
    call = asyncio.create_task(scene.guest.call("POST", scene.people))  # aiohttp would repeat a GET
    await asleep(scene.clock)
    await scene.clock.advance(121)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call


async def test_hanging_calls_are_released_when_the_simulator_closes():
    clock = FakeClock()
    async with aiohttp.ClientSession() as session:
        sim = Simulator(OPTIONS, clock=clock)
        sim.faults.arm("hang", operation="token")
        async with sim.serve(ticker=False) as base_url:
            call = asyncio.create_task(session.post(f"{base_url}/oauth/token"))
            await asleep(clock)
        with pytest.raises(aiohttp.ClientConnectionError):
            await call


async def test_truncated_is_status_200_with_json_that_does_not_parse(scene):
    honest, reply = await scene.struck("truncated")
    assert reply.status == 200
    assert honest.body.startswith(reply.body)
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json


async def test_html_is_status_200_with_a_page(scene):
    _, reply = await scene.struck("html")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/html")
    assert reply.body.startswith(b"<!DOCTYPE html>")


async def test_wrong_types_are_an_object_for_the_list_or_numbers_for_texts(scene):
    scene.sim.faults.arm("wrong-types", times=20)
    seen = set()
    for _ in range(20):
        payload = (await scene.guest.get(scene.people)).json
        if isinstance(payload, list):
            assert all(isinstance(person["email"], int) for person in payload)
        seen.add(type(payload))
    assert seen == {list, dict}


@pytest.mark.parametrize("query", [{}, {"limit": "4"}])
async def test_null_keys_spoil_exactly_one_item(scene, query):
    _, reply = await scene.struck("null-keys", **query)
    items = reply.json["data"] if query else reply.json
    assert [person["registrantKey"] for person in items].count(None) == 1


async def test_unknown_fields_come_with_every_item_and_leave_the_rest_alone(scene):
    honest, reply = await scene.struck("unknown-fields", f"{scene.guest.home}/webinars", **ALL_TIME)
    for known, item in zip(honest.json["_embedded"]["webinars"], reply.json["_embedded"]["webinars"], strict=True):
        assert item.pop("loyaltyTier")
        assert item.pop("segments")
        assert item == known


async def test_an_unknown_enum_value_becomes_the_truth(scene):
    scene.sim.faults.arm("unknown-enum", times=1)
    people = (await scene.guest.get(scene.people)).json
    assert [person["status"] for person in people].count("ESCALATED") == 1
    scene.sim.faults.arm("unknown-enum", times=1)
    webinars = await scene.guest.listed()
    assert [item["experienceType"] for item in webinars.values()].count("holographic") == 1
    assert [fact.kind for fact in scene.sim.world.truth.facts] == ["registrant.changed", "webinar.changed"]


@pytest.mark.parametrize("query", [{}, {"limit": "200"}])
async def test_a_huge_page_has_ten_megabytes_and_all_its_items(scene, query):
    honest, reply = await scene.struck("huge-page", **query)
    assert len(reply.body) > 10_000_000
    if query:
        assert reply.json["data"] == honest.json["data"]
    else:
        assert reply.json[:-1] == honest.json


async def test_deep_nesting_is_more_than_a_parser_bears(scene):
    _, reply = await scene.struck("deep-nesting")
    assert reply.body.count(b"[") > 100_000
    with pytest.raises(RecursionError):
        _ = reply.json


async def test_mixed_keys_are_the_same_keys_in_other_types(scene):
    honest, reply = await scene.struck("mixed-keys")
    before, after = ([person["registrantKey"] for person in r.json] for r in (honest, reply))
    assert [str(key) for key in after] == [str(key) for key in before]
    assert {type(key) for key in after} == {int, str}


async def test_moved_items_make_a_walk_repeat_some_and_miss_others(scene):
    first = (await scene.guest.get(scene.people, limit=5)).json["data"]
    scene.sim.faults.arm("moved-items", times=1)
    second = (await scene.guest.get(scene.people, limit=5, page=1)).json["data"]
    keys = {person["registrantKey"] for person in (*first, *second)}
    assert len(second) == 5
    assert len(keys) < 10
    assert scene.sim.faults.struck["moved-items"] == 1


async def test_a_repeated_item_is_one_too_many(scene):
    honest, reply = await scene.struck("repeated-items", limit=5)
    extra = reply.json["data"][-1]
    assert reply.json["data"][:-1] == honest.json["data"]
    assert extra in (await scene.guest.get(scene.people)).json
    assert reply.json["total"] == honest.json["total"]


async def test_a_short_page_leaves_items_out_while_the_total_counts_them(scene):
    honest, reply = await scene.struck("short-page", limit=5)
    assert len(reply.json["data"]) == reply.json["pageSize"] < 5
    assert reply.json["total"] == honest.json["total"]


async def test_a_lying_total_goes_with_sound_items(scene):
    honest, reply = await scene.struck("total-lies", f"{scene.guest.home}/webinars", **ALL_TIME)
    assert reply.json["page"]["totalElements"] != honest.json["page"]["totalElements"]
    assert reply.json["_embedded"] == honest.json["_embedded"]


async def test_a_missing_item_is_missing_from_a_list_that_is_sound_in_itself(scene):
    honest, reply = await scene.struck("missing-item", f"{scene.guest.home}/webinars", **ALL_TIME)
    items, all_items = (r.json["_embedded"]["webinars"] for r in (reply, honest))
    assert len(items) == len(all_items) - 1 == reply.json["page"]["totalElements"]
    (gone,) = [item for item in all_items if item not in items]
    assert (await scene.guest.get(f"{scene.guest.home}/webinars/{gone['webinarKey']}")).status == 200


async def test_an_empty_list_looks_like_a_list_without_items(scene):
    _, reply = await scene.struck("empty-list", f"{scene.guest.home}/webinars", **ALL_TIME)
    page = {"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}
    assert reply.json == {"page": page}


async def test_a_stale_answer_is_the_list_as_it_was(scene):
    world = scene.sim.world
    before = await scene.guest.get(scene.people)
    await scene.clock.advance(10)
    new = world.register()
    world.set_status(new.webinar_key, new.registrant_key, "DENIED")
    world.remove_registrant(new.webinar_key, str(before.json[0]["registrantKey"]))
    await scene.clock.advance(29)
    now, reply = await scene.struck("stale")
    assert now.json != before.json
    by_key = {person["registrantKey"]: person for person in reply.json}
    assert by_key == {person["registrantKey"]: person for person in before.json}


async def test_a_list_with_nothing_to_spoil_neither_counts_nor_uses_the_fault_up(scene):
    webinar = scene.sim.world.create_webinar()
    empty = f"{scene.guest.home}/webinars/{webinar.webinar_key}/registrants"
    for name in ("missing-item", "empty-list", "stale", "short-page", "moved-items", "null-keys"):
        scene.sim.faults.arm(name, times=1, operation="getAllRegistrantsForWebinar")
        await scene.clock.advance(60)
        assert (await scene.guest.get(empty)).json == []
        assert scene.sim.faults.struck[name] == 0
        scene.sim.faults.clear()


async def test_a_rejected_access_token_stays_rejected_until_it_is_renewed(scene):
    scene.sim.faults.arm("token-rejected", times=1)
    replies = [await scene.guest.get(scene.people) for _ in range(2)]
    assert [(r.status, r.json["int_err_code"]) for r in replies] == [(403, "InvalidToken")] * 2
    await scene.guest.log_in()
    assert (await scene.guest.get(scene.people)).status == 200
    assert scene.sim.faults.struck["token-rejected"] == 1


async def test_early_expiry_ends_a_token_at_a_tenth_of_what_was_said(scene):
    scene.sim.faults.arm("early-expiry", times=1)
    await scene.guest.log_in()
    await scene.clock.advance(359)
    assert (await scene.guest.get(scene.people)).status == 200
    await scene.clock.advance(2)
    assert (await scene.guest.get(scene.people)).status == 403
    await scene.guest.log_in()
    await scene.clock.advance(3599)
    assert (await scene.guest.get(scene.people)).status == 200


async def test_a_revoked_login_is_invalid_grant_for_good(scene):
    scene.sim.faults.arm("revoked", times=1)
    form = {"grant_type": "personal_access_token", "pat": scene.sim.world.organizers[0].pat}
    replies = [await scene.guest.token(**form) for _ in range(2)]
    assert [(r.status, r.json["error"]) for r in replies] == [(400, "invalid_grant")] * 2
    assert (await scene.guest.get(scene.people)).status == 403
    assert scene.sim.faults.struck["revoked"] == 1


async def test_late_visibility_shows_a_registration_minutes_after_its_date():
    clock, plan = FakeClock(), FaultPlan()
    plan.arm("late-visibility")
    options = WorldOptions(webinars=1, registrants=0, rate_per_minute=30, creation_share=0)
    async with visiting(Simulator(options, clock=clock, faults=plan)) as guest:
        await clock.advance(1200)
        people = (await guest.get(guest.registrants_of())).json
        dates = [person["registrationDate"] for person in people]
        assert len(dates) > 200
        assert dates != sorted(dates)
        assert plan.struck["late-visibility"] > len(dates)


async def test_a_fault_for_one_operation_leaves_the_others_alone(scene):
    scene.sim.faults.arm("503", operation="getAllRegistrantsForWebinar")
    assert (await scene.guest.get(scene.people)).status == 503
    assert (await scene.guest.get(f"{scene.guest.home}/webinars", **ALL_TIME)).status == 200
    scene.sim.faults.clear("503")
    assert (await scene.guest.get(scene.people)).status == 200


async def test_a_probability_strikes_about_that_often_and_the_same_calls_every_time():
    async def outcomes():
        plan = FaultPlan.of(["500=0.3"], seed=7)
        async with visiting(Simulator(OPTIONS, clock=FakeClock(), faults=plan), log_in=False) as guest:
            plan.clear()
            await guest.log_in()
            plan.arm("500", probability=0.3)
            return [(await guest.get("/admin/rest/v1/me")).status for _ in range(100)]

    first = await outcomes()
    assert 15 <= first.count(500) <= 45
    assert await outcomes() == first


async def test_answers_of_the_token_endpoint_are_spoilt_only_on_demand(scene):
    form = {"grant_type": "personal_access_token", "pat": scene.sim.world.organizers[0].pat}
    for name in ("truncated", "answer-lost"):
        scene.sim.faults.arm(name)
    assert (await scene.guest.token(**form)).status == 200
    scene.sim.faults.clear()
    scene.sim.faults.arm("answer-lost", times=1, operation="token")
    with pytest.raises(aiohttp.ClientConnectionError):
        await scene.guest.token(**form)


def test_an_unknown_fault_is_refused_with_the_names_there_are():
    for name in FAULTS:
        FaultPlan.of([name, f"{name}=0.5"])
    for wrong in ("flood", "500=often", "500=2"):
        with pytest.raises(UsageError, match=r"there are|probability"):
            FaultPlan.of([wrong])


class OldList:
    """The v1 list with its counts, as a visitor reads it."""

    def __init__(self, scene):
        self.scene, self.path = scene, scene.guest.home.replace("/v2", "") + "/upcomingWebinars"

    async def counts(self):
        items = (await self.scene.guest.get(self.path)).json
        return {str(item["webinarKey"]): item["numberOfRegistrants"] for item in items}


async def test_stale_counts_of_the_old_list_are_those_of_minutes_ago(scene):
    old, world = OldList(scene), scene.sim.world
    first, second = world.webinars()[:2]
    before = await old.counts()
    await scene.clock.advance(10)
    world.register(first.webinar_key)
    world.meetings.create()
    world.remove_registrant(second.webinar_key, next(iter(world.registrants(second.webinar_key))))
    now = await old.counts()
    assert (now[first.webinar_key], now[second.webinar_key]) == (
        before[first.webinar_key] + 1,
        before[second.webinar_key] - 1,
    )
    scene.sim.faults.arm("counts-stale")
    assert await old.counts() == before
    assert scene.sim.faults.struck["counts-stale"] == 1
    await scene.clock.advance(301)
    assert await old.counts() == now
    assert scene.sim.faults.struck["counts-stale"] == 1


async def test_frozen_counts_of_the_old_list_stay_as_they_were_first_seen_until_the_fault_ends(scene):
    old, world = OldList(scene), scene.sim.world
    scene.sim.faults.arm("counts-frozen")
    before = await old.counts()
    world.register(world.webinars()[0].webinar_key)
    new = world.create_webinar()
    assert await old.counts() == {**before, new.webinar_key: 0}
    world.register(new.webinar_key)
    await scene.clock.advance(3000)
    assert await old.counts() == {**before, new.webinar_key: 0}
    scene.sim.faults.clear()
    honest = await old.counts()
    assert sum(honest.values()) == sum(before.values()) + 2
    scene.sim.faults.arm("counts-frozen")
    assert await old.counts() == honest


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_the_old_list_can_be_refused_or_gone_while_everything_else_answers(scene, status):
    old = OldList(scene)
    _, reply = await scene.struck(f"old-list-{status}", old.path)
    assert reply.status == status
    assert "int_err_code" not in reply.json
    scene.sim.faults.arm(f"old-list-{status}")
    for path, query in ((scene.people, {}), (f"{scene.guest.home}/webinars", ALL_TIME)):
        assert (await scene.guest.get(path, **query)).status == 200
