"""News of the engine itself: `poller.…` events, for the triggers that name them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from poller import drafting
from poller.ports import Clock
from poller.routing import Routing
from state.errors import StateUnavailable
from state.store import Store

# type, subject, connection, data
Announce = Callable[[str, str, str, Mapping[str, object]], Awaitable[None]]


class Announcer:
    """`connections` are all there are: news that concern none of them are for whoever listens to any. `wake` is called
    with the sinks that have something to do."""

    def __init__(
        self,
        store: Store,
        routing: Routing,
        clock: Clock,
        connections: Callable[[], Collection[str]],
        wake: Callable[[Collection[str]], None],
    ) -> None:
        self._store = store
        self._routing = routing
        self._clock = clock
        self._connections = connections
        self._wake = wake
        self._log = structlog.get_logger("poller")

    async def announce(self, type_: str, subject: str, connection: str, data: Mapping[str, object]) -> None:
        """Never raises: news of the engine are worth less than its work."""
        draft = drafting.operational(type_, subject, connection=connection, at=self._clock.now(), data=dict(data))
        finders = [connection] if connection else list(self._connections())
        try:
            committed = await self._store.emit([(draft, self._routing.routes(draft, finders))])
        except StateUnavailable as error:
            self._log.warning("announcement.lost", type=type_, error=str(error))
            return
        self._wake(committed.sinks)
