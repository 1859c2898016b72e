"""Erasing a person: registrants are people, and some ask to be forgotten."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from state.sqlite import outbox


def forget(db: sqlite3.Connection, person: bytes, email: str, now: float) -> dict[str, int]:
    """Erase whoever has this e-mail address from records, events and deliveries; the keys stay, without a body.

    `person` is a keyed hash of the address: with it later polls know not to bring the person back.
    """
    db.execute("INSERT OR REPLACE INTO forgotten (person, at) VALUES (?, ?)", (person, now))
    records = _erase_records(db, email)
    sequences = _events_about(db, email)
    deliveries = outbox.drop_events(db, sequences)
    return {"records": records, "events": len(sequences), "deliveries": deliveries}


def _erase_records(db: sqlite3.Connection, email: str) -> int:
    suspects = db.execute(
        "SELECT scope, key, body FROM records WHERE body IS NOT NULL AND instr(lower(CAST(body AS TEXT)), ?)",
        (_needle(email),),
    )
    keys = [(scope, key) for scope, key, body in suspects if _mentions(body, email)]
    db.executemany("UPDATE records SET body = NULL WHERE scope = ? AND key = ?", keys)
    return len(keys)


def _events_about(db: sqlite3.Connection, email: str) -> list[int]:
    suspects = db.execute(
        "SELECT sequence, body FROM events WHERE instr(lower(CAST(body AS TEXT)), ?)", (_needle(email),)
    )
    return [sequence for sequence, body in suspects if _mentions(body, email)]


def _needle(email: str) -> str:
    """What every JSON spelling of the address has in it: its longest plain run of letters, else nothing at all."""
    runs = "".join(char if char.isascii() and char.isalnum() else " " for char in email.lower()).split()
    return max(runs, key=len, default="")


def _mentions(body: bytes, email: str) -> bool:
    try:
        return _holds(json.loads(body), email.strip().casefold())
    except ValueError:
        return False


def _holds(value: Any, email: str) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() == email
    if isinstance(value, dict):
        return any(_holds(item, email) for item in value.values())
    if isinstance(value, list):
        return any(_holds(item, email) for item in value)
    return False


def forgotten(db: sqlite3.Connection) -> frozenset[bytes]:
    return frozenset(person for (person,) in db.execute("SELECT person FROM forgotten"))
