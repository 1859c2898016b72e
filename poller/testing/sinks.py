"""What every sink must do, ours and those of third parties, as tests.

A test module of the sink's gives a bench, which knows the other side, and a class with the tests:

    class TestMySink(SinkContract):
        @pytest.fixture
        async def bench(self):
            async with my_server() as server:
                yield MyBench(server)

They run under pytest with pytest-asyncio in its auto mode. What a bench cannot do is skipped, with the reason.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pytest

from poller.errors import Gone, PollerError, Refused
from poller.ports import Outcome, Outgoing, Sink
from poller.testing.events import outgoing
from poller.testing.relay import Relay

# Seconds for what takes a fraction of one: an other side that has come back may need a moment to take connections.
PATIENCE = 60.0
_BETWEEN_TRIES = 0.05


class Bench(ABC):
    """One other side, and sinks that lead to it."""

    drops_repeats = False  # whether the other side keeps the first of two events with one id, and drops the second

    check_notices = True  # whether `check` can tell that the other side was cut off

    @abstractmethod
    def sink(self) -> Sink:
        """A new sink to the same place, not connected."""

    @abstractmethod
    async def received(self) -> list[str]:
        """The ids of the events that are there, in their order."""

    async def cut(self) -> None:
        """Make the other side unreachable."""
        pytest.skip("this other side cannot be cut off")

    async def mend(self) -> None:
        """Undo `cut`. Never called where `cut` skips; who can cut, can mend."""
        raise NotImplementedError

    async def stall(self) -> None:
        """Make the other side take events without ever answering."""
        pytest.skip("this other side cannot be stalled")

    async def unstall(self) -> None:
        """Undo `stall`. Never called where `stall` skips."""
        raise NotImplementedError

    async def refuse(self, id_: str) -> None:
        """Make the other side refuse this event for good."""
        pytest.skip("this other side refuses nothing")

    def stranger(self) -> tuple[Sink, str]:
        """A sink with wrong credentials, and the secret among them."""
        pytest.skip("this other side asks nobody who they are")

    def astray(self) -> Sink:
        """A sink whose target (stream, exchange, table …) is not there and is not made by the sink."""
        pytest.skip("this sink's target cannot be absent")

    def too_large(self) -> Outgoing:
        """An event larger than the other side takes."""
        pytest.skip("this other side takes events of any size")


class RelayedBench(Bench):
    """An other side that is reached through a Relay, which cuts and stalls the way to it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def cut(self) -> None:
        await self._relay.cut()

    async def mend(self) -> None:
        await self._relay.mend()

    async def stall(self) -> None:
        await self._relay.stall()

    async def unstall(self) -> None:
        """What was held back is thrown away: passed on late, it would be an event of a send that is long over, and the
        other side may take it before or after what comes over a new connection."""
        await self._relay.cut()
        await self._relay.mend()


def failure_of(result: Sequence[Outcome] | BaseException) -> BaseException | None:
    return result if isinstance(result, BaseException) else next((out for out in result if out is not None), None)


async def attempt(sink: Sink, batch: Sequence[Outgoing]) -> BaseException | None:
    """Connect and send as the dispatcher does; the first failure, however it is reported."""
    try:
        await sink.connect()
        return failure_of(await sink.send(batch))
    except Exception as err:
        return err


async def delivered(sink: Sink, batch: Sequence[Outgoing]) -> None:
    """Try until the other side has it."""
    async with asyncio.timeout(PATIENCE):
        while await attempt(sink, batch) is not None:  # noqa: ASYNC110 - another process has to come back
            await asyncio.sleep(_BETWEEN_TRIES)


def assert_may_pass(failure: BaseException | None) -> None:
    """It is a failure, of the other side and not of this event, and it is told in words."""
    assert isinstance(failure, PollerError), failure
    assert not isinstance(failure, Refused | Gone), failure
    assert str(failure)


class SinkContract:
    async def test_every_event_arrives_once_and_in_order(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        events = [outgoing(number) for number in range(1, 21)]
        for event in events:
            assert list(await sink.send([event])) == [None]
        assert await bench.received() == [event.id for event in events]
        await sink.close()

    async def test_a_full_batch_arrives_in_order(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        events = [outgoing(number) for number in range(1, min(sink.batch, 200) + 1)]
        assert list(await sink.send(events)) == [None] * len(events)
        assert await bench.received() == [event.id for event in events]
        await sink.close()

    async def test_as_many_sends_at_once_as_it_allows_lose_and_repeat_nothing(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        events = [outgoing(number, webinar=f"w{number % sink.concurrency}") for number in range(1, 81)]
        queues = [[event for event in events if event.partition == f"w{n}"] for n in range(sink.concurrency)]

        async def in_turn(queue: Sequence[Outgoing]) -> None:
            for event in queue:
                assert list(await sink.send([event])) == [None]

        await asyncio.gather(*(in_turn(queue) for queue in queues))
        there = await bench.received()
        assert sorted(there) == sorted(event.id for event in events)
        for queue in queues:
            ids = [event.id for event in queue]
            assert [id_ for id_ in there if id_ in ids] == ids
        await sink.close()

    async def test_a_repeat_is_dropped_by_an_other_side_that_can(self, bench: Bench) -> None:
        if not bench.drops_repeats:
            pytest.skip("this other side keeps repeats; its readers drop them by the id")
        sink = bench.sink()
        first, second = outgoing(1), outgoing(2)
        for batch in ([first], [first], [first, second], [second]):
            assert await attempt(sink, batch[: sink.batch]) is None
            await sink.close()
        await delivered(sink, [second])
        assert await bench.received() == [first.id, second.id]
        await sink.close()

    async def test_a_refused_event_is_refused_and_its_neighbours_arrive(self, bench: Bench) -> None:
        events = [outgoing(number, webinar=f"w{number}") for number in range(1, 4)]
        sink = bench.sink()
        await sink.connect()
        try:
            await bench.refuse(events[1].id)
            outcomes = await sink.send(events)
            assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
            assert await bench.received() == [events[0].id, events[2].id]
        finally:
            await sink.close()

    async def test_an_event_too_large_for_the_other_side_is_refused_and_the_next_one_arrives(
        self, bench: Bench
    ) -> None:
        sink = bench.sink()
        large, small = bench.too_large(), outgoing(2)
        failure = await attempt(sink, [large])
        assert isinstance(failure, Refused), failure
        await delivered(sink, [small])
        assert await bench.received() == [small.id]
        await sink.close()

    async def test_an_other_side_that_cannot_be_reached_is_a_failure_that_may_pass(self, bench: Bench) -> None:
        sink = bench.sink()
        await bench.cut()
        assert_may_pass(await attempt(sink, [outgoing(1)]))
        if bench.check_notices:
            with pytest.raises(PollerError):
                await sink.check()
        await bench.mend()
        await delivered(sink, [outgoing(1)])
        assert await bench.received() == [outgoing(1).id]
        await sink.close()

    async def test_a_connection_lost_while_in_use_comes_back(self, bench: Bench) -> None:
        sink = bench.sink()
        assert await attempt(sink, [outgoing(1)]) is None
        await bench.cut()
        assert_may_pass(await attempt(sink, [outgoing(2)]))
        await bench.mend()
        await delivered(sink, [outgoing(2)])
        assert outgoing(2).id in await bench.received()
        await sink.close()

    async def test_an_other_side_that_goes_and_comes_mid_run_loses_nothing(self, bench: Bench) -> None:
        sink = bench.sink()
        events = [outgoing(number) for number in range(1, 41)]
        for number, event in enumerate(events):
            if number % 10 == 5:
                await bench.cut()
                assert await attempt(sink, [event]) is not None
                await bench.mend()
            await delivered(sink, [event])
        there = await bench.received()
        assert list(dict.fromkeys(there)) == [event.id for event in events]
        await sink.close()

    async def test_wrong_credentials_are_a_failure_that_may_pass_and_are_not_repeated(self, bench: Bench) -> None:
        sink, secret = bench.stranger()
        failure = await attempt(sink, [outgoing(1)])
        assert_may_pass(failure)
        assert secret not in str(failure)
        with pytest.raises(PollerError) as caught:
            await sink.check()
        assert secret not in str(caught.value)
        await sink.close()

    async def test_a_target_that_is_not_there_is_a_failure_that_may_pass(self, bench: Bench) -> None:
        sink = bench.astray()
        assert_may_pass(await attempt(sink, [outgoing(1)]))
        await sink.close()

    async def test_an_other_side_that_never_answers_holds_up_nobody_else(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        await bench.stall()
        sending = asyncio.create_task(sink.send([outgoing(1)]))
        turns = 0
        async with asyncio.timeout(PATIENCE):
            while turns < 1000:  # whoever shares this loop goes on
                await asyncio.sleep(0)
                turns += 1
        assert not sending.done()
        sending.cancel()
        await asyncio.wait([sending])
        await bench.unstall()
        await sink.close()

    async def test_a_send_that_is_cancelled_ends_and_the_sink_goes_on(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        await bench.stall()
        sending = asyncio.create_task(sink.send([outgoing(1)]))
        await asyncio.wait([sending], timeout=0.1)
        assert not sending.done()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await bench.unstall()
        await delivered(sink, [outgoing(2)])
        assert (await bench.received())[-1] == outgoing(2).id
        await sink.close()

    async def test_an_other_side_that_never_answers_can_be_closed(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        await bench.stall()
        sending = asyncio.create_task(sink.send([outgoing(1)]))
        await asyncio.wait([sending], timeout=0.1)
        sending.cancel()
        await asyncio.wait([sending])
        async with asyncio.timeout(PATIENCE):
            await sink.close()
        await bench.unstall()

    async def test_check_reaches_the_other_side_and_sends_nothing(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.connect()
        assert await sink.check()
        assert await bench.received() == []
        await sink.close()

    async def test_what_would_be_sent_can_be_shown_without_a_connection(self, bench: Bench) -> None:
        sink: Any = bench.sink()
        shown = sink.preview(outgoing(1))
        assert shown.body and shown.content_type

    async def test_connecting_and_closing_again_is_harmless(self, bench: Bench) -> None:
        sink = bench.sink()
        await sink.close()
        await sink.connect()
        await sink.connect()
        assert list(await sink.send([outgoing(1)])) == [None]
        await sink.close()
        await sink.close()
        assert await attempt(sink, [outgoing(2)]) is None
        assert await bench.received() == [outgoing(1).id, outgoing(2).id]
        await sink.close()
