"""Pausing and resuming connections, organizers, triggers and sinks. What appears meanwhile is told on resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from poller.poll import Link
from poller.ports import Clock
from poller.roster import WEBINARS, Roster
from poller.routing import Routing
from state.store import Pause, PollRow, Store


class Switches:
    """`changed(kind, name, paused)` is called after every switch, to let the loops follow."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        routing: Routing,
        links: dict[str, Link],
        clock: Clock,
        changed: Callable[[str, str, bool], None],
    ) -> None:
        self._store = store
        self._roster = roster
        self._routing = routing
        self._links = links
        self._clock = clock
        self._changed = changed
        self._paused: set[tuple[str, str]] = set()

    async def load(self) -> None:
        """Follow the state, in which the engine itself pauses triggers, too."""
        found = await self._store.pauses()
        self._paused = {(pause.kind, pause.name) for pause in found}
        self._routing.paused = {pause.name for pause in found if pause.kind == "trigger"}

    def is_paused(self, kind: str, name: str) -> bool:
        held = kind == "trigger" and name in self._routing.paused  # by a flood, which no switch was told of
        return held or (kind, name) in self._paused

    async def pause(self, kind: str, name: str, reason: str = "") -> None:
        await self._store.pause(Pause(kind, name, self._clock.now().timestamp(), reason))
        await self.load()
        self._changed(kind, name, True)

    async def resume(self, kind: str, name: str) -> int:
        """Go on; returns how many held deliveries became due (of a trigger)."""
        for pause in await self._store.pauses():
            if (pause.kind, pause.name) == (kind, name):
                self._end_gap(pause)
        await self._store.resume(kind, name)
        await self.load()
        # After that: what a poll has just held back because of the pause is released, too.
        released = await self._store.release(name) if kind == "trigger" else 0
        self._changed(kind, name, False)
        return released

    def _end_gap(self, pause: Pause) -> None:
        """Polls that a pause kept from happening are one row of the journal, and the next look reaches back over it."""
        concerned = {"connection": [pause.name]}.get(pause.kind, [])
        if pause.kind == "organizer":
            concerned = [name for name in self._links if self.sees(pause.name, name)]
            for connection in concerned:
                self._look_back(connection, pause.since)
        seconds = max(0.0, self._clock.now().timestamp() - pause.since)
        for connection in concerned:
            note = f"{pause.kind} {pause.name} was paused" + (f": {pause.reason}" if pause.reason else "")
            self._store.note_poll(PollRow(connection, WEBINARS, pause.since, seconds, "skipped", note=note))

    def _look_back(self, connection: str, since: float) -> None:
        """The account was walked all the while, but without this organizer: the next walks reach back to `since`."""
        state = self._roster.connection(connection)
        for target in list(self._roster.of(connection)):
            if target.scope.is_root and target.polled_at is not None:
                self._roster.put(replace(target, polled_at=min(target.polled_at, since), digest=b""))
        if state.walked_from is not None:
            reached = since - self._links[connection].past.total_seconds()
            self._roster.put_connection(replace(state, walked_from=min(state.walked_from, reached)))

    def sees(self, organizer_key: str, connection: str | None = None) -> bool:
        """Whether this connection (or any) is this organizer's, or lists webinars of theirs."""
        return any(
            organizer_key == self._roster.connection(name).organizer_key
            or any(target.organizer_key == organizer_key for target in self._roster.of(name))
            for name in ([connection] if connection is not None else list(self._links))
        )
