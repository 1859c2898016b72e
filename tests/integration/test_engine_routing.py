"""Who is told: conditions at commit, flood guards, pauses, changed triggers, people who asked to be forgotten."""

from __future__ import annotations

import pytest

from poller.admission import Start
from poller.backfill import Backfill
from poller.testing import FakeClock
from poller.triggers import Triggers
from state.store import Pause, Select
from tests.integration.scripted_goto import WEBINARS, Goto, empty
from tests.integration.world import Connection, House, Inbox, Trigger, begun


def with_triggers(home: House, *triggers: Trigger) -> None:
    """As a reload does."""
    home.routing.triggers = Triggers(list(triggers), ["crm"])


async def told_to(home: House, sink: str = "crm", *states: str) -> list[str]:
    found = await home.store.deliveries(Select(sink=sink, limit=10_000), states or ("pending", "held", "delivered"))
    return [view.subject.rpartition("/")[2] for view in found]


# ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_condition_is_evaluated_once_at_commit(goto, clock):
    """Somebody who was waiting when the trigger wanted the approved is not sent when the condition changes."""
    approved = Trigger(on=["registrant.*"], when="data.status == 'APPROVED'")
    home = await begun(goto, clock, triggers=[approved])
    webinar = goto.webinar()
    waiting, fine = goto.register(webinar, status="WAITING"), goto.register(webinar)
    await home.sweep()
    assert await told_to(home) == [fine]
    with_triggers(home, Trigger(on=["registrant.*"]))
    await home.sweep(2)
    assert await told_to(home) == [fine]
    goto.alter(webinar, waiting, status="APPROVED")
    await home.sweep()
    assert await told_to(home) == [fine, waiting]
    await home.close()


@pytest.mark.parametrize(
    ("when", "matches"),
    [("data.nothing", False), ("length(data.registrantKey) > `3`", True), ("abs(data.email)", True), ("`0`", True)],
)
async def test_null_counts_as_false_and_an_error_as_a_match(goto, clock, when, matches):
    home = await begun(goto, clock, triggers=[Trigger(on=["registrant.added"], when=when)])
    goto.register(goto.webinar())
    await home.sweep()
    assert bool(await told_to(home)) is matches
    await home.close()


async def test_two_triggers_to_one_sink_make_one_delivery(goto, clock):
    home = await begun(goto, clock, triggers=[Trigger("a"), Trigger("b", on=["registrant.*"])])
    goto.register(goto.webinar())
    await home.sweep()
    assert len(await told_to(home)) == 2
    await home.close()


async def test_changing_triggers_sends_nothing_again(goto, clock):
    home = await begun(goto, clock)
    webinar = goto.webinar()
    goto.register(webinar)
    await home.sweep()
    inbox = Inbox()
    await home.deliver(inbox)
    with_triggers(home, Trigger("renamed", when="data", sinks=["crm", "queue"], flood=1))
    await home.sweep(3)
    await home.restart()
    await home.sweep()
    await home.deliver(inbox)
    assert len(inbox.got) == 2
    assert await told_to(home, "queue") == []
    await home.close()


async def test_what_no_trigger_could_match_costs_no_call(goto, clock):
    home = await begun(goto, clock, triggers=[Trigger(on=["webinar.*"])])
    webinar = goto.webinar()
    await home.sweep(2)
    assert goto.count("registrants", webinar) == 0
    with_triggers(home, Trigger(on=["registrant.*"], connections=["other"]))
    calls = len(goto.calls)
    await home.sweep()
    assert len(goto.calls) == calls
    await home.close()


async def test_a_trigger_for_some_webinars_follows_a_webinar_that_gets_the_name(goto, clock):
    home = await begun(goto, clock, triggers=[Trigger(webinars=["[EN]*", "*intro*"])])
    webinar = goto.webinar(subject="Something else")
    goto.register(webinar)
    await home.sweep()
    assert await told_to(home) == []
    goto.change(webinar, subject="An Intro")
    await home.sweep()
    assert (await told_to(home))[0] == webinar
    new = goto.register(webinar)
    await home.sweep()
    assert (await told_to(home))[-1] == new
    await home.close()


# ── flood guard ──────────────────────────────────────────────────────────────────────────────────────────────────────

FLOOD = (Trigger("guarded", on=["registrant.*"], flood=3), Trigger("free", sinks=["queue"]))


async def flooded(goto: Goto, clock: FakeClock, **how) -> tuple[House, str, list[str]]:
    home = await begun(goto, clock, triggers=FLOOD, **how)
    webinar = goto.webinar()
    people = [goto.register(webinar) for _ in range(4)]
    await home.sweep()
    return home, webinar, people


async def resume(home: House, trigger: str) -> int:
    """What `triggers resume` does."""
    await home.store.resume("trigger", trigger)
    home.routing.paused.discard(trigger)
    return await home.store.release(trigger)


async def test_more_new_events_in_one_poll_than_allowed_hold_the_trigger(goto, clock):
    home, _, people = await flooded(goto, clock)
    assert await told_to(home, "crm", "held") == people
    assert await told_to(home, "crm", "pending") == []
    assert (await told_to(home, "queue", "pending"))[1:] == people
    assert [(pause.kind, pause.name) for pause in await home.store.pauses()] == [("trigger", "guarded")]
    await home.close()


async def test_what_comes_later_is_held_too_until_the_trigger_is_resumed_and_nothing_is_dropped(goto, clock, tmp_path):
    home, webinar, people = await flooded(goto, clock, path=tmp_path / "poller.db")
    people.append(goto.register(webinar))
    await home.sweep()
    await home.crash(tmp_path / "again")
    people.append(goto.register(webinar))
    await home.sweep()
    assert await told_to(home, "crm", "held") == people
    assert await resume(home, "guarded") == 6
    inbox = Inbox()
    await home.deliver(inbox)
    people.append(goto.register(webinar))
    await home.sweep()
    await home.deliver(inbox)
    assert [outgoing.subject.rpartition("/")[2] for outgoing in inbox.got] == people
    await home.close()


async def test_as_many_new_events_as_allowed_hold_nothing(goto, clock):
    home = await begun(goto, clock, triggers=FLOOD)
    webinar = goto.webinar()
    await home.sweep()
    for _ in range(3):
        goto.register(webinar)
    await home.sweep()
    assert len(await told_to(home, "crm", "pending")) == 3
    await home.close()


async def test_history_floods_nobody(goto, clock):
    webinar = goto.webinar()
    for _ in range(9):
        goto.register(webinar, registrationDate=goto.ago(days=2))
    home = await begun(goto, clock, Connection(start=Start(history=True)), triggers=FLOOD)
    assert len(await told_to(home, "crm", "pending")) == 9
    await home.close()


async def test_one_piece_of_news_within_much_history_is_no_flood(goto, clock):
    """A backfill tells what was silent, and meets one registration that is new."""
    webinar = goto.webinar()
    for _ in range(9):
        goto.register(webinar, registrationDate=goto.ago(days=2))
    home = await begun(goto, clock, triggers=FLOOD)
    await clock.advance(60)
    new = goto.register(webinar)
    tally = await Backfill(home.engine, home.roster, clock, "acme", goto.now().replace(year=2025)).run(lambda _: None)
    assert tally.registrants == 10
    told = {event["subject"].rpartition("/")[2]: event.get("backfill", False) for event in await home.events()}
    assert len(told) == 11
    assert told[new] is False
    assert sum(told.values()) == 10
    assert await home.store.pauses() == []
    again = await Backfill(home.engine, home.roster, clock, "acme", goto.now().replace(year=2025)).run(lambda _: None)
    assert (again.webinars, again.registrants) == (0, 0)
    await home.close()


async def test_a_backfill_does_not_swallow_a_registration_that_shows_late_with_an_old_date(goto, clock):
    webinar = goto.webinar()
    goto.register(webinar, registrationDate=goto.ago(days=9))
    home = await begun(goto, clock)
    late = goto.register(webinar, registrationDate=goto.ago(days=5))
    await Backfill(home.engine, home.roster, clock, "acme", goto.now().replace(month=2, day=27)).run(lambda _: None)
    assert await home.news() == [("webinar.created", webinar), ("registrant.added", late)]
    await home.close()


async def test_many_cancellations_at_once_are_a_flood_too(goto, clock):
    home = await begun(goto, clock, triggers=FLOOD)
    webinar = goto.webinar()
    people = []
    for _ in range(8):
        people.append(goto.register(webinar))
        await home.sweep()
    for person in people[:6]:
        goto.leave(webinar, person)
    await home.sweep()
    assert len(await told_to(home, "crm", "held")) == 6
    await home.close()


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_appears_while_a_connection_is_paused_is_told_on_resume(goto, clock):
    """Also a webinar that was made and held meanwhile."""
    webinar = goto.webinar()
    home = await begun(goto, clock)
    home.paused.add("acme")
    person, short = goto.register(webinar), goto.webinar(days=2)
    guest = goto.register(short)
    for _ in range(10):
        await home.sweep()
        await clock.advance(86_400)
    assert await home.events() == []
    home.paused.clear()
    await home.sweep()
    assert sorted(await home.news()) == sorted(
        [("registrant.added", person), ("webinar.created", short), ("registrant.added", guest)]
    )
    assert not any("backfill" in event for event in await home.events())
    await home.close()


async def test_what_appears_while_an_organizer_of_an_account_is_paused_is_told_on_resume(goto, clock):
    webinar = goto.webinar(organizers="5")
    home = await begun(goto, clock, Connection("acme", "account"))
    home.paused_organizers.add("5")
    person, new = goto.register(webinar), goto.webinar(organizers="5")
    other = goto.webinar(organizers="6")
    await home.sweep(2)
    assert await home.news() == [("webinar.created", other)]
    home.paused_organizers.clear()
    await home.sweep()
    assert sorted((await home.news())[1:]) == [("registrant.added", person), ("webinar.created", new)]
    await home.close()


async def test_a_paused_organizers_webinars_are_not_taken_for_cancelled(goto, clock):
    goto.webinar(organizers="5")
    home = await begun(goto, clock, Connection("acme", "account"))
    home.paused_organizers.add("5")
    goto.webinar(organizers="6")
    await home.settled()
    assert await home.events("webinar.cancelled") == []
    await home.close()


async def test_a_paused_trigger_holds_what_is_new_and_gives_it_back(goto, clock):
    home = await begun(goto, clock)
    await home.store.pause(Pause("trigger", "all", 0.0, "lunch"))
    home.routing.paused.add("all")
    webinar = goto.webinar()
    await home.sweep()
    assert await told_to(home, "crm", "held") == [webinar]
    assert await resume(home, "all") == 1
    assert await told_to(home, "crm", "pending") == [webinar]
    await home.close()


# ── forgotten people ─────────────────────────────────────────────────────────────────────────────────────────────────


async def forget(home: House, email: str) -> None:
    """What `forget` does."""
    home.forgotten.add(email)
    await home.store.forget(email.encode(), email)


async def test_a_forgotten_person_is_not_brought_back_and_says_nothing_any_more(goto, clock):
    home = await begun(goto, clock)
    webinar = goto.webinar()
    person = goto.register(webinar, email="ada@example.com")
    await home.sweep()
    await forget(home, "ada@example.com")
    assert await home.news() == [("webinar.created", webinar)]
    await home.sweep()
    goto.alter(webinar, person, status="DENIED")
    await home.sweep(2)
    goto.leave(webinar, person)
    await home.settled()
    assert await home.news() == [("webinar.created", webinar)]
    await home.close()


async def test_who_was_forgotten_before_is_never_stored(goto, clock, tmp_path):
    """Neither as news, nor by a baseline, nor under an address they change to."""
    path = tmp_path / "poller.db"
    old = goto.webinar()
    goto.register(old, email="ada@example.com", lastName="Lovelace")
    home = House(goto, clock, path=path)
    home.forgotten.add("ada@example.com")
    await home.open()
    await home.sweep()
    webinar = goto.webinar()
    goto.register(webinar, email="ada@example.com", lastName="Lovelace")
    other = goto.register(webinar, email="bo@example.com")
    await home.sweep()
    assert (await home.news())[1:] == [("registrant.added", other)]
    goto.alter(webinar, other, email="ada@example.com", lastName="Lovelace")
    goto.alter(old, next(iter(goto.webinars[old].people)), status="DENIED")
    await home.sweep(2)
    await home.close()
    assert b"Lovelace" not in b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


async def test_others_of_the_same_webinar_are_told_as_before(goto, clock):
    home = await begun(goto, clock)
    webinar = goto.webinar()
    goto.register(webinar, email="ada@example.com")
    await home.sweep()
    await forget(home, "ada@example.com")
    new = goto.register(webinar)
    goto.lie(WEBINARS, empty)
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", new)
    await home.close()
