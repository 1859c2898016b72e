"""Prometheus metrics of one running engine, in a registry of their own. Needs the extra `metrics`.

`Metrics` hears what happens (it is a `poller.watch.Hearer`), is told events from the log, and is shown how things stand
before each exposition; see poller.exposition, which does all three. Labels are names from the settings, names of GoTo's
operations, event types and a few words: never a key, an address or anything else about a person.

Names follow Prometheus's grammar (https://prometheus.io/docs/practices/naming/); times are in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from poller.errors import UsageError
from poller.planner import Outlook
from poller.poll import Polled
from state.delivery import SinkState
from state.events import short_type
from state.records import Target
from state.store import Backlog, StoredEvent

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

# Upper bounds of the histograms. A poll takes moments, news waits for the next poll, a sink may be down for days.
POLL_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DETECTION_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)
DELIVERY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 21_600, 86_400, 259_200)

_OPERATION: Final = re.compile(r"[A-Za-z]{1,60}")  # a raw request may have a path with keys for a name
_OUTCOMES: Final = {
    "delivery.completed": "delivered",
    "delivery.failed": "failed",
    "delivery.dead": "dead",
}


class WindowUse(NamedTuple):
    """One window of the limits. `name` is as poller.goto has it: "second", "day", "operation X", "connection X"."""

    client: str
    name: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at one moment; everything by name."""

    now: float  # POSIX seconds
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)  # by connection
    connections: Mapping[str, bool] = field(default_factory=dict)  # whether its login works
    windows: Iterable[WindowUse] = ()
    backlog: Mapping[str, Backlog] = field(default_factory=dict)  # by sink
    sinks: Mapping[str, SinkState] = field(default_factory=dict)
    failing: int = 0  # targets whose last poll failed


class _Told(msgspec.Struct):
    """The part of an event that says how long it went unnoticed."""

    time: str
    observedtime: str
    backfill: bool = False


_told = msgspec.json.Decoder(_Told).decode


class Metrics:
    """See the module. One per process; `render` gives the text format."""

    def __init__(self, version: str) -> None:
        """Raises UsageError if the extra is not installed."""
        try:
            import prometheus_client as prometheus
        except ImportError as err:
            raise UsageError("metrics need the extra of that name: pip install 'goto-poller[metrics]'") from err
        registry = self._registry = prometheus.CollectorRegistry()
        self._generate = prometheus.generate_latest
        prometheus.ProcessCollector(registry=registry)
        self._happening(registry)
        self._standing(registry)
        prometheus.Info("poller_build", "The version that runs.", registry=registry).info({"version": version})

    def render(self) -> bytes:
        """The text format of Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/."""
        return self._generate(self._registry)

    def _happening(self, registry: Any) -> None:
        from prometheus_client import Counter, Histogram

        def count(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def spread(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self._polls = count("poller_polls_total", "Polls.", "connection", "kind", "outcome")
        self._poll_duration = spread("poller_poll_duration_seconds", "How long a poll took.", POLL_SECONDS, "kind")
        self._calls = count("poller_goto_calls_total", "Calls to GoTo; status none: no answer.", "operation", "status")
        self._events = count("poller_events_total", "Events, history included.", "type")
        self._detection = spread(
            "poller_detection_delay_seconds",
            "From GoTo's own time of a fact to the poll that saw it; history left out.",
            DETECTION_SECONDS,
            "type",
        )
        self._webhooks = count("poller_webhooks_total", "GoTo's webhooks that came in, and what else did.", "outcome")
        self._deliveries = count("poller_deliveries_total", "Attempts to deliver one event.", "sink", "outcome")
        self._delivery = spread(
            "poller_delivery_delay_seconds",
            "From when an event was owed to a sink to when the sink had it.",
            DELIVERY_SECONDS,
            "sink",
        )

    def _standing(self, registry: Any) -> None:
        from prometheus_client import Gauge

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        window = ("client", "window", "of")
        self._used = gauge("poller_quota_used_calls", "Calls that occupy a window of the limits.", *window)
        self._limit = gauge("poller_quota_limit_calls", "Calls that a window allows.", *window)
        self._pending = gauge("poller_pending_deliveries", "Owed to a sink and not delivered.", "sink")
        self._pending_age = gauge("poller_pending_age_seconds", "How long the oldest of them has been owed.", "sink")
        self._held = gauge("poller_held_deliveries", "Held back by a trigger.", "sink")
        self._dead = gauge("poller_dead_letters", "Refused for good, or too old.", "sink")
        self._failures = gauge("poller_sink_failures", "Failed attempts in a row; 0 while all is well.", "sink")
        self._disabled = gauge("poller_sink_disabled", "1: the receiver asked never to be called again.", "sink")
        self._active = gauge("poller_connection_active", "1: its login works.", "connection")
        self._targets = gauge("poller_polled_targets", "Lists that are polled.", "connection")
        self._interval = gauge("poller_poll_interval_seconds", "Planned between two polls, on average.", "connection")
        self._delay = gauge("poller_expected_delay_seconds", "Expected detection delay, on average.", "connection")
        self._failing = gauge("poller_failing_targets", "Lists whose last poll failed.")

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def polled(self, polled: Polled, seconds: float) -> None:
        kind = polled.target.scope.kind
        self._polls.labels(polled.target.connection, kind, polled.outcome).inc()
        self._poll_duration.labels(kind).observe(seconds)

    def failed(self, target: Target, error: Exception) -> None:
        self._polls.labels(target.connection, target.scope.kind, "failed").inc()

    def called(self, operation: str, status: int | None) -> None:
        name = operation if _OPERATION.fullmatch(operation) else "other"
        self._calls.labels(name, "none" if status is None else str(status)).inc()

    def observe(self, event: str, /, **fields: Any) -> None:
        """What the dispatcher tells, see poller.dispatcher.Dispatcher; and the receiver of GoTo's webhooks."""
        if event == "webhook.received":
            self._webhooks.labels(fields["outcome"]).inc()
        if event not in _OUTCOMES:
            return
        self._deliveries.labels(fields["sink"], _OUTCOMES[event]).inc()
        if event == "delivery.completed":
            self._delivery.labels(fields["sink"]).observe(max(fields["seconds"], 0.0))

    def tell(self, event: StoredEvent) -> None:
        """One event of the log, each once."""
        type_ = short_type(event.type)
        self._events.labels(type_).inc()
        told = _told(event.body)
        # Where GoTo does not say when it happened, an event has the moment it was seen for its time.
        if not told.backfill and told.time != told.observedtime:
            delay = datetime.fromisoformat(told.observedtime) - datetime.fromisoformat(told.time)
            self._detection.labels(type_).observe(max(delay.total_seconds(), 0.0))

    # ── how things stand ─────────────────────────────────────────────────────────────────────────────────────────────

    def show(self, standing: Standing) -> None:
        """Replace what the last exposition showed; what is no longer there is not shown any more."""
        self._show_quota(standing.windows)
        self._fill(self._active, {name: float(works) for name, works in standing.connections.items()})
        outlooks = standing.outlooks
        self._fill(self._targets, {name: outlook.targets for name, outlook in outlooks.items()})
        self._fill(self._interval, {name: outlook.mean_interval for name, outlook in outlooks.items()})
        self._fill(self._delay, {name: outlook.mean_delay for name, outlook in outlooks.items()})
        backlog = standing.backlog
        self._fill(self._pending, {name: owed.pending for name, owed in backlog.items()})
        self._fill(self._pending_age, {name: _age(owed, standing.now) for name, owed in backlog.items()})
        self._fill(self._held, {name: owed.held for name, owed in backlog.items()})
        self._fill(self._dead, {name: owed.dead for name, owed in backlog.items()})
        self._fill(self._failures, {name: state.failures for name, state in standing.sinks.items()})
        self._fill(self._disabled, {name: float(bool(state.disabled)) for name, state in standing.sinks.items()})
        self._failing.set(standing.failing)

    def _show_quota(self, windows: Iterable[WindowUse]) -> None:
        self._used.clear()
        self._limit.clear()
        for window in windows:
            kind, _, of = window.name.partition(" ")
            self._used.labels(window.client, kind, of).set(window.used)
            self._limit.labels(window.client, kind, of).set(window.limit)

    def _fill(self, gauge: Gauge, values: Mapping[str, float]) -> None:
        gauge.clear()
        for name, value in values.items():
            gauge.labels(name).set(value)


def _age(owed: Backlog, now: float) -> float:
    return 0.0 if owed.oldest is None else max(now - owed.oldest, 0.0)
