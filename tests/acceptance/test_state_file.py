"""A full disk, and a state file that is damaged, gone, old or newer: noticed before the first event."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from poller.errors import PollerError
from tests.acceptance.stage import Plan, Stage, staged


async def test_a_full_disk_sends_nothing_uncommitted_and_ends_by_itself(tmp_path: Path) -> None:
    """While it is full the engine stays up; when there is space again it goes on without help."""
    async with staged(tmp_path, Plan(rate=600.0)) as stage:
        await stage.begin()
        await stage.hook().until(lambda: len(stage.hook().taken) >= 20)
        stage.engine.limit_files(4096)
        await _until_it_cannot_write(stage)  # what was under way has come to its end
        committed = stage.rows("SELECT count(*) FROM events")
        sent = {receipt.id for receipt in stage.hook().receipts}
        await asyncio.sleep(2.0)
        assert stage.engine.running
        assert stage.rows("SELECT count(*) FROM events") == committed
        known = {id_ for (id_,) in stage.rows("SELECT id FROM events")}
        assert {receipt.id for receipt in stage.hook().receipts} <= known
        assert sent <= known
        stage.engine.limit_files(None)
        subjects = stage.register(3)
        await stage.told(subjects, seconds=60.0)
        await stage.drain()
        [verdict] = stage.assert_clean()
        print(verdict)


async def _until_it_cannot_write(stage: Stage) -> None:
    """One task writes, one thing after the other: once a write has failed, those before it are all done."""
    async with asyncio.timeout(30.0):
        with contextlib.suppress(PollerError):
            while not (await stage.engine.ask("sync", wait=True))["problems"]:
                pass


async def _used(stage: Stage) -> None:
    """A state with some history, its owner gone."""
    await stage.begin()
    await stage.told(stage.register(12))
    await stage.until(lambda: stage.backlog() == 0)
    assert await stage.engine.stop() == 0


def _flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    for start in range(4096, len(body), 4096):
        body[start : start + 2048] = b"\xa5" * 2048
    path.write_bytes(body)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1000)


def _make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.commit()


HARMS: dict[Callable[[Path], object], str] = {
    _flip: "restore a backup",
    _halve: "restore a backup",
    _scribble: "restore a backup",
    _empty: "restore a backup",
    Path.unlink: "restore a backup",
    _make_newer: "upgrade this program",
}


async def test_an_unusable_state_is_refused_before_the_first_event(tmp_path: Path) -> None:
    """Damaged, cut, replaced, emptied, deleted, newer: exit 4 with what to do. A backup put back works."""
    async with staged(tmp_path, Plan(registrants=30, webinars=3)) as stage:
        await _used(stage)
        backup, sound = tmp_path / "kept.db", tmp_path / "sound.db"
        assert (await stage.engine.command("state", "backup", str(backup))).code == 0
        shutil.copy(stage.engine.state, sound)
        before, calls = len(stage.hook().receipts), stage.simulator.report().calls
        for harm, advice in HARMS.items():
            harm(stage.engine.state)
            refused = await stage.engine.command("run")
            assert (refused.code, advice in refused.err) == (4, True), f"{harm}: {refused}"
            assert "Traceback" not in refused.err
            for leftover in ("-wal", "-shm"):
                Path(f"{stage.engine.state}{leftover}").unlink(missing_ok=True)
            shutil.copy(sound, stage.engine.state)
        assert len(stage.hook().receipts) == before
        assert stage.simulator.report().calls == calls
        shutil.copy(backup, stage.engine.state)
        subjects = stage.register(3)
        await stage.engine.start()
        await stage.told(subjects)
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict["D1"] == 0


async def test_an_old_copy_put_back_tells_the_same_facts_under_the_same_ids(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(webinars=3)) as stage:
        await stage.begin()
        await stage.told(stage.register(3))
        await stage.until(lambda: stage.backlog() == 0)
        assert await stage.engine.stop() == 0
        shutil.copy(stage.engine.state, tmp_path / "old.db")
        await stage.engine.start()
        later = stage.register(3)
        await stage.told(later)
        await stage.until(lambda: stage.backlog() == 0)
        assert await stage.engine.stop() == 0
        shutil.copy(tmp_path / "old.db", stage.engine.state)
        await stage.engine.start()
        await stage.hook().until(lambda: len(stage.hook().taken) == 9)
        again, first = stage.hook().taken[6:], stage.hook().taken[3:6]
        assert {receipt.id for receipt in again} == {receipt.id for receipt in first}


async def test_a_state_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.engine.state.with_name("poller.db.lock").mkdir()
        refused = await stage.engine.command("run")
        assert refused.code == 4
        assert "cannot be written" in refused.err
