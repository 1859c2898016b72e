"""The simulated world: repeatable, lazy, and honest about what it shows when."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from poller.simulator import AlreadyRegisteredError, FaultPlan, UnknownKeyError, World, WorldOptions
from poller.testing import FakeClock

QUIET = WorldOptions(webinars=4, registrants=40, rate_per_minute=0)
LIVELY = WorldOptions(
    organizers=2,
    webinars=6,
    registrants=60,
    rate_per_minute=60,
    status_share=0.3,
    removal_share=0.2,
    change_share=0.1,
    creation_share=0.1,
    cancellation_share=0.05,
)


def facts_of(world: World) -> list[dict]:
    world.catch_up()
    return [fact.as_json() for fact in world.truth.all()]


async def test_the_same_seed_gives_the_same_world_however_often_somebody_looks():
    often, rarely = FakeClock(), FakeClock()
    first, second = World(LIVELY, often), World(LIVELY, rarely)
    for _ in range(120):
        await often.advance(5)
        first.webinars()
        for webinar in first.webinars():
            first.registrants(webinar.webinar_key)
    await rarely.advance(600)
    assert facts_of(first) == facts_of(second)
    assert len(first.truth.facts) > 300


async def test_another_seed_gives_another_world():
    one = World(WorldOptions(seed=1), FakeClock())
    other = World(WorldOptions(seed=2), FakeClock())
    assert not {w.webinar_key for w in one.webinars()} & {w.webinar_key for w in other.webinars()}


async def test_everything_that_can_happen_happens_and_is_a_fact_at_its_own_moment():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(1800)
    world.catch_up()
    kinds = Counter(fact.kind for fact in world.truth.facts)
    assert set(kinds) == {
        "webinar.created", "webinar.changed", "webinar.cancelled",
        "registrant.added", "registrant.changed", "registrant.removed",
    }  # fmt: skip
    assert 1600 < kinds["registrant.added"] < 2000
    moments = [fact.visible_at for fact in world.truth.facts]
    assert moments == sorted(moments)
    assert len(set(moments)) > 1500
    assert [fact.number for fact in world.truth.facts] == list(range(1, len(moments) + 1))


async def test_replaying_the_truth_gives_exactly_what_exists_now():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(900)
    alive: dict[str, dict] = {}
    world.catch_up()
    for fact in world.truth.all():
        if fact.kind.endswith((".removed", ".cancelled")):
            del alive[fact.subject]
        else:
            assert (fact.subject in alive) == fact.kind.endswith(".changed")
            alive[fact.subject] = fact.data
        if fact.kind == "webinar.cancelled":
            alive = {k: v for k, v in alive.items() if not k.startswith(f"{fact.subject}/")}
    people = [r for w in world.webinars() for r in world.registrants(w.webinar_key).values()]
    assert set(alive) == {w.path for w in world.webinars()} | {r.path for r in people}
    assert all(alive[person.path]["status"] == person.status for person in people)


async def test_popular_webinars_get_more_registrations():
    clock = FakeClock()
    world = World(WorldOptions(webinars=10, rate_per_minute=120, cancellation_share=0), clock)
    order = [w.webinar_key for w in world.webinars()]
    await clock.advance(3600)
    world.catch_up()
    added = Counter(f.thing.webinar_key for f in world.truth.facts if f.kind == "registrant.added")
    assert added[order[0]] > 3 * added[order[-1]]


async def test_keys_are_beyond_what_a_double_holds_and_all_different():
    world = World(WorldOptions(webinars=30, registrants=900, rate_per_minute=0), FakeClock())
    keys = [w.webinar_key for w in world.webinars()]
    keys += [key for w in world.webinars() for key in world.registrants(w.webinar_key)]
    assert len(set(keys)) == 930
    assert all(len(key) == 19 and 2**53 < int(key) < 2**63 for key in keys)


async def test_a_late_action_is_unseen_until_its_moment():
    clock = FakeClock()
    world = World(QUIET, clock)
    webinar = world.webinars()[0]
    began = world.now
    late = world.register(webinar.webinar_key, visible_in=timedelta(seconds=90), registered=began)
    soon = world.register(webinar.webinar_key, visible_in=timedelta(seconds=30))
    assert world.truth.facts == ()
    with pytest.raises(UnknownKeyError):
        world.registrant(webinar.webinar_key, late.registrant_key)
    await clock.advance(200)
    assert list(world.registrants(webinar.webinar_key))[-2:] == [soon.registrant_key, late.registrant_key]
    assert [(f.visible_at - began).total_seconds() for f in world.truth.facts] == [30, 90]
    assert world.truth.facts[1].data["registrationDate"] == f"{began:%Y-%m-%dT%H:%M:%SZ}"


async def test_the_fault_late_visibility_delays_registrations_out_of_order_and_keeps_their_dates():
    clock, plan = FakeClock(), FaultPlan()
    plan.arm("late-visibility", probability=0.5)
    options = WorldOptions(webinars=2, rate_per_minute=60)
    world = World(options, clock, lateness=plan.lateness)
    await clock.advance(1200)
    world.catch_up()
    added = [fact for fact in world.truth.facts if fact.kind == "registrant.added"]
    delays = [(fact.visible_at - fact.after.registered).total_seconds() for fact in added]
    assert max(delays) <= 600
    assert 0.3 < sum(delay > 0 for delay in delays) / len(delays) < 0.6
    dates = [fact.after.registered for fact in added]
    assert dates != sorted(dates)
    assert plan.struck["late-visibility"] >= sum(delay > 0 for delay in delays)


async def test_the_list_of_an_earlier_moment_is_what_it_was():
    clock = FakeClock()
    world = World(LIVELY, clock)
    await clock.advance(300)
    then = world.catch_up()
    webinars = world.webinars()
    people = {w.webinar_key: dict(world.registrants(w.webinar_key)) for w in webinars}
    await clock.advance(120)
    assert world.webinars() != webinars
    assert {w.webinar_key: w for w in world.webinars_as_of(then)} == {w.webinar_key: w for w in webinars}
    for webinar in world.webinars():
        if webinar.webinar_key in people:
            past = {r.registrant_key: r for r in world.registrants_as_of(webinar.webinar_key, then)}
            assert past == people[webinar.webinar_key]


async def test_paused_arrivals_stop_and_nothing_is_made_up_for_afterwards():
    clock = FakeClock()
    world = World(WorldOptions(rate_per_minute=60), clock)
    world.pause_arrivals()
    await clock.advance(3600)
    world.catch_up()
    assert world.truth.facts == ()
    world.resume_arrivals()
    await clock.advance(60)
    world.catch_up()
    assert 30 < len(world.truth.facts) < 100


async def test_a_wall_clock_that_jumps_does_not_move_the_world():
    clock = FakeClock()
    world = World(WorldOptions(rate_per_minute=60), clock)
    began = world.now
    clock.jump(10 * 365 * 86400)
    assert world.catch_up() == began
    assert world.truth.facts == ()


@pytest.mark.parametrize("same", [True, False])
async def test_who_returns_gets_a_new_key_unless_the_option_says_otherwise(same):
    options = WorldOptions(webinars=1, registrants=1, rate_per_minute=0, same_key_on_return=same)
    world = World(options, FakeClock())
    webinar_key = world.webinars()[0].webinar_key
    (person,) = world.registrants(webinar_key).values()
    with pytest.raises(AlreadyRegisteredError) as refused:
        world.register(webinar_key, email=person.email)
    assert refused.value.registrant == person
    world.remove_registrant(webinar_key, person.registrant_key)
    again = world.register(webinar_key, email=person.email)
    assert (again.registrant_key == person.registrant_key) is same
    assert [f.kind for f in world.truth.facts] == ["registrant.removed", "registrant.added"]


async def test_lasting_additions_leave_out_what_was_undone():
    world = World(QUIET, FakeClock())
    doomed, kept = world.webinars()[:2]
    stays = world.register(kept.webinar_key)
    goes = world.register(kept.webinar_key)
    world.remove_registrant(kept.webinar_key, goes.registrant_key)
    world.register(doomed.webinar_key)
    world.cancel_webinar(doomed.webinar_key)
    new = world.create_webinar()
    assert [f.subject for f in world.truth.lasting_additions()] == [stays.path, new.path]


async def test_a_change_names_the_fields_and_no_change_is_no_fact():
    world = World(QUIET, FakeClock())
    webinar = world.webinars()[0]
    world.change_webinar(webinar.webinar_key, subject=webinar.subject)
    world.change_webinar(webinar.webinar_key, subject="Another")
    (fact,) = world.truth.facts
    assert (fact.kind, fact.changed, fact.data["subject"]) == ("webinar.changed", ("subject",), "Another")


async def test_series_share_a_recurrence_key_and_sequences_have_several_times():
    options = WorldOptions(webinars=60, series_share=0.4, sequence_share=0.4, rate_per_minute=0)
    webinars = World(options, FakeClock()).webinars()
    series = [w for w in webinars if w.recurrence == "series"]
    sequences = [w for w in webinars if w.recurrence == "sequence"]
    assert len(webinars) == 60
    assert all(count <= 2 for count in Counter(w.recurrence_key for w in series).values())
    assert 2 in Counter(w.recurrence_key for w in series).values()
    assert sequences
    assert all(len(w.times) == 3 and w.recurrence_key is None for w in sequences)
