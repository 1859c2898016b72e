"""From a path to an open, checked, current state file, and what the lock file beside it tells about its past."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from state.errors import StateDamaged
from state.sqlite import switches
from state.sqlite.connection import MEMORY
from state.sqlite.extent import begin_epoch
from state.sqlite.lock import Lock
from state.sqlite.migrate import check_version, migrate

# Above this size (bytes) a file that was closed properly is not read through at start.
CHECK_ALWAYS = 256 * 10**6


@dataclass(frozen=True, slots=True)
class Marker:
    """What the lock file remembers of the last owner: which life of which state, and how often it was opened or closed.

    A file that was opened and closed less often than its lock remembers is an older copy put back.
    """

    epoch: str = ""
    turns: int = 0


def read_marker(lock: Lock) -> Marker:
    try:
        found = json.loads(lock.read().partition("\n")[0])
        return Marker(str(found["epoch"]), int(found["turns"]))
    except (ValueError, KeyError, TypeError):
        return Marker()


def write_marker(lock: Lock, marker: Marker) -> None:
    lock.write(json.dumps({"epoch": marker.epoch, "turns": marker.turns}))


def refuse_vanished(path: Path, marker: Marker) -> None:
    """A new, empty state where there was one before would silently take everything for old: say so instead."""
    if marker.epoch and (not path.exists() or path.stat().st_size == 0):
        raise StateDamaged(
            f"{path}: the state file is gone or empty, but it was in use before; restore a backup,"
            f" or delete {path.name}.lock too, to begin anew with a silent baseline"
        )


def set_up(db: sqlite3.Connection, path: str, marker: Marker) -> Marker:
    """Migrate, check, and count this opening. Returns the marker to leave behind."""
    check_version(db, path)  # before the first change: the file may be somebody else's
    db.execute("PRAGMA journal_mode = WAL")
    migrate(db, path)
    _check(db, path)
    found = _marker_of(db)
    is_copy = switches.get_meta(db, "backup") is not None or (
        found.epoch == marker.epoch and found.turns < marker.turns
    )
    epoch = secrets.token_hex(4) if is_copy or not found.epoch else found.epoch
    left = Marker(epoch, found.turns + 1)
    db.execute("BEGIN IMMEDIATE")
    if epoch != found.epoch:
        begin_epoch(db, epoch)
    _leave(db, left, clean=False)
    db.execute("DELETE FROM meta WHERE key = 'backup'")
    db.execute("COMMIT")
    return left


def seal(db: sqlite3.Connection) -> Marker:
    """The last words of an owner that closes properly; the same marker belongs into the lock file."""
    found = _marker_of(db)
    left = Marker(found.epoch, found.turns + 1)
    _leave(db, left, clean=True)
    return left


def _marker_of(db: sqlite3.Connection) -> Marker:
    return Marker(switches.get_meta(db, "epoch") or "", int(switches.get_meta(db, "turns") or 0))


def _leave(db: sqlite3.Connection, marker: Marker, *, clean: bool) -> None:
    switches.set_meta(db, "epoch", marker.epoch)
    switches.set_meta(db, "turns", str(marker.turns))
    switches.set_meta(db, "clean", "1" if clean else "0")


def _check(db: sqlite3.Connection, path: str) -> None:
    clean = switches.get_meta(db, "clean") == "1"
    if path == MEMORY or (clean and Path(path).stat().st_size > CHECK_ALWAYS):
        return
    answer = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if answer != "ok":
        raise StateDamaged(f"{path}: the state file is damaged ({answer}); restore a backup")


def verify(db: sqlite3.Connection) -> list[str]:
    """Everything that is wrong with the file, in words; an empty list means that nothing is."""
    problems = [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    problems += [f"{row[0]}: row without its {row[2]}" for row in db.execute("PRAGMA foreign_key_check")]
    orphans = db.execute(
        "SELECT count(*) FROM deliveries d WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.sequence = d.sequence)"
    ).fetchone()[0]
    if orphans:
        problems.append(f"{orphans} deliveries without their event")
    return problems
