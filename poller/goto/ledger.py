"""Calls are booked durably in small blocks before they are sent, so that a crash cannot reset a limit."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from poller.ports import Clock

# An open block without a call for so many seconds is settled, so that its rest is not held against us after a crash.
IDLE = 60.0


class Spent(NamedTuple):
    """Calls an earlier process made: `age` is the seconds since the last answer among them."""

    connection: str
    calls: int
    age: float


class Ledger(Protocol):
    """Where spent calls survive a crash. One process at a time uses it."""

    async def reserve(self, client: str, connection: str, calls: int, /) -> int:
        """Book a block of calls and return its id; durable when this returns."""
        ...

    async def settle(self, block_id: int, used: int, /) -> None:
        """Close a block: so many of its calls were used, the last one answered just now. May be buffered.

        Repeating it is harmless. It is called only when none of the block's calls is under way any more.
        """
        ...

    async def recent(self, client: str, /) -> Sequence[tuple[str, int, float]]:
        """As `Spent`: all calls of the last 24 hours; blocks a crashed process left open count in full, with age 0."""
        ...

    async def keep_pause(self, client: str, seconds: float, /) -> None:
        """The API asked for silence of so many seconds from now; durable when this returns."""
        ...

    async def pause_left(self, client: str, /) -> float:
        """Seconds of the last kept pause that are still to come; 0 when none are."""
        ...


class Block:
    """Calls booked for one connection. `left` of them are free, `in_flight` are on the way."""

    __slots__ = ("block_id", "calls", "in_flight", "last_used", "left")

    def __init__(self, block_id: int, calls: int, now: float) -> None:
        self.block_id = block_id
        self.calls = calls
        self.left = calls
        self.in_flight = 0
        self.last_used = now


class Bookkeeper:
    """Hands out calls of booked blocks and books the next block when one is used up.

    Booking is shared by all who wait for the same connection and goes on when they are cancelled.
    """

    def __init__(self, client: str, ledger: Ledger, block_size: int, clock: Clock) -> None:
        self._client = client
        self._ledger = ledger
        self._block_size = block_size
        self._clock = clock
        self._open: dict[str, Block] = {}
        self._finished: deque[tuple[int, int]] = deque()
        self._unsettled = 0
        self._bookings: dict[str, asyncio.Task[None]] = {}
        self._housekeeper: asyncio.Task[None] | None = None

    async def book(self, connection: str) -> Block:
        """One call that is safe to send; errors of the ledger pass through, and then nothing was taken."""
        while (block := self._open.get(connection)) is None or not block.left:
            await asyncio.shield(self._booking(connection))
        block.left -= 1
        block.in_flight += 1
        if not block.left:
            del self._open[connection]
        return block

    def answered(self, block: Block) -> None:
        """The answer to a booked call is complete. Does not wait: the ledger hears of it with the next booking."""
        block.in_flight -= 1
        block.last_used = self._clock.monotonic()
        if not block.left and not block.in_flight:
            self._finished.append((block.block_id, block.calls))

    async def keep_pause(self, seconds: float) -> None:
        await self._ledger.keep_pause(self._client, seconds)

    async def close(self) -> None:
        """Settle every block. Harmless when repeated."""
        bookings = list(self._bookings.values())
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            bookings.append(self._housekeeper)
            self._housekeeper = None
        await asyncio.gather(*bookings, return_exceptions=True)
        self._retire(unused_since=math.inf)
        await self._settle()

    def _booking(self, connection: str) -> asyncio.Task[None]:
        task = self._bookings.get(connection)
        if task is None or task.done():
            task = asyncio.create_task(self._reserve(connection))
            self._bookings[connection] = task
            task.add_done_callback(lambda done: self._booked(connection, done))
        return task

    def _booked(self, connection: str, task: asyncio.Task[None]) -> None:
        if self._bookings.get(connection) is task:
            del self._bookings[connection]
        _look_at(task)

    async def _reserve(self, connection: str) -> None:
        await self._settle()
        block_id = await self._ledger.reserve(self._client, connection, self._block_size)
        self._unsettled += 1
        self._open[connection] = Block(block_id, self._block_size, self._clock.monotonic())
        if self._housekeeper is None or self._housekeeper.done():
            self._housekeeper = asyncio.create_task(self._keep_house())
            self._housekeeper.add_done_callback(_look_at)

    async def _settle(self) -> None:
        while self._finished:
            block_id, used = self._finished[0]
            await self._ledger.settle(block_id, used)
            # Another task may have settled the same one meanwhile.
            if self._finished and self._finished[0][0] == block_id:
                self._finished.popleft()
                self._unsettled -= 1

    async def _keep_house(self) -> None:
        while self._unsettled:
            wake_at = self._clock.monotonic() + IDLE
            while (left := wake_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            idle_since = self._clock.monotonic() - IDLE
            self._retire(unused_since=idle_since)
            await self._settle()

    def _retire(self, unused_since: float) -> None:
        for connection, block in list(self._open.items()):
            if not block.in_flight and block.last_used <= unused_since:
                del self._open[connection]
                self._finished.append((block.block_id, block.calls - block.left))


def _look_at(task: asyncio.Task[None]) -> None:
    """Take note of a task's failure: whoever still waits gets it, and the next booking tries the same again."""
    if not task.cancelled():
        task.exception()
