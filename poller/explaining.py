"""Everything known about one webinar, registrant, meeting or event. What happened to it? ends here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from poller.errors import Malformed
from poller.overview import SinkView, sink_views, unwritten
from poller.ports import Clock
from poller.roster import Roster, plural
from poller.rotation import Rotation
from poller.settings import Settings
from poller.shown import POLL_COLUMNS, Shown, poll_cells
from poller.sources.shapes import decode, normalise
from state.events import sequence_text, short_type
from state.records import Presence, RecordRow, Scope, Target
from state.store import DeliveryView, Explanation, PollRow, Store, StoredEvent

# Recent polls shown of each list the thing belongs to.
POLLS = 5


async def account(settings: Settings, store: Store, clock: Clock, key: str, shown: Shown) -> Account:
    """`key`: of a webinar, registrant or meeting, a subject, an event's id or its sequence."""
    found = await _explanation(store, key.strip().strip("/"))
    roster = Roster(await store.connections(), await store.targets())
    pauses = await store.pauses()
    paused = {(pause.kind, pause.name): pause for pause in pauses}
    sinks = sink_views(settings, await store.sink_states(), {}, paused, await unwritten(store))
    rotation = Rotation(settings, store, roster, pauses, clock)
    return Account(found, rotation, {sink.name: sink for sink in sinks}, shown)


async def _explanation(store: Store, key: str) -> Explanation:
    """Of an event or a subject also what is known of the thing it is about, which the state keeps by its key."""
    if not key:
        return Explanation()
    found = await store.explain(key)
    if not (found.records or found.events or found.targets) and key.isdecimal():
        found = await store.explain(sequence_text(int(key)))
    if found.records or found.targets:
        return found
    subject = found.events[0].subject if found.events else key
    thing = await store.explain(_record_key(subject))
    return replace(found, records=thing.records, targets=thing.targets, polls=thing.polls)


def _record_key(subject: str) -> str:
    """By which the state keeps the thing. In a meeting a session, and an attendee of one, have no key of their own;
    nor has what begins."""
    parts = subject.split("/")
    if parts[0] == "meetings" and len(parts) > 3:
        return "/".join([parts[1], parts[3]] if len(parts) == 4 else [parts[3], parts[-1]])
    if parts[2:3] == ["starts"]:
        return "/".join([parts[1], *parts[3:]])
    return parts[-1]


def _owner(scope: Scope) -> str:
    """What a list belongs to, in words."""
    first, _, session = scope.parent.partition("/")
    kind = "meeting" if scope.kind.startswith("meeting") else "webinar"
    return f"{kind} {first}" + (f", session {session}" if session else "")


@dataclass(frozen=True, slots=True)
class Account:
    """An explanation, told in words or as JSON."""

    found: Explanation
    rotation: Rotation
    sinks: Mapping[str, SinkView]
    shown: Shown

    @property
    def is_empty(self) -> bool:
        return not (self.found.records or self.found.targets or self.found.events or self.found.polls)

    def lines(self) -> Iterator[str]:
        for scope, row in self.found.records:
            yield from self._record(scope, row)
        for target in self.found.targets:
            yield from self._target(target)
        if self.found.events:
            yield "events"
        elif self.found.records:
            yield "events: none are kept (nothing was told, or it is longer ago than the retention)"
        for event in self.found.events:
            yield from self._event(event)
        yield from self._polls()

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, scope: Scope, row: RecordRow) -> Iterator[str]:
        kind = scope.kind.replace("_", " ")
        yield f"{kind} {row.key}" + (f" of {_owner(scope)}" if scope.parent else "")
        yield f"  {presence(row)}"
        yield f"  {telling(row)}; revision {row.revision}" + (
            f", in this life since {row.born}" if row.born > 1 else ""
        )
        if row.body is None and row.presence:
            yield "  its data was erased: by `poller forget`, or long after the webinar's end"
        for name, value in data_of(row).items():
            yield f"  {name}: {_written(value)}"

    def _target(self, target: Target) -> Iterator[str]:
        records = plural(target.scope.kind)
        yield f'{_owner(target.scope)} "{target.title}", organizer {target.organizer_key}'
        if target.ends_at is not None:
            yield f"  ends {self.shown.time(target.ends_at)}"
        yield f"  {records} last polled through {target.connection}: {self.shown.time(target.polled_at, 'never')}"
        why_not, pace = self.rotation.why_not(target), self.rotation.interval(target)
        when = "now and then after an end" if pace is None else f"every {self.shown.length(pace)}"
        yield f"  not polled now: {why_not}" if why_not else f"  polled {when}; {target.size} {records}"

    def _polls(self) -> Iterator[str]:
        if self.found.polls:
            yield "recent polls"
        for row in self._recent():
            counts = f"{row.records} records, +{row.added} ~{row.changed} -{row.removed}"
            note = f": {row.note}" if row.note else ""
            yield f"  {self.shown.time(row.started_at)}  {row.connection}  {row.scope}  {row.outcome}, {counts}{note}"

    def _recent(self) -> list[PollRow]:
        """Oldest first, the newest few of each list."""
        by_scope: dict[Scope, list[PollRow]] = {}
        for row in self.found.polls:
            by_scope.setdefault(row.scope, []).append(row)
        newest = [row for rows in by_scope.values() for row in rows[:POLLS]]
        return sorted(newest, key=lambda row: row.started_at)

    # ── what was told, and to whom ───────────────────────────────────────────────────────────────────────────────────

    def _event(self, event: StoredEvent) -> Iterator[str]:
        told = _decoded(event.body)
        history = ", history (backfill)" if told.get("backfill") else ""
        yield f"  #{event.sequence} {short_type(event.type)}, seen {self.shown.iso(told['observedtime'])}{history}"
        yield f"    id {event.id}, happened {self.shown.iso(told['time'])}, {event.subject}"
        for name, before in (told["data"].get("previous") or {}).items():
            yield f"    {name}: {_written(before)} → {_written(told['data'].get(name))}"
        owed = self._deliveries(event)
        if not owed:
            yield "    no trigger sent it anywhere"
        for view in owed:
            yield f"    → {view.sink}: {self._delivery(view)}"
            for attempt in self._failed(view):
                yield f"        failed {self.shown.time(attempt['at'])}: {attempt['error']}"

    def _deliveries(self, event: StoredEvent) -> list[DeliveryView]:
        return [view for view in self.found.deliveries if view.sequence == event.sequence]

    def _failed(self, view: DeliveryView) -> list[Mapping[str, Any]]:
        return [
            attempt
            for attempt in self.found.attempts
            if attempt["sequence"] == view.sequence and attempt["sink"] == view.sink
        ]

    def _delivery(self, view: DeliveryView) -> str:
        at, attempts = self.shown.time(view.updated_at), _attempts(view.attempts)
        match view.state:
            case "delivered":
                return f"delivered {at}, {attempts}"
            case "dead":
                return f"dead letter since {at}, {attempts}: {view.error}; `poller dead retry` sends it again"
            case "held":
                return f"held back by trigger {view.held_by}; `poller triggers resume {view.held_by}` lets it go"
            case _:
                return f"pending, {attempts}; {self._what_it_waits_for(view)}"

    def _what_it_waits_for(self, view: DeliveryView) -> str:
        sink = self.sinks.get(view.sink)
        if sink is not None and sink.status == "failing":
            return f"the sink is failing, next attempt not before {self.shown.time(sink.state.retry_at)}"
        if sink is not None and sink.status != "ok":
            return f"the sink is {sink.status}: {sink.reason}"
        return f"next attempt {self.shown.time(view.due_at)}" if view.due_at else "it is due"

    # ── the same for programs ────────────────────────────────────────────────────────────────────────────────────────

    def as_dict(self) -> dict[str, Any]:
        return {
            "records": [self._record_dict(scope, row) for scope, row in self.found.records],
            "targets": [self._target_dict(target) for target in self.found.targets],
            "events": [
                {"event": _decoded(event.body), "deliveries": [self._delivery_dict(v) for v in self._deliveries(event)]}
                for event in self.found.events
            ],
            "polls": [self._poll_dict(row) for row in self._recent()],
        }

    def _record_dict(self, scope: Scope, row: RecordRow) -> dict[str, Any]:
        return {
            "kind": scope.kind,
            "key": row.key,
            "webinar": None if scope.kind.startswith("meeting") else scope.parent.partition("/")[0] or None,
            "meeting": (scope.parent or None) if scope.kind.startswith("meeting") else None,
            "presence": Presence(row.presence).name.lower(),
            "announced": row.announced,
            "revision": row.revision,
            "born": row.born,
            "data": data_of(row) or None,
            "explanation": f"{presence(row)}; {telling(row)}",
        }

    def _target_dict(self, target: Target) -> dict[str, Any]:
        why_not = self.rotation.why_not(target)
        return {
            "connection": target.connection,
            "kind": target.scope.kind,
            "webinar": target.scope.parent,
            "title": target.title,
            "organizer": target.organizer_key,
            "ends": self.shown.time(target.ends_at),
            "last_poll": self.shown.time(target.polled_at),
            "registrants": target.size if target.scope.kind == "registrant" else None,
            "records": target.size,
            "polled": not why_not,
            "why_not": why_not or None,
        }

    def _delivery_dict(self, view: DeliveryView) -> dict[str, Any]:
        return {
            "sink": view.sink,
            "state": view.state,
            "attempts": view.attempts,
            "next_try": self.shown.time(view.due_at or None) if view.state == "pending" else None,
            "updated": self.shown.time(view.updated_at),
            "held_by": view.held_by or None,
            "reason": view.error or None,
            "explanation": self._delivery(view),
            "failed": [{"at": self.shown.time(found["at"]), "reason": found["error"]} for found in self._failed(view)],
        }

    def _poll_dict(self, row: PollRow) -> dict[str, Any]:
        return dict(zip(POLL_COLUMNS, poll_cells(row, self.shown), strict=True))


def presence(row: RecordRow) -> str:
    return {
        Presence.PRESENT: "present: the last complete list had it",
        Presence.MISSING: "missing from the last complete list, to be confirmed by its own look-up",
        Presence.GONE: "confirmed gone: its own look-up said 404; should it come back, that is told as new",
    }[Presence(row.presence)]


def telling(row: RecordRow) -> str:
    return "told as new when it was found" if row.announced else "silently taken as baseline: it was there before us"


def data_of(row: RecordRow) -> dict[str, Any]:
    """What is kept of the object, in the normal form of events."""
    if row.body is None:
        return {}
    try:
        return decode(row.body, normalise)
    except Malformed as error:
        return {"unreadable": str(error)}


def _attempts(made: int) -> str:
    return "no attempt yet" if not made else "1 attempt" if made == 1 else f"{made} attempts"


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _decoded(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body)
    return found
