"""A full disk takes nothing away, tells the caller to come back, and needs nobody to mend it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from state.errors import StateNotWritable, StateUnavailable
from state.sqlite import SqliteStore
from tests.integration.children import run_to_end
from tests.integration.state_child import numbered, numbers


async def set_room(store: SqliteStore, pages: int) -> None:
    """Limit the file to `pages` more than it has."""
    assert store._connection is not None

    def work(db: object) -> None:
        now = db.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
        db.execute(f"PRAGMA max_page_count = {now + pages}")  # type: ignore[attr-defined]

    await store._connection.run(work)


def test_writes_that_fail_for_want_of_room_are_rolled_back_and_succeed_later(tmp_path: Path) -> None:
    """The write-ahead log itself cannot grow: writing fails with an error of the operating system."""
    path = tmp_path / "state.db"
    status, said = run_to_end("starve", path)
    assert status == 0
    assert said[0].startswith("full after ")
    n = said[0].rpartition(" ")[2]
    assert int(n) > 0
    assert said[1:] == [f"went on with {n}"]


async def test_a_commit_without_room_leaves_no_part_of_itself(tmp_path: Path) -> None:
    """SQLite's own "database or disk is full", in the middle of a large commit."""
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.commit_poll(numbered(0))
    await set_room(store, 3)
    n = 0
    with pytest.raises(StateUnavailable, match="full"):
        while True:
            n += 1
            await store.commit_poll(numbered(n))
    assert await numbers(store) == list(range(n))
    await set_room(store, 1000)
    await store.commit_poll(numbered(n))
    assert await numbers(store) == list(range(n + 1))
    await store.close()


def test_a_backup_without_room_leaves_the_older_one_alone(tmp_path: Path) -> None:
    path, older = tmp_path / "state.db", tmp_path / "state.db.copy"
    older.write_text("an older backup")
    assert run_to_end("backup_without_room", path) == (0, ["StateNotWritable", "went on"])
    assert older.read_text() == "an older backup"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.db", "state.db.copy", "state.db.lock"]


@pytest.mark.parametrize("name", ["taken", "nowhere/copy"])
async def test_a_place_that_takes_no_backup_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken.part").mkdir()
    store = await SqliteStore.open(tmp_path / "state.db")
    with pytest.raises(StateNotWritable, match=name):
        await store.backup(tmp_path / name)
    await store.close()


def test_a_disk_that_is_full_at_the_end_does_not_keep_the_state_from_closing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert run_to_end("full_at_close", path) == (0, ["closed"])
