"""A dispatcher on a fake clock, with sinks that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from poller.dispatcher import Dispatcher
from poller.errors import PollerError
from poller.ports import Outcome, Outgoing, Sink
from poller.testing import FakeClock
from tests.unit.fake_store import FakeStore

Answer = Callable[[Outgoing], Outcome]


def accept(outgoing: Outgoing) -> Outcome:
    return None


@dataclass
class ScriptedSink:
    """Answers each event as `answer` says and notes when it was asked; a gate that is closed makes it hang."""

    clock: FakeClock
    name: str = "crm"
    answer: Answer = accept
    concurrency: int = 1
    batch: int = 1
    ordered: bool = True
    max_age: timedelta = timedelta(days=3)
    timeout: timedelta = timedelta(seconds=30)
    connecting: Callable[[], None] = lambda: None
    attempts: list[tuple[float, int]] = field(default_factory=list)  # (seconds since the start, sequence)
    got: list[int] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    gate: asyncio.Event | None = None
    most_at_once: int = 0
    closed: int = 0
    _under_way: int = 0

    async def connect(self) -> None:
        self.connecting()

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        self.batches.append(len(batch))
        self.attempts += [(self.clock.monotonic(), outgoing.sequence) for outgoing in batch]
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            outcomes = [self.answer(outgoing) for outgoing in batch]
        finally:
            self._under_way -= 1
        self.got += [out.sequence for out, outcome in zip(batch, outcomes, strict=True) if outcome is None]
        return outcomes

    async def check(self) -> str:
        return "fine"

    async def close(self) -> None:
        self.closed += 1

    def times(self, sequence: int | None = None) -> list[float]:
        return [round(moment, 3) for moment, number in self.attempts if sequence in (None, number)]


class Desk:
    """Everything around a dispatcher under test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeStore()
        self.heard: list[tuple[str, dict[str, Any]]] = []

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    def sink(self, **options: Any) -> ScriptedSink:
        return ScriptedSink(self.clock, **options)

    def owe(self, *partitions: str, sink: str = "crm", backlog: int = 1) -> list[int]:
        return self.store.owe(sink, *partitions, now=self.now, backlog=backlog)

    def dispatcher(self, *sinks: Sink) -> Dispatcher:
        return Dispatcher(self.store, sinks, self.clock, Random(7), self._hear)

    @asynccontextmanager
    async def running(self, *sinks: Sink) -> AsyncIterator[Dispatcher]:
        dispatcher = self.dispatcher(*sinks)
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            await dispatcher.drain(0.05)
            await task

    def names(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.heard if name == event]

    def _hear(self, event: str, /, **fields: Any) -> None:
        self.heard.append((event, fields))


def failing(error: PollerError, *, while_: Callable[[], bool] = lambda: True) -> Answer:
    return lambda outgoing: error if while_() else None


def poisoned(error: PollerError, *sequences: int) -> Answer:
    return lambda outgoing: error if outgoing.sequence in sequences else None
