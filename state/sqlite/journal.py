"""What happened: one row a poll, and everything that is known about one key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from state.records import RecordRow, Scope
from state.sqlite import outbox, snapshots
from state.store import Explanation, PollRow, StoredEvent

# Rows kept at most, however long the retention: at ten polls a second a day has 864,000.
LONGEST = 200_000

_COLUMNS = (
    "connection, kind, parent, started_at, seconds, outcome, calls, records, set_aside, added, changed, removed, note"
)


def write(db: sqlite3.Connection, rows: Iterable[PollRow]) -> None:
    values = [(row.connection, row.scope.kind, row.scope.parent, *row[2:]) for row in rows]
    db.executemany(f"INSERT INTO polls ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def polls(db: sqlite3.Connection, limit: int, connection: str | None, key: str | None) -> list[PollRow]:
    """The newest first; those of a key include those of the sessions below it."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM polls WHERE (?1 IS NULL OR connection = ?1)"
        " AND (?2 IS NULL OR parent = ?2 OR substr(parent, 1, length(?2) + 1) = ?2 || '/')"
        " ORDER BY id DESC LIMIT ?3",
        (connection, key, limit),
    )
    return [PollRow(row[0], Scope(row[1], row[2]), *row[3:]) for row in rows]


def prune(db: sqlite3.Connection, before: float) -> int:
    return db.execute(
        "DELETE FROM polls WHERE started_at < ? OR id <= (SELECT max(id) FROM polls) - ?", (before, LONGEST)
    ).rowcount


def explain(db: sqlite3.Connection, key: str) -> Explanation:
    """`key` is the key of a record, an event's id or sequence, or a subject."""
    records = _records(db, key)
    events = _events(db, key)
    sequences = [event.sequence for event in events]
    attempts = db.execute(
        "SELECT s.name, a.sequence, a.at, a.error FROM attempts a JOIN sinks s ON s.id = a.sink"
        " WHERE a.sequence IN (SELECT value FROM json_each(?)) ORDER BY a.id",
        (json.dumps(sequences),),
    )
    parents = {key, *(scope.parent for scope, _ in records if scope.parent)}
    return Explanation(
        records=records,
        targets=[target for target in snapshots.targets(db, None) if parents & _owners(target.scope)],
        events=events,
        deliveries=outbox.deliveries_of(db, sequences),
        attempts=[dict(zip(("sink", "sequence", "at", "error"), row, strict=True)) for row in attempts],
        polls=list(dict.fromkeys(row for parent in sorted(parents) for row in polls(db, 10, None, parent))),
    )


def _owners(scope: Scope) -> set[str]:
    """The keys below which a list lies: `W` and `W/S` for the participants of a session."""
    return {scope.parent, scope.parent.partition("/")[0]} - {""}


def _records(db: sqlite3.Connection, key: str) -> list[tuple[Scope, RecordRow]]:
    # One look-up per scope: the records are clustered by scope, and there is no index by key alone.
    scopes = db.execute(
        "SELECT kind, parent FROM scopes JOIN records ON records.scope = scopes.id AND records.key = ?",
        (key,),
    ).fetchall()
    found = []
    for kind, parent in scopes:
        scope = Scope(kind, parent)
        found.append((scope, snapshots.rows(db, scope, [key])[key]))
    return found


def _events(db: sqlite3.Connection, key: str) -> list[StoredEvent]:
    rows = db.execute(
        "SELECT sequence, id, type, subject, connection, body FROM events WHERE id = ?1 OR subject = ?1"
        " OR substr(subject, -1 - length(?1)) = '/' || ?1"
        " OR sequence = CAST(?1 AS INTEGER) AND ?1 GLOB '[0-9]*' AND length(?1) = 20"
        " ORDER BY sequence LIMIT 500",
        (key,),
    )
    return [StoredEvent(*row) for row in rows]
