"""Numbered SQL files bring a state file to this program's schema, each in one transaction, with a copy kept before."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

from state.errors import StateDamaged, StateNewer
from state.failpoints import hit

MIGRATIONS = sorted(
    (entry for entry in files("state.sqlite").joinpath("migrations").iterdir() if entry.name.endswith(".sql")),
    key=lambda entry: entry.name,
)
SCHEMA = len(MIGRATIONS)

# In the header of every state file ("GoTo" in ASCII): version numbers alone are used by everybody.
APPLICATION_ID = 0x476F546F


def version(db: sqlite3.Connection) -> int:
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    return number


def check_version(db: sqlite3.Connection, path: str) -> int:
    """The schema's version. Raises StateNewer, and StateDamaged for a database that is not ours."""
    found = version(db)
    is_ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not is_ours and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StateDamaged(f"{path}: a database of something else; name another file in engine.state")
    if found > SCHEMA:
        raise StateNewer(
            f"{path}: written by a newer version of goto-poller (schema {found}, this one knows {SCHEMA});"
            " upgrade this program, or restore an older backup"
        )
    return found


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Run the missing migrations. A crash in between leaves the old schema or the new one, never something between."""
    found = check_version(db, path)
    if 0 < found < SCHEMA:
        _keep_copy(db, Path(f"{path}.schema{found}.bak"))
    for number, script in enumerate(MIGRATIONS[found:], start=found + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(script.read_text()):
                db.execute(statement)
            hit("migrate.inside")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _keep_copy(db: sqlite3.Connection, path: Path) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    copy = sqlite3.connect(path)
    try:
        db.backup(copy)
    finally:
        copy.close()


def _statements(script: str) -> list[str]:
    """`executescript` would commit before it begins; so the statements are run one by one."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
