"""Hears what the loops report: log lines, counters, further hearers, and whoever waits for a fact. An outage is said
once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from poller.errors import PermissionRefused, Reauthorize, Wait
from poller.poll import Polled
from state.records import Scope, Target

_LEVELS = {
    "delivery.completed": "debug",
    "delivery.failed": "warning",
    "delivery.dead": "error",
    "sink.down": "error",
    "sink.recovered": "info",
    "sink.disabled": "error",
    "store.unavailable": "error",
    "delivery.unexpected": "error",
    "webhook.received": "debug",
}


@dataclass
class Counts:
    """What happened since the start."""

    polls: Counter[str] = field(default_factory=Counter)  # by outcome
    completed: Counter[str] = field(default_factory=Counter)  # polls without a problem, by connection
    calls: int = 0
    deliveries: Counter[str] = field(default_factory=Counter)  # by sink
    dead: Counter[str] = field(default_factory=Counter)
    webhooks: Counter[str] = field(default_factory=Counter)  # GoTo's, by outcome


class Hearer(Protocol):
    """Who else is told all of it as it comes, outages in full. Must be quick and not raise."""

    def polled(self, polled: Polled, seconds: float) -> None: ...
    def failed(self, target: Target, error: Exception) -> None: ...
    def called(self, operation: str, status: int | None) -> None: ...
    def observe(self, event: str, /, **fields: Any) -> None: ...


class Watch:
    """The observer of scheduler and dispatcher.

    `refused` is what to do when a connection's login is over. During GoTo's announced maintenance network and 5xx
    failures are not worth a warning; refused logins are.
    """

    def __init__(
        self,
        refused: Callable[[str, Reauthorize], Awaitable[None]],
        sink_changed: Callable[[str, dict[str, Any]], None] = lambda event, fields: None,
        in_maintenance: Callable[[], bool] = lambda: False,
        denied: Callable[[Target, PermissionRefused | None], None] = lambda target, error: None,
    ) -> None:
        self.counts = Counts()
        self.hearers: list[Hearer] = []
        self._log = structlog.get_logger("poller")
        self._refused = refused
        self._over: set[str] = set()  # connections whose refusal has been said
        self._sink_changed = sink_changed
        self._in_maintenance = in_maintenance
        self._denied = denied
        self._failing: dict[tuple[str, Scope], str] = {}
        self._not_allowed: set[tuple[str, str]] = set()  # connection and kind of list
        self._listeners: set[asyncio.Event] = set()

    # ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def polled(self, polled: Polled, seconds: float) -> None:
        target = polled.target
        self.counts.polls[polled.outcome] += 1
        self.counts.calls += polled.calls
        for hearer in self.hearers:
            hearer.polled(polled, seconds)
        self._over.discard(target.connection)
        if polled.problem is None:
            self.counts.completed[target.connection] += 1
            self._denied(target, None)
        self._not_allowed.discard((target.connection, target.scope.kind))
        recovered = self._failing.pop((target.connection, target.scope), None)
        if recovered is not None and polled.problem is None:
            self._log.info("poll.recovered", **_where(target))
        for name in polled.held:  # only a person ends that
            self._log.warning("trigger.held", trigger=name, **_where(target), resume=f"poller triggers resume {name}")
        quiet = polled.events == 0 and polled.problem is None and not target.scope.is_root
        if polled.outcome != "unchanged":
            log = self._log.debug if quiet else self._log.info
            log(
                "poll.completed",
                **_where(target),
                outcome=polled.outcome,
                added=polled.added,
                changed=polled.changed,
                removed=polled.removed,
                events=polled.events,
                calls=polled.calls,
                seconds=round(seconds, 3),
                **({"problem": str(polled.problem)} if polled.problem else {}),
            )
        self._signal()

    def failed(self, target: Target, error: Exception, retry_in: float) -> None:
        self.counts.polls["failed"] += 1
        for hearer in self.hearers:
            hearer.failed(target, error)
        key = (target.connection, target.scope)
        kind = type(error).__name__
        if isinstance(error, PermissionRefused):
            self._denied(target, error)
            if target.ends is not None:
                self._say_once(target, error)
                return
        if isinstance(error, Wait) and self._in_maintenance():
            kind = "maintenance"  # announced by GoTo; what still fails after it is news
        first = self._failing.get(key) != kind
        self._failing[key] = kind
        log = self._log.warning if first and kind != "maintenance" else self._log.debug
        log("poll.failed", **_where(target), error=str(error), retry_in=round(retry_in, 1))
        self._signal()

    def _say_once(self, target: Target, error: PermissionRefused) -> None:
        """Attendance that these credentials may not read of one webinar or meeting they will hardly read of the next:
        this switches off one kind of list, and nothing is wrong with the rest."""
        key = (target.connection, target.scope.kind)
        self._failing.pop((target.connection, target.scope), None)
        log = self._log.debug if key in self._not_allowed else self._log.warning
        self._not_allowed.add(key)
        log("poll.not_allowed", **_where(target), error=str(error))
        self._signal()

    async def refused(self, connection: str, error: Reauthorize) -> None:
        if connection not in self._over:  # every poll under way finds out; it is said once
            self._over.add(connection)
            self._log.error("connection.unauthorized", connection=connection, error=str(error))
        await self._refused(connection, error)
        self._signal()

    def hint_changed(self, connection: str, state: str, reason: str) -> None:
        self._log.info(f"count_hint.{state}", connection=connection, **({"reason": reason} if reason else {}))
        self._signal()

    def called(self, operation: str, status: int | None) -> None:
        """A call to GoTo was made; no status: no whole answer came."""
        for hearer in self.hearers:
            hearer.called(operation, status)

    def is_failing(self, connection: str, scope: Scope) -> bool:
        """Whether the last poll of this target failed."""
        return (connection, scope) in self._failing

    @property
    def failing(self) -> int:
        """Targets whose last poll failed."""
        return len(self._failing)

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, event: str, /, **fields: Any) -> None:
        """What the dispatcher tells, see poller.dispatcher.Dispatcher; and the receiver of GoTo's webhooks."""
        for hearer in self.hearers:
            hearer.observe(event, **fields)
        if event == "delivery.completed":
            self.counts.deliveries[fields["sink"]] += 1
        elif event == "delivery.dead":
            self.counts.dead[fields["sink"]] += 1
        elif event == "webhook.received":
            self.counts.webhooks[fields["outcome"]] += 1
        elif event.startswith("sink."):
            self._sink_changed(event, fields)
        getattr(self._log, _LEVELS.get(event, "info"))(event, **fields)
        self._signal()

    # ── facts to wait for ────────────────────────────────────────────────────────────────────────────────────────────

    def _signal(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until `fact()` is true; it is looked at again after whatever happens."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            while not fact():
                await listener.wait()
                listener.clear()
        finally:
            self._listeners.discard(listener)


def _where(target: Target) -> dict[str, str]:
    return {"connection": target.connection, "target": str(target.scope)}
