"""The write-ahead log stays short, and durable means durable."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from state.errors import StateUnavailable
from state.sqlite import SqliteStore, connection
from tests.integration.state_child import numbered, numbers

MB = 10**6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    yield store
    await store.close()


async def hurried(store: SqliteStore) -> None:
    """Wait for no disk: how long the log gets does not depend on it, and hundreds of commits take long."""
    assert store._connection is not None
    await store._connection.run(lambda db: db.execute("PRAGMA synchronous = OFF").fetchall())


def log_size(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


async def test_the_log_does_not_grow_with_what_is_written_while_others_read(store: SqliteStore, path: Path) -> None:
    await hurried(store)
    reader = await SqliteStore.read(path)
    largest = 0
    for n in range(0, 1200, 3):
        await asyncio.gather(
            *(store.commit_poll(numbered(m)) for m in range(n, n + 3)), store.backlog(), reader.sink_states()
        )
        largest = max(largest, log_size(path))
    assert path.stat().st_size > 4 * MB  # what was written went into the file
    assert largest < 12 * MB
    await store.checkpoint()
    assert log_size(path) == 0
    assert len(await numbers(reader)) == 1200
    await reader.close()


async def test_a_reader_that_looks_for_long_delays_neither_writing_nor_a_checkpoint(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_MS", 60_000)  # so long would it wait if it waited
    await store.commit_poll(numbered(0))
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    async with asyncio.timeout(50):
        await store.commit_poll(numbered(1))
        await store.checkpoint()
        await store.commit_poll(numbered(2))
    assert log_size(path) > 0
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    reader.close()
    await store.checkpoint()
    assert log_size(path) == 0
    assert await numbers(store) == [0, 1, 2]


async def test_what_is_read_together_is_of_one_moment(store: SqliteStore) -> None:
    """A sink is owed its first event between the two statements of one look."""
    loop = asyncio.get_running_loop()
    written = []

    def write_between(statement: str) -> None:
        if "deliveries" in statement and not written:
            written.append(statement)
            asyncio.run_coroutine_threadsafe(store.commit_poll(numbered(1)), loop).result(timeout=30)

    await store._reader.set_trace_callback(write_between)
    before = await store.backlog()
    await store._reader.set_trace_callback(None)  # type: ignore[arg-type]
    after = await store.backlog()

    assert written and before == {}
    assert after["crm"].pending == 1


async def test_a_read_that_the_disk_fails_is_told_by_that_and_may_be_tried_again(store: SqliteStore) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # SQLite does so by itself
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StateUnavailable, match="disk I/O error"):
        await store._read(fail)
    assert await store.backlog() == {}


async def test_a_log_that_had_to_grow_is_cut_when_it_begins_anew(store: SqliteStore, path: Path) -> None:
    await hurried(store)
    assert store._connection is not None
    await store._connection.run(lambda db: db.execute("PRAGMA journal_size_limit = 1000000").fetchall())
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    for n in range(400):
        await store.commit_poll(numbered(n))
    grown = log_size(path)
    reader.close()
    for n in range(400, 404):
        await store.commit_poll(numbered(n))
    assert log_size(path) <= MB < grown


async def test_the_settings_that_durability_rests_on_are_in_force(store: SqliteStore) -> None:
    assert store._connection is not None

    def read(db: sqlite3.Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "journal_size_limit")
        return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    full = 2
    assert await store._connection.run(read) == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "journal_size_limit": 64 * 2**20,
    }
    assert await store._reader.run(lambda db: db.execute("PRAGMA query_only").fetchone()) == (1,)


async def test_another_programs_lock_is_a_passing_trouble(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_MS", 1)
    store = await SqliteStore.open(path)
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateUnavailable):
        await store.commit_poll(numbered(0))
    shell.execute("ROLLBACK")
    shell.close()
    await store.commit_poll(numbered(0))
    assert await numbers(store) == [0]
    await store.close()
