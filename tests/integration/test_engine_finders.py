"""One webinar, several connections: one event, one id, one reader of its registrants; nobody is told less for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poller.admission import Start
from poller.errors import Reauthorize, Wait
from tests.integration.scripted_goto import REGISTRANTS, WEBINARS, Goto
from tests.integration.world import Connection, House, Inbox, Trigger, begun

ACME, BETA = Connection("acme", "1"), Connection("beta", "2")
BOTH = (Trigger("a", connections=["acme"], sinks=["one"]), Trigger("b", connections=["beta"], sinks=["two"]))


async def shared(goto: Goto, home: House) -> tuple[str, str]:
    """A webinar of two organizers with one registrant, told."""
    webinar = goto.webinar(organizers="12")
    person = goto.register(webinar)
    await home.sweep()
    return webinar, person


def readers(goto: Goto, webinar: str) -> list[str]:
    return [who for operation, who, about in goto.calls if operation == REGISTRANTS and about == webinar]


async def test_a_webinar_that_two_connections_see_is_one_event_owed_to_the_sinks_of_both(goto, clock):
    home = await begun(goto, clock, ACME, BETA, triggers=BOTH)
    webinar, person = await shared(goto, home)
    goto.alter(webinar, person, status="DENIED")
    await home.sweep()
    events = await home.events()
    assert [event["type"].rpartition(".")[2] for event in events] == ["created", "added", "changed"]
    ids = [event["id"] for event in events]
    assert await home.owed("one") == await home.owed("two") == ids
    await home.close()


async def test_the_second_finder_only_adds_the_missing_deliveries(goto, clock):
    """The co-organizer is added a day later; what was delivered to the first one's sink stays delivered."""
    home = await begun(goto, clock, ACME, BETA, triggers=BOTH)
    webinar = goto.webinar(organizers="1")
    goto.register(webinar)
    await home.sweep()
    one, two = Inbox("one"), Inbox("two")
    await home.deliver(one)
    events = [event["id"] for event in await home.events()]
    assert await home.owed("two") == []
    goto.webinars[webinar].hosts.add("2")
    await home.sweep()
    assert [event["id"] for event in await home.events()] == events
    assert await home.owed("two") == events
    assert await home.owed("one") == []
    await home.deliver(two)
    assert two.ids == one.ids == events
    await home.close()


async def test_a_second_finder_gets_its_deliveries_although_the_process_died_while_it_found(
    goto, clock, tmp_path, monkeypatch
):
    home = await begun(goto, clock, ACME, BETA, triggers=BOTH, path=tmp_path / "poller.db")
    webinar = goto.webinar(organizers="1")
    await home.sweep()
    goto.webinars[webinar].hosts.add("2")
    commit = home.store.commit_poll

    async def dying(what):
        await commit(what)
        raise Wait("the process dies here")

    monkeypatch.setattr(home.store, "commit_poll", dying)
    with pytest.raises(Wait):
        await home.walk("beta")
    monkeypatch.undo()
    await home.crash(tmp_path / "again")
    await home.sweep(2)
    assert await home.owed("two") == [event["id"] for event in await home.events()]
    await home.close()


async def test_the_baseline_of_a_second_connection_owes_it_nothing_of_the_past(goto, clock):
    home = await begun(goto, clock, ACME, triggers=BOTH)
    webinar, _person = await shared(goto, home)
    home.introduce(BETA)
    await home.sweep(2)
    assert await home.owed("two") == []
    assert len(await home.events()) == 2
    new = goto.register(webinar)
    await home.sweep()
    assert [view.subject.rpartition("/")[2] for view in await _pending(home, "two")] == [new]
    await home.close()


async def test_a_second_connection_that_starts_with_history_gets_what_was_told_before(goto, clock):
    home = await begun(goto, clock, ACME, triggers=BOTH)
    await shared(goto, home)
    home.introduce(Connection("beta", "2", start=Start(history=True)))
    await home.sweep(2)
    assert await home.owed("two") == [event["id"] for event in await home.events()]
    assert len(await home.events()) == 2
    await home.close()


async def _pending(home: House, sink: str):
    from state.store import Select

    return await home.store.deliveries(Select(sink=sink), ["pending"])


async def test_the_registrants_of_a_shared_webinar_are_read_by_one_of_the_two(goto, clock):
    home = await begun(goto, clock, ACME, BETA)
    webinar, _ = await shared(goto, home)
    goto.calls.clear()
    await home.sweep(5)
    assert readers(goto, webinar) == ["1"] * 5
    await home.close()


@pytest.mark.parametrize("why", ["paused", "unauthorized", "its organizer is paused"])
async def test_the_other_one_reads_them_when_the_first_may_not(goto, clock, why):
    home = await begun(goto, clock, ACME, BETA)
    webinar, _ = await shared(goto, home)
    if why == "paused":
        home.paused.add("acme")
    elif why == "unauthorized":
        goto.fail(WEBINARS, lambda: Reauthorize("log in again"), times=99, fits="1")
        goto.fail(REGISTRANTS, lambda: Reauthorize("log in again"), times=99, fits="1")
        await home.sweep()
        assert home.listener.refusals[:1] == ["acme"]
    else:
        home.paused_organizers.add("1")
    goto.calls.clear()
    new = goto.register(webinar)
    await home.sweep()
    assert readers(goto, webinar) == ["2"]
    assert (await home.news())[-1] == ("registrant.added", new)
    await home.close()


async def test_a_shared_webinar_is_cancelled_once_when_the_last_one_loses_it(goto, clock):
    home = await begun(goto, clock, ACME, BETA, triggers=BOTH)
    webinar, _person = await shared(goto, home)
    goto.webinars[webinar].hosts.discard("1")
    await home.sweep(2)
    assert not await home.events("webinar.cancelled", "registrant.removed")
    assert not home.holds(webinar, "acme")
    new = goto.register(webinar)
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", new)
    goto.cancel(webinar)
    await home.sweep(3)
    (event,) = await home.events("webinar.cancelled")
    assert (await home.owed("two"))[-1] == event["id"]
    await home.close()


async def test_a_shared_webinar_cancelled_for_both_at_once_is_one_event(goto, clock):
    home = await begun(goto, clock, ACME, BETA)
    webinar, _ = await shared(goto, home)
    goto.cancel(webinar)
    await home.sweep(3)
    assert len(await home.events("webinar.cancelled")) == 1
    await home.close()


async def test_lists_that_name_different_organizers_make_no_change(goto, clock):
    """Each of the two may see itself as the organizer of a webinar they share."""
    home = await begun(goto, clock, ACME, BETA)
    webinar, _ = await shared(goto, home)
    goto.lie(WEBINARS, lambda items: [{**item, "organizerKey": "2"} for item in items], times=1)
    for _ in range(4):
        goto.lie(WEBINARS, lambda items: [{**item, "organizerKey": "1"} for item in items])
        goto.lie(WEBINARS, lambda items: [{**item, "organizerKey": "2"} for item in items])
        await home.sweep()
    assert not await home.events("webinar.changed")
    assert webinar
    await home.close()


async def test_a_hanging_list_of_one_connection_keeps_no_other_waiting(goto, clock, monkeypatch):
    import asyncio

    home = await begun(goto, clock, ACME, BETA)
    source = home.engine.links["acme"].sources["webinar"]
    gate = asyncio.Event()

    async def hanging(target, **how):
        await gate.wait()
        raise Wait("no answer")

    monkeypatch.setattr(source, "walk", hanging)
    stuck = asyncio.create_task(home.walk("acme"))
    await clock.advance(1)
    webinar = goto.webinar(organizers="2")
    await home.walk("beta")
    assert await home.news() == [("webinar.created", webinar)]
    gate.set()
    with pytest.raises(Wait):
        await stuck
    await home.close()


async def test_a_person_shared_by_two_webinars_is_two_registrants(goto, clock):
    """The same key in two scopes is not the same fact."""
    home = await begun(goto, clock)
    keys = [goto.webinar(), goto.webinar()]
    for webinar in keys:
        goto.register(webinar, key="6820277626085326123")
    await home.sweep()
    added = await home.events("registrant.added")
    assert len({event["id"] for event in added}) == 2
    goto.leave(keys[0], "6820277626085326123")
    await home.sweep()
    (removed,) = await home.events("registrant.removed")
    assert removed["data"]["webinarKey"] == keys[0]
    await home.close()


async def test_a_refusal_of_credentials_that_were_replaced_during_the_poll_stops_nobody(
    goto: Goto, home: House
) -> None:
    def refused() -> Reauthorize:
        home.introduce(home.connections["acme"])  # somebody logs in while the answer is on its way
        return Reauthorize("log in again")

    goto.fail(WEBINARS, refused)
    with pytest.raises(Wait, match="replaced"):
        await home.walk()
    goto.fail(WEBINARS, lambda: Reauthorize("log in again"))
    with pytest.raises(Reauthorize):
        await home.walk()


async def test_a_refusal_counts_although_the_connection_was_linked_anew_for_the_sake_of_another_one(
    goto: Goto, home: House
) -> None:
    def refused() -> Reauthorize:
        links = home.engine.links
        links["acme"] = replace(links["acme"])
        return Reauthorize("log in again")

    goto.fail(WEBINARS, refused)
    with pytest.raises(Reauthorize):
        await home.walk()
