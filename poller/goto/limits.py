"""The rate limiter: several exact sliding windows at once, priorities, penalties, and a budget that survives crashes.

GoTo's limits belong to the OAuth client, not to the organizer, so one `Limiter` serves all connections of one
client_id (developer.goto.com, "Rate Limiting"; the older FAQ adds limits per method and per day).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from types import TracebackType

from poller.errors import QuotaExhausted
from poller.goto.ledger import Block, Bookkeeper, Ledger, Spent
from poller.goto.penalty import Penalty
from poller.goto.windows import Window
from poller.ports import Clock

SECOND = 1.0
MINUTE = 60.0
DAY = 86_400.0
HOURS = 24
LARGEST_BLOCK = 20


class Priority(IntEnum):
    """Who goes first when calls are scarce; lower goes first, equals in order of arrival."""

    USER = 0
    CONFIRM = 1
    LIVE = 2
    BASELINE = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls allowed in any sliding window; 0 means no limit."""

    per_second: int = 10
    per_operation_per_second: int = 10
    per_connection_per_minute: int = 100
    per_day: int = 0

    def any(self) -> bool:
        return self != NO_LIMITS

    def block_size(self) -> int:
        """Calls booked ahead: few where each counts, more where a crash may waste some."""
        sizes = [LARGEST_BLOCK]
        if self.per_day:
            sizes.append(self.per_day // 1000)
        if self.per_connection_per_minute:
            sizes.append(self.per_connection_per_minute // 10)
        sizes += [limit for limit in (self.per_second, self.per_operation_per_second) if limit]
        return max(min(sizes), 1)


NO_LIMITS = Limits(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class WindowView:
    """One window for status output. `free_at` is None while only an answer under way can make room."""

    name: str
    limit: int
    used: int
    free_at: datetime | None


class _Waiter:
    __slots__ = ("granted", "lane")

    def __init__(self, lane: _Lane) -> None:
        self.lane = lane
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def was_let_in(self) -> bool:
        return self.granted.done() and not self.granted.cancelled() and self.granted.exception() is None


class _Lane:
    """All calls of one operation and connection: they meet the same windows. `queue` is a heap of the waiting."""

    __slots__ = ("own", "queue", "windows")

    def __init__(self, shared: tuple[Window, ...], own: tuple[Window, ...]) -> None:
        self.own = own
        self.windows = shared + own
        self.queue: list[tuple[int, int, _Waiter]] = []

    def head(self) -> tuple[int, int, _Waiter] | None:
        while self.queue and self.queue[0][2].granted.done():
            heapq.heappop(self.queue)  # cancelled, or out of patience
        return self.queue[0] if self.queue else None


class Limiter:
    """See the module. Make one with `await Limiter.open(...)`, end it with `close()`."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Clock,
        rng: random.Random,
        bookkeeper: Bookkeeper | None = None,
        recent: list[Spent] | None = None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._bookkeeper = bookkeeper
        self._penalty = Penalty(rng)
        self._recent = recent or []
        self._loaded_at = clock.monotonic()
        self._shared = self._make_shared()
        self._operations: dict[str, Window] = {}
        self._connections: dict[str, Window] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._waiting: dict[_Lane, None] = {}
        self._deadlines: list[tuple[float, int, _Waiter]] = []
        self._arrivals = itertools.count()
        self._in_flight = 0
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = math.inf

    @classmethod
    async def open(
        cls, client: str, limits: Limits, *, clock: Clock, rng: random.Random, ledger: Ledger | None = None
    ) -> Limiter:
        """A limiter that remembers what the ledger says was spent. Without any limit the ledger is not touched."""
        if ledger is None or not limits.any():
            return cls(limits, clock=clock, rng=rng)
        recent = [Spent(*row) for row in await ledger.recent(client)]
        bookkeeper = Bookkeeper(client, ledger, limits.block_size(), clock)
        limiter = cls(limits, clock=clock, rng=rng, bookkeeper=bookkeeper, recent=recent)
        pause = await ledger.pause_left(client)
        if pause > 0:
            limiter.penalize(pause)
        return limiter

    def slot(
        self,
        *,
        operation: str,
        connection: str,
        priority: Priority = Priority.LIVE,
        wait_at_most: float | None = None,
    ) -> Slot:
        """`async with` around one call: enters when every window has room, dates the slot when the answer is read.

        Raises QuotaExhausted instead of waiting longer than `wait_at_most` seconds. Errors of the ledger pass
        through; the call must then not be sent, and no slot was spent.
        """
        return Slot(self, self._lane(operation, connection), connection, priority, wait_at_most)

    def penalize(self, retry_after: float | None) -> None:
        """The API answered 429: no call of this client before `retry_after` seconds (None: it named no time).

        Call it inside the slot of that call.
        """
        self._penalty.strike(self._clock.monotonic(), retry_after)

    async def refused(self, retry_after: float | None) -> None:
        """`penalize`, and a stated time is kept durably: a restart does not end it."""
        self.penalize(retry_after)
        if retry_after is not None and self._bookkeeper is not None:
            await self._bookkeeper.keep_pause(retry_after)

    def delay(self, operation: str, connection: str) -> float:
        """Seconds until such a call could go if it were the next; infinite while only an answer can tell."""
        now = self._clock.monotonic()
        return self._free_at(self._lane(operation, connection), now) - now

    def peek(self) -> list[WindowView]:
        """Every window that has a limit and was used, for people to look at."""
        now = self._clock.monotonic()
        return [self._view(window, now) for window in self._windows()]

    def spent_by_hour(self) -> list[float]:
        """Calls in each of the last 24 hours, the oldest first; nothing where no limit counts them so long."""
        now = self._clock.monotonic()
        return next((window.spent(now, HOURS) for window in self._shared if window.name == "day"), [])

    async def close(self) -> None:
        """Settle what was booked. Call it when no call is under way; harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._bookkeeper is not None:
            await self._bookkeeper.close()

    # --- windows ---------------------------------------------------------------------------------------------

    def _make_shared(self) -> tuple[Window, ...]:
        windows = []
        for name, limit, width in (
            ("second", self.limits.per_second, SECOND),
            ("day", self.limits.per_day, DAY),
        ):
            if limit:
                windows.append(self._window(name, limit, width, self._recent))
        return tuple(windows)

    def _window(self, name: str, limit: int, width: float, spent: list[Spent]) -> Window:
        window = Window(name, limit, width)
        moments = ((self._loaded_at - max(call.age, 0.0), call.calls) for call in spent)
        window.seed(sorted(moment for moment in moments))
        return window

    def _lane(self, operation: str, connection: str) -> _Lane:
        lane = self._lanes.get((operation, connection))
        if lane is None:
            own = tuple(self._own_windows(operation, connection))
            lane = self._lanes[operation, connection] = _Lane(self._shared, own)
        return lane

    def _own_windows(self, operation: str, connection: str) -> Iterator[Window]:
        limits = self.limits
        if limits.per_operation_per_second:
            if operation not in self._operations:
                # The ledger does not say which operation was called, so each may have been.
                self._operations[operation] = self._window(
                    f"operation {operation}", limits.per_operation_per_second, SECOND, self._recent
                )
            yield self._operations[operation]
        if limits.per_connection_per_minute:
            if connection not in self._connections:
                spent = [call for call in self._recent if call.connection == connection]
                self._connections[connection] = self._window(
                    f"connection {connection}", limits.per_connection_per_minute, MINUTE, spent
                )
            yield self._connections[connection]

    def _windows(self) -> Iterator[Window]:
        yield from self._shared
        yield from self._operations.values()
        yield from self._connections.values()

    def _view(self, window: Window, now: float) -> WindowView:
        free_at = window.free_at(now)
        moment = None if math.isinf(free_at) else self._clock.now() + timedelta(seconds=free_at - now)
        return WindowView(window.name, window.limit, window.used(now), moment)

    def _free_at(self, lane: _Lane, now: float) -> float:
        moments = [window.free_at(now) for window in lane.windows]
        return max(self._penalty.opens_at(now, self._in_flight), *moments, now)

    # --- who goes next ---------------------------------------------------------------------------------------

    def _may_go(self, windows: tuple[Window, ...], now: float) -> bool:
        if self._penalty.opens_at(now, self._in_flight) > now:
            return False
        return all(window.has_room(now) for window in windows)

    def _take(self, lane: _Lane) -> None:
        self._in_flight += 1
        for window in lane.windows:
            window.take()

    def _try_now(self, lane: _Lane) -> bool:
        """The short way in: nobody waits and everything has room."""
        if self._waiting or not self._may_go(lane.windows, self._clock.monotonic()):
            return False
        self._take(lane)
        return True

    def _enqueue(self, lane: _Lane, priority: Priority, wait_at_most: float | None) -> _Waiter:
        now = self._clock.monotonic()
        deadline = math.inf if wait_at_most is None else now + wait_at_most
        free_at = self._free_at(lane, now)
        if deadline < free_at < math.inf:
            raise _too_long(free_at - now)
        waiter = _Waiter(lane)
        arrival = next(self._arrivals)
        heapq.heappush(lane.queue, (priority, arrival, waiter))
        self._waiting[lane] = None
        if deadline < math.inf:
            heapq.heappush(self._deadlines, (deadline, arrival, waiter))
        self._dispatch()
        return waiter

    def _dispatch(self) -> None:
        """Let in everyone who may go now, then set the timer for the next moment that can change anything."""
        now = self._clock.monotonic()
        while self._may_go(self._shared, now) and (lane := self._next_lane(now)) is not None:
            waiter = heapq.heappop(lane.queue)[2]
            self._take(lane)
            waiter.granted.set_result(None)
        self._turn_away(now)
        self._arm(now)

    def _next_lane(self, now: float) -> _Lane | None:
        """The lane of the first in line among those whose own windows have room."""
        best, best_rank = None, (math.inf, math.inf)
        for lane, head in self._heads():
            rank = (head[0], head[1])
            if rank < best_rank and all(window.has_room(now) for window in lane.own):
                best, best_rank = lane, rank
        return best

    def _heads(self) -> Iterator[tuple[_Lane, tuple[int, int, _Waiter]]]:
        for lane in list(self._waiting):
            head = lane.head()
            if head is None:
                del self._waiting[lane]
            else:
                yield lane, head

    def _turn_away(self, now: float) -> None:
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].granted.done()):
            waiter = heapq.heappop(self._deadlines)[2]
            if not waiter.granted.done():
                waiter.granted.set_exception(_too_long(self._free_at(waiter.lane, now) - now))

    def _arm(self, now: float) -> None:
        due = min((self._free_at(lane, now) for lane, _ in self._heads()), default=math.inf)
        if self._deadlines:
            due = min(due, self._deadlines[0][0])
        if self._timer is not None and self._timer_due != due:
            self._timer.cancel()
            self._timer = None
        self._timer_due = due
        if self._timer is None and due < math.inf:
            self._timer = asyncio.create_task(self._wake_at(due))

    async def _wake_at(self, due: float) -> None:
        while (left := due - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        self._timer = None
        self._dispatch()

    # --- one slot --------------------------------------------------------------------------------------------

    async def _enter(
        self, lane: _Lane, connection: str, priority: Priority, wait_at_most: float | None
    ) -> Block | None:
        if not self._try_now(lane):
            await self._wait_in_line(lane, self._enqueue(lane, priority, wait_at_most))
        if self._bookkeeper is None:
            return None
        try:
            return await self._bookkeeper.book(connection)
        except BaseException:
            self._give_back(lane)
            raise

    async def _wait_in_line(self, lane: _Lane, waiter: _Waiter) -> None:
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.was_let_in():  # and cancelled at the same moment
                self._give_back(lane)
            else:
                self._dispatch()
            raise

    def _give_back(self, lane: _Lane) -> None:
        self._in_flight -= 1
        for window in lane.windows:
            window.give_back()
        if self._waiting:
            self._dispatch()

    def _leave(self, lane: _Lane, block: Block | None, *, struck: bool, succeeded: bool) -> None:
        now = self._clock.monotonic()
        self._in_flight -= 1
        for window in lane.windows:
            window.answered(now)
        if succeeded and not struck:
            self._penalty.success(now)
        self._penalty.answered(now)
        if block is not None and self._bookkeeper is not None:
            self._bookkeeper.answered(block)
        if self._waiting:
            self._dispatch()


class Slot:
    """One call's place in every window. Leaving without an error counts as a friendly answer, unless a 429 came."""

    __slots__ = ("_block", "_connection", "_lane", "_limiter", "_priority", "_strikes", "_wait_at_most")

    def __init__(
        self,
        limiter: Limiter,
        lane: _Lane,
        connection: str,
        priority: Priority,
        wait_at_most: float | None,
    ) -> None:
        self._limiter = limiter
        self._lane = lane
        self._connection = connection
        self._priority = priority
        self._wait_at_most = wait_at_most
        self._block: Block | None = None
        self._strikes = 0

    async def __aenter__(self) -> None:
        limiter = self._limiter
        self._block = await limiter._enter(self._lane, self._connection, self._priority, self._wait_at_most)
        self._strikes = limiter._penalty.count

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        limiter = self._limiter
        struck = limiter._penalty.count != self._strikes
        limiter._leave(self._lane, self._block, struck=struck, succeeded=kind is None)


def _too_long(delay: float) -> QuotaExhausted:
    return QuotaExhausted(
        "no call is free in time under the limits set in [limits]",
        retry_after=None if math.isinf(delay) else delay,
    )
