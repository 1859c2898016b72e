"""The newest events, read once for all who follow the log, and whatever wakes those who wait for more."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import structlog

from poller.web.bell import Bell
from state.errors import StateError, StateUnavailable
from state.events import short_type
from state.store import Select, Store, StoredEvent

KEPT: Final = 512  # events in memory
PAGE: Final = 200  # events read at once

HEARTBEAT: Final = 15.0  # seconds: proxies end what is silent for longer than 30 or 60
_SLOTS: Final = 15  # the turns of one heartbeat, so that a thousand followers do not write in the same moment
_RETRY: Final = 1.0  # seconds until a state that could not be read is asked again


class Told:
    """A stored event, decoded once at most, however many look at it."""

    __slots__ = ("_event", "short", "stored")

    def __init__(self, stored: StoredEvent) -> None:
        self.stored = stored
        self.short = short_type(stored.type)
        self._event: dict[str, Any] | None = None

    @property
    def sequence(self) -> int:
        return self.stored.sequence

    @property
    def event(self) -> dict[str, Any]:
        """Not to be modified."""
        if self._event is None:
            self._event = msgspec.json.decode(self.stored.body)
        return self._event


class Follower:
    """One who waits at the end of the log."""

    __slots__ = ("_rung", "beat")

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.beat = False  # it is time for a sign of life

    def ring(self) -> None:
        self._rung.set()

    async def rung(self) -> None:
        """Until there is more, the tail is closed, or a sign of life is due."""
        await self._rung.wait()
        self._rung.clear()


class Tail:
    """`run` is its task: the only reader of new events, and the only timer of all followers.

    Heartbeats are real time even where the engine's clock is not: the other side lives in real time.
    """

    def __init__(self, store: Store, bell: Bell, heartbeat: float = HEARTBEAT) -> None:
        self.closed = False
        self.last = 0  # sequence of the newest event that was read
        self._store = store
        self._bell = bell
        self._heartbeat = heartbeat
        self._kept: deque[Told] = deque()
        self._floor = 0  # what lies above it, up to the last one, is kept
        self._followers: set[Follower] = set()
        self._wheel: list[set[Follower]] = [set() for _ in range(_SLOTS)]
        self._turns = itertools.count()
        self._log = structlog.get_logger("poller")

    async def open(self) -> None:
        self._floor = self.last = await self._store.last_sequence()

    async def run(self) -> None:
        """Until cancelled, or the state is closed."""
        wheel = asyncio.create_task(self._turn(), name="http heartbeats")
        try:
            while True:
                if await self._bell.heard():
                    self._kept.clear()
                    self._floor = self.last
                await self._follow()
        finally:
            wheel.cancel()
            await asyncio.gather(wheel, return_exceptions=True)

    def close(self) -> None:
        """Everybody who waits goes home."""
        self.closed = True
        self._ring()

    def behind(self, sequence: int) -> Sequence[Told] | None:
        """Everything there is behind this sequence; None if not all of it is in memory."""
        if sequence < self._floor:
            return None
        if sequence >= self.last:
            return ()
        return [told for told in self._kept if told.sequence > sequence]

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """Somebody who is rung for news and heartbeats as long as this lasts."""
        follower = Follower()
        slot = self._wheel[next(self._turns) % _SLOTS]
        self._followers.add(follower)
        slot.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            slot.discard(follower)

    @property
    def followers(self) -> int:
        return len(self._followers)

    # ── the task ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        while True:
            try:
                page = await self._store.events(Select(after=self.last, limit=PAGE))
            except StateUnavailable as error:
                self._log.warning("http.state_unavailable", error=str(error))
                await asyncio.sleep(_RETRY)
                continue
            self._keep(page)
            if page:
                self._ring()
            if len(page) < PAGE:
                return

    def _keep(self, page: Sequence[StoredEvent]) -> None:
        self._kept.extend(Told(stored) for stored in page)
        if page:
            self.last = page[-1].sequence
        while len(self._kept) > KEPT:
            self._floor = self._kept.popleft().sequence

    def _ring(self) -> None:
        for follower in self._followers:
            follower.ring()

    async def _turn(self) -> None:
        for slot in itertools.cycle(self._wheel):
            await asyncio.sleep(self._heartbeat / _SLOTS)
            for follower in slot:
                follower.beat = True
                follower.ring()


async def run_until_closed(tail: Tail) -> None:
    """`run`, for an owner who closes the state first."""
    with suppress(StateError):
        await tail.run()
