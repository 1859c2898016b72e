"""Webhook sinks made at run time."""

from __future__ import annotations

import sqlite3

from state.sqlite import outbox
from state.sqlite.connection import blob
from state.store import Subscription


def subscriptions(db: sqlite3.Connection) -> list[Subscription]:
    rows = db.execute(
        "SELECT b.id, s.name, b.sealed, b.created_at FROM subscriptions b JOIN sinks s ON s.id = b.sink"
        " ORDER BY b.created_at, b.rowid"
    )
    return [Subscription(*row) for row in rows]


def save(db: sqlite3.Connection, subscription: Subscription) -> None:
    db.execute(
        "INSERT INTO subscriptions (id, sink, sealed, created_at) VALUES (?, ?, ?, ?)",
        (
            subscription.id,
            outbox.sink_number(db, subscription.sink),
            blob(subscription.sealed),
            subscription.created_at,
        ),
    )


def drop(db: sqlite3.Connection, id_: str) -> bool:
    """With the last subscription of a sink, the sink goes and everything owed to it: nobody wants it any more."""
    row = db.execute(
        "SELECT s.id, s.name FROM subscriptions b JOIN sinks s ON s.id = b.sink WHERE b.id = ?", (id_,)
    ).fetchone()
    if row is None:
        return False
    number, name = row
    db.execute("DELETE FROM subscriptions WHERE id = ?", (id_,))
    if not db.execute("SELECT 1 FROM subscriptions WHERE sink = ? LIMIT 1", (number,)).fetchone():
        outbox.drop_sink(db, name)
    return True
