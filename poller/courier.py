"""One sink, made safe to call: connected when needed, bounded in time, and every failure is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from poller.errors import PollerError, Refused, Wait
from poller.ports import Outgoing, Sink
from state.delivery import Delivery
from state.failpoints import hit

# Sinks have a `timeout` and keep it themselves, with a better text; this much later (seconds) it is kept for them.
_PATIENCE = 2.0
_TIMEOUT = timedelta(seconds=30)  # for a sink that names none
_CLOSING = 5.0  # seconds


class Courier:
    """Carries batches to its sink; `deliver` may run several times at once, `connect` never does.

    The time limits are real ones even where the engine's clock is not: the other side lives in real time.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.connected = False
        self._connecting = asyncio.Lock()
        timeout: timedelta = getattr(sink, "timeout", _TIMEOUT)
        self._limit = timeout.total_seconds() + _PATIENCE

    async def deliver(self, batch: Sequence[Delivery], connected: Callable[[], None]) -> list[Exception | None]:
        """One outcome per delivery, None for accepted. Raises nothing but CancelledError, when it is cancelled.

        `connected` is called as soon as the sink is ready.
        """
        try:
            hit("send.before")
            outcomes = await self._bounded(batch, connected)
            hit("send.after")
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            outcomes = [Wait("the sink cancelled its own call")] * len(batch)
        except Exception as err:  # a sink may raise anything; only the text counts then
            outcomes = [_explained(err, len(batch))] * len(batch)
        if len(outcomes) != len(batch):
            outcomes = [Wait(f"the sink answered for {len(outcomes)} of {len(batch)} events")] * len(batch)
        if not all(outcome is None for outcome in outcomes):
            self.connected = False
        return outcomes

    async def close(self) -> None:
        """Whatever a sink does while closing, it is closed."""
        self.connected = False
        with suppress(Exception):
            async with asyncio.timeout(_CLOSING):
                await self.sink.close()

    async def _bounded(self, batch: Sequence[Delivery], connected: Callable[[], None]) -> list[Exception | None]:
        try:
            async with asyncio.timeout(self._limit):
                await self._connect()
                connected()
                return list(await self.sink.send([_outgoing(delivery) for delivery in batch]))
        except TimeoutError as err:
            raise Wait(str(err) or f"no answer within {self._limit:g} s") from err

    async def _connect(self) -> None:
        async with self._connecting:
            if not self.connected:
                await self.sink.connect()
                self.connected = True


def _outgoing(delivery: Delivery) -> Outgoing:
    return Outgoing(
        delivery.sequence,
        delivery.id,
        delivery.type,
        delivery.subject,
        delivery.partition,
        delivery.body,
        delivery.attempts + 1,
    )


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _explained(err: Exception, events: int) -> Exception:
    if isinstance(err, Refused) and events > 1:
        # Which of them was meant is not said; each comes again alone, and only the one that is refused then dies.
        return Wait(f"a batch of {events} events was refused: {err}")
    return err if isinstance(err, PollerError) else Wait(f"{type(err).__name__}: {err}")
