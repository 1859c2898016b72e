"""A backup is a whole state of one moment, made while the engine goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from state import failpoints
from state.errors import StateNotWritable
from state.sqlite import MEMORY, SqliteStore
from state.sqlite import backup as backups
from tests.integration.state_child import numbered, numbers


async def epoch_of(path: Path) -> str:
    store = await SqliteStore.open(path)
    try:
        return (await store.info()).epoch
    finally:
        await store.close()


async def test_a_backup_made_during_writes_is_one_moment_and_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two steps something is committed; a copy that followed the writer would never be done."""
    monkeypatch.setattr(backups, "STEP", 4)
    store = await SqliteStore.open(tmp_path / "state.db")
    for n in range(50):
        await store.commit_poll(numbered(n))
    loop = asyncio.get_running_loop()
    steps = 0

    def write_between(name: str) -> None:
        nonlocal steps
        if name == "backup.inside":
            asyncio.run_coroutine_threadsafe(store.commit_poll(numbered(50 + steps)), loop).result(timeout=30)
            steps += 1

    monkeypatch.setattr(backups, "hit", write_between)
    await store.backup(tmp_path / "copy")
    await store.close()

    assert steps > 10
    copy = await SqliteStore.open(tmp_path / "copy")
    assert await numbers(copy) == list(range(50))
    assert await copy.verify() == []
    await copy.close()


async def test_reading_goes_on_during_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    loop = asyncio.get_running_loop()
    seen: list[list[int]] = []

    def read_between(_: str) -> None:
        seen.append(asyncio.run_coroutine_threadsafe(numbers(store), loop).result(timeout=30))

    await store.commit_poll(numbered(1))
    monkeypatch.setattr(backups, "hit", read_between)
    await store.backup(tmp_path / "copy")
    assert seen[0] == [1]
    await store.close()


async def test_a_restored_backup_begins_a_new_epoch_once(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    epoch = (await store.info()).epoch
    await store.backup(tmp_path / "copy")
    await store.close()
    restored = await epoch_of(tmp_path / "copy")
    assert restored != epoch
    assert await epoch_of(tmp_path / "copy") == restored
    assert await epoch_of(tmp_path / "state.db") == epoch


async def test_a_backup_can_be_made_by_who_only_reads(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.commit_poll(numbered(1))
    reader = await SqliteStore.read(tmp_path / "state.db")
    await reader.backup(tmp_path / "copy")
    await reader.close()
    await store.close()
    copy = await SqliteStore.open(tmp_path / "copy")
    assert await numbers(copy) == [1]
    await copy.close()


async def test_a_backup_of_a_state_in_memory_holds_what_is_in_memory(tmp_path: Path) -> None:
    store = await SqliteStore.open(MEMORY)
    await store.commit_poll(numbered(1))
    await store.backup(tmp_path / "copy")
    await store.close()
    copy = await SqliteStore.open(tmp_path / "copy")
    assert await numbers(copy) == [1]
    await copy.close()


@pytest.mark.parametrize("name", ["state.db", "link.db"])
async def test_the_state_itself_is_never_overwritten_by_its_backup(tmp_path: Path, name: str) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "state.db")
    store = await SqliteStore.open(tmp_path / "state.db")
    with pytest.raises(StateNotWritable, match="the state itself"):
        await store.backup(tmp_path / name)
    await store.commit_poll(numbered(1))
    await store.close()
    again = await SqliteStore.open(tmp_path / "state.db")
    assert await numbers(again) == [1]
    await again.close()


async def test_a_backup_replaces_files_only_and_goes_through_links(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "copy.db")
    os.mkfifo(tmp_path / "pipe")
    store = await SqliteStore.open(tmp_path / "state.db")
    with pytest.raises(StateNotWritable, match="pipe: this is no file"):
        await store.backup(tmp_path / "pipe")
    with pytest.raises(StateNotWritable, match="this is no file"):
        await store.backup(tmp_path)
    await store.backup(tmp_path / "link.db")
    await store.close()
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link.db").is_symlink()
    assert await epoch_of(tmp_path / "copy.db")


async def test_a_backup_that_fails_halfway_leaves_no_half_file(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    failpoints.arm("backup.inside=raise")
    try:
        with pytest.raises(StateNotWritable):
            await store.backup(tmp_path / "copy")
    finally:
        failpoints.arm("")
        await store.close()
    assert list(tmp_path.glob("copy*")) == []


async def test_a_restored_backup_knows_what_it_has_in_common_with_the_lives_before_it(tmp_path: Path) -> None:
    """Readers of the log go by it: what both lives tell alike is neither skipped nor told twice."""
    epochs, path = [], tmp_path / "state.db"
    for life in range(3):
        store = await SqliteStore.open(path)
        epochs.append((await store.info()).epoch)
        for n in range(4):
            await store.commit_poll(numbered(life * 10 + n))
        path = tmp_path / f"copy {life}.db"
        await store.backup(path)
        await store.commit_poll(numbered(life * 10 + 9))  # not in the backup
        await store.close()

    last = await SqliteStore.open(path)
    extent = await last.extent()
    await last.close()
    assert len({*epochs, extent.epoch}) == 4
    assert extent.shared == {epochs[0]: 4, epochs[1]: 8, epochs[2]: 12}
    assert (extent.began, extent.last) == (12, 12)
