"""Sessions of the simulated world: who comes, when it shows, and that the truth says exactly this."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from poller.simulator import Span, World, WorldOptions
from poller.simulator.truth import ABSENT, ADDED, ATTENDANCE, ATTENDED, COMPLETED
from poller.testing import FakeClock

ONE = WorldOptions(webinars=1, registrants=200, rate_per_minute=0, series_share=0, sequence_share=0, manual_share=0)


async def reach(world, clock, moment, seconds=0.0):
    await clock.advance((moment - world.now).total_seconds() + seconds)
    world.catch_up()


async def held(options=ONE):
    """A world whose only webinar has just ended."""
    clock = FakeClock()
    world = World(options, clock)
    (webinar,) = world.webinars()
    await reach(world, clock, webinar.ends)
    return world, clock, webinar


def told(world, *kinds):
    return [fact for fact in world.truth.facts if fact.kind in kinds]


def keys_of(facts):
    return [fact.subject.rpartition("/")[2] for fact in facts]


async def test_everybody_approved_is_told_once_as_attended_or_absent_and_the_session_before_them():
    world, _, webinar = await held()
    session, *people = told(world, *ATTENDANCE)
    assert session.kind == COMPLETED
    assert session.subject.startswith(f"{webinar.path}/sessions/")
    assert session.visible_at == webinar.ends
    assert sorted(keys_of(people)) == sorted(world.registrants(webinar.webinar_key))
    share = len(told(world, ATTENDED)) / 200
    assert 0.6 < share < 0.8
    assert all(fact.subject.startswith(f"{session.subject}/participants/") for fact in people)


async def test_the_truth_of_attendance_is_what_the_lists_show():
    world, _, webinar = await held()
    (session,) = world.sessions.completed([webinar], world.now)
    came = world.sessions.attendees(session, world.now)
    assert [fact.after for fact in told(world, ATTENDED)] == came
    for fact in told(world, ATTENDED):
        assert fact.data["attendance"]
        assert fact.data["attendanceTimeInSeconds"] > 0
        assert (fact.data["webinarKey"], fact.data["sessionKey"]) == (webinar.webinar_key, session.session_key)
    assert all(fact.data["status"] == "APPROVED" for fact in told(world, ABSENT))


async def test_nobody_who_waits_or_was_denied_or_registered_too_late_is_told_either_way():
    clock = FakeClock()
    world = World(ONE, clock)
    (webinar,) = world.webinars()
    key = webinar.webinar_key
    waiting = world.register(key, status="WAITING")
    denied, gone = list(world.registrants(key))[:2]
    world.set_status(key, denied, "DENIED")
    world.remove_registrant(key, gone)
    await reach(world, clock, webinar.ends, seconds=1)
    late = world.register(key)
    await clock.advance(60)
    world.catch_up()
    people = keys_of(told(world, ATTENDED, ABSENT))
    assert not {waiting.registrant_key, denied, gone, late.registrant_key} & set(people)
    assert len(people) == 198


async def test_attendance_shows_late_then_in_part_then_complete_and_only_then_who_was_absent():
    options = replace(ONE, session_delay_seconds=60, attendance_delay_seconds=600, attendance_settling_seconds=1800)
    world, clock, webinar = await held(options)
    assert world.sessions.completed([webinar], world.now) == []
    await clock.advance(60)
    (session,) = world.sessions.completed([webinar], world.catch_up())
    assert world.sessions.attendees(session, world.now) == []
    await clock.advance(540)
    first = world.sessions.attendees(session, world.catch_up())
    assert told(world, ABSENT) == []
    await clock.advance(1800)
    every = world.sessions.attendees(session, world.catch_up())
    assert 0 < len(first) < len(every) == len(world.sessions.everybody(session))
    assert [participant for participant in every if participant in first] == first
    delays = Counter((fact.visible_at - webinar.ends).total_seconds() for fact in told(world, ATTENDED))
    assert delays == {600: len(first), 2400: len(every) - len(first)}
    assert {(fact.visible_at - webinar.ends).total_seconds() for fact in told(world, ABSENT)} == {2400}


async def test_stays_lie_in_the_session_after_the_registration_and_some_people_come_twice():
    options = replace(ONE, rejoin_share=0.3, two_devices_share=0.3)
    clock = FakeClock()
    world = World(options, clock)
    (webinar,) = world.webinars()
    middle = webinar.times[0].start + timedelta(minutes=30)
    await reach(world, clock, middle)
    late = [world.register(webinar.webinar_key).registrant_key for _ in range(20)]
    await reach(world, clock, webinar.ends)
    (session,) = world.sessions.completed([webinar], world.now)
    came = world.sessions.everybody(session)
    for participant in came:
        earliest = middle if participant.key in late else session.held.start
        assert all(earliest <= stay.start < stay.end <= session.held.end for stay in participant.stays)
    twice = [participant.stays for participant in came if len(participant.stays) == 2]
    apart = [stays for stays in twice if not stays[0].overlaps(stays[1])]
    assert 0 < len(apart) < len(twice) < len(came)
    assert {participant.key for participant in came} & set(late)


async def test_a_session_of_a_few_seconds_is_attended_from_end_to_end():
    clock = FakeClock()
    world = World(ONE, clock)
    start = world.now + timedelta(seconds=1)
    short = world.create_webinar(times=(Span(start, start + timedelta(seconds=3)),))
    for _ in range(20):
        world.register(short.webinar_key)
    await clock.advance(4)
    (session,) = world.sessions.completed([short], world.catch_up())
    came = world.sessions.everybody(session)
    assert len(came) > 5
    assert {participant.stays for participant in came} == {short.times}


async def test_time_on_two_devices_counts_once():
    world, _, webinar = await held(replace(ONE, two_devices_share=1.0, rejoin_share=0.0))
    (session,) = world.sessions.completed([webinar], world.now)
    for participant in world.sessions.everybody(session):
        first, second = participant.stays
        assert participant.seconds == (second.end - first.start).total_seconds()


async def test_walk_ins_are_registered_when_the_session_ends_with_the_date_of_joining():
    world, _, webinar = await held(replace(ONE, walk_in_share=0.1))
    added = told(world, ADDED)
    assert len(added) == 20
    (session,) = world.sessions.completed([webinar], world.now)
    came = {participant.key: participant for participant in world.sessions.everybody(session)}
    for fact in added:
        assert fact.visible_at == webinar.ends
        assert fact.after.registered == min(stay.start for stay in came[fact.after.registrant_key].stays)
    assert set(keys_of(added)) <= set(keys_of(told(world, ATTENDED)))


async def test_some_come_without_any_registrant_record():
    world, _, webinar = await held(replace(ONE, unregistered_share=0.05))
    unknown = set(keys_of(told(world, ATTENDED))) - set(world.registrants(webinar.webinar_key))
    assert len(unknown) == 10


async def test_a_webinar_held_twice_has_two_sessions_each_with_everybodys_attendance():
    clock = FakeClock()
    world = World(replace(ONE, second_session_share=1.0), clock)
    (webinar,) = world.webinars()
    await reach(world, clock, webinar.times[0].start, seconds=31 * 60)
    assert len(world.sessions.completed([webinar], world.now)) == 1
    await reach(world, clock, webinar.ends)
    first, second = world.sessions.completed([webinar], world.now)
    assert first.session_key != second.session_key
    assert first.held.end < second.held.start
    assert len(told(world, ATTENDED, ABSENT)) == 400
    assert len({fact.subject for fact in told(world, *ATTENDANCE)}) == 402


async def test_every_time_of_a_sequence_is_a_session_of_its_own():
    clock = FakeClock()
    world = World(ONE, clock)
    start = world.now + timedelta(hours=1)
    spans = tuple(Span(start + timedelta(days=n), start + timedelta(days=n, hours=1)) for n in range(3))
    daily = world.create_webinar(times=spans, recurrence="sequence")
    await reach(world, clock, spans[1].end)
    assert [session.held for session in world.sessions.completed([daily], world.now)] == list(spans[:2])


async def test_co_organizers_start_some_of_the_sessions():
    clock = FakeClock()
    options = replace(ONE, organizers=2, webinars=30, registrants=0, past_share=1.0, coorganized_share=1.0)
    world = World(options, clock)
    sessions = world.sessions.completed(world.webinars(), world.now)
    by_creator = Counter(session.starter == session.creator for session in sessions)
    assert set(by_creator) == {True, False}
    assert all(session.webinar.hosted_by(session.starter.organizer_key) for session in sessions)


async def test_a_cancelled_webinar_takes_its_sessions_and_what_was_still_to_show_along():
    world, clock, webinar = await held(replace(ONE, attendance_delay_seconds=600))
    world.cancel_webinar(webinar.webinar_key)
    await clock.advance(3600)
    world.catch_up()
    assert told(world, ATTENDED, ABSENT) == []
    assert world.truth.attendance() == []
    assert len(told(world, COMPLETED)) == 1


async def test_a_webinar_that_was_moved_is_held_at_its_new_time_only():
    clock = FakeClock()
    world = World(ONE, clock)
    (webinar,) = world.webinars()
    (old,) = webinar.times
    later = Span(old.start + timedelta(days=1), old.end + timedelta(days=1))
    world.change_webinar(webinar.webinar_key, times=(later,))
    await reach(world, clock, old.end, seconds=60)
    assert world.sessions.completed(world.webinars(), world.now) == []
    await reach(world, clock, later.end)
    (session,) = world.sessions.completed(world.webinars(), world.now)
    assert session.held == later


async def test_a_registration_that_shows_up_after_the_session_still_gets_its_attendance():
    world, clock, webinar = await held()
    before = len(told(world, ATTENDED, ABSENT))
    early = webinar.times[0].start - timedelta(minutes=1)
    people = [world.register(webinar.webinar_key, registered=early).registrant_key for _ in range(10)]
    await clock.advance(1)
    world.catch_up()
    late = told(world, ATTENDED, ABSENT)[before:]
    assert sorted(keys_of(late)) == sorted(people)
    assert {fact.kind for fact in late} == {ATTENDED, ABSENT}


@pytest.mark.parametrize("settling", [0.0, 40 * 86400.0])
async def test_sessions_from_before_the_start_are_part_of_it_as_far_as_they_show(settling):
    options = replace(ONE, webinars=4, past_share=1.0, attendance_settling_seconds=settling)
    clock = FakeClock()
    world = World(options, clock)
    initial = Counter(fact.kind for fact in world.truth.initial())
    assert initial[COMPLETED] == 4
    assert initial[ATTENDED] > 0
    assert (initial[ABSENT] > 0) == (settling == 0)
    await clock.advance(40 * 86400)
    world.catch_up()
    live = Counter(fact.kind for fact in world.truth.facts)
    assert (live[ATTENDED] > 0) == (live[ABSENT] > 0) == (settling > 0)
    every = [fact.subject for fact in world.truth.all() if fact.kind in ATTENDANCE]
    assert len(set(every)) == len(every)
    came = [p for s in world.sessions.completed(world.webinars(), world.now) for p in world.sessions.everybody(s)]
    assert len(came) == initial[ATTENDED] + live[ATTENDED]


async def test_the_same_seed_gives_the_same_attendance_however_often_somebody_looks():
    options = replace(ONE, webinars=3, walk_in_share=0.1, unregistered_share=0.1, attendance_settling_seconds=60)
    often, rarely = FakeClock(), FakeClock()
    first, second = World(options, often), World(options, rarely)
    end = max(webinar.ends for webinar in first.webinars()) + timedelta(hours=1)
    seconds = (end - first.now).total_seconds()
    for _ in range(50):
        await often.advance(seconds / 50)
        first.catch_up()
    await rarely.advance(seconds)
    second.catch_up()
    assert [f.as_json() for f in first.truth.all()] == [f.as_json() for f in second.truth.all()]
    assert len(told(first, ATTENDED)) > 100


async def test_people_are_heard_joining_at_their_moment_and_handing_in_surveys_after_the_end():
    clock = FakeClock()
    world = World(replace(ONE, survey_share=0.5), clock)
    heard = []
    world.sessions.listeners.append(heard.append)
    (webinar,) = world.webinars()
    await reach(world, clock, webinar.ends, seconds=3600)
    (session,) = world.sessions.completed([webinar], world.now)
    joined = [one for one in heard if one.kind == "registrant.joined"]
    assert {one.participant.key for one in joined} == {one.key for one in world.sessions.everybody(session)}
    assert all(one.at == one.participant.stays[0].start for one in joined)
    assert [one.at for one in heard] == sorted(one.at for one in heard)
    sent = [one for one in heard if one.kind == "survey.submitted"]
    assert 0 < len(sent) < len(joined)
    assert all(one.at > webinar.ends for one in sent)
