"""The judge of all these tests sees each thing that can go wrong; one that sees nothing would let everything pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from poller.simulator import (
    Fact,
    Meeting,
    MeetingSession,
    Organizer,
    Registrant,
    Span,
    Visitor,
    Webinar,
    World,
    WorldOptions,
    meeting_facts,
)
from poller.simulator.meeting_model import Attended, Recorded, Recording
from poller.simulator.truth import ABSENT, ADDED, ALTERED, ATTENDANCE, ATTENDED, CANCELLED, COMPLETED, CREATED, REMOVED
from poller.testing import FakeClock
from tests.acceptance.verdict import Delivered, Truth, judge

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
WEBINAR = Webinar("40", "400", "1", "7", "Introduction", "", (Span(START, START + timedelta(hours=1)),))
ANN = Registrant("51", "40", "Ann", "Lind", "ann@example.com", "WAITING", START, "UTC")
BOB = Registrant("52", "40", "Bob", "Berg", "bob@example.com", "APPROVED", START + timedelta(seconds=1), "UTC")
APPROVED = replace(ANN, status="APPROVED")

FACTS = [
    Fact(1, CREATED, "1", START, None, WEBINAR),
    Fact(2, ADDED, "1", START, None, ANN),
    Fact(3, ADDED, "1", START, None, BOB),
    Fact(4, ALTERED, "1", START, ANN, APPROVED),
    Fact(5, REMOVED, "1", START, BOB, None),
]

Event = dict[str, Any]


def event_of(fact: Fact) -> Event:
    """What an engine says of it, as far as the judge looks."""
    data = dict(fact.data)
    if fact.before and fact.after:
        data |= {"changed": ["status", "joinUrl"], "previous": {"status": fact.before.status, "joinUrl": ""}}
    return {
        "id": f"id-{fact.number}",
        "type": f"com.goto.{fact.kind}",
        "subject": fact.subject,
        "sequence": f"{fact.number:020}",
        "partitionkey": WEBINAR.webinar_key,
        "time": fact.data.get("registrationDate", "2026-03-01T09:00:00Z"),
        "observedtime": "2026-03-01T09:00:05Z",
        "data": data,
    }


EVENTS = [event_of(fact) for fact in FACTS]
CREATED_40, ADDED_ANN, ADDED_BOB, ALTERED_ANN, REMOVED_BOB = EVENTS


def bodies(events: Sequence[Event]) -> list[bytes]:
    return [json.dumps(event).encode() for event in events]


def delivered(events: Sequence[Event]) -> list[Delivered]:
    return [Delivered(body) for body in bodies(events)]


def figures(events: Sequence[Event], *, dead: Sequence[Event] = (), silent_until: int = -1) -> set[str]:
    """Those that are not 0."""
    verdict = judge("crm", Truth.of(FACTS, silent_until=silent_until), delivered(events), bodies(dead))
    found = {name for name in verdict.cases if verdict[name]}
    assert verdict.clean == (found <= {"D1"})
    return found


def test_what_was_told_rightly_is_clean() -> None:
    assert figures(EVENTS) == set()


def but(event: Event, **other: Any) -> Event:
    return {**event, **other}


def with_data(event: Event, **other: Any) -> Event:
    return but(event, data={**event["data"], **other})


WRONG = {
    "nobody told of somebody": ("L", [CREATED_40, ADDED_BOB, REMOVED_BOB]),
    "nobody told of the last change": ("L", [CREATED_40, ADDED_ANN, ADDED_BOB, REMOVED_BOB]),
    "nobody told that somebody left": ("L", EVENTS[:-1]),
    "nothing told at all": ("L", []),
    "told again under its id": ("D1", [*EVENTS, REMOVED_BOB]),
    "told again under another id": ("D2", [*EVENTS[:2], but(ADDED_ANN, id="x"), *EVENTS[2:]]),
    "a change told again under another id": ("D2", [*EVENTS, but(ALTERED_ANN, id="x", sequence="6".zfill(20))]),
    "somebody who never was": ("P", [*EVENTS, but(ADDED_ANN, id="x", subject="webinars/40/registrants/9")]),
    "gone although still there": ("P", [*EVENTS[:4], but(REMOVED_BOB, subject=ANN.path, data=ALTERED_ANN["data"])]),
    "a change of what was never told": ("P", [CREATED_40, ALTERED_ANN, ADDED_BOB, REMOVED_BOB]),
    "a name that nobody had": ("T", [*EVENTS[:4], with_data(REMOVED_BOB, firstName="Rob")]),
    "a change from what never was": ("T", [*EVENTS[:3], with_data(ALTERED_ANN, previous={"status": "DENIED"})]),
    "two bodies under one id": ("T", [*EVENTS, but(REMOVED_BOB, connection="beta")]),
    "an older one after a newer one": ("O", [CREATED_40, ADDED_ANN, ALTERED_ANN, ADDED_BOB, REMOVED_BOB]),
    "somebody before the webinar": ("O", [ADDED_ANN, CREATED_40, *EVENTS[2:]]),
    "the later registration first": ("O", [CREATED_40, ADDED_BOB, but(ADDED_ANN, sequence="3".zfill(20) + "1")]),
}


@pytest.mark.parametrize(("figure", "events"), WRONG.values(), ids=list(WRONG))
def test_each_thing_that_is_wrong_is_counted(figure: str, events: Sequence[Event]) -> None:
    assert figure in figures(events)


def test_a_dead_letter_counts_as_told_and_a_refused_attempt_does_not() -> None:
    assert figures(EVENTS[:-1], dead=[REMOVED_BOB]) == set()
    refused = Delivered(*bodies([REMOVED_BOB]), taken=False)
    verdict = judge("crm", Truth.of(FACTS, silent_until=-1), [*delivered(EVENTS[:-1]), refused])
    assert verdict["L"] == 1


def test_what_was_there_at_a_silent_baseline_is_not_to_be_told() -> None:
    assert figures(EVENTS[3:], silent_until=3) == set()
    assert figures(EVENTS, silent_until=3) == {"D2"}


# ---- sessions and attendance, as a simulated world tells them


async def held() -> list[Fact]:
    """The facts of a world whose only webinar has been held."""
    clock = FakeClock()
    world = World(WorldOptions(webinars=1, registrants=20, rate_per_minute=0, manual_share=0, sequence_share=0), clock)
    (webinar,) = world.webinars()
    await clock.advance((webinar.ends - world.now).total_seconds())
    world.catch_up()
    return list(world.truth.all())


def figures_of(facts: Sequence[Fact], events: Sequence[Event], *, attendance: bool = True, live: int = 0) -> set[str]:
    truth = Truth.of(facts, silent_until=live, attendance=attendance)
    verdict = judge("crm", truth, delivered(sorted(events, key=lambda event: event["sequence"])))
    return {name for name in verdict.cases if verdict[name]}


async def test_sessions_and_attendance_are_each_to_be_told_once_and_truly() -> None:
    facts = await held()
    events = [event_of(fact) for fact in facts if fact.kind in ATTENDANCE]
    kinds = {fact.kind: event for fact, event in zip([f for f in facts if f.kind in ATTENDANCE], events, strict=True)}
    assert set(kinds) == {COMPLETED, ATTENDED, ABSENT}
    assert figures_of(facts, events) == set()
    assert figures_of(facts, events, live=10**6) == {"D2"}
    for event in kinds.values():
        others = [other for other in events if other != event]
        assert figures_of(facts, others) == {"L"}
        assert figures_of(facts, [*events, but(event, id="x", sequence="9" * 20)]) == {"D2"}
        assert figures_of(facts, [*others, but(event, subject=f"{event['subject']}0")]) == {"L", "P"}
        assert figures_of(facts, [*others, with_data(event, webinarKey="1")]) == {"T"}


async def test_attendance_is_not_judged_unless_it_is_asked_for() -> None:
    facts = await held()
    events = [event_of(fact) for fact in facts if fact.kind in ATTENDANCE]
    assert figures_of(facts, [], attendance=False) == figures_of(facts, events[:2], attendance=False) == set()


async def test_a_cancelled_webinar_takes_its_attendance_along() -> None:
    facts = await held()
    webinar = next(fact.thing for fact in facts if isinstance(fact.thing, Webinar))
    gone = Fact(10**6, CANCELLED, "1", facts[-1].visible_at, webinar, None)
    assert figures_of([*facts, gone], [event_of(gone)]) == set()


HOST = Organizer("1", "7", "Ana", "Rivera", "ana@example.com", "")
MEETING = Meeting(meeting_id="417", host=HOST, subject="Review", planned=Span(START, START + timedelta(hours=1)))
STAND_UP = Meeting(meeting_id="620", host=HOST, subject="Stand-up", kind="recurring")
SESSION = MeetingSession(
    session_id="80",
    instance_key="90",
    meeting=MEETING,
    held=Span(START, START + timedelta(hours=1)),
    visitors=(Visitor("Bob Berg", "", START, None), Visitor("Bob Berg", "", START + timedelta(minutes=5), None)),
    recording=Recording("r", 5, START),
    listed_at=START,
    attended_at=START,
)
CALLED_OFF = replace(MEETING, meeting_id="418")
MEETING_FACTS = [
    Fact(1, meeting_facts.CREATED, "1", START, None, MEETING),
    Fact(2, meeting_facts.CREATED, "1", START, None, STAND_UP),
    Fact(3, meeting_facts.LEFT, "1", START, MEETING, None),
    Fact(4, meeting_facts.ENDED, "1", START, None, SESSION),
    Fact(5, meeting_facts.RECORDING, "1", START, None, Recorded(SESSION)),
    Fact(6, meeting_facts.ATTENDED, "1", START, None, Attended(SESSION, SESSION.visitors[0])),
    Fact(7, meeting_facts.ATTENDED, "1", START, None, Attended(SESSION, SESSION.visitors[1])),
    Fact(8, meeting_facts.CREATED, "1", START, None, CALLED_OFF),
    Fact(9, meeting_facts.CANCELLED, "1", START, CALLED_OFF, None),
]


def meeting_event(fact: Fact) -> Event:
    """As an engine tells it: the identity of an attendance is a hash in its subject."""
    event = event_of(fact)
    if fact.kind == meeting_facts.ATTENDED:
        home, _, who = fact.subject.rpartition("/")
        event["subject"] = f"{home}/{sha256(who.encode()).hexdigest()[:12]}"
    return event


MEETING_EVENTS = {fact.number: meeting_event(fact) for fact in MEETING_FACTS if fact.kind != meeting_facts.LEFT}


def meeting_figures(events: Sequence[Event]) -> set[str]:
    verdict = judge("crm", Truth.of(MEETING_FACTS, silent_until=-1), delivered(events))
    return {name for name in verdict.cases if verdict[name]}


def without(number: int) -> list[Event]:
    return [event for key, event in MEETING_EVENTS.items() if key != number]


def test_meetings_told_rightly_are_clean_and_one_that_is_over_may_never_have_been_told() -> None:
    assert meeting_figures(list(MEETING_EVENTS.values())) == set()
    assert meeting_figures(without(1)) == set()


@pytest.mark.parametrize("number", [2, 4, 5, 6, 7, 9])
def test_a_meeting_or_what_was_held_is_lost_when_nobody_is_told(number: int) -> None:
    assert meeting_figures(without(number)) == {"L"}


def test_a_meeting_that_came_and_went_between_two_polls_need_not_be_told() -> None:
    assert meeting_figures([event for key, event in MEETING_EVENTS.items() if key not in (8, 9)]) == set()


@pytest.mark.parametrize("number", [4, 5, 6])
def test_what_was_held_is_doubled_when_it_is_told_again_under_another_id(number: int) -> None:
    again = but(MEETING_EVENTS[number], id="x", sequence="10".zfill(20))
    assert meeting_figures([*MEETING_EVENTS.values(), again]) == {"D2"}


def test_an_attendance_or_a_cancellation_that_never_was_is_a_phantom() -> None:
    later = {"sequence": "10".zfill(20), "id": "x"}
    stranger = with_data(but(MEETING_EVENTS[6], **later), attendeeName="Ann")
    assert meeting_figures([*MEETING_EVENTS.values(), stranger]) == {"P"}
    over = but(MEETING_EVENTS[9], **later, subject=MEETING.path, data=MEETING_EVENTS[1]["data"])
    assert meeting_figures([*MEETING_EVENTS.values(), over]) == {"P"}
