"""Power cuts and kills: what was acknowledged is there afterwards, and what is there is whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.sqlite import SqliteStore
from state.sqlite.migrate import SCHEMA
from tests.integration.children import child, line_of, run_to_end
from tests.integration.state_child import FEW, numbers
from tests.integration.write_ahead_log import HEADER, read_log

ROUNDS = 12


class Stopped:
    """One moment of a writer's files, and the last commit it had called durable by then."""

    def __init__(self, folder: Path, acknowledged: int) -> None:
        self.acknowledged = acknowledged
        self.database = (folder / "state.db").read_bytes()
        self.log = (folder / "state.db-wal").read_bytes()

    async def numbers_with(self, log: bytes, folder: Path) -> list[int]:
        """The commits found by opening these files elsewhere, as after a restart. Opening checks the whole file."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "state.db").write_bytes(self.database)
        (folder / "state.db-wal").write_bytes(log)
        store = await SqliteStore.open(folder / "state.db")
        try:
            assert await store.verify() == []
            return await numbers(store)
        finally:
            await store.close()


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def moments(folder: Path, seed: int, rounds: int = ROUNDS) -> Iterator[Stopped]:
    """A writer stopped at random moments. It writes enough for several checkpoints, so the log begins anew at times."""
    chance = random.Random(seed)
    with child("write", folder / "state.db") as writer:
        acknowledged = -1
        for _ in range(rounds):
            for _ in range(chance.randrange(5, 120)):
                acknowledged = int(line_of(writer))
            time.sleep(chance.random() / 500)  # somewhere within a later commit; the child writes on meanwhile
            stop(writer)
            yield Stopped(folder, acknowledged)
            writer.send_signal(signal.SIGCONT)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


async def test_every_acknowledged_commit_survives_a_stop_at_any_moment(tmp_path: Path, elsewhere: Path) -> None:
    for moment in moments(tmp_path, seed=1):
        found = await moment.numbers_with(moment.log, elsewhere)
        assert found == list(range(len(found)))
        assert found[-1] >= moment.acknowledged


async def test_garbage_behind_the_last_commit_of_the_log_changes_nothing(tmp_path: Path, elsewhere: Path) -> None:
    """What a power cut tears is what was not synchronised yet, and every acknowledged commit was."""
    chance = random.Random(2)
    for moment in moments(tmp_path, seed=2):
        end = read_log(moment.log).end
        whole = await moment.numbers_with(moment.log, elsewhere)
        assert whole[-1] >= moment.acknowledged
        for tail in (b"", chance.randbytes(700), chance.randbytes(9000), moment.log[HEADER:20_000]):
            assert await moment.numbers_with(moment.log[:end] + tail, elsewhere) == whole


async def test_a_log_cut_or_flipped_anywhere_loses_only_a_tail_of_whole_commits(
    tmp_path: Path, elsewhere: Path
) -> None:
    """Before the first checkpoint the log holds all commits, so any damage of it must leave the ones before it."""
    chance = random.Random(3)
    with child("write_few", tmp_path / "state.db") as writer:
        assert line_of(writer) == "written"
        moment = Stopped(tmp_path, FEW - 1)
    commits = read_log(moment.log).commits
    assert await moment.numbers_with(moment.log, elsewhere) == list(range(FEW))
    setting_up = len(commits) - FEW  # transactions of opening, before commit number 0
    for _ in range(25):
        at = chance.randrange(commits[setting_up], len(moment.log))
        flipped = bytearray(moment.log)
        flipped[at] ^= 1 << chance.randrange(8)
        for damaged in (moment.log[:at], bytes(flipped)):
            left = await moment.numbers_with(damaged, elsewhere)
            assert left == list(range(sum(end <= at for end in commits) - setting_up))


# ── kills where it hurts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_inside_the_first_migration_leaves_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    status, _ = run_to_end("commit", path, "migrate.inside=kill")
    assert status == -signal.SIGKILL
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    db.close()
    assert run_to_end("commit", path) == (0, ["committed"])


def test_a_kill_during_a_backup_leaves_nothing_under_its_name_and_the_next_one_succeeds(tmp_path: Path) -> None:
    path, copy = tmp_path / "state.db", tmp_path / "state.db.copy"
    status, said = run_to_end("backup", path, "backup.inside=kill")
    assert (status, said) == (-signal.SIGKILL, [])
    assert not copy.exists()
    assert run_to_end("backup", path) == (0, ["done"])
    db = sqlite3.connect(copy)
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    db.close()
    assert not copy.with_name(copy.name + ".part").exists()
