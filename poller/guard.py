"""The loop that watches over polling: what stalls is told, and what was learnt outlives the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from poller.announcing import Announce
from poller.memory import keep, recall
from poller.planner import Outlook
from poller.ports import Clock
from poller.rates import Experience
from poller.stalls import Stall, Stalls
from state.errors import StateError
from state.store import Store

LOOK_EVERY = 30.0  # seconds
SAVE_EVERY = 3600.0

# A connection may be silent for so long (seconds), or for three of its shortest intervals where these are longer.
PATIENCE = 600.0
INTERVALS = 3.0


@dataclass(frozen=True, slots=True)
class Polling:
    """What can be seen of it."""

    completed: Mapping[str, int]  # polls, by connection
    outlooks: Callable[[], Mapping[str, Outlook]]  # of connections that should be polled
    listeners: Callable[[Collection[str]], Mapping[str, Collection[str]]]  # trigger → which of these it listens to
    in_maintenance: Callable[[], bool]
    notes: Callable[[], Awaitable[list[tuple[str, str]]]]  # about its pace: connection, and a line for people


class Guard:
    def __init__(
        self, store: Store, clock: Clock, experience: Experience, polling: Polling, announce: Announce
    ) -> None:
        self._store = store
        self._clock = clock
        self._experience = experience
        self._polling = polling
        self._announce = announce
        self._stalls = Stalls()
        self._log = structlog.get_logger("poller")

    @property
    def stalled(self) -> Mapping[str, Stall]:
        """Triggers held up by connections that have not polled anything for too long."""
        return self._stalls.stalled

    async def run(self) -> None:
        """Until cancelled; what was learnt is then kept."""
        saved = self._clock.monotonic()
        is_new = True
        try:
            while True:
                await self.look()
                if is_new and self._is_under_way():
                    is_new = False
                    await self._say_pace()
                if self._clock.monotonic() - saved >= SAVE_EVERY:
                    saved = self._clock.monotonic()
                    await self.save()
                await self._clock.sleep(LOOK_EVERY)
        finally:
            await self.save()

    def _is_under_way(self) -> bool:
        """Each connection's list was read, so that the plan knows all targets."""
        names = self._polling.outlooks().keys()
        return bool(names) and all(self._polling.completed.get(name, 0) > 1 for name in names)

    async def _say_pace(self) -> None:
        for name, outlook in self._polling.outlooks().items():
            self._log.info(
                "plan.settled",
                connection=name,
                targets=outlook.targets,
                calls_per_day=round(outlook.calls_per_day),
                interval=round(outlook.mean_interval, 1),
                mean_delay=round(outlook.mean_delay, 1),
            )
        for name, line in await self._polling.notes():
            self._log.warning("plan.note", connection=name, note=line)

    async def look(self) -> None:
        """GoTo's announced maintenance holds nobody up: what still fails after it is told then."""
        if self._polling.in_maintenance():
            return
        patience = {
            name: max(PATIENCE, INTERVALS * outlook.shortest) for name, outlook in self._polling.outlooks().items()
        }
        listeners = self._polling.listeners(list(patience))
        stalled, recovered = self._stalls.look(self._polling.completed, patience, listeners, self._clock.monotonic())
        for trigger, stall in stalled.items():
            data = {"trigger": trigger, "connections": list(stall.connections), "seconds": round(stall.seconds)}
            self._log.error("trigger.stalled", **data)
            await self._announce("poller.trigger.stalled", f"triggers/{trigger}", "", data)
        for trigger in recovered:
            self._log.info("trigger.recovered", trigger=trigger)
            await self._announce("poller.trigger.recovered", f"triggers/{trigger}", "", {"trigger": trigger})

    # ── what was learnt ──────────────────────────────────────────────────────────────────────────────────────────────

    async def recall(self) -> None:
        """Before the first poll."""
        if not await recall(self._store, self._experience):
            self._log.warning("rates.unreadable")

    async def save(self) -> None:
        try:
            await keep(self._store, self._experience)
        except StateError as error:  # it is learnt again soon enough
            self._log.warning("rates.unsaved", error=str(error))
