"""The meetings of the simulated world: repeatable, held as planned, and honest about what shows when."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from poller.simulator import FaultPlan, Span, UnknownKeyError, Visitor, World, WorldOptions, attended_subject
from poller.testing import FakeClock

EMPTY = WorldOptions(webinars=0, registrants=0, rate_per_minute=0, meeting_held_share=1.0)
QUIET = replace(EMPTY, meetings=12)
LIVELY = replace(QUIET, organizers=2, meeting_rate_per_minute=0.5)
HOUR = 3600


def kinds_of(world: World) -> list[str]:
    world.catch_up()
    return [fact.kind for fact in world.truth.facts]


def ahead(world: World, *, hours: float = 1, minutes: float = 30) -> Span:
    start = world.now + timedelta(hours=hours)
    return Span(start, start + timedelta(minutes=minutes))


def upcoming(world: World) -> dict[str, bool]:
    """Whether each upcoming meeting runs."""
    return {item.meeting.meeting_id: item.running for item in world.meetings.book.upcoming(world.catch_up())}


async def test_a_world_is_without_meetings_unless_somebody_asks_for_them():
    clock = FakeClock()
    world = World(WorldOptions(), clock)
    await clock.advance(HOUR)
    assert upcoming(world) == {}
    assert not [fact for fact in world.truth.all() if fact.kind.startswith("meeting.")]


async def test_webinars_are_the_same_with_and_without_meetings():
    options = WorldOptions(webinars=4, registrants=40, rate_per_minute=30)
    alone, beside = FakeClock(), FakeClock()
    one, other = World(options, alone), World(replace(options, meetings=9, meeting_rate_per_minute=9), beside)
    for clock in (alone, beside):
        await clock.advance(600)
    facts = [
        [(fact.kind, fact.visible_at, fact.data) for fact in world.truth.all() if not fact.kind.startswith("meeting.")]
        for world in (one, other)
        if world.catch_up()
    ]
    assert facts[0] == facts[1]
    assert len(facts[0]) > 200


async def test_the_same_seed_gives_the_same_meetings_however_often_somebody_looks():
    often, rarely = FakeClock(), FakeClock()
    first, second = World(LIVELY, often), World(LIVELY, rarely)
    for _ in range(60):
        await often.advance(HOUR)
        upcoming(first)
    await rarely.advance(60 * HOUR)
    second.catch_up()
    one, other = ([fact.as_json() for fact in world.truth.all()] for world in (first, second))
    assert one == other
    assert len(one) > 2000


async def test_everything_that_can_happen_happens_and_is_a_fact_in_its_order():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(60 * HOUR)
    counts = Counter(kinds_of(world))
    assert set(counts) == {
        "meeting.created", "meeting.changed", "meeting.cancelled", "meeting.left",
        "meeting.ended", "meeting.recording.available", "meeting.attended",
    }  # fmt: skip
    assert min(counts.values()) > 50
    moments = [fact.visible_at for fact in world.truth.facts]
    assert moments == sorted(moments)
    ends = {f.subject: f.visible_at for f in world.truth.all() if f.kind == "meeting.ended"}
    recordings = [f for f in world.truth.all() if f.kind == "meeting.recording.available"]
    assert all(f.visible_at >= ends[f.subject] for f in recordings)


async def test_replaying_the_truth_gives_exactly_the_upcoming_list():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(60 * HOUR)
    alive: dict[str, dict] = {}
    world.catch_up()
    for fact in world.truth.all():
        if fact.kind in ("meeting.cancelled", "meeting.left"):
            del alive[fact.subject]
        elif fact.kind in ("meeting.created", "meeting.changed"):
            assert (fact.subject in alive) == (fact.kind == "meeting.changed")
            alive[fact.subject] = fact.data
    listed = {item.meeting.path: item.meeting for item in world.meetings.book.upcoming(world.now)}
    assert set(alive) == set(listed)
    assert all(alive[path]["subject"] == meeting.subject for path, meeting in listed.items())


async def test_the_start_has_its_meetings_and_what_was_held_before():
    world = World(replace(QUIET, meetings=60, meeting_recording_share=1.0), FakeClock())
    facts = list(world.truth.all())
    counts = Counter(fact.kind for fact in facts)
    assert set(counts) == {"meeting.created", "meeting.ended", "meeting.recording.available", "meeting.attended"}
    assert all(fact.initial for fact in facts)
    created = {fact.subject for fact in facts if fact.kind == "meeting.created"}
    assert created == {f"meetings/{meeting_id}" for meeting_id in upcoming(world)}
    held = {fact.subject.split("/sessions/")[0] for fact in facts if fact.kind == "meeting.ended"}
    assert held - created  # over before the start
    assert held & created  # a recurring meeting goes on
    sessions = Counter(fact.subject.split("/")[1] for fact in facts if fact.kind == "meeting.ended")
    assert max(sessions.values()) > 1


async def test_a_scheduled_meeting_runs_at_its_time_then_leaves_the_list_and_enters_the_history():
    clock = FakeClock()
    world = World(EMPTY, clock)
    meeting = world.meetings.create(planned=ahead(world))
    await clock.advance(HOUR - 1)
    assert upcoming(world) == {meeting.meeting_id: False}
    await clock.advance(2)
    assert upcoming(world) == {meeting.meeting_id: True}
    assert world.meetings.book.history(world.now) == []
    await clock.advance(HOUR)
    assert upcoming(world) == {}
    (item,) = world.meetings.book.history(world.now)
    assert item.session.held.start == meeting.planned.start
    assert kinds_of(world)[:3] == ["meeting.created", "meeting.left", "meeting.ended"]
    assert world.meetings.meeting(meeting.meeting_id) == meeting


async def test_a_meeting_that_nobody_comes_to_leaves_the_list_and_no_history():
    clock = FakeClock()
    world = World(replace(EMPTY, meeting_held_share=0.0), clock)
    world.meetings.create(planned=ahead(world))
    await clock.advance(HOUR + 29 * 60)
    assert kinds_of(world) == ["meeting.created"]
    await clock.advance(120)
    assert kinds_of(world) == ["meeting.created", "meeting.left"]
    assert world.meetings.book.history(world.now) == []


async def test_an_immediate_meeting_is_listed_only_while_it_runs():
    clock = FakeClock()
    world = World(EMPTY, clock)
    meeting = world.meetings.create(kind="immediate")
    assert upcoming(world) == {meeting.meeting_id: True}
    await clock.advance(HOUR)
    assert upcoming(world) == {}
    assert kinds_of(world)[:3] == ["meeting.created", "meeting.left", "meeting.ended"]


async def test_a_recurring_meeting_keeps_one_id_through_all_its_sessions():
    clock = FakeClock()
    world = World(EMPTY, clock)
    meeting = world.meetings.create(kind="recurring", planned=ahead(world), every=timedelta(days=1))
    await clock.advance(5 * 24 * HOUR)
    assert upcoming(world) == {meeting.meeting_id: False}
    sessions = [item.session for item in world.meetings.book.history(world.now)]
    assert [s.held.start - meeting.planned.start for s in sessions] == [timedelta(days=n) for n in range(5)]
    assert len({s.session_id for s in sessions}) == len({s.instance_key for s in sessions}) == 5
    assert {s.meeting.meeting_id for s in sessions} == {meeting.meeting_id}
    assert "meeting.left" not in kinds_of(world)


async def test_a_meeting_that_is_moved_is_held_at_its_new_time_only():
    clock = FakeClock()
    world = World(EMPTY, clock)
    meeting = world.meetings.create(planned=ahead(world))
    later = ahead(world, hours=3)
    world.meetings.change(meeting.meeting_id, planned=later)
    (fact,) = (fact for fact in world.truth.facts if fact.kind == "meeting.changed")
    assert fact.changed == ("startTime", "endTime")
    await clock.advance(2 * HOUR)
    assert upcoming(world) == {meeting.meeting_id: False}
    await clock.advance(2 * HOUR)
    history = world.meetings.book.history(world.catch_up())
    assert [item.session.held.start for item in history] == [later.start]


async def test_a_change_that_no_list_shows_is_no_fact():
    world = World(EMPTY, FakeClock())
    meeting = world.meetings.create(kind="recurring")
    world.meetings.change(meeting.meeting_id, planned=ahead(world))
    world.meetings.change(meeting.meeting_id, subject=meeting.subject)
    assert kinds_of(world) == ["meeting.created"]


@pytest.mark.parametrize("kind", ["scheduled", "recurring"])
async def test_only_a_meeting_with_a_start_ahead_and_no_history_counts_as_cancelled_when_it_is_deleted(kind):
    world = World(EMPTY, FakeClock())
    fresh, held = world.meetings.create(kind=kind), world.meetings.create(kind=kind)
    world.meetings.hold(held.meeting_id, visitors=[])
    for meeting in (fresh, held):
        world.meetings.cancel(meeting.meeting_id)
    gone = {fact.subject: fact.kind for fact in world.truth.facts if fact.kind in ("meeting.cancelled", "meeting.left")}
    assert gone == {
        fresh.path: "meeting.cancelled" if kind == "scheduled" else "meeting.left",  # a recurring one shows no start
        held.path: "meeting.left",
    }
    with pytest.raises(UnknownKeyError):
        world.meetings.meeting(fresh.meeting_id)
    assert [item.session.meeting.meeting_id for item in world.meetings.book.history(world.now)] == [held.meeting_id]


async def test_history_attendance_and_recording_each_show_after_their_own_delay():
    clock = FakeClock()
    delays = {"history": 120, "attendance": 300, "recording": 600}
    options = replace(EMPTY, **{f"meeting_{name}_delay_seconds": seconds for name, seconds in delays.items()})
    world = World(options, clock)
    meeting = world.meetings.create()
    guests = [Visitor("Bo Lind", "", world.now - timedelta(minutes=9), None)]
    world.meetings.hold(meeting.meeting_id, visitors=guests, recorded=True)
    began = world.now
    await clock.advance(HOUR)
    world.catch_up()
    seen = {fact.kind: (fact.visible_at - began).total_seconds() for fact in world.truth.facts}
    assert seen.pop("meeting.created") == 0
    assert seen == {"meeting.ended": 120, "meeting.attended": 300, "meeting.recording.available": 600}


async def test_what_is_removed_before_it_shows_is_no_fact():
    clock = FakeClock()
    world = World(replace(EMPTY, meeting_recording_delay_seconds=600, meeting_attendance_delay_seconds=600), clock)
    guests = [Visitor("Bo Lind", "bo@example.org", world.now - timedelta(minutes=9), None)]
    for part in ("session", "attendees", "recordings"):
        meeting = world.meetings.create()
        session = world.meetings.hold(meeting.meeting_id, visitors=guests, recorded=True)
        world.meetings.remove(session.session_id, part)
    await clock.advance(HOUR)
    counts = Counter(kinds_of(world))
    assert counts == {
        "meeting.created": 3, "meeting.ended": 3, "meeting.attended": 1, "meeting.recording.available": 1,
    }  # fmt: skip


async def test_a_person_may_join_twice_and_may_have_no_email():
    world = World(replace(EMPTY, meeting_visitors=20), FakeClock())
    meeting = world.meetings.create()
    rows = []
    for _ in range(30):
        session = world.meetings.hold(meeting.meeting_id)
        rows.append(session.attended(session.attended_at))
        assert all(row.visitor.joined < (row.visitor.left or session.held.end) <= session.held.end for row in rows[-1])
    stays = Counter((row.session.session_id, row.visitor.name) for of_one in rows for row in of_one)
    assert max(stays.values()) == 2
    emails = [row.visitor.email for of_one in rows for row in of_one]
    assert 0 < emails.count("") < len(emails) / 2
    assert any(row.visitor.left is None for of_one in rows for row in of_one)
    subjects = [fact.subject for fact in world.truth.facts if fact.kind == "meeting.attended"]
    assert len(subjects) == len(set(subjects)) == len(emails)


async def test_an_event_finds_its_attendance_in_the_truth_by_its_data():
    world = World(EMPTY, FakeClock())
    meeting = world.meetings.create()
    at = datetime(2026, 3, 1, 8, 45, tzinfo=UTC)
    world.meetings.hold(meeting.meeting_id, visitors=[Visitor("Bo", "", at, None), Visitor("Al", "al@x.org", at, None)])
    facts = [fact for fact in world.truth.facts if fact.kind == "meeting.attended"]
    identities = [fact.subject.rsplit("/")[-1] for fact in facts]
    assert identities == ["Bo@2026-03-01T08:45:00Z", "al@x.org@2026-03-01T08:45:00Z"]
    assert [attended_subject(fact.data) for fact in facts] == [fact.subject for fact in facts]


async def test_a_meeting_ended_early_has_the_history_of_its_real_length():
    clock = FakeClock()
    world = World(EMPTY, clock)
    meeting = world.meetings.create(kind="recurring")
    world.meetings.start(meeting.meeting_id)
    world.meetings.start(meeting.meeting_id)
    assert world.meetings.running() == [meeting]
    await clock.advance(300)
    session = world.meetings.end(meeting.meeting_id)
    assert (session.minutes, len(world.meetings.book.history(world.now))) == (5, 1)
    assert all((row.visitor.left or session.held.end) <= session.held.end for row in session.attended(world.now))
    await clock.advance(HOUR)
    assert kinds_of(world).count("meeting.ended") == 1
    with pytest.raises(UnknownKeyError):
        world.meetings.end(meeting.meeting_id)


async def test_the_lists_of_an_earlier_moment_are_what_they_were():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(30 * HOUR)
    book, then = world.meetings.book, world.catch_up()

    def lists(moment):
        listed = {item.meeting.meeting_id: item for item in book.upcoming(moment)}
        return listed, book.history(moment), book.attendees(moment)

    before = lists(then)
    await clock.advance(3 * HOUR)
    assert all(now != was for now, was in zip(lists(world.catch_up()), before, strict=True))
    assert lists(then) == before


async def test_the_fault_late_visibility_delays_meetings_and_histories():
    clock, plan = FakeClock(), FaultPlan()
    plan.arm("late-visibility")
    world = World(LIVELY, clock, lateness=plan.lateness)
    await clock.advance(30 * HOUR)
    world.catch_up()
    live = [fact for fact in world.truth.facts if fact.kind == "meeting.ended"]
    late = [(fact.visible_at - fact.after.held.end).total_seconds() for fact in live]
    assert len(late) > 100
    assert min(late) > 0
    assert max(late) <= 600


async def test_paused_arrivals_make_no_meetings_and_running_ones_still_end():
    clock = FakeClock()
    world = World(replace(EMPTY, meeting_rate_per_minute=10), clock)
    await clock.advance(600)
    world.pause_arrivals()
    made = kinds_of(world).count("meeting.created")
    assert made > 50
    await clock.advance(2 * HOUR)
    assert kinds_of(world).count("meeting.created") == made
    assert world.meetings.running() == []
    world.resume_arrivals()
    await clock.advance(600)
    assert made + 50 < kinds_of(world).count("meeting.created") < made + 150


async def test_lasting_additions_leave_out_meetings_that_are_over_and_keep_what_was_held():
    world = World(EMPTY, FakeClock())
    stays, goes = world.meetings.create(), world.meetings.create()
    session = world.meetings.hold(goes.meeting_id, visitors=[], recorded=True)
    world.meetings.cancel(goes.meeting_id)
    brief = world.meetings.create(kind="immediate", visible_in=timedelta(seconds=60))
    lasting = {(fact.kind, fact.subject) for fact in world.truth.lasting_additions()}
    assert lasting == {("meeting.created", stays.path), ("meeting.ended", session.path)}
    assert brief.meeting_id not in upcoming(world)


async def test_no_two_meetings_have_one_id():
    world = World(EMPTY, FakeClock())
    late = world.meetings.create(meeting_id="417382905", visible_in=timedelta(seconds=60))
    soon = world.meetings.create(meeting_id="417382905")
    assert (late.meeting_id, soon.meeting_id) == ("417382905", "417382906")
    assert list(upcoming(world)) == ["417382906"]


async def test_groups_hold_every_organizer_once():
    world = World(replace(EMPTY, organizers=7, meeting_group_size=3), FakeClock())
    assert [len(group.members) for group in world.meetings.groups] == [3, 3, 1]
    assert [person for group in world.meetings.groups for person in group.members] == list(world.organizers)
