"""From one schema to the next: the old one or the new one, never something between, and a copy of the old one."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from state import failpoints
from state.records import Scope
from state.sqlite import SqliteStore, migrate
from tests.integration.state_child import numbered, numbers

NEXT = """
-- a later schema; with a semicolon in this comment
ALTER TABLE polls ADD COLUMN mood TEXT NOT NULL DEFAULT 'fair; calm';
CREATE TRIGGER no_bad_mood BEFORE INSERT ON polls BEGIN
  SELECT 1;
  SELECT 2;
END;
"""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A state of today's schema."""
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    await store.commit_poll(numbered(0))
    await store.close()
    return path


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """This program knows one more schema from now on."""
    script = tmp_path / "9999_next.sql"
    script.write_text(NEXT)
    monkeypatch.setattr(migrate, "MIGRATIONS", [*migrate.MIGRATIONS, script])
    monkeypatch.setattr(migrate, "SCHEMA", migrate.SCHEMA + 1)
    return migrate.SCHEMA


def schema_of(path: Path) -> tuple[int, bool]:
    """The version, and whether the column of the later schema is there."""
    db = sqlite3.connect(path)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    columns = [row[1] for row in db.execute("PRAGMA table_info(polls)")]
    db.close()
    return version, "mood" in columns


async def test_an_older_state_is_brought_up_to_date_with_everything_in_it(path: Path, newer: int) -> None:
    store = await SqliteStore.open(path)
    assert await numbers(store) == [0]
    await store.commit_poll(numbered(1))
    await store.close()
    assert schema_of(path) == (newer, True)


async def test_a_copy_from_before_is_kept_for_its_owner_only(path: Path, newer: int) -> None:
    await (await SqliteStore.open(path)).close()
    kept = path.with_name(f"state.db.schema{newer - 1}.bak")
    assert schema_of(kept) == (newer - 1, False)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_a_migration_that_fails_leaves_the_old_schema_and_can_be_repeated(path: Path, newer: int) -> None:
    failpoints.arm("migrate.inside=raise@1")
    with pytest.raises(OSError, match=r"migrate\.inside"):
        await SqliteStore.open(path)
    assert schema_of(path) == (newer - 1, False)
    await (await SqliteStore.open(path)).close()
    assert schema_of(path) == (newer, True)


async def test_a_first_state_reads_every_list_once_more_for_what_its_records_bring_along_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lists = tmp_path / "state.db", [Scope("webinar"), Scope("registrant", "7")]
    with monkeypatch.context() as first:
        first.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:1])
        first.setattr(migrate, "SCHEMA", 1)
        await (await SqliteStore.open(path)).close()
    db = sqlite3.connect(path)
    for number, scope in enumerate(lists):
        db.execute("INSERT INTO scopes VALUES (?, ?, ?, 'open')", (number, scope.kind, scope.parent))
        db.execute(
            "INSERT INTO targets (connection, scope, polled_at, digest) VALUES ('acme', ?, 5.0, x'01')", (number,)
        )
    db.commit()
    db.close()
    store = await SqliteStore.open(path)
    found = {target.scope: target for target in await store.targets()}
    await store.close()
    assert [(found[scope].digest, found[scope].polled_at, found[scope].ends) for scope in lists] == [
        (b"", 5.0, None),
        (b"\x01", 5.0, None),
    ]


async def test_a_state_that_is_up_to_date_is_not_copied(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    assert list(path.parent.glob("*.bak")) == []
