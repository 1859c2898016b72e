"""Attendance and meetings end to end: weeks of a simulated GoTo, judged by what it says was true."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from poller.admin import Admin
from poller.app import App
from poller.settings import Settings
from poller.simulator import Simulator, WorldOptions
from poller.testing import FakeClock
from tests.acceptance.verdict import Delivered, Truth, Verdict, judge

HOUR = 3600.0
SETTLED = timedelta(days=2)

WORLD = {"webinars": 60, "registrants": 300, "rate_per_minute": 0.01, "past_share": 0.3, "seed": 4}
MEETINGS = {"meetings": 12, "meeting_rate_per_minute": 0.01, "webinars": 0, "registrants": 0, "rate_per_minute": 0.0}


def settings(
    folder: Path, sim: Simulator, api: str, connection: Mapping[str, Any], on: Sequence[str] = ("*",)
) -> Settings:
    pats = {False: sim.world.organizers[0].pat, True: sim.world.admin.pat}
    return Settings.parse(
        {
            "engine": {"state": "poller.db"},
            "goto": {"api_url": api, "auth_url": api, "client_id": sim.client_id, "client_secret": sim.client_secret},
            "limits": dict.fromkeys(("per_second", "per_operation_per_second", "per_connection_per_minute"), 0),
            "connections": [{"name": "acme", "pat": pats[connection.get("account", False)], **connection}],
            "triggers": [{"name": "all", "on": on, "sinks": ["out"]}],
            "sinks": [{"name": "out", "type": "file", "path": "out.jsonl", "rotate_age": "1y"}],
        },
        folder,
    )


async def lived(
    folder: Path,
    world: Mapping[str, Any],
    *,
    days: int,
    step: float = HOUR,
    faults: Mapping[str, float] = MappingProxyType({}),
    **connection: Any,
) -> tuple[Verdict, Counter[str]]:
    """So many days of a world, with a pass of the whole product after each step. `faults`: by name, how likely each is
    with every call once the first pass is over; they end before attendance settles."""
    clock = FakeClock()
    sim = Simulator(WorldOptions(**world), clock=clock)
    async with sim.serve(ticker=False) as api:
        app = await App.open(settings(folder, sim, api, connection), clock=clock)
        try:
            assert not (await app.once()).errors
            silent_until = len(sim.world.truth.facts)
            sim.world.resume_arrivals()
            sim.faults.stale_seconds = 1.5 * step
            for name, probability in faults.items():
                sim.faults.arm(name, probability=probability)
            for _ in range(round(days * 24 * HOUR / step)):
                await clock.advance(step)
                errors = (await app.once()).errors
                assert faults or not errors
            sim.world.pause_arrivals()
            sim.faults.clear()
            for _ in range(36):
                await clock.advance(6 * HOUR)
                assert not (await app.once()).errors
        finally:
            await app.close()
    lines = (folder / "out.jsonl").read_bytes().splitlines()
    # What has just ended has not settled yet: who did not come to it is told later.
    open_ = {fact.subject for fact in sim.world.truth.facts if fact.visible_at > clock.now() - SETTLED}
    truth = Truth.of(sim.world.truth.all(), silent_until=silent_until, attendance=True)
    assert all(sim.faults.struck[name] > 2 for name in faults), sim.faults.struck
    kinds = Counter(json.loads(line)["type"].removeprefix("com.goto.") for line in lines)
    verdict = judge("out", truth, [Delivered(line) for line in lines])
    verdict.cases["L"] = [case for case in verdict.cases["L"] if not open_.intersection(case.replace(":", " ").split())]
    return verdict, kinds


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"attendance_delay_seconds": 3 * HOUR, "attendance_settling_seconds": 9 * HOUR},
        {"session_delay_seconds": HOUR, "second_session_share": 0.5, "walk_in_share": 0.1, "unregistered_share": 0.1},
    ],
    ids=["at once", "late and in part", "in two sessions"],
)
async def test_every_session_and_everybody_who_came_or_did_not_is_told_once(tmp_path, more):
    verdict, kinds = await lived(tmp_path, {**WORLD, **more}, days=20, step=4 * HOUR)
    assert verdict.clean, str(verdict)
    assert min(kinds[kind] for kind in ("webinar.session.completed", "participant.attended", "participant.absent")) > 3


@pytest.mark.parametrize(
    ("more", "connection"),
    [({}, {}), ({"organizers": 3}, {"account": True}), ({"meeting_history_delay_seconds": HOUR}, {})],
    ids=["one organizer", "an account", "late history"],
)
async def test_every_meeting_session_recording_and_attendee_is_told_once(tmp_path, more, connection):
    verdict, kinds = await lived(tmp_path, {**MEETINGS, **more}, days=4, products=["meeting"], **connection)
    assert verdict.clean, str(verdict)
    wanted = ("meeting.created", "meeting.ended", "meeting.recording.available", "meeting.attended")
    assert min(kinds[kind] for kind in wanted) > 3


# What needs no time to pass while a call is under way. An old answer seldom differs, so it comes more often.
FAULTS = {
    **dict.fromkeys(("500", "503", "reset", "truncated", "html", "null-keys", "unknown-fields", "empty-list"), 0.02),
    "missing-item": 0.02,
    "stale": 0.15,
}


async def test_an_api_that_fails_and_lies_loses_doubles_and_invents_no_attendance(tmp_path):
    verdict, kinds = await lived(tmp_path, WORLD, days=20, step=4 * HOUR, faults=FAULTS)
    assert verdict.clean, str(verdict)
    assert min(kinds[kind] for kind in ("webinar.session.completed", "participant.attended", "participant.absent")) > 3


async def test_an_api_that_fails_and_lies_loses_doubles_and_invents_nothing_of_meetings(tmp_path):
    verdict, kinds = await lived(tmp_path, MEETINGS, days=4, products=["meeting"], faults=FAULTS)
    assert verdict.clean, str(verdict)
    wanted = ("meeting.created", "meeting.ended", "meeting.recording.available", "meeting.attended")
    assert min(kinds[kind] for kind in wanted) > 3


async def test_who_came_is_told_with_what_they_said_to_polls_and_asked(tmp_path):
    verdict, _ = await lived(tmp_path, WORLD, days=20, step=4 * HOUR, answers=True)
    assert verdict.clean, str(verdict)
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    told = [event["data"] for event in events if event["type"] == "com.goto.participant.attended"]
    assert {data["answersComplete"] for data in told} == {True}
    for name in ("pollAnswers", "questions", "surveyAnswers"):
        assert any(data[name] for data in told), name
    assert {data["registrantKey"] == question["askerKey"] for data in told for question in data["questions"]} == {True}


@pytest.mark.parametrize("account", [False, True], ids=["one organizer", "an account"])
async def test_every_webinar_and_meeting_that_a_poll_sees_begin_is_told_once(tmp_path, account):
    clock = FakeClock()
    world = {**MEETINGS, **WORLD, "past_share": 0.0, "organizers": 3 if account else 1}
    sim = Simulator(WorldOptions(**world), clock=clock)
    on = ("webinar.session.started", "meeting.started")
    connection = {"products": ["webinar", "meeting"], "account": account}
    seen, running, expected = _begun(sim, clock), _running(sim), Counter[str]()
    async with sim.serve(ticker=False) as api:
        app = await App.open(settings(tmp_path, sim, api, connection, (*on, "meeting.created")), clock=clock)
        try:
            assert not (await app.once()).errors
            sim.world.resume_arrivals()
            for _ in range(3 * 24 * 4):
                await clock.advance(900)
                assert not (await app.once()).errors
                expected.update(_begun(sim, clock) - seen)
                expected.update(_running(sim) - running)
                seen, running = seen | _begun(sim, clock), _running(sim)
            since = clock.now() - timedelta(days=30)  # nothing of what begins is history
            await Admin(app, lambda: app.settings, running=False).backfill("acme", since.isoformat())
            assert not (await app.once()).errors
        finally:
            await app.close()
    events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    told = [event for event in events if event["type"].removeprefix("com.goto.") in on]
    assert Counter(event["subject"] for event in told) == expected
    assert {event["type"].removeprefix("com.goto.") for event in told} == set(on)


def _begun(sim: Simulator, clock: FakeClock) -> set[str]:
    """The planned times that are running."""
    now = clock.now()
    return {
        f"webinars/{webinar.webinar_key}/starts/{span.start:%Y-%m-%dT%H:%M:%SZ}"
        for webinar in sim.world.webinars()
        for span in webinar.times
        if span.holds(now)
    }


def _running(sim: Simulator) -> set[str]:
    return {f"meetings/{meeting.meeting_id}" for meeting in sim.world.meetings.running()}
