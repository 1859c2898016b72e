"""Small tables: tokens (sealed elsewhere), pauses, and what the file says about itself."""

from __future__ import annotations

import sqlite3

from state.store import Pause


def load_token(db: sqlite3.Connection, connection: str) -> bytes | None:
    row = db.execute("SELECT sealed FROM tokens WHERE connection = ?", (connection,)).fetchone()
    return None if row is None else bytes(row[0])


def save_token(db: sqlite3.Connection, connection: str, sealed: bytes, now: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO tokens (connection, sealed, saved_at) VALUES (?, ?, ?)",
        (connection, sealed, now),
    )


def drop_token(db: sqlite3.Connection, connection: str) -> None:
    db.execute("DELETE FROM tokens WHERE connection = ?", (connection,))


def pauses(db: sqlite3.Connection) -> list[Pause]:
    return [Pause(*row) for row in db.execute("SELECT kind, name, since, reason FROM pauses ORDER BY kind, name")]


def pause(db: sqlite3.Connection, item: Pause) -> None:
    """A second pause of the same thing keeps the first one's date: the gap began there."""
    db.execute(
        "INSERT OR IGNORE INTO pauses (kind, name, since, reason) VALUES (?, ?, ?, ?)",
        (item.kind, item.name, item.since, item.reason),
    )


def resume(db: sqlite3.Connection, kind: str, name: str) -> bool:
    return db.execute("DELETE FROM pauses WHERE kind = ? AND name = ?", (kind, name)).rowcount > 0


def get_meta(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
