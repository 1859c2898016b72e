"""What we know: connections, scopes, targets and records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from sys import intern
from typing import Any

from state.records import ConnectionState, Known, Phase, Presence, RecordRow, Scope, Target
from state.sqlite.connection import blob
from state.store import PollCommit

_ROW = "key, fingerprint, body, born, revision, presence, announced, previous"

# A first sync is mostly rows: many in one statement cost a third less than one statement each.
_TOGETHER = 50
_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''))"
_UPSERT = f"INSERT OR REPLACE INTO records (scope, {_ROW}) VALUES {_VALUES}"
_UPSERT_TOGETHER = ", ".join([_UPSERT, *[_VALUES] * (_TOGETHER - 1)])


def connections(db: sqlite3.Connection) -> list[ConnectionState]:
    rows = db.execute(
        "SELECT name, organizer_key, account_key, status, reason, baseline_at, walked_from, walked_at"
        " FROM connections ORDER BY name"
    )
    return [ConnectionState(*row) for row in rows]


def save_connection(db: sqlite3.Connection, state: ConnectionState) -> None:
    db.execute(
        "INSERT OR REPLACE INTO connections"
        " (name, organizer_key, account_key, status, reason, baseline_at, walked_from, walked_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            state.name,
            state.organizer_key,
            state.account_key,
            state.status,
            state.reason,
            state.baseline_at,
            state.walked_from,
            state.walked_at,
        ),
    )


def scope_id(db: sqlite3.Connection, scope: Scope, phase: Phase = Phase.OPEN) -> int:
    """The scope's row; made with `phase` if it is new, left as it is otherwise."""
    found = find_scope(db, scope)
    if found is not None:
        return found
    cursor = db.execute(
        "INSERT INTO scopes (kind, parent, phase) VALUES (?, ?, ?)", (scope.kind, scope.parent, phase.value)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def find_scope(db: sqlite3.Connection, scope: Scope) -> int | None:
    row = db.execute("SELECT id FROM scopes WHERE kind = ? AND parent = ?", (scope.kind, scope.parent)).fetchone()
    return None if row is None else int(row[0])


def targets(db: sqlite3.Connection, connection: str | None) -> list[Target]:
    rows = db.execute(
        "SELECT connection, kind, parent, organizer_key, title, phase, ends_at, polled_at, digest, size, news,"
        " exposure, ends, began_at, starts_at FROM targets JOIN scopes ON scopes.id = targets.scope"
        " WHERE ?1 IS NULL OR connection = ?1",
        (connection,),
    )
    # Said of very many targets, kept once.
    return [
        Target(
            intern(name),
            Scope(intern(kind), parent),
            intern(organizer),
            title,
            Phase(phase),
            *polls,
        )
        for name, kind, parent, organizer, title, phase, *polls in (_with_ends(row) for row in rows)
    ]


def _with_ends(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of `targets` with its column `ends` read."""
    *before, ends, began_at, starts_at = row
    return (*before, None if ends is None else tuple(json.loads(ends)), began_at, starts_at)


def known(db: sqlite3.Connection, scope: Scope, keys: Collection[str] | None) -> Known:
    number = find_scope(db, scope)
    if number is None:
        return Known()
    fingerprints: dict[str, bytes] = {}
    missing: set[str] = set()
    gone: dict[str, int] = {}
    for key, fingerprint, presence, revision in _select(db, "key, fingerprint, presence, revision", number, keys):
        if presence == Presence.GONE:
            gone[key] = revision
            continue
        fingerprints[key] = fingerprint
        if presence == Presence.MISSING:
            missing.add(key)
    return Known(fingerprints, frozenset(missing), gone)


def rows(db: sqlite3.Connection, scope: Scope, keys: Collection[str]) -> dict[str, RecordRow]:
    number = find_scope(db, scope)
    if number is None:
        return {}
    return {row[0]: _record(row) for row in _select(db, _ROW, number, keys)}


def unannounced(db: sqlite3.Connection, scope: Scope) -> list[RecordRow]:
    number = find_scope(db, scope)
    found = db.execute(
        f"SELECT {_ROW} FROM records WHERE scope = ? AND announced = 0 AND presence > 0 AND body IS NOT NULL",
        (number,),
    )
    return [_record(row) for row in found]


def _select(db: sqlite3.Connection, columns: str, number: int, keys: Collection[str] | None) -> sqlite3.Cursor:
    if keys is None:
        return db.execute(f"SELECT {columns} FROM records WHERE scope = ?", (number,))
    return db.execute(
        f"SELECT {columns} FROM records WHERE scope = ? AND key IN (SELECT value FROM json_each(?))",
        (number, json.dumps(list(keys))),
    )


def _record(row: Sequence[Any]) -> RecordRow:
    made = RecordRow(*row)  # columns come in the order of the fields
    return made._replace(presence=Presence(made.presence), announced=bool(made.announced))


def write_poll(db: sqlite3.Connection, commit: PollCommit) -> None:
    """The part of a poll's commit that says what we know now."""
    number = scope_id(db, commit.scope, commit.phase or Phase.OPEN)
    if commit.records:
        _upsert(db, number, commit.records)
    _mark(db, number, commit.missing, Presence.MISSING)
    _mark(db, number, commit.returned, Presence.PRESENT)
    for target in commit.targets:
        save_target(db, target)
    for connection, scope in commit.dropped:
        db.execute("DELETE FROM targets WHERE connection = ? AND scope = ?", (connection, find_scope(db, scope)))
    if commit.phase is not None:
        db.execute("UPDATE scopes SET phase = ? WHERE id = ?", (commit.phase.value, number))
    if commit.polled is not None:
        mark_polled(db, [commit.polled])
    if commit.connection is not None:
        save_connection(db, commit.connection)


def _upsert(db: sqlite3.Connection, number: int, records: Sequence[RecordRow]) -> None:
    whole = len(records) - len(records) % _TOGETHER
    rows = [_row(number, record) for record in records]
    for start in range(0, whole, _TOGETHER):
        db.execute(_UPSERT_TOGETHER, list(chain.from_iterable(rows[start : start + _TOGETHER])))
    db.executemany(_UPSERT, rows[whole:])


def _row(number: int, record: RecordRow) -> tuple[object, ...]:
    """The row as _VALUES takes it, in types that are bound as they are: see `connection.blob`."""
    key, fingerprint, body, born, revision, presence, announced, previous = record
    return (
        number,
        key,
        bytearray(fingerprint),
        blob(body),
        born,
        revision,
        int(presence),
        int(announced),
        "" if previous is None else bytearray(previous),
    )


def _mark(db: sqlite3.Connection, number: int, keys: Sequence[str], presence: Presence) -> None:
    if keys:
        db.executemany(
            "UPDATE records SET presence = ? WHERE scope = ? AND key = ? AND presence > 0",
            [(int(presence), number, key) for key in keys],
        )


def save_target(db: sqlite3.Connection, target: Target) -> None:
    """A new target, or a known one with another organizer, title or end; how far it was polled stays."""
    db.execute(
        "INSERT INTO targets (connection, scope, organizer_key, title, starts_at, ends_at, ends)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (connection, scope) DO UPDATE SET organizer_key = excluded.organizer_key,"
        " title = excluded.title, starts_at = excluded.starts_at, ends_at = excluded.ends_at, ends = excluded.ends",
        (
            target.connection,
            scope_id(db, target.scope, target.phase),
            target.organizer_key,
            target.title,
            target.starts_at,
            target.ends_at,
            None if target.ends is None else json.dumps(target.ends),
        ),
    )


def mark_polled(db: sqlite3.Connection, targets: Iterable[Target]) -> None:
    db.executemany(
        "UPDATE targets SET polled_at = ?, digest = ?, size = ?, news = ?, exposure = ?, began_at = ?"
        " WHERE connection = ? AND scope = (SELECT id FROM scopes WHERE kind = ? AND parent = ?)",
        [
            (
                target.polled_at,
                bytearray(target.digest),
                target.size,
                target.news,
                target.exposure,
                target.began_at,
                target.connection,
                target.scope.kind,
                target.scope.parent,
            )
            for target in targets
        ],
    )


def erase_old_bodies(db: sqlite3.Connection, before: float) -> int:
    """Once nobody reads a scope any more, or long after its end, only its keys are needed: a later look must not
    double them. Bodies hold personal data."""
    cursor = db.execute(
        "UPDATE records SET body = NULL WHERE body IS NOT NULL AND scope IN ("
        " SELECT scope FROM targets GROUP BY scope HAVING max(ends_at) < ? AND count(*) = count(ends_at)"
        " UNION ALL SELECT id FROM scopes WHERE parent != '' AND id NOT IN (SELECT scope FROM targets))",
        (before,),
    )
    return cursor.rowcount
