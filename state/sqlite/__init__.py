"""The Store on SQLite: one file, one owner, one writer."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from state.delivery import Delivery, Settlement, SinkState
from state.errors import StateError, StateNotWritable
from state.events import Draft
from state.failpoints import hit
from state.records import ConnectionState, Known, RecordRow, Scope, Target
from state.sqlite import backup as backups
from state.sqlite import extent, journal, ledger, opening, outbox, people, snapshots, subscriptions, switches
from state.sqlite.connection import (
    BUSY_MS,
    MEMORY,
    Connection,
    Work,
    Writer,
    at_one_moment,
    connect,
    empty_log,
    prepare_file,
    translate,
)
from state.sqlite.lock import Lock
from state.sqlite.migrate import SCHEMA, check_version
from state.sqlite.notes import PollNotes
from state.store import (
    Backlog,
    Committed,
    DeliveryView,
    Explanation,
    Extent,
    Info,
    Ledger,
    Pause,
    PollCommit,
    PollRow,
    Route,
    Select,
    Store,
    StoredEvent,
    Subscription,
)

__all__ = ["MEMORY", "SqliteStore"]

T = TypeVar("T")

# Rows that one transaction of `prune` removes at most, so that polls never wait long for it.
PRUNE_STEP = 2000


class SqliteStore:
    """See state.store.Store. Open it with `SqliteStore.open` (owner) or `SqliteStore.read` (looks only)."""

    def __init__(
        self,
        path: str,
        reader: Connection,
        writer: Connection | None,
        lock: Lock | None,
        now: Callable[[], float],
    ) -> None:
        self.path = path
        self._reader = reader
        self._connection = writer
        self._writer = None if writer is None else Writer(writer, path)
        self._ledger = None if self._writer is None else ledger.SqliteLedger(self._writer, now)
        self._notes = PollNotes()
        self._lock = lock
        self._now = now
        self._closing: asyncio.Task[None] | None = None

    # ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    async def open(cls, path: Path | str, now: Callable[[], float] = time.time) -> SqliteStore:
        """Own the state at `path`, made if it is not there. Raises the StateErrors of state.errors."""
        if str(path) == MEMORY:
            connection = await connect(MEMORY, writable=True)
            await connection.run(lambda db: opening.set_up(db, MEMORY, opening.Marker()))
            return cls(MEMORY, connection, connection, None, now)
        file = Path(path).resolve()  # one lock for one file, whatever links lead to it
        lock = Lock(file)
        lock.acquire()
        try:
            marker = opening.read_marker(lock)
            opening.write_marker(lock, marker)
            opening.refuse_vanished(file, marker)
            prepare_file(file)
            return await cls._open_owned(file, lock, marker, now)
        except BaseException:
            lock.release()
            raise

    @classmethod
    async def _open_owned(cls, file: Path, lock: Lock, marker: opening.Marker, now: Callable[[], float]) -> SqliteStore:
        path = str(file)
        writer = await connect(path, writable=True)
        try:
            left = await writer.run(lambda db: opening.set_up(db, path, marker))
            opening.write_marker(lock, left)
            reader = await connect(path, writable=False)
        except sqlite3.Error as error:
            await writer.close()
            raise translate(error, path) from error
        except BaseException:
            await writer.close()
            raise
        return cls(path, reader, writer, lock, now)

    @classmethod
    async def read(cls, path: Path | str, now: Callable[[], float] = time.time) -> SqliteStore:
        """Look at the state at `path` without owning it; whatever would write raises StateError."""
        file = Path(path)
        if not file.exists():
            raise StateNotWritable(f"{file}: there is no state yet; `poller run` makes it")
        reader = await connect(str(file), writable=False)
        try:
            if not await reader.run(lambda db: check_version(db, str(file))):
                raise StateNotWritable(f"{file}: there is no state in it yet; `poller run` makes it")
        except BaseException:
            await reader.close()
            raise
        return cls(str(file), reader, None, None, now)

    async def close(self) -> None:
        """Finish what was asked for, mark the file as cleanly closed, give the lock back. Twice is harmless.

        A caller that is cancelled meanwhile still leaves with everything closed.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="state-close")
        try:
            await asyncio.shield(self._closing)
        except asyncio.CancelledError:
            await asyncio.wait({self._closing})
            raise

    async def _close(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            if self._lock is not None:
                stack.callback(self._lock.release)
            if self._connection is not None:
                stack.push_async_callback(self._connection.close)
            if self._reader is not self._connection:
                stack.push_async_callback(self._reader.close)
            if self._writer is not None:
                await self._finish(self._writer)

    async def _finish(self, writer: Writer) -> None:
        with contextlib.suppress(StateError):  # a full disk, say: the next start reads the file through, that is all
            sealed = writer.submit(opening.seal)
            await writer.close()
            marker = await sealed
            if self._lock is not None:
                opening.write_marker(self._lock, marker)

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise StateError(f"{self.path}: opened for reading only")
        return self._ledger

    async def _write(self, work: Work[T]) -> T:
        if self._writer is None:
            raise StateError(f"{self.path}: opened for reading only")
        return await self._writer.run(work)

    async def _read(self, work: Work[T]) -> T:
        try:
            return await self._reader.run(lambda db: at_one_moment(db, work))
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    # ── what we know ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def connections(self) -> list[ConnectionState]:
        return await self._read(snapshots.connections)

    async def save_connection(self, connection: ConnectionState) -> None:
        await self._write(lambda db: snapshots.save_connection(db, connection))

    async def targets(self, connection: str | None = None) -> list[Target]:
        return await self._read(lambda db: snapshots.targets(db, connection))

    async def known(self, scope: Scope, keys: Collection[str] | None = None) -> Known:
        return await self._read(lambda db: snapshots.known(db, scope, keys))

    async def rows(self, scope: Scope, keys: Collection[str]) -> dict[str, RecordRow]:
        return await self._read(lambda db: snapshots.rows(db, scope, keys))

    async def unannounced(self, scope: Scope) -> list[RecordRow]:
        return await self._read(lambda db: snapshots.unannounced(db, scope))

    async def commit_poll(self, commit: PollCommit) -> Committed:
        """THE transaction: what we know and what we owe change here, and only here, together."""
        now = self._now()

        def work(db: sqlite3.Connection) -> Committed:
            snapshots.write_poll(db, commit)
            committed = outbox.write_events(db, commit.drafts, now)
            for pause in commit.pauses:
                switches.pause(db, pause)
            if commit.journal is not None:
                journal.write(db, [commit.journal])
            hit("commit.inside")
            return committed

        committed = await self._write(work)
        hit("commit.done")
        return committed

    def note_poll(self, row: PollRow, polled: Target | None = None) -> None:
        if self._writer is not None and self._notes.add(row, polled):
            self._writer.note(self._notes.write)

    async def adopt(self, partition: str, routes: Sequence[tuple[int, Sequence[Route]]]) -> Committed:
        now = self._now()
        return await self._write(lambda db: outbox.adopt(db, partition, routes, now))

    # ── what we owe ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def register_sinks(self, names: Collection[str]) -> None:
        await self._write(lambda db: [outbox.sink_number(db, name) for name in names])

    async def lease(
        self,
        sink: str,
        limit: int,
        now: float,
        *,
        ordered: bool,
        skip: Collection[str],
        busy: Collection[int],
    ) -> list[Delivery]:
        return await self._read(lambda db: outbox.lease(db, sink, limit, now, ordered, skip, busy))

    async def settle_deliveries(self, settlements: Sequence[Settlement]) -> None:
        await self._write(lambda db: outbox.settle(db, settlements))

    async def waiting(self, sink: str, now: float) -> dict[str, float]:
        return await self._read(lambda db: outbox.waiting(db, sink, now))

    async def release_waiting(self, sink: str, now: float) -> None:
        await self._write(lambda db: outbox.release_waiting(db, sink, now))

    async def next_due(self, sink: str) -> float | None:
        return await self._read(lambda db: outbox.next_due(db, sink))

    async def sink_states(self) -> list[SinkState]:
        return await self._read(outbox.sink_states)

    async def save_sink(self, sink: SinkState) -> None:
        await self._write(lambda db: outbox.save_sink(db, sink))

    async def backlog(self, *, delivered: bool = True) -> dict[str, Backlog]:
        return await self._read(lambda db: outbox.backlog(db, delivered))

    async def deliveries(self, select: Select, states: Collection[str]) -> list[DeliveryView]:
        return await self._read(lambda db: outbox.deliveries(db, select, states))

    async def revive(self, select: Select) -> int:
        now = self._now()
        return await self._write(lambda db: outbox.revive(db, select, now))

    async def drop_dead(self, select: Select) -> int:
        return await self._write(lambda db: outbox.drop_dead(db, select))

    async def owe(self, sink: str, sequences: Sequence[int], now: float) -> int:
        return await self._write(lambda db: outbox.owe_again(db, sink, sequences, now))

    async def release(self, trigger: str) -> int:
        return await self._write(lambda db: outbox.release(db, trigger))

    async def consumers(self) -> dict[str, list[str]]:
        return await self._read(outbox.consumers)

    async def calls_by_hour(self, client: str) -> list[float]:
        now = self._now()
        return await self._read(lambda db: ledger.by_hour(db, client, now))

    async def memory(self, name: str) -> str | None:
        return await self._read(lambda db: switches.get_meta(db, f"memory {name}"))

    async def remember(self, name: str, text: str) -> None:
        await self._write(lambda db: switches.set_meta(db, f"memory {name}", text))

    async def save_consumer(self, name: str, types: Sequence[str]) -> None:
        await self._write(lambda db: outbox.save_consumer(db, name, types))

    async def move_sink(self, old: str, new: str) -> int:
        now = self._now()
        return await self._write(lambda db: outbox.move_sink(db, old, new, now))

    async def drop_sink(self, name: str) -> int:
        return await self._write(lambda db: outbox.drop_sink(db, name))

    async def subscriptions(self) -> list[Subscription]:
        return await self._read(subscriptions.subscriptions)

    async def save_subscription(self, subscription: Subscription) -> None:
        await self._write(lambda db: subscriptions.save(db, subscription))

    async def drop_subscription(self, id_: str) -> bool:
        return await self._write(lambda db: subscriptions.drop(db, id_))

    # ── switches ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def pauses(self) -> list[Pause]:
        return await self._read(switches.pauses)

    async def pause(self, pause: Pause) -> None:
        await self._write(lambda db: switches.pause(db, pause))

    async def resume(self, kind: str, name: str) -> bool:
        return await self._write(lambda db: switches.resume(db, kind, name))

    # ── reading back ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def events(self, select: Select) -> list[StoredEvent]:
        return await self._read(lambda db: outbox.events(db, select))

    async def last_sequence(self) -> int:
        return await self._read(outbox.last_sequence)

    async def event(self, id_: str) -> StoredEvent | None:
        return await self._read(lambda db: outbox.event(db, id_))

    async def latest(self, before: int | None, limit: int, type_: str | None = None) -> list[StoredEvent]:
        return await self._read(lambda db: outbox.latest(db, before, limit, type_))

    async def extent(self) -> Extent:
        return await self._read(extent.extent)

    async def explain(self, key: str) -> Explanation:
        return await self._read(lambda db: journal.explain(db, key))

    async def polls(self, limit: int, connection: str | None = None, key: str | None = None) -> list[PollRow]:
        return await self._read(lambda db: journal.polls(db, limit, connection, key))

    async def emit(self, drafts: Sequence[tuple[Draft, Sequence[Route]]]) -> Committed:
        now = self._now()
        return await self._write(lambda db: outbox.write_events(db, drafts, now))

    # ── tokens and people ────────────────────────────────────────────────────────────────────────────────────────────

    async def load_token(self, connection: str) -> bytes | None:
        return await self._read(lambda db: switches.load_token(db, connection))

    async def save_token(self, connection: str, sealed: bytes) -> None:
        now = self._now()
        await self._write(lambda db: switches.save_token(db, connection, sealed, now))

    async def drop_token(self, connection: str) -> None:
        await self._write(lambda db: switches.drop_token(db, connection))

    async def forget(self, person: bytes, email: str) -> Mapping[str, int]:
        now = self._now()
        erased = await self._write(lambda db: people.forget(db, person, email, now))
        # Pages keep copies of rows that changed or moved long ago, even with secure_delete, so the file is built anew;
        # the log keeps the old pages until it is emptied.
        await self._run_alone(lambda db: db.execute("VACUUM").close())
        await self._run_alone(lambda db: empty_log(db, BUSY_MS))
        return erased

    async def forgotten(self) -> frozenset[bytes]:
        return await self._read(people.forgotten)

    # ── the file itself ──────────────────────────────────────────────────────────────────────────────────────────────

    async def prune(self, before: float) -> Mapping[str, int]:
        """Drop what nobody needs any more from before that time (POSIX seconds), in small transactions."""
        now = self._now()
        dropped = 0
        while step := await self._write(lambda db: outbox.prune(db, before, PRUNE_STEP)):
            dropped += step
        polls = await self._write(lambda db: journal.prune(db, before))
        calls = await self._write(lambda db: ledger.prune(db, now))
        bodies = await self._write(lambda db: snapshots.erase_old_bodies(db, before))
        return {"events": dropped, "polls": polls, "calls": calls, "bodies": bodies}

    async def checkpoint(self) -> None:
        """Empty the write-ahead log as far as readers allow it; never waits for them, for writers would wait too."""
        await self._run_alone(lambda db: empty_log(db, patience_ms=0))

    async def _run_alone(self, work: Work[None]) -> None:
        """For what SQLite refuses inside a transaction; the connection's thread has none open then."""
        if self._connection is None:
            return
        try:
            await self._connection.run(work)
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    async def backup(self, path: Path) -> None:
        """Copy the state as it is now to `path`. Raises StateNotWritable, and leaves `path` as it was then."""
        if self.path == MEMORY:
            await self._read(lambda db: backups.backup(db, path))
        else:
            # In a thread of its own: deliveries go on reading while a large file is copied.
            await asyncio.to_thread(backups.backup_file, self.path, path)

    async def verify(self) -> list[str]:
        """Problems found by reading the whole file; empty when it is sound."""
        return await self._read(opening.verify)

    async def info(self) -> Info:
        def work(db: sqlite3.Connection) -> Info:
            counts = {
                table: int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
                for table in ("connections", "targets", "records", "events", "deliveries", "polls")
            }
            epoch = switches.get_meta(db, "epoch") or ""
            return Info(self.path, epoch, SCHEMA, self._size(), counts)

        return await self._read(work)

    def _size(self) -> int:
        paths = [Path(self.path + suffix) for suffix in ("", "-wal")]
        return sum(path.stat().st_size for path in paths if path.exists())


if TYPE_CHECKING:
    _complete: type[Store] = SqliteStore  # the protocol, held by the type checker
