"""Opening a state file: who may, and what is refused before anything can go wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
from pathlib import Path

import pytest

from state.errors import StateDamaged, StateError, StateInUse, StateNewer, StateNotWritable, StateUnavailable
from state.sqlite import SqliteStore, opening
from state.sqlite.connection import translate
from state.sqlite.migrate import SCHEMA
from state.store import PollCommit, Select
from tests.contracts.store_samples import draft, journal_row, keys_leased, owing
from tests.integration.children import child, line_of, run_to_end
from tests.integration.state_child import numbered, numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def filled(path: Path, *commits: PollCommit) -> str:
    """A state that was used and closed; its epoch."""
    store = await SqliteStore.open(path)
    for commit in commits or [numbered(n) for n in range(20)]:
        await store.commit_poll(commit)
    epoch = (await store.info()).epoch
    await store.close()
    return epoch


async def epoch_after_opening(path: Path) -> str:
    store = await SqliteStore.open(path)
    epoch = (await store.info()).epoch
    await store.close()
    return epoch


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ── one owner ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_owner_is_refused_at_once_and_told_who_has_it(path: Path) -> None:
    with child("hold", path) as owner:
        assert line_of(owner) == "ready"
        with pytest.raises(StateInUse, match=f"process {owner.pid}"):
            await SqliteStore.open(path)


async def test_a_second_owner_within_one_process_is_refused_too(path: Path) -> None:
    store = await SqliteStore.open(path)
    with pytest.raises(StateInUse):
        await SqliteStore.open(path)
    await store.close()
    await (await SqliteStore.open(path)).close()


async def test_the_lock_of_a_killed_owner_is_free_at_once(path: Path) -> None:
    with child("hold", path) as owner:
        assert line_of(owner) == "ready"
        owner.kill()
        owner.wait()
        await (await SqliteStore.open(path)).close()


async def test_a_stopped_owner_keeps_its_lock(path: Path) -> None:
    with child("hold", path) as owner:
        assert line_of(owner) == "ready"
        owner.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, owner.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(StateInUse):
            await SqliteStore.open(path)


async def test_a_link_to_the_state_leads_to_the_same_lock(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    store = await SqliteStore.open(path)
    with pytest.raises(StateInUse):
        await SqliteStore.open(link)
    await store.close()


# ── modes and places ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_file_that_holds_personal_data_is_for_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        store = await SqliteStore.open(path)
        await store.commit_poll(numbered(1))
        await store.backup(path.with_name("copy"))
        files = {file.name: mode_of(file) for file in path.parent.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    names = ("state.db", "state.db-wal", "state.db-shm", "state.db.lock", "copy")
    assert files == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize("name", ["with blank.db", "question?.db", "hash#.db", "100%25.db", "ümlaut.db"])
async def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    await filled(path)
    reader = await SqliteStore.read(path)
    assert len(await reader.events(Select())) == 20
    await reader.backup(tmp_path / "copy")
    await reader.close()
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith(name)) == ["copy"]
    copy = await SqliteStore.open(tmp_path / "copy")
    assert await numbers(copy) == list(range(20))
    await copy.close()


def test_a_refused_opening_leaves_no_thread_that_speaks_up_after_the_loop_has_ended(tmp_path: Path) -> None:
    """Such a thread would print a traceback below the message; the test run takes one for a failure."""
    (tmp_path / "folder").mkdir()
    for _ in range(50):
        with pytest.raises(StateNotWritable):
            asyncio.run(SqliteStore.open(tmp_path / "folder"))


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateNotWritable, match="nowhere"):
        await SqliteStore.open(tmp_path / "nowhere" / "state.db")


async def test_a_folder_is_not_a_state_file(tmp_path: Path) -> None:
    with pytest.raises(StateNotWritable):
        await SqliteStore.open(tmp_path)


@pytest.mark.parametrize("existing", [True, False])
async def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "locked" / "state.db"
    path.parent.mkdir()
    if existing:
        await filled(path)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):  # a child without privileges must get this far
        folder.chmod(0o755)
    path.parent.chmod(0o555)
    try:
        status, said = run_to_end("as_nobody", path)
    finally:
        path.parent.chmod(0o755)
    assert (status, said) == (0, ["StateNotWritable"])


async def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a file that somebody else owns")
    path = tmp_path / "open" / "state.db"
    path.parent.mkdir()
    await filled(path)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    path.parent.chmod(0o777)
    path.with_name("state.db.lock").unlink()
    status, said = run_to_end("as_nobody", path)
    assert (status, said) == (0, ["StateNotWritable"])


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("SQLITE_READONLY", StateNotWritable, "-wal and -shm"), ("SQLITE_IOERR_SHMSIZE", StateUnavailable, "disk full?")],
)
def test_what_sqlite_does_not_say_is_said(name: str, kind: type[StateError], words: str) -> None:
    """Where the file itself may be written, and where the disk has no room for what lies beside it."""
    error = sqlite3.OperationalError("words that help nobody")
    error.sqlite_errorname = name
    told = translate(error, "poller.db")
    assert type(told) is kind and words in str(told)


# ── what is no state, or no longer ───────────────────────────────────────────────────────────────────────────────────


async def test_text_is_not_a_database(path: Path) -> None:
    path.write_text("these are my notes\n" * 500)
    with pytest.raises(StateDamaged, match=r"state\.db"):
        await SqliteStore.open(path)
    assert path.read_text().startswith("these are my notes")


async def test_a_truncated_file_is_noticed(path: Path) -> None:
    await filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StateDamaged):
        await SqliteStore.open(path)


@pytest.mark.parametrize("page", [1, 2, 5, 8])
async def test_a_page_of_garbage_is_noticed_before_the_first_event(path: Path, page: int) -> None:
    await filled(path)
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(StateDamaged):
        await SqliteStore.open(path)


async def test_verify_names_what_is_wrong_and_is_silent_otherwise(path: Path) -> None:
    await filled(path)
    reader = await SqliteStore.read(path)
    assert await reader.verify() == []
    await reader.close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM events WHERE sequence = 3")
    db.close()
    reader = await SqliteStore.read(path)
    assert await reader.verify() == ["1 deliveries without their event"]
    await reader.close()


@pytest.mark.parametrize("how", ["deleted", "emptied"])
async def test_a_vanished_state_is_refused_every_time_and_not_silently_begun_anew(path: Path, how: str) -> None:
    await filled(path)
    path.unlink()
    if how == "emptied":
        path.touch()
    for _ in range(3):
        with pytest.raises(StateDamaged, match="was in use before"):
            await SqliteStore.open(path)
    path.with_name("state.db.lock").unlink()  # as the message says
    assert await epoch_after_opening(path)


async def test_an_empty_file_that_never_was_a_state_becomes_one(path: Path) -> None:
    path.touch()
    assert await epoch_after_opening(path)


async def test_a_database_of_something_else_is_refused_and_left_as_it_was(path: Path) -> None:
    for version in (0, SCHEMA, SCHEMA + 5):
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE recipes (name TEXT)")
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        before = path.read_bytes()
        with pytest.raises(StateDamaged, match="something else"):
            await SqliteStore.open(path)
        with pytest.raises(StateDamaged, match="something else"):
            await SqliteStore.read(path)
        assert path.read_bytes() == before


async def test_a_state_of_a_newer_version_is_refused_and_left_as_it_was(path: Path) -> None:
    await filled(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    with pytest.raises(StateNewer, match="upgrade"):
        await SqliteStore.open(path)
    with pytest.raises(StateNewer, match="upgrade"):
        await SqliteStore.read(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)
    db.close()


# ── epochs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_epoch_lasts_over_restarts_and_kills(path: Path) -> None:
    epoch = await filled(path)
    with child("hold", path) as owner:
        assert line_of(owner) == "ready"
    assert await epoch_after_opening(path) == epoch
    assert await epoch_after_opening(path) == epoch


async def test_two_new_states_have_different_epochs(tmp_path: Path) -> None:
    assert await epoch_after_opening(tmp_path / "a") != await epoch_after_opening(tmp_path / "b")


@pytest.mark.parametrize("taken", ["while closed", "while running"])
async def test_an_older_copy_put_back_begins_a_new_epoch_once(path: Path, taken: str) -> None:
    """Its sequence numbers will be given again, to other events."""
    epoch = await filled(path)
    copy = path.with_name("copy")
    if taken == "while closed":
        shutil.copy(path, copy)
    store = await SqliteStore.open(path)
    await store.commit_poll(numbered(20))
    await store.checkpoint()
    if taken == "while running":
        shutil.copy(path, copy)
    await store.commit_poll(numbered(21))
    await store.close()
    shutil.copy(copy, path)

    fresh = await epoch_after_opening(path)

    assert fresh != epoch
    assert await epoch_after_opening(path) == fresh


async def test_a_start_that_is_refused_does_not_hide_that_an_older_copy_was_put_back(path: Path) -> None:
    epoch = await filled(path)
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    assert await epoch_after_opening(path) == epoch
    path.write_text("damaged" * 1000)
    with pytest.raises(StateDamaged):
        await SqliteStore.open(path)
    shutil.copy(copy, path)
    assert await epoch_after_opening(path) != epoch


async def test_a_lock_file_that_says_nothing_sensible_is_only_a_lock(path: Path) -> None:
    epoch = await filled(path)
    for text in ("", "17", "17\n", '17\n{"epoch": 4}\n', "17\n[1]\n", "\x00\xff\n\n"):
        path.with_name("state.db.lock").write_text(text)
        assert await epoch_after_opening(path) == epoch


# ── reading beside an owner ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_sees_what_the_owner_commits_and_cannot_write(path: Path) -> None:
    owner = await SqliteStore.open(path)
    reader = await SqliteStore.read(path)
    await owner.commit_poll(owing(draft("1")))
    assert await keys_leased(reader) == ["1"]
    for call in (reader.commit_poll(owing(draft("2"))), reader.save_token("acme", b"x"), reader.prune(0.0)):
        with pytest.raises(StateError, match="reading only"):
            await call
    with pytest.raises(StateError, match="reading only"):
        _ = reader.ledger
    reader.note_poll(journal_row())  # goes nowhere, harmlessly
    await reader.close()
    await owner.close()


async def test_a_reader_leaves_the_log_of_a_dead_owner_for_the_next_one(path: Path) -> None:
    """Only an owner moves the log into the file: a second connection doing so at the same time can damage it."""
    run_to_end("commit", path, "commit.done=kill")
    file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    reader = await SqliteStore.read(path)
    assert await numbers(reader) == [1]
    await reader.close()
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == (file, log)


async def test_a_reader_of_nothing_is_told_how_a_state_comes_about(path: Path) -> None:
    with pytest.raises(StateNotWritable, match="poller run"):
        await SqliteStore.read(path)
    assert not path.exists()
    path.touch()
    with pytest.raises(StateNotWritable, match="poller run"):
        await SqliteStore.read(path)


async def test_a_reader_of_a_damaged_file_is_told_so(path: Path) -> None:
    path.write_text("no database" * 500)
    with pytest.raises(StateDamaged):
        await SqliteStore.read(path)


async def test_after_a_clean_end_no_log_is_left_beside_the_file(path: Path) -> None:
    await filled(path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.db", "state.db.lock"]


async def test_a_large_file_is_read_through_at_start_unless_it_was_closed_properly(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "CHECK_ALWAYS", 0)
    await filled(path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[5 * 4096 : 6 * 4096] = b"\xa5" * 4096

    path.write_bytes(damaged)
    await (await SqliteStore.open(path)).close()  # large and closed properly: not read through

    path.write_bytes(whole)
    with child("hold", path) as owner:
        assert line_of(owner) == "ready"
    path.write_bytes(path.read_bytes()[: 5 * 4096] + b"\xa5" * 4096 + path.read_bytes()[6 * 4096 :])
    with pytest.raises(StateDamaged):
        await SqliteStore.open(path)
