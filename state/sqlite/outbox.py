"""What we owe: events, deliveries, sinks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime

from state.delivery import Delivery, DeliveryState, Settlement, SinkState
from state.errors import NothingThere
from state.events import Draft, envelope
from state.sqlite.connection import blob
from state.sqlite.switches import get_meta, set_meta
from state.store import Backlog, Committed, DeliveryView, Route, Select, StoredEvent

_VIEW = (
    "SELECT s.name, d.sequence, e.id, e.type, e.subject, d.state, d.attempts, d.due_at, d.updated_at, d.error,"
    " d.held_by"
    " FROM deliveries d JOIN sinks s ON s.id = d.sink JOIN events e ON e.sequence = d.sequence"
)


# ── events ──────────────────────────────────────────────────────────────────────────────────────────


def write_events(db: sqlite3.Connection, drafts: Sequence[tuple[Draft, Sequence[Route]]], now: float) -> Committed:
    """Store the events nobody told before, and one delivery per event and sink; existing ones stay."""
    if not drafts:
        return Committed()
    ids = [draft.id for draft, _ in drafts]
    sequences: dict[str, int] = dict(
        db.execute("SELECT id, sequence FROM events WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    )
    first = last_sequence(db) + 1
    following = first
    events: list[tuple[object, ...]] = []
    owed: list[tuple[int, str, Route]] = []
    for id_, (draft, routes) in zip(ids, drafts, strict=True):
        sequence = sequences.get(id_)
        if sequence is None:
            sequence = sequences[id_] = following
            following += 1
            events.append(_event_row(id_, draft, sequence))
        owed.extend((sequence, draft.partition, route) for route in routes)
    db.executemany(
        "INSERT INTO events (sequence, id, type, subject, partition_key, connection, observed_at, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        events,
    )
    sinks = _owe(db, owed, now)
    return Committed(first if events else 0, len(events), sinks)


def _event_row(id_: str, draft: Draft, sequence: int) -> tuple[object, ...]:
    observed = datetime.fromisoformat(draft.observed).timestamp()
    body = blob(envelope(draft, sequence))
    return sequence, id_, draft.type, draft.subject, draft.partition, draft.connection, observed, body


def last_sequence(db: sqlite3.Connection) -> int:
    """Outlives pruning, so that a sequence is never given twice."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def _owe(db: sqlite3.Connection, owed: Sequence[tuple[int, str, Route]], now: float) -> frozenset[str]:
    numbers = {name: sink_number(db, name) for name in {route.sink for _, _, route in owed}}
    db.executemany(
        "INSERT OR IGNORE INTO deliveries (sink, sequence, partition_key, state, created_at, updated_at, held_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (numbers[route.sink], sequence, partition, _first_state(route), now, now, route.held_by)
            for sequence, partition, route in owed
        ],
    )
    return frozenset(numbers)


def _first_state(route: Route) -> int:
    return int(DeliveryState.HELD if route.held_by else DeliveryState.PENDING)


def adopt(
    db: sqlite3.Connection, partition: str, routes: Sequence[tuple[int, Sequence[Route]]], now: float
) -> Committed:
    owed = [(sequence, partition, route) for sequence, found in routes for route in found]
    return Committed(sinks=_owe(db, owed, now))


def events(db: sqlite3.Connection, select: Select) -> list[StoredEvent]:
    rows = db.execute(
        "SELECT sequence, id, type, subject, connection, body FROM events WHERE sequence > :after"
        " AND (:types = '[]' OR type IN (SELECT value FROM json_each(:types)))"
        " AND (:ids = '[]' OR id IN (SELECT value FROM json_each(:ids)))"
        " AND (:since IS NULL OR observed_at >= :since) AND (:until IS NULL OR observed_at < :until)"
        " AND (:partition IS NULL OR partition_key = :partition)"
        " AND (:sink IS NULL OR sequence IN (SELECT d.sequence FROM deliveries d JOIN sinks s ON s.id = d.sink"
        "      WHERE s.name = :sink))"
        " ORDER BY sequence LIMIT :limit",
        _named(select),
    )
    return [StoredEvent(*row) for row in rows]


def event(db: sqlite3.Connection, id_: str) -> StoredEvent | None:
    row = db.execute("SELECT sequence, id, type, subject, connection, body FROM events WHERE id = ?", (id_,)).fetchone()
    return None if row is None else StoredEvent(*row)


def latest(db: sqlite3.Connection, before: int | None, limit: int, type_: str | None) -> list[StoredEvent]:
    rows = db.execute(
        "SELECT sequence, id, type, subject, connection, body FROM events"
        " WHERE (?1 IS NULL OR sequence < ?1) AND (?3 IS NULL OR type = ?3) ORDER BY sequence DESC LIMIT ?2",
        (before, limit, type_),
    )
    return [StoredEvent(*row) for row in rows]


def _named(select: Select) -> dict[str, object]:
    return {
        "sink": select.sink,
        "types": json.dumps(list(select.types)),
        "ids": json.dumps(list(select.ids)),
        "partition": select.partition,
        "since": select.since,
        "until": select.until,
        "after": select.after,
        "limit": select.limit,
    }


# ── deliveries ──────────────────────────────────────────────────────────────────────────────────────────


def lease(
    db: sqlite3.Connection,
    sink: str,
    limit: int,
    now: float,
    ordered: bool,
    skip: Collection[str],
    busy: Collection[int],
) -> list[Delivery]:
    number = _find_sink(db, sink)
    if number is None:
        return []
    order = ""
    if ordered:
        # Only the first pending delivery of a partition ever waits, so a waiting row names a waiting partition.
        order = (
            " AND d.partition_key NOT IN (SELECT value FROM json_each(:skip))"
            " AND d.partition_key NOT IN (SELECT w.partition_key FROM deliveries w"
            "     WHERE w.sink = :sink AND w.state = 0 AND w.due_at > 0 AND w.due_at > :now)"
        )
    rows = db.execute(
        "SELECT d.sequence, e.id, e.type, e.subject, d.partition_key, e.body, d.attempts, d.created_at"
        " FROM deliveries d INDEXED BY deliveries_pending JOIN events e ON e.sequence = d.sequence"
        " WHERE d.sink = :sink AND d.state = 0 AND d.due_at <= :now"
        f" AND d.sequence NOT IN (SELECT value FROM json_each(:busy)){order}"
        " ORDER BY d.sequence LIMIT :limit",
        {
            "sink": number,
            "now": now,
            "skip": json.dumps(list(skip)),
            "busy": json.dumps(list(busy)),
            "limit": limit,
        },
    )
    return [Delivery(sink, *row) for row in rows]


def settle(db: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    """What was dropped or erased while it was in flight stays away, with everything said about it."""
    numbers = {name: _find_sink(db, name) for name in {item.sink for item in settlements}}
    db.executemany(
        "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, updated_at = ?, error = ?"
        " WHERE sink = ? AND sequence = ?",
        [
            (
                int(item.state),
                item.attempts,
                item.due_at,
                item.at,
                item.error,
                numbers[item.sink],
                item.sequence,
            )
            for item in settlements
        ],
    )
    db.executemany(
        "INSERT INTO attempts (sink, sequence, at, error) SELECT ?1, ?2, ?3, ?4"
        " WHERE EXISTS (SELECT 1 FROM deliveries WHERE sink = ?1 AND sequence = ?2)",
        [(numbers[item.sink], item.sequence, item.at, item.error) for item in settlements if item.error],
    )


def waiting(db: sqlite3.Connection, sink: str, now: float) -> dict[str, float]:
    rows = db.execute(
        "SELECT partition_key, max(due_at) FROM deliveries WHERE sink = ? AND state = 0 AND due_at > 0 AND due_at > ?"
        " GROUP BY partition_key",
        (_find_sink(db, sink), now),
    )
    return dict(rows)


def release_waiting(db: sqlite3.Connection, sink: str, now: float) -> None:
    db.execute(
        "UPDATE deliveries SET due_at = ? WHERE sink = ? AND state = 0 AND due_at > 0 AND due_at > ?",
        (now, _find_sink(db, sink), now),
    )


def next_due(db: sqlite3.Connection, sink: str) -> float | None:
    number = _find_sink(db, sink)
    at_once = db.execute(
        "SELECT 1 FROM deliveries INDEXED BY deliveries_pending WHERE sink = ? AND state = 0 AND due_at = 0 LIMIT 1",
        (number,),
    ).fetchone()
    if at_once:
        return 0.0
    row = db.execute(
        "SELECT min(due_at) FROM deliveries WHERE sink = ? AND state = 0 AND due_at > 0", (number,)
    ).fetchone()
    return None if row[0] is None else float(row[0])


def deliveries(db: sqlite3.Connection, select: Select, states: Collection[str]) -> list[DeliveryView]:
    rows = db.execute(
        f"{_VIEW} WHERE {_CHOSEN} ORDER BY d.sequence, s.name LIMIT :limit",
        {**_named(select), "states": _state_numbers(states)},
    )
    return [_view(row) for row in rows]


# The condition shared by what lists deliveries and what changes a selection of them.
_CHOSEN = (
    "d.state IN (SELECT value FROM json_each(:states)) AND d.sequence > :after"
    " AND (:sink IS NULL OR s.name = :sink)"
    " AND (:types = '[]' OR e.type IN (SELECT value FROM json_each(:types)))"
    " AND (:ids = '[]' OR e.id IN (SELECT value FROM json_each(:ids)))"
    " AND (:since IS NULL OR e.observed_at >= :since) AND (:until IS NULL OR e.observed_at < :until)"
)
_CHOSEN_ROWS = (
    "SELECT d.sink, d.sequence FROM deliveries d JOIN sinks s ON s.id = d.sink"
    f" JOIN events e ON e.sequence = d.sequence WHERE {_CHOSEN}"
)


def _state_numbers(states: Collection[str]) -> str:
    return json.dumps([int(DeliveryState[state.upper()]) for state in states])


def _view(row: tuple[object, ...]) -> DeliveryView:
    values = list(row)
    values[5] = DeliveryState(int(str(row[5]))).name.lower()
    return DeliveryView(*values)  # type: ignore[arg-type]  # columns come in the order of the fields


def deliveries_of(db: sqlite3.Connection, sequences: Collection[int]) -> list[DeliveryView]:
    rows = db.execute(
        f"{_VIEW} WHERE d.sequence IN (SELECT value FROM json_each(?)) ORDER BY d.sequence, s.name",
        (json.dumps(list(sequences)),),
    )
    return [_view(row) for row in rows]


def revive(db: sqlite3.Connection, select: Select, now: float) -> int:
    return db.execute(
        "UPDATE deliveries SET state = 0, attempts = 0, due_at = 0, error = '', created_at = :now, updated_at = :now"
        f" WHERE (sink, sequence) IN ({_CHOSEN_ROWS})",
        {**_named(select), "states": _state_numbers(["dead"]), "now": now},
    ).rowcount


def drop_dead(db: sqlite3.Connection, select: Select) -> int:
    return db.execute(
        f"DELETE FROM deliveries WHERE (sink, sequence) IN ({_CHOSEN_ROWS})",
        {**_named(select), "states": _state_numbers(["dead"])},
    ).rowcount


def owe_again(db: sqlite3.Connection, sink: str, sequences: Sequence[int], now: float) -> int:
    number = sink_number(db, sink)
    return db.execute(
        "INSERT INTO deliveries (sink, sequence, partition_key, state, created_at, updated_at)"
        " SELECT ?1, sequence, partition_key, 0, ?2, ?2 FROM events"
        " WHERE sequence IN (SELECT value FROM json_each(?3))"
        " ON CONFLICT (sink, sequence) DO UPDATE SET state = 0, attempts = 0, due_at = 0, error = '', held_by = '',"
        " created_at = excluded.created_at, updated_at = excluded.updated_at",
        (number, now, json.dumps(list(sequences))),
    ).rowcount


def release(db: sqlite3.Connection, trigger: str) -> int:
    return db.execute(
        "UPDATE deliveries SET state = 0, held_by = '' WHERE state >= 2 AND state = 3 AND held_by = ?",
        (trigger,),
    ).rowcount


# ── sinks ──────────────────────────────────────────────────────────────────────────────────────────


def sink_number(db: sqlite3.Connection, name: str) -> int:
    found = _find_sink(db, name)
    if found is not None:
        return found
    cursor = db.execute("INSERT INTO sinks (name) VALUES (?)", (name,))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _find_sink(db: sqlite3.Connection, name: str) -> int | None:
    row = db.execute("SELECT id FROM sinks WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def sink_states(db: sqlite3.Connection) -> list[SinkState]:
    rows = db.execute(
        "SELECT name, failures, retry_at, error, failed_at, delivered_at, disabled FROM sinks ORDER BY name"
    )
    return [SinkState(*row) for row in rows]


def save_sink(db: sqlite3.Connection, state: SinkState) -> None:
    db.execute(
        "UPDATE sinks SET failures = ?, retry_at = ?, error = ?, failed_at = ?, delivered_at = ?, disabled = ?"
        " WHERE id = ?",
        (
            state.failures,
            state.retry_at,
            state.error,
            state.failed_at,
            state.delivered_at,
            state.disabled,
            sink_number(db, state.name),
        ),
    )


def consumers(db: sqlite3.Connection) -> dict[str, list[str]]:
    rows = db.execute("SELECT name, consumes FROM sinks WHERE consumes IS NOT NULL ORDER BY name")
    return {name: json.loads(types) for name, types in rows}


def save_consumer(db: sqlite3.Connection, name: str, types: Sequence[str]) -> None:
    number = sink_number(db, name)
    db.execute("UPDATE sinks SET consumes = ? WHERE id = ?", (json.dumps(list(types)), number))


_BY_STATE = "SELECT s.name, d.state, count(*), min(d.created_at) FROM deliveries d JOIN sinks s ON s.id = d.sink"

# By the indexes of what is not delivered, which are small however much history is kept.
_UNDELIVERED = f"{_BY_STATE} WHERE d.state = 0 GROUP BY d.sink UNION ALL {_BY_STATE} WHERE d.state >= 2 GROUP BY 1, 2"


def backlog(db: sqlite3.Connection, with_delivered: bool) -> dict[str, Backlog]:
    found = {name: Backlog() for (name,) in db.execute("SELECT name FROM sinks")}
    counts: dict[str, dict[int, tuple[int, float]]] = {name: {} for name in found}
    for name, state, count, oldest in db.execute(
        f"{_BY_STATE} GROUP BY d.sink, d.state" if with_delivered else _UNDELIVERED
    ):
        counts[name][state] = (count, oldest)
    for name, of in counts.items():
        pending, oldest = of.get(DeliveryState.PENDING, (0, None))
        held, dead, delivered = (
            of.get(state, (0, 0.0))[0] for state in (DeliveryState.HELD, DeliveryState.DEAD, DeliveryState.DELIVERED)
        )
        found[name] = Backlog(pending, held, dead, delivered, oldest)
    return found


def move_sink(db: sqlite3.Connection, old: str, new: str, now: float) -> int:
    """Give what `old` still owes to `new`. Raises NothingThere for an unknown `old`."""
    source, into = _known_sink(db, old), sink_number(db, new)
    if source == into:
        return 0
    moved = db.execute(
        "INSERT OR IGNORE INTO deliveries (sink, sequence, partition_key, state, attempts, due_at, created_at,"
        " updated_at, held_by, error) SELECT ?1, sequence, partition_key, state, 0, 0, ?2, ?2, held_by, error"
        " FROM deliveries WHERE sink = ?3 AND state != 1",
        (into, now, source),
    ).rowcount
    db.execute("DELETE FROM deliveries WHERE sink = ? AND state != 1", (source,))
    return moved


def drop_sink(db: sqlite3.Connection, name: str) -> int:
    number = _known_sink(db, name)
    dropped = db.execute("DELETE FROM deliveries WHERE sink = ? AND state != 1", (number,)).rowcount
    db.execute("DELETE FROM deliveries WHERE sink = ?", (number,))
    db.execute("DELETE FROM attempts WHERE sink = ?", (number,))
    db.execute("DELETE FROM sinks WHERE id = ?", (number,))
    return dropped


def _known_sink(db: sqlite3.Connection, name: str) -> int:
    number = _find_sink(db, name)
    if number is None:
        raise NothingThere(f"no sink named {name!r} is known to this state; `poller sinks list` shows all")
    return number


# ── retention ──────────────────────────────────────────────────────────────────────────────────────────


def prune(db: sqlite3.Connection, before: float, limit: int) -> int:
    """Drop up to `limit` old events that nobody is owed any more, with their deliveries and attempts."""
    sequences = [
        row[0]
        for row in db.execute(
            "SELECT e.sequence FROM events e WHERE e.observed_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM deliveries d WHERE d.sequence = e.sequence AND d.state != 1)"
            " ORDER BY e.sequence LIMIT ?",
            (before, limit),
        )
    ]
    drop_events(db, sequences)
    if sequences:
        horizon = int(get_meta(db, "pruned") or 0)
        set_meta(db, "pruned", str(max(horizon, sequences[-1])))
    return len(sequences)


def drop_events(db: sqlite3.Connection, sequences: Sequence[int]) -> int:
    """Remove events with everything that hangs on them; returns how many deliveries went."""
    listed = (json.dumps(list(sequences)),)
    db.execute("DELETE FROM attempts WHERE sequence IN (SELECT value FROM json_each(?))", listed)
    gone = db.execute("DELETE FROM deliveries WHERE sequence IN (SELECT value FROM json_each(?))", listed).rowcount
    db.execute("DELETE FROM events WHERE sequence IN (SELECT value FROM json_each(?))", listed)
    return gone
