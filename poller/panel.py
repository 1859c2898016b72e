"""What the dashboard shows of a running engine, read from the state and the process together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from poller import charts
from poller.app import App
from poller.explaining import account
from poller.overview import Overview, overview
from poller.settings.event_types import BY_NAME, FACTS, OPERATIONAL
from poller.shown import POLL_COLUMNS, Shown, poll_cells
from poller.trend import Hour, Trend
from poller.web.health import Condition
from poller.web.pages import ROWS
from state.events import full_type, short_type
from state.records import Scope, Target
from state.store import Select, StoredEvent

FRESH: Final = 1.0  # seconds for which what was read is shown to whoever else looks
_NEWEST: Final = 8  # events on the first page
_SCANNED: Final = 20_000  # events of the last day that the charts look at when they are first drawn
_BATCH: Final = 500

_LENGTHS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Moment(NamedTuple):
    iso: str
    full: str  # in the time zone of the settings
    short: str  # how long it is ago, or still to come


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One row of the rotation. Lengths in seconds; None: not known, or not polled."""

    target: Target
    due: float | None
    interval: float | None
    per_hour: float  # pieces of news to be expected
    failing: bool
    polled: bool

    @property
    def is_list(self) -> bool:
        """Of all webinars, or whatever else a connection has one list of."""
        return not self.target.scope.parent

    @property
    def delay(self) -> float | None:
        """How long news waits for its poll, on average."""
        return None if self.interval is None else self.interval / 2


@dataclass(frozen=True, slots=True)
class Gauge:
    client: str  # empty where there is only one
    window: str  # in words
    used: int
    limit: int


class Panel:
    """`condition` is that of the readiness check. See poller.web.dashboard.Panel."""

    def __init__(self, app: App, condition: Callable[[], Condition]) -> None:
        self._app = app
        self._condition = condition
        self._trend = Trend()
        self._counted = 0  # sequence of the newest event in the trend
        self._view_kept: Overview | None = None
        self._view_read = 0.0  # the loop's time
        self._reading = asyncio.Lock()

    @property
    def filters(self) -> Mapping[str, Callable[..., Any]]:
        return {"moment": self.moment, "iso": self._iso, "lasting": length, "short_type": short_type}

    def look_again(self) -> None:
        self._view_kept = None

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def overview(self) -> dict[str, Any]:
        view = await self._view()
        owed = [sink.backlog for sink in view.sinks]
        hours = await self._hours()
        return {
            "view": view,
            "condition": self._condition(),
            "out": sum(one.status in ("unauthorized", "forbidden") for one in view.connections),
            "next_poll": self._app.scheduler.next_due(),
            "targets": len(self._app.scheduler.polled_keys()),
            "failing": self._app.watch.failing,
            "pending": sum(one.pending for one in owed),
            "dead": sum(one.dead for one in owed),
            "oldest": min((one.oldest for one in owed if one.oldest is not None), default=None),
            "told": sum(hour.events for _, hour in hours),
            "delay": _mean_delay([hour for _, hour in hours]),
            "charts": self._charts(hours),
            "gauges": self._gauges(),
            "news": [self._event(stored) for stored in await self._app.store.latest(None, _NEWEST)],
        }

    async def connections(self, connection: str | None, page: int) -> dict[str, Any]:
        rows = sorted(self._rows(connection), key=_by_due)
        shown, pages = _part(rows, page)
        view = await self._view()
        return {"view": view, "rows": shown, "count": len(rows), "page": page, "pages": pages, "only": connection}

    async def sinks(self) -> dict[str, Any]:
        return {"view": await self._view()}

    async def dead(self, sink: str | None, after: int) -> dict[str, Any]:
        found = await self._app.store.deliveries(Select(sink=sink, after=after, limit=ROWS + 1), ["dead"])
        view = await self._view()
        return {
            "letters": found[:ROWS],
            "after": found[ROWS - 1].sequence if len(found) > ROWS else None,
            "is_first": after == 0,
            "by_sink": {one.name: one.backlog.dead for one in view.sinks if one.backlog.dead},
            "only": sink,
        }

    async def journal(self, connection: str | None, page: int) -> dict[str, Any]:
        found = await self._app.store.polls(page * ROWS + 1, connection)
        rows = [
            {**dict(zip(POLL_COLUMNS, poll_cells(row, self._shown()), strict=True)), "started": row.started_at}
            for row in found[(page - 1) * ROWS : page * ROWS]
        ]
        names = [one.name for one in (await self._view()).connections]
        return {"rows": rows, "page": page, "more": len(found) > page * ROWS, "only": connection, "names": names}

    async def events(self, before: int | None, type: str) -> dict[str, Any]:  # noqa: A002 - as the query has it
        found = await self._app.store.latest(before, ROWS + 1, full_type(type) if type else None)
        rows = [self._event(stored) for stored in found[:ROWS]]
        further = rows[-1]["sequence"] if len(found) > ROWS else None
        types = (*FACTS, *BY_NAME, *OPERATIONAL)
        return {"rows": rows, "before": further, "is_first": before is None, "only": type, "types": types}

    async def account(self, key: str) -> dict[str, Any] | None:
        app = self._app
        found = await account(app.settings, app.store, app.clock, key, self._shown())
        if found.is_empty:
            return None
        told = found.as_dict()
        for one in told["events"]:
            one["json"] = msgspec.json.format(msgspec.json.encode(one["event"]), indent=2).decode()
        return {"account": told, "title": self._title_of(told)}

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _view(self) -> Overview:
        """However many look at the same moment, it is read once."""
        app = self._app
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._view_kept is None or now - self._view_read >= FRESH:
                shares = {name: share for name, (_, share) in app.scheduler.hints.items()}
                self._view_kept = await overview(app.settings, app.store, app.clock, app.scheduler.outlooks, shares)
                self._view_read = now
            return self._view_kept

    def _rows(self, connection: str | None) -> list[TargetRow]:
        app, now = self._app, self._app.clock.now().timestamp()
        polled = set(app.scheduler.polled_keys())
        rows = []
        for target in app.roster:
            key = (target.connection, target.scope)
            if connection is not None and target.connection != connection:
                continue
            rows.append(
                TargetRow(
                    target,
                    app.scheduler.due(key),
                    app.scheduler.interval(key),
                    app.experience.rate(target, now) * 3600,
                    app.watch.is_failing(*key),
                    key in polled,
                )
            )
        return rows

    def _gauges(self) -> list[Gauge]:
        clients = sorted({connected.client_id for connected in self._app.connected.values()})
        return [
            Gauge(client if len(clients) > 1 else "", _words_of(view.name), view.used, view.limit)
            for client in clients
            for view in self._app.limiters[client].peek()
        ]

    async def _hours(self) -> Sequence[tuple[float, Hour]]:
        now = self._app.clock.now().timestamp()
        async with self._reading:
            if self._counted:
                await self._count_on()
            else:
                await self._count_back(now - 86400)
        return self._trend.hours(now)

    async def _count_on(self) -> None:
        while page := await self._app.store.events(Select(after=self._counted, limit=_BATCH)):
            for stored in page:
                self._trend.add(stored.body)
            self._counted = page[-1].sequence

    async def _count_back(self, since: float) -> None:
        trend, before, last = Trend(), None, 0
        for _ in range(_SCANNED // _BATCH):
            page = await self._app.store.latest(before, _BATCH)
            last = last or (page[0].sequence if page else 0)
            seen = [trend.add(stored.body) for stored in page]
            if len(page) < _BATCH or seen[-1] < since:
                break
            before = page[-1].sequence
        self._trend, self._counted = trend, last

    def _charts(self, hours: Sequence[tuple[float, Hour]]) -> list[str]:
        zone = ZoneInfo(self._app.settings.engine.display_timezone)
        labels = [f"{datetime.fromtimestamp(begins, zone):%H:%M}" for begins, _ in hours]
        size, unit = _unit(max(hour.delay for _, hour in hours))
        counts, delays = [float(hour.events) for _, hour in hours], [hour.delay / size for _, hour in hours]
        told, latest = f"{sum(counts):.0f} in 24 hours", f"{delays[-1]:.1f} {unit} in the last hour"
        return [
            charts.figure(f"Events an hour: {told}", charts.bars("Events an hour", counts, labels, "", charts.NARROW)),
            charts.figure(
                f"Registrations found after, on average: {latest}",
                charts.bars("Registrations found after, on average", delays, labels, unit, charts.NARROW),
            ),
        ]

    def _event(self, stored: StoredEvent) -> dict[str, Any]:
        """A row of a list: keys and the webinar's title, nobody's name or address."""
        event = msgspec.json.decode(stored.body)
        data = event.get("data") or {}
        title = self._app.roster.title(Scope("registrant", event.get("partitionkey", "")))
        return {
            "sequence": stored.sequence,
            "id": stored.id,
            "type": short_type(stored.type),
            "subject": stored.subject,
            "seen": event["observedtime"],
            "backfill": bool(event.get("backfill")),
            "connection": stored.connection,
            "title": title or str(data.get("webinarSubject") or data.get("subject") or ""),
        }

    def _title_of(self, told: Mapping[str, Any]) -> str:
        return next((target["title"] for target in told["targets"] if target["title"]), "")

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shown(self) -> Shown:
        return Shown(self._app.settings.engine.display_timezone, as_json=False)

    def moment(self, posix: float) -> Moment:
        """POSIX seconds for people."""
        ago = self._app.clock.now().timestamp() - posix
        short = "now" if abs(ago) < 1 else f"{length(ago)} ago" if ago > 0 else f"in {length(-ago)}"
        return Moment(datetime.fromtimestamp(posix, UTC).isoformat(), str(self._shown().time(posix)), short)

    def _iso(self, text: str) -> Moment:
        """The same of a moment written as RFC 3339."""
        return self.moment(datetime.fromisoformat(text).timestamp())


def length(seconds: float) -> str:
    """Coarse enough to be read at a glance: one unit, and tenths of it where they matter."""
    size, unit = _unit(seconds)
    count = seconds / size
    is_small = count < 9.95 and unit not in ("s", "min")
    return f"{count:.1f} {unit}" if is_small or 0 < seconds < 1 else f"{count:.0f} {unit}"


def _unit(seconds: float) -> tuple[int, str]:
    """The largest unit that it is two of, and how many seconds it has."""
    return next(((size, unit) for size, unit in _LENGTHS if seconds >= 2 * size), (1, "s"))


def _mean_delay(hours: Sequence[Hour]) -> float | None:
    registrations = sum(hour.registrations for hour in hours)
    return sum(hour.waited for hour in hours) / registrations if registrations else None


def _words_of(window: str) -> str:
    """`window` is as poller.goto has it."""
    kind, _, name = window.partition(" ")
    words = {
        "second": "in any second",
        "day": "in any 24 hours",
        "operation": "in any second",
        "connection": "in any minute",
    }
    return f"{name} {words[kind]}".strip()


def _by_due(row: TargetRow) -> tuple[bool, float, str]:
    """What is polled first, those under way before all."""
    return (not row.polled, row.due or 0.0, str(row.target.scope))


def _part(rows: Sequence[Any], page: int) -> tuple[Sequence[Any], int]:
    """One page of a table, and how many there are."""
    pages = max(1, -(-len(rows) // ROWS))
    return rows[(page - 1) * ROWS : page * ROWS], pages
