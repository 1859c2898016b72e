"""One poll, one commit: all of it or nothing, whatever happens inside; and what the writer does around it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from state import failpoints
from state.delivery import DeliveryState
from state.errors import NothingThere, StateError, StateUnavailable
from state.sqlite import SqliteStore, connection
from state.store import PollCommit, Select
from tests.contracts.store_samples import PEOPLE, draft, journal_row, keys_leased, leased, owing, row, settled
from tests.integration.children import run_to_end
from tests.integration.state_child import numbered, numbers


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "state.db")
    yield store
    await store.close()


class Statements:
    """What the writer's connection executes from now on."""

    def __init__(self, store: SqliteStore) -> None:
        self.texts: list[str] = []
        self._store = store

    async def __aenter__(self) -> Statements:
        assert self._store._connection is not None
        await self._store._connection.set_trace_callback(self.texts.append)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._store._connection is not None
        await self._store._connection.set_trace_callback(None)  # type: ignore[arg-type]

    def count(self, word: str) -> int:
        return sum(text.startswith(word) for text in self.texts)


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_commit_that_fails_inside_writes_neither_snapshot_nor_events_nor_journal(store: SqliteStore) -> None:
    failpoints.arm("commit.inside=raise@1")
    with pytest.raises(OSError, match=r"commit\.inside"):
        await store.commit_poll(numbered(1))
    assert await numbers(store) == []
    assert await store.events(Select()) == []
    assert await store.sink_states() == []
    committed = await store.commit_poll(numbered(1))
    assert (committed.first_sequence, await numbers(store)) == (1, [1])


@pytest.mark.parametrize(("point", "expected"), [("commit.inside", []), ("commit.done", [1])])
async def test_a_kill_leaves_all_of_a_commit_or_nothing(tmp_path: Path, point: str, expected: list[int]) -> None:
    path = tmp_path / "state.db"
    status, said = run_to_end("commit", path, f"{point}=kill")
    assert (status, said) == (-signal.SIGKILL, [])
    store = await SqliteStore.open(path)
    assert await numbers(store) == expected
    await store.close()


async def test_an_event_that_cannot_be_encoded_takes_the_snapshot_back_with_it(store: SqliteStore) -> None:
    with pytest.raises(TypeError):
        await store.commit_poll(owing(draft("1", strange=object()), records=[row("1")]))
    assert (await store.known(PEOPLE)).fingerprints == {}


async def test_sequences_and_revisions_go_on_where_they_were_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = await SqliteStore.open(path, lambda: 2e9)
    await first.commit_poll(owing(draft("1"), draft("2"), sinks=(), records=[row("1", revision=6, presence=0)]))
    await first.prune(2e9)
    await first.close()
    second = await SqliteStore.open(path)
    assert await second.events(Select()) == []
    assert (await second.commit_poll(owing(draft("3")))).first_sequence == 3
    assert (await second.known(PEOPLE)).gone == {"1": 6}
    await second.close()


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_acknowledgements_of_many_workers_share_a_few_transactions(store: SqliteStore) -> None:
    await store.commit_poll(owing(*(draft(str(n)) for n in range(200))))
    items = await leased(store, limit=200)
    async with Statements(store) as statements:
        await asyncio.gather(
            *(store.settle_deliveries([settled(item, DeliveryState.DELIVERED)]) for item in items),
        )
    assert 1 <= statements.count("COMMIT") <= 3
    assert (await store.backlog())["crm"].delivered == 200


async def test_a_group_has_an_end_so_that_nobody_waits_for_everybody(store: SqliteStore) -> None:
    async with Statements(store) as statements:
        await asyncio.gather(*(store.save_token(str(n), b"x") for n in range(2 * connection.GROUP)))
    assert statements.count("COMMIT") >= 2


async def test_one_function_that_fails_takes_back_only_its_own_part(store: SqliteStore) -> None:
    failpoints.arm("commit.inside=raise@2")
    outcomes = await asyncio.gather(
        store.commit_poll(numbered(1)),
        store.commit_poll(numbered(2)),
        store.move_sink("nobody", "somebody"),
        store.commit_poll(numbered(3)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes[1:3]] == [OSError, NothingThere]
    assert await numbers(store) == [1, 3]
    assert [state.name for state in await store.sink_states()] == ["crm"]


async def test_a_broken_rule_of_the_schema_is_not_called_a_passing_trouble(store: SqliteStore) -> None:
    with pytest.raises(StateError) as caught:
        await store._write(lambda db: db.execute("INSERT INTO deliveries VALUES (99, 1, '', 0, 0, 0, 0, 0, '', '')"))
    assert not isinstance(caught.value, StateUnavailable)
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    with pytest.raises(StateError) as caught:
        await store._write(lambda db: db.execute("SELECT nothing FROM nowhere"))
    assert not isinstance(caught.value, StateUnavailable)


async def test_a_commit_that_cannot_be_completed_leaves_nothing_and_the_next_one_succeeds(store: SqliteStore) -> None:
    """A reference that points nowhere until the end makes COMMIT itself fail, after every function went well."""

    def dangling(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute("INSERT INTO deliveries VALUES (99, 1, '', 0, 0, 0, 0, 0, '', '')")

    outcomes = await asyncio.gather(
        store.commit_poll(numbered(1)), store._write(dangling), store.commit_poll(numbered(2)), return_exceptions=True
    )
    assert all(isinstance(outcome, StateError) for outcome in outcomes)
    assert await numbers(store) == []
    await store.commit_poll(numbered(3))
    assert await numbers(store) == [3]


async def test_a_function_may_return_an_exception_as_its_value(store: SqliteStore) -> None:
    assert isinstance(await store._write(lambda _: ValueError("a value")), ValueError)


# ── cancellation and closing ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_transaction_of_a_cancelled_caller_runs_to_its_end(store: SqliteStore) -> None:
    waiting = asyncio.create_task(store.commit_poll(numbered(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.commit_poll(numbered(2))
    assert await numbers(store) == [1, 2]


async def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    asked = [asyncio.create_task(store.commit_poll(numbered(n))) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert [(await task).events for task in asked] == [1] * 5
    again = await SqliteStore.open(path)
    assert await numbers(again) == [0, 1, 2, 3, 4]
    await again.close()


async def test_a_cancelled_close_still_closes_everything(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    asked = asyncio.create_task(store.commit_poll(numbered(1)))
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (await asked).events == 1
    again = await SqliteStore.open(path)  # the lock is free, and nothing was lost
    assert await numbers(again) == [1]
    await again.close()


async def test_a_stopped_writer_leaves_nobody_waiting_and_can_be_closed(tmp_path: Path) -> None:
    """When a program's last moments cancel every task, the writer's included."""
    store = await SqliteStore.open(tmp_path / "state.db")
    assert store._writer is not None
    asked = asyncio.create_task(store.commit_poll(numbered(1)))
    await asyncio.sleep(0)
    store._writer._task.cancel()
    with pytest.raises(StateError, match="stopped"):
        await asked
    with pytest.raises(StateError, match="closed"):
        await store.commit_poll(numbered(2))
    await store.close()


def test_a_state_that_nobody_closed_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    status, said = run_to_end("abandon", tmp_path / "state.db")
    assert (status, said) == (0, ["abandoned"])


# ── notes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_notes_wait_for_company_and_cost_no_transaction_of_their_own(store: SqliteStore) -> None:
    async with Statements(store) as statements:
        for n in range(50):
            store.note_poll(journal_row(float(n)))
        await store.commit_poll(PollCommit(PEOPLE))
    assert statements.count("COMMIT") == 1
    assert len(await store.polls(100)) == 50


async def test_notes_are_written_soon_when_no_company_comes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "NOTE_DELAY", 0.001)
    store.note_poll(journal_row())
    while not await store.polls(1):
        await asyncio.sleep(0.001)


async def test_notes_are_written_at_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "NOTE_DELAY", 3600.0)
    store = await SqliteStore.open(tmp_path / "state.db")
    store.note_poll(journal_row())
    await store.close()
    reader = await SqliteStore.read(tmp_path / "state.db")
    assert len(await reader.polls(10)) == 1
    await reader.close()


async def test_a_note_that_fails_disturbs_nobody(store: SqliteStore) -> None:
    store.note_poll(journal_row()._replace(note=object()))  # type: ignore[arg-type]
    await store.commit_poll(numbered(1))
    assert await keys_leased(store) == ["1"]
