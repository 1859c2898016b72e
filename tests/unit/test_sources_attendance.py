"""Sessions and participants as events tell them, whatever a record looks like."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from poller.errors import Wait
from poller.sources import ParticipantSource, SessionSource
from poller.sources.participants import normal_attendee
from poller.testing import START, FakeClock
from state.records import Scope, Target
from tests.integration.scripted_goto import ATTENDEES, REGISTRANTS, SESSIONS, Goto, busy, empty

UNUSED = {"since": START - timedelta(days=1), "until": START}
HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def goto(clock: FakeClock) -> Goto:
    return Goto(clock)


def participants(goto: Goto) -> ParticipantSource:
    return ParticipantSource(goto.client("1"), now=goto.now, settle=timedelta(hours=1))  # type: ignore[arg-type]


def target(webinar: str, session: str = "", **fields) -> Target:
    scope = Scope("participant", f"{webinar}/{session}") if session else Scope("session", webinar)
    return Target("acme", scope, organizer_key="1", title="Intro", ends_at=START.timestamp(), **fields)


async def test_sessions_come_page_by_page_and_the_same_bytes_are_not_read_again(goto):
    goto.page_size = 2
    webinar = goto.webinar()
    keys = [goto.hold(webinar) for _ in range(5)]
    source = SessionSource(goto.client("1"))  # type: ignore[arg-type]
    walk = await source.walk(target(webinar), **UNUSED)
    assert [record.key for record in walk.records] == keys
    assert (walk.calls, walk.complete) == (3, True)
    assert (await source.walk(target(webinar, digest=walk.digest), **UNUSED)).unchanged
    goto.fail(SESSIONS, busy, skip=2)
    broken = await source.walk(target(webinar), **UNUSED)
    assert ([record.key for record in broken.records], broken.complete) == (keys[:4], False)


@pytest.mark.parametrize("field", ["webinarName", "endTime"])
async def test_a_session_with_a_number_in_place_of_a_text_is_garbage(goto, field):
    webinar = goto.webinar()
    goto.hold(webinar, **{field: 7})
    walk = await SessionSource(goto.client("1")).walk(target(webinar), **UNUSED)  # type: ignore[arg-type]
    assert (len(walk.records), walk.set_aside) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"attendanceTimeInSeconds": 3409}, 57),
        ({"attendanceTimeInSeconds": None, "attendance": [("10:00:00", "10:20:00"), ("10:30:00", "10:40:31")]}, 31),
        ({"attendance": [("10:00:00", None)]}, 0),
        ({"attendance": "nonsense"}, 0),
    ],
)
def test_minutes_come_from_the_seconds_else_from_the_stays(fields, minutes):
    if isinstance(fields.get("attendance"), list):
        day = "2026-03-13T{}Z"
        stays = [{"joinTime": day.format(a), "leaveTime": b and day.format(b)} for a, b in fields["attendance"]]
        fields = {**fields, "attendance": stays}
    assert normal_attendee({"registrantKey": 7, **fields})["attendanceMinutes"] == minutes


async def test_before_it_has_settled_one_call_says_who_came(goto, clock):
    webinar = goto.webinar()
    ann, _ = goto.register(webinar), goto.register(webinar)
    session = goto.hold(webinar)
    goto.attend(webinar, session, ann)
    walk = await participants(goto).walk(target(webinar, session), **UNUSED)
    assert [record.key for record in walk.records] == [ann]
    assert (walk.calls, goto.count(REGISTRANTS, webinar)) == (1, 0)
    again = await participants(goto).walk(target(webinar, session, digest=walk.digest), **UNUSED)
    assert again.unchanged


async def settled(goto: Goto, clock: FakeClock) -> tuple[str, str, str, str]:
    webinar = goto.webinar()
    ann = goto.register(webinar, registrationDate=goto.ago(days=1))
    bob = goto.register(webinar, registrationDate=goto.ago(days=1))
    session = goto.hold(webinar)
    goto.attend(webinar, session, ann)
    await clock.advance(HOUR)
    return webinar, session, ann, bob


async def test_a_first_look_after_it_has_settled_asks_twice(goto, clock):
    webinar, session, ann, bob = await settled(goto, clock)
    walk = await participants(goto).walk(target(webinar, session), **UNUSED)
    assert ([record.key for record in walk.records], walk.calls) == ([ann, bob], 3)
    goto.lie(ATTENDEES, empty)
    doubtful = await participants(goto).walk(target(webinar, session), **UNUSED)
    assert [record.key for record in doubtful.records] == []


async def test_the_same_list_as_at_the_last_look_is_believed_at_once(goto, clock):
    webinar, session, ann, bob = await settled(goto, clock)
    known = (await participants(goto).walk(target(webinar, session), **UNUSED)).digest
    walk = await participants(goto).walk(target(webinar, session, digest=known), **UNUSED)
    assert ([record.key for record in walk.records], walk.calls) == ([ann, bob], 2)


async def test_when_the_registrants_cannot_be_read_the_look_is_not_over(goto, clock):
    webinar, session, ann, _ = await settled(goto, clock)
    goto.fail(REGISTRANTS, busy)
    walk = await participants(goto).walk(target(webinar, session), **UNUSED)
    assert [record.key for record in walk.records] == [ann]
    assert (walk.read_through, type(walk.problem)) == (False, Wait)


async def test_who_came_has_come_whatever_a_later_list_says(goto, clock):
    webinar, session, ann, bob = await settled(goto, clock)
    source = participants(goto)
    came, absent = (record.body for record in (await source.walk(target(webinar, session), **UNUSED)).records)
    assert source.compare(came, absent, START) is None
    assert source.keep(came, absent) == came
    change = source.compare(absent, came, START)
    assert change is not None
    assert change.anew == {"late": True}
    assert source.facts(target(webinar, session), absent).type == "participant.absent"
    assert source.person(came) == f"{ann}@example.com"
    assert msgspec.json.decode(absent)["registrantKey"] == bob
