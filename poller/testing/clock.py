"""A clock that only moves when told to, for tests of everything that takes a Clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

# How often the loop turns after each step, so that a chain of tasks, futures and callbacks woken by it can finish.
_TURNS = 25


class FakeClock:
    """Implements `poller.ports.Clock`. Time stands still until `advance` moves both clocks or `jump` the wall clock."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("the start of a FakeClock must be an aware datetime")
        self._wall = start.astimezone(UTC)
        self._monotonic = 0.0
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self._monotonic + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep now."""
        return sum(not woken.done() for _, _, woken in self._sleeping)

    async def advance(self, seconds: float) -> None:
        """Move both clocks, stopping at each moment a sleeper is due so that it sees exactly its own time.

        Sleeps begun on the way count too. Tasks that wait for a thread or a socket are not waited for.
        """
        until = self._monotonic + seconds
        await _let_tasks_run()
        while (due := self._next_due()) is not None and due <= until:
            self._move_to(due)
            self._wake()
            await _let_tasks_run()
        self._move_to(until)

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as a correction of the system time does; nobody wakes up."""
        self._wall += timedelta(seconds=seconds)

    def _next_due(self) -> float | None:
        while self._sleeping and self._sleeping[0][2].done():
            heapq.heappop(self._sleeping)
        return self._sleeping[0][0] if self._sleeping else None

    def _move_to(self, moment: float) -> None:
        self._wall += timedelta(seconds=max(moment - self._monotonic, 0.0))
        self._monotonic = max(moment, self._monotonic)

    def _wake(self) -> None:
        while self._sleeping and self._sleeping[0][0] <= self._monotonic:
            woken = heapq.heappop(self._sleeping)[2]
            if not woken.done():
                woken.set_result(None)


async def _let_tasks_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
