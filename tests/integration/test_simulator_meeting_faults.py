"""The API's faults strike meeting lists as they strike those of webinars."""

from __future__ import annotations

import json

import aiohttp
import pytest

from poller.simulator import FAULTS, Simulator, WorldOptions
from poller.simulator.faults import MEETING_LISTS, may_strike
from poller.testing import FakeClock
from tests.integration.simulator_guest import visiting

REST = "/G2M/rest"
RANGE = {"startDate": "2025-01-01T00:00:00Z", "endDate": "2027-01-01T00:00:00Z"}
OPTIONS = WorldOptions(webinars=0, rate_per_minute=0, meetings=30, meeting_held_share=1.0)


class Scene:
    """An administrator, and the path of every meeting list by operation."""

    def __init__(self, guest, clock):
        self.guest, self.clock, self.sim = guest, clock, guest.sim
        self.meetings = guest.sim.world.meetings
        self.host = guest.sim.world.organizers[0]
        self.held = self.meetings.create(self.host.organizer_key)
        for _ in range(3):
            while not self.meetings.hold(self.held.meeting_id).visitors:
                pass
        home, group = (
            f"{REST}/organizers/{self.host.organizer_key}",
            f"{REST}/groups/{self.meetings.groups[0].group_key}",
        )
        one = f"{REST}/meetings/{self.held.meeting_id}"
        self.paths = {
            "getUpcomingMeetings": f"{REST}/upcomingMeetings",
            "getUpcomingMeetingsByOrganizer": f"{home}/upcomingMeetings",
            "getUpcomingMeetingsByGroup": f"{group}/upcomingMeetings",
            "getHistoricalMeetings": f"{REST}/historicalMeetings",
            "getHistoricalMeetingsByMeetingId": f"{one}/historicalMeetings",
            "getHistoricalMeetingsByOrganizer": f"{home}/historicalMeetings",
            "getHistoricalMeetingsByGroup": f"{group}/historicalMeetings",
            "getAttendeesByMeeting": f"{one}/attendees",
            "getAttendeesByOrganizer": f"{home}/attendees",
            "getAttendeesByGroup": f"{group}/attendees",
        }
        self.own = {"getUpcomingMeetings", "getHistoricalMeetings", "getHistoricalMeetingsByMeetingId"}

    async def get(self, operation):
        """As whoever sees something there."""
        await self.guest.log_in((self.host if operation in self.own else self.sim.world.admin).pat)
        return await self.guest.get(self.paths[operation], **RANGE)

    async def struck(self, name, operation):
        honest = await self.get(operation)
        assert honest.json
        self.sim.faults.arm(name, times=1, operation=operation)
        reply = await self.get(operation)
        assert self.sim.faults.struck[name] == 1
        assert (await self.get(operation)).body == honest.body
        return honest, reply


@pytest.fixture
async def scene():
    clock = FakeClock()
    async with visiting(Simulator(OPTIONS, clock=clock)) as guest:
        yield Scene(guest, clock)


async def test_every_meeting_list_is_known_to_the_faults_of_lists(scene):
    assert set(scene.paths) == MEETING_LISTS
    for operation in scene.paths:
        strikes = {name for name in FAULTS if FAULTS[name][0] == "list" and may_strike(name, operation)}
        assert strikes == {"moved-items", "repeated-items", "short-page", "missing-item", "empty-list", "stale"}


@pytest.mark.parametrize("operation", sorted(MEETING_LISTS))
async def test_a_missing_item_is_missing_once(scene, operation):
    honest, reply = await scene.struck("missing-item", operation)
    assert len(reply.json) == len(honest.json) - 1
    assert all(item in honest.json for item in reply.json)


@pytest.mark.parametrize("operation", sorted(MEETING_LISTS))
async def test_an_empty_list_is_an_empty_array(scene, operation):
    _, reply = await scene.struck("empty-list", operation)
    assert (reply.status, reply.json) == (200, [])


@pytest.mark.parametrize(("name", "more"), [("short-page", -1), ("moved-items", 0), ("repeated-items", 1)])
async def test_a_list_may_be_short_change_its_order_or_repeat_an_item(scene, name, more):
    honest, reply = await scene.struck(name, "getUpcomingMeetings")
    ids, all_ids = ([item["meetingId"] for item in r.json] for r in (reply, honest))
    assert set(ids) <= set(all_ids)
    assert ids != all_ids
    assert (len(ids) > len(all_ids)) - (len(ids) < len(all_ids)) == more


@pytest.mark.parametrize("operation", sorted(MEETING_LISTS))
async def test_a_stale_answer_is_the_list_as_it_was(scene, operation):
    await scene.clock.advance(60)
    before = (await scene.get(operation)).json
    scene.meetings.hold(scene.held.meeting_id, recorded=True)
    scene.meetings.change(scene.held.meeting_id, subject="Another")
    gone = next(i.meeting for i in scene.meetings.book.upcoming(scene.sim.world.now) if i.meeting != scene.held)
    scene.meetings.cancel(gone.meeting_id)
    scene.meetings.create(scene.host.organizer_key)
    await scene.clock.advance(20)
    now, reply = await scene.struck("stale", operation)
    assert now.json != before

    def ordered(items):
        return sorted(json.dumps(item, sort_keys=True) for item in items)

    assert ordered(reply.json) == ordered(before)


@pytest.mark.parametrize("operation", sorted(MEETING_LISTS))
async def test_null_keys_spoil_the_identity_of_exactly_one_item(scene, operation):
    _, reply = await scene.struck("null-keys", operation)
    assert [item["meetingId"] for item in reply.json].count(None) == 1


@pytest.mark.parametrize("operation", ["getHistoricalMeetings", "getAttendeesByMeeting", "getAttendeesByGroup"])
async def test_mixed_keys_are_the_same_keys_in_other_types(scene, operation):
    honest, reply = await scene.struck("mixed-keys", operation)
    assert reply.json != honest.json
    for was, item in zip(honest.json, reply.json, strict=True):
        assert {name: str(value) for name, value in item.items()} == {name: str(value) for name, value in was.items()}


@pytest.mark.parametrize("operation", ["getUpcomingMeetings", "getHistoricalMeetings", "getAttendeesByOrganizer"])
async def test_garbage_comes_with_status_200(scene, operation):
    _, reply = await scene.struck("truncated", operation)
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json
    _, reply = await scene.struck("html", operation)
    assert reply.body.startswith(b"<!DOCTYPE html>")
    _, reply = await scene.struck("unknown-fields", operation)
    assert all("loyaltyTier" in item for item in reply.json)


@pytest.mark.parametrize("name", ["429", "500", "503"])
async def test_refusals_strike_any_meeting_operation(scene, name):
    scene.sim.faults.arm(name, operation="getMeeting")
    assert (await scene.guest.get(f"{REST}/meetings/{scene.held.meeting_id}")).status == int(name)
    assert (await scene.guest.get(f"{REST}/upcomingMeetings")).status == 200


async def test_a_lost_answer_leaves_the_meeting_made(scene):
    scene.sim.faults.arm("answer-lost", times=1, operation="createMeeting")
    body = {
        "subject": "Lost", "starttime": "2026-07-01T22:00:00Z", "endtime": "2026-07-01T23:00:00Z",
        "passwordrequired": False, "conferencecallinfo": "VoIP", "meetingtype": "scheduled",
    }  # fmt: skip
    with pytest.raises(aiohttp.ClientConnectionError):
        await scene.guest.call("POST", f"{REST}/meetings", json=body)
    assert "Lost" in [item["subject"] for item in (await scene.guest.get(f"{REST}/upcomingMeetings")).json]


async def test_an_unknown_meeting_type_becomes_the_truth(scene):
    scene.sim.faults.arm("unknown-enum", times=1)
    made = len(scene.sim.world.truth.facts)
    items = (await scene.get("getUpcomingMeetings")).json
    assert [item["meetingType"] for item in items].count("town-hall") == 1
    (fact,) = scene.sim.world.truth.facts[made:]
    assert (fact.kind, fact.changed) == ("meeting.changed", ("meetingType",))
