"""Deliveries are read ahead for speed; nothing is missed, sent out of turn or kept for long because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from poller.errors import Wait
from poller.shelf import Shelf
from state.delivery import Delivery, DeliveryState
from tests.unit.dispatching import Desk, poisoned


def delivery(sequence: int, partition: str, attempts: int = 0) -> Delivery:
    return Delivery("crm", sequence, f"e{sequence}", "t", "s", partition, b"{}", attempts, 0.0)


def numbers(taken: list[Delivery]) -> list[int]:
    return [item.sequence for item in taken]


async def test_a_long_backlog_of_one_webinar_takes_few_searches() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=4)
    desk.owe("w1", backlog=640)
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
    assert len(sink.got) == 640
    assert desk.store.leases < 40


async def test_what_becomes_owed_during_a_search_is_not_missed() -> None:
    desk = Desk()
    sink = desk.sink()
    lease = desk.store.lease

    async def interrupted(
        sink: str, limit: int, now: float, *, ordered: bool, skip: Collection[str], busy: Collection[int]
    ) -> list[Delivery]:
        found = await lease(sink, limit, now, ordered=ordered, skip=skip, busy=busy)
        if desk.store.leases == 1:
            desk.owe("w1")
            dispatcher.wake(["crm"])
        return found

    desk.store.lease = interrupted  # type: ignore[method-assign]
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert sink.got == [1]


async def test_what_is_erased_from_the_state_is_not_sent_once_the_dispatcher_was_told() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.gate = asyncio.Event()
    desk.owe("w1", backlog=3)
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(0)
        del desk.store.rows["crm", 2]
        dispatcher.wake(["crm"])
        sink.gate.set()
        await dispatcher.idle()
        assert sink.got == [1, 3]


async def test_what_was_read_ahead_is_read_again_after_a_second() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.gate = asyncio.Event()
    desk.owe("w1", backlog=3)
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(0)
        desk.store.rows["crm", 2].state = DeliveryState.HELD
        await desk.clock.advance(1.1)
        sink.gate.set()
        await dispatcher.idle()
        assert sink.got == [1, 3]


async def test_what_was_read_ahead_of_a_webinar_waits_when_an_earlier_event_fails() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(Wait("503"), 1))
    desk.owe("bad", "bad", "w2", "w2")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert sink.got == [3, 4]


def test_a_busy_lane_is_passed_and_keeps_its_order() -> None:
    shelf = Shelf(ordered=True)
    shelf.put([delivery(1, "a"), delivery(2, "b"), delivery(3, "a")], 10, ["c"], shelf.edition)
    assert numbers(shelf.take(1, {"a"})) == [2]
    assert shelf.take(1, {"a", "b"}) == []
    assert numbers(shelf.take(5, set())) == [1, 3]


def test_what_failed_before_travels_alone_and_nothing_of_its_lane_overtakes_it() -> None:
    shelf = Shelf(ordered=True)
    found = [delivery(1, "a"), delivery(2, "b", attempts=1), delivery(3, "b"), delivery(4, "a")]
    shelf.put(found, 10, (), shelf.edition)
    assert numbers(shelf.take(10, set())) == [1, 4]
    assert numbers(shelf.take(10, set())) == [2]
    assert numbers(shelf.take(10, set())) == [3]


def test_it_knows_where_there_may_be_more() -> None:
    shelf = Shelf(ordered=True)
    assert shelf.may_lack({"a"}), "nothing was read yet"
    shelf.put([delivery(1, "a")], 10, ["b"], shelf.edition)
    assert not shelf.may_lack({"b"}), "all but b was seen"
    assert shelf.may_lack(set()), "b is free again"
    shelf.put([delivery(2, "c")], 1, ["b"], shelf.edition)
    assert shelf.may_lack({"b"}), "the search was cut short"


def test_a_search_that_began_before_the_shelf_was_cleared_counts_for_nothing() -> None:
    shelf = Shelf(ordered=True)
    edition = shelf.edition
    shelf.clear()
    shelf.put([delivery(1, "a")], 10, (), edition)
    assert shelf.take(1, set()) == []
    assert shelf.may_lack(set())
