"""Owner of the sinks' loops: one per sink, none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from random import Random
from typing import Any

from poller.ports import Clock, Sink
from poller.sink_loop import DeliveryStore, Observe, SinkLoop
from poller.timeline import Timeline
from state.delivery import SinkState


def _ignore(event: str, /, **fields: Any) -> None:
    pass


def _guarded(observe: Observe) -> Observe:
    """An outcome that is not written down for want of a log line would be an event sent twice."""

    def guarded(event: str, /, **fields: Any) -> None:
        with suppress(Exception):
            observe(event, **fields)

    return guarded


class Dispatcher:
    """Sends what the state owes. `observe` hears, after each is durable where that matters:

    delivery.completed  sink sequence id type attempts seconds (since it was owed)
    delivery.failed     sink sequence id type attempts error due_at   it will be tried again
    delivery.dead       sink sequence id type attempts error          it will not
    sink.down           sink error failures           the second failure in a row: an outage, one attempt at a time
    sink.recovered      sink failures
    sink.disabled       sink reason                   the receiver asked never to be called again
    store.unavailable   sink error                    outcomes wait in memory until the state takes them
    delivery.unexpected sink error                    a defect; the loop goes on
    """

    def __init__(
        self, store: DeliveryStore, sinks: Iterable[Sink], clock: Clock, random: Random, observe: Observe = _ignore
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeline = Timeline(clock)
        self._random = random
        self._observe = _guarded(observe)
        self._stopping = asyncio.Event()
        self._some_rest = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._loops = {sink.name: self._loop(sink) for sink in sinks}

    async def run(self) -> None:
        """Until `drain`. A cancellation closes the sinks, too."""
        async with asyncio.TaskGroup() as self._group:
            for loop in self._loops.values():
                self._group.create_task(loop.run(), name=f"sink {loop.sink.name}")
            await self._stopping.wait()

    async def once(self) -> None:
        """One pass over what is due now, instead of `run`; `drain` closes the sinks afterwards."""
        async with asyncio.TaskGroup() as group:
            for loop in self._loops.values():
                group.create_task(loop.once())

    def wake(self, sinks: Collection[str]) -> None:
        """Something new is owed to these; names of sinks that are not here are ignored."""
        for name in sinks:
            if name in self._loops:
                self._loops[name].wake()

    def pause(self, sink: str) -> None:
        """Begin nothing new on this sink. The lasting pause is the state's; it is read when a loop starts."""
        if sink in self._loops:
            self._loops[sink].pause()

    def resume(self, sink: str) -> None:
        """Go on, at once and also where the receiver had asked never to be called again."""
        if sink in self._loops:
            self._loops[sink].resume()

    async def add(self, sink: Sink) -> None:
        """Serve this sink from now on; one of the same name finishes what it is doing and is replaced."""
        await self.remove(sink.name)
        loop = self._loops[sink.name] = self._loop(sink)
        if self._group is not None and not self._stopping.is_set():
            self._group.create_task(loop.run(), name=f"sink {sink.name}")

    async def remove(self, name: str, grace_seconds: float = 10.0) -> None:
        """Serve this sink no more; what is owed to it stays in the state. Unknown names are ignored."""
        loop = self._loops.pop(name, None)
        if loop is not None:
            await loop.drain(grace_seconds)
            self._some_rest.set()

    async def drain(self, grace_seconds: float) -> None:
        """Stop: no new attempts, those under way get the grace, then they are cancelled. Twice is harmless."""
        self._stopping.set()
        await asyncio.gather(*(loop.drain(grace_seconds) for loop in self._loops.values()))

    async def idle(self) -> None:
        """Until nothing is under way and nothing is due by the clock as it stands."""
        while not all(loop.idle for loop in self._loops.values()):
            self._some_rest.clear()
            await self._some_rest.wait()

    @property
    def sinks(self) -> list[Sink]:
        """Those that are served now."""
        return [loop.sink for loop in self._loops.values()]

    def states(self) -> dict[str, SinkState]:
        """The sinks' health as known now; the state's copy may be a minute behind in `delivered_at`."""
        return {name: loop.state for name, loop in self._loops.items()}

    def _loop(self, sink: Sink) -> SinkLoop:
        rested = self._some_rest.set
        return SinkLoop(self._store, sink, self._clock, self._timeline, self._random, self._observe, rested)
