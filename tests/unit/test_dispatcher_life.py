"""The dispatcher's start and end, its single pass, changes while it runs, jumping clocks, full disks, and chance."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import pytest

from poller.dispatcher import Dispatcher
from poller.errors import Gone, PollerError, Refused, Wait
from poller.ports import Outcome, Outgoing
from state import failpoints
from state.delivery import DeliveryState
from tests.unit.dispatching import Desk, failing, poisoned

DOWN = Wait("503")


# ── what is known of a sink ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_event_that_a_new_sink_takes_is_noted_at_once() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        assert desk.store.sinks["crm"].delivered_at == desk.now


async def test_a_refusal_is_no_delivery() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(Refused("400"), 2))
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        taken = desk.now
        await desk.clock.advance(120)
        desk.owe("w1")
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        assert desk.store.rows["crm", 2].state is DeliveryState.DEAD
        assert [state.delivered_at for state in dispatcher.states().values()] == [taken]


# ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_acknowledged_within_the_grace_is_settled_and_nothing_new_begins() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.gate = asyncio.Event()
    desk.owe("w1", "w2")
    dispatcher = desk.dispatcher(sink)
    task = asyncio.create_task(dispatcher.run())
    await desk.clock.advance(0)
    ending = asyncio.create_task(dispatcher.drain(30))
    await desk.clock.advance(0)
    sink.gate.set()
    await ending
    await task
    assert [number for _, number in sink.attempts] == [1]
    assert desk.store.rows["crm", 1].state is DeliveryState.DELIVERED
    assert desk.store.count(DeliveryState.PENDING) == 1
    assert sink.closed


async def test_what_hangs_beyond_the_grace_is_cancelled_and_stays_owed() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.gate = asyncio.Event()
    desk.owe("w1")
    async with desk.running(sink):
        await desk.clock.advance(0)
    assert desk.store.rows["crm", 1].state is DeliveryState.PENDING
    assert desk.store.rows["crm", 1].delivery.attempts == 0


async def test_ending_twice_or_before_the_start_is_harmless() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1")
    dispatcher = desk.dispatcher(sink)
    await dispatcher.drain(1)
    await dispatcher.drain(1)
    await dispatcher.run()
    assert not sink.attempts


async def test_a_cancelled_run_closes_its_sinks() -> None:
    desk = Desk()
    sink = desk.sink()
    sink.gate = asyncio.Event()
    desk.owe("w1")
    task = asyncio.create_task(desk.dispatcher(sink).run())
    await desk.clock.advance(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.closed


# ── a single pass ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_single_pass_delivers_all_that_is_due_and_then_returns() -> None:
    desk = Desk()
    sink = desk.sink(concurrency=2)
    desk.owe("w1", "w2", backlog=10)
    dispatcher = desk.dispatcher(sink)
    await dispatcher.once()
    await dispatcher.drain(0)
    assert len(sink.got) == 20
    assert sink.closed


async def test_a_single_pass_tries_no_delivery_twice() -> None:
    desk = Desk()
    sink = desk.sink(answer=poisoned(DOWN, 1))
    desk.owe("bad", "w2", "w3")
    await desk.dispatcher(sink).once()
    assert sorted(number for _, number in sink.attempts) == [1, 2, 3]
    assert desk.store.count(DeliveryState.PENDING) == 1


async def test_single_passes_in_a_row_remember_the_outage_and_notice_its_end() -> None:
    desk = Desk()
    desk.owe("w1", "w2", "w3")
    await desk.dispatcher(desk.sink(answer=failing(DOWN))).once()
    assert desk.store.sinks["crm"].failures == 2
    sink = desk.sink()
    await desk.dispatcher(sink).once()
    assert sorted(sink.got) == [1, 2, 3]
    assert desk.store.sinks["crm"].failures == 0


async def test_a_single_pass_ends_even_if_the_disk_stays_full() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1", "w2")
    desk.store.full = True
    passing = asyncio.create_task(desk.dispatcher(sink).once())
    await desk.clock.advance(300)
    await passing
    assert len(sink.attempts) == 1, "an event whose outcome cannot be kept is not sent again and again"


# ── changes at run time ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sink_added_while_running_is_served() -> None:
    desk = Desk()
    async with desk.running() as dispatcher:
        sink = desk.sink()
        desk.owe("w1")
        await dispatcher.add(sink)
        await dispatcher.idle()
        assert sink.got == [1]


async def test_a_replaced_sink_finishes_first_and_its_successor_goes_on_in_order() -> None:
    desk = Desk()
    old, new = desk.sink(), desk.sink()
    old.gate = asyncio.Event()
    desk.owe("w1", "w1")
    async with desk.running(old) as dispatcher:
        await desk.clock.advance(0)
        replacing = asyncio.create_task(dispatcher.add(new))
        await desk.clock.advance(0)
        assert not new.attempts
        old.gate.set()
        await replacing
        await dispatcher.idle()
    assert (old.got, new.got) == ([1], [2])
    assert old.closed


async def test_a_removed_sink_is_closed_and_what_it_is_owed_stays() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(DOWN))
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await dispatcher.remove("crm")
        await dispatcher.remove("crm")
        await desk.clock.advance(3600)
        assert len(sink.attempts) == 1
        assert sink.closed
    assert desk.store.count(DeliveryState.PENDING) == 1


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("jump", [-3600, -10 * 365 * 86400, 3600, 10 * 365 * 86400])
async def test_retries_keep_their_pauses_when_the_wall_clock_jumps(jump: float) -> None:
    """Set back it freezes nothing, set forward it lets one probe through early; neither kills a delivery by age."""
    desk = Desk()
    sink = desk.sink(answer=failing(DOWN, while_=lambda: desk.clock.monotonic() < 310))
    desk.owe("w1", "w2", "w3")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        await desk.clock.advance(1)
        desk.clock.jump(jump)
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        await desk.clock.advance(5)
        assert len(sink.attempts) <= 3
        await desk.clock.advance(2200)
        await dispatcher.idle()
        assert sorted(sink.got) == [1, 2, 3]


async def test_a_glitch_of_the_wall_clock_and_its_correction_leave_retries_as_they_were() -> None:
    desk = Desk()
    sink = desk.sink(answer=failing(DOWN, while_=lambda: desk.clock.monotonic() < 3))
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        desk.clock.jump(10 * 365 * 86400)
        await dispatcher.idle()
        desk.clock.jump(-10 * 365 * 86400)
        await desk.clock.advance(5)
        await dispatcher.idle()
        assert sink.times() == [0, 5]
        desk.owe("w1")
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        assert sink.got == [1, 2]


async def test_waits_that_only_a_wrong_clock_can_have_written_are_not_kept() -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1")
    desk.store.rows["crm", 1].due_at = desk.now + 10 * 365 * 86400
    async with desk.running(sink) as dispatcher:
        await desk.clock.advance(1)
        await dispatcher.idle()
    assert sink.got == [1]


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_batches_are_filled_once_the_sink_is_connected() -> None:
    desk = Desk()
    sink = desk.sink(batch=50)
    sequences = desk.owe("w1", "w2", backlog=60)
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
    assert sink.batches == [1, 49, 50, 20]
    assert sink.got == sequences


@pytest.mark.parametrize("error", [DOWN, Refused("too odd")])
async def test_one_event_that_breaks_its_batch_is_found_by_sending_each_alone(error: PollerError) -> None:
    desk = Desk()

    def breaks(outgoing: Outgoing) -> Outcome:
        if outgoing.sequence == 7:
            raise error
        return None

    sink = desk.sink(batch=50, answer=breaks)
    desk.owe(*[f"w{n}" for n in range(20)])
    async with desk.running(sink) as dispatcher:
        for _ in range(30):
            await dispatcher.idle()
            await desk.clock.advance(10)
        assert sorted(sink.got) == [n for n in range(1, 21) if n != 7]
    expected = DeliveryState.DEAD if isinstance(error, Refused) else DeliveryState.PENDING
    assert desk.store.rows["crm", 7].state is expected


async def test_a_sink_that_answers_for_too_few_events_has_delivered_none() -> None:
    desk = Desk()
    sink = desk.sink(batch=10)
    desk.owe("w1")
    async with desk.running(sink) as dispatcher:
        await dispatcher.idle()
        desk.owe("w1", "w2")
        send, sink.send = sink.send, lambda batch: send(batch[:1])  # type: ignore[method-assign]
        dispatcher.wake(["crm"])
        await dispatcher.idle()
        assert desk.store.rows["crm", 2].error == "the sink answered for 1 of 2 events"
        assert desk.store.count(DeliveryState.DELIVERED) == 1


# ── the unexpected ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_observer_that_raises_costs_no_event_and_doubles_none() -> None:
    desk = Desk()
    sink = desk.sink()

    def broken(event: str, /, **fields: object) -> None:
        raise ValueError("a defect")

    desk.owe("w1", "w1")
    dispatcher = Dispatcher(desk.store, [sink], desk.clock, Random(1), broken)
    task = asyncio.create_task(dispatcher.run())
    await dispatcher.idle()
    await dispatcher.drain(1)
    await task
    assert sink.got == [1, 2]


@pytest.mark.parametrize("point", ["send.before", "send.after", "deliver.settled"])
async def test_a_failure_at_any_named_point_loses_nothing(point: str) -> None:
    desk = Desk()
    sink = desk.sink()
    desk.owe("w1", "w2", "w2")
    failpoints.arm(f"{point}=raise@2")
    try:
        async with desk.running(sink) as dispatcher:
            await dispatcher.idle()
            await desk.clock.advance(10)
            await dispatcher.idle()
    finally:
        failpoints.arm("")
    assert set(sink.got) == {1, 2, 3}
    assert len(sink.got) == (4 if point == "send.after" else 3)
    assert desk.store.count(DeliveryState.DELIVERED) == 3


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_event_ends_delivered_in_order_or_dead(seed: int) -> None:
    """Failures, refusals, full disks, restarts and jumps of the clock, drawn from a seed."""
    chance = Random(seed)
    desk = Desk()
    healed = False

    def answer(outgoing: Outgoing) -> Outcome:
        if healed or chance.random() < 0.6:
            return None
        return chance.choice([DOWN, Wait("429", retry_after=chance.randrange(100)), Refused("400"), Gone("410")])

    delivered: list[int] = []
    partitions = {}
    for _ in range(25):
        sink = desk.sink(concurrency=chance.randint(1, 5), answer=answer, max_age=timedelta(days=9999))
        async with desk.running(sink) as dispatcher:
            for _ in range(chance.randint(1, 5)):
                names = [f"w{chance.randrange(6)}" for _ in range(chance.randrange(10))]
                partitions |= dict(zip(desk.owe(*names), names, strict=True))
                desk.store.full = chance.random() < 0.1
                dispatcher.resume("crm")
                desk.clock.jump(chance.choice([0, 0, 0, -500, 500]))
                await desk.clock.advance(chance.choice([0, 1, 30, 4000]))
            desk.store.full = False
            await desk.clock.advance(60)
        delivered += sink.got
    healed = True
    last = desk.sink()
    async with desk.running(last) as dispatcher:
        dispatcher.resume("crm")
        await desk.clock.advance(90000)
        await dispatcher.idle()
    delivered += last.got
    dead = {number for (_, number), row in desk.store.rows.items() if row.state is DeliveryState.DEAD}
    assert set(delivered) | dead == set(partitions)
    assert not desk.store.count(DeliveryState.PENDING)
    for name in set(partitions.values()):
        firsts = list(dict.fromkeys(number for number in delivered if partitions[number] == name))
        assert firsts == sorted(firsts)
