"""Opening the file, and the one task that writes to it.

Every write is a function that gets the open sqlite3 connection; the writer runs all functions that are waiting inside
one transaction (each in a savepoint of its own), so that acknowledgements of many workers cost one fsync together.
A caller that is cancelled only stops waiting: its transaction runs to its end.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from state.errors import StateDamaged, StateError, StateNotWritable, StateUnavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# Functions that one transaction takes at most, and how long (seconds) buffered notes may wait for company.
GROUP = 256
NOTE_DELAY = 0.2

# How long a statement waits for another process that has the file locked (a checkpoint of an SQLite shell, say).
BUSY_MS = 5000

MEMORY = ":memory:"


def blob(data: bytes | None) -> bytearray | None:
    """The same bytes, for binding: sqlite3 searches an adapter for whatever is not exactly an int, a float, a str or a
    bytearray, and for each value of bytes, None, bool or an enum that takes longer than storing it."""
    return None if data is None else bytearray(data)


class Connection(aiosqlite.Connection):
    """aiosqlite's connection with one more verb: run a whole function in its thread.

    The thread is a daemon: a connection that nobody closed must not keep the process alive at its exit.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection], path: str) -> None:
        super().__init__(connector, 1000)
        self._thread.daemon = True
        self._path = path
        self._stopped: asyncio.Future[None] | None = None

    def stop(self) -> asyncio.Future[None] | None:
        self._stopped = super().stop()
        return self._stopped

    async def close(self) -> None:
        """Returns once the thread is done, also for a connection that never came about: aiosqlite would not wait."""
        await super().close()
        if self._stopped is not None:
            await self._stopped

    async def run(self, work: Work[T]) -> T:
        """Raises StateError once the connection is closed, and otherwise what `work` raises."""
        if not self._running or self._connection is None:
            raise StateError(f"{self._path}: the state is closed")
        result: T = await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]  # aiosqlite: untyped
        return result


async def connect(path: str, *, writable: bool) -> Connection:
    """Open `path`. Raises a StateError that says what is wrong with the file."""

    def connector() -> sqlite3.Connection:
        where = MEMORY if path == MEMORY else uri(path, "rwc" if writable else "ro")
        return sqlite3.connect(where, uri=path != MEMORY, isolation_level=None, check_same_thread=False)

    connection = Connection(connector, path)
    try:
        await connection
        await connection.run(lambda db: _configure(db, writable=writable))
    except sqlite3.Error as error:
        await connection.close()
        raise translate(error, path) from error
    except BaseException:
        await connection.close()
        raise
    return connection


def at_one_moment(db: sqlite3.Connection, work: Work[T]) -> T:
    """What `work` reads, all of it as one commit left it: between two statements of its own the writer may commit."""
    is_within_another = db.in_transaction
    if is_within_another:
        return work(db)
    db.execute("BEGIN")
    try:
        return work(db)
    finally:
        if db.in_transaction:  # an I/O error has ended it already, and is what the caller has to hear of
            db.execute("COMMIT")


def uri(path: str, mode: str) -> str:
    """A file name may hold what a URI gives a meaning to."""
    return f"file:{quote(path)}?mode={mode}"


def _configure(db: sqlite3.Connection, *, writable: bool) -> None:
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -8000")
    if writable:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 67108864")
    else:
        # A reader never checkpoints: only one connection of the process may.
        db.execute("PRAGMA query_only = ON")
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()


def empty_log(db: sqlite3.Connection, patience_ms: int) -> None:
    """Move the write-ahead log into the file and cut it to nothing, unless readers need it for longer than that."""
    db.execute(f"PRAGMA busy_timeout = {patience_ms}")
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def translate(error: sqlite3.Error, path: str) -> StateError:
    """An sqlite3 exception in terms of what to do about it."""
    text = str(error)
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StateDamaged(f"{path}: not a usable state file ({text}); restore a backup or move the file away")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StateNotWritable(
            f"{path}: cannot be opened or written ({text}); the folder must exist and be writable,"
            " and so must the file and what lies beside it, -wal and -shm"
        )
    if not isinstance(error, sqlite3.OperationalError) or name == "SQLITE_ERROR":  # a fault of ours: it would come back
        return StateError(f"{path}: {text}")
    hint = " (is the disk full?)" if name.startswith("SQLITE_IOERR") else ""  # what it makes of a full one at opening
    return StateUnavailable(f"{path}: {text}{hint}; nothing was written")


# A function, and who waits for its result.
Waiting = tuple[Work[Any], asyncio.Future[Any] | None]


@dataclass(frozen=True, slots=True)
class _Failed:
    """Told apart from a result, so that a function may return anything at all."""

    error: Exception


class Writer:
    """Runs functions one after the other in transactions; the only user of its connection."""

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._waiting: list[Waiting] = []
        self._group: list[Waiting] = []  # in the transaction of this moment
        self._wake = asyncio.Event()
        self._stop = False
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._loop(), name="state-writer")

    async def run(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns once it is durable. Raises StateUnavailable if it was rolled back."""
        return await self.submit(work)

    def submit(self, work: Work[T]) -> asyncio.Future[T]:
        """As `run`, for a caller that has something else to do before it waits."""
        if self._stop:
            raise StateError(f"{self._path}: the state is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self._wake.set()
        return future

    def note(self, work: Work[None]) -> None:
        """Run `work` with the next transaction, or soon. Nobody waits for it, and a crash may lose it."""
        if self._stop:
            return
        self._waiting.append((work, None))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(NOTE_DELAY, self._wake.set)

    async def close(self) -> None:
        """Finish what is waiting and stop. Closing twice is harmless."""
        self._stop = True
        self._wake.set()
        await asyncio.wait({self._task})

    async def _loop(self) -> None:
        try:
            while self._waiting or not self._stop:
                await self._wake.wait()
                self._wake.clear()
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                while self._waiting:
                    self._group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                    await self._transact(self._group)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Whatever ends the loop: nobody waits for ever for an answer that cannot come."""
        self._stop = True
        left = [future for _, future in (*self._group, *self._waiting) if future is not None and not future.done()]
        for future in left:
            future.set_exception(StateError(f"{self._path}: the writer was stopped; this may not have been written"))

    async def _transact(self, group: Sequence[Waiting]) -> None:
        try:
            results = await self._connection.run(lambda db: _run_group(db, [work for work, _ in group]))
        except Exception as error:
            results = [_Failed(error)] * len(group)
        for (_, future), result in zip(group, results, strict=True):
            if future is None or future.done():
                continue
            if isinstance(result, _Failed):
                future.set_exception(self._explained(result.error))
            else:
                future.set_result(result)

    def _explained(self, error: Exception) -> Exception:
        """What the caller gets; an error of its own per caller, the cause kept."""
        if isinstance(error, sqlite3.Error):
            explained: Exception = translate(error, self._path)
            explained.__cause__ = error
            return explained
        return error


def _run_group(db: sqlite3.Connection, works: list[Work[Any]]) -> list[Any]:
    """One transaction; a function that fails takes back only its own part."""
    results: list[Any] = []
    db.execute("BEGIN IMMEDIATE")
    try:
        results.extend(_run_one(db, work) for work in works)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return results


def _run_one(db: sqlite3.Connection, work: Work[Any]) -> Any:
    db.execute("SAVEPOINT one")
    result: Any
    try:
        result = work(db)
    except Exception as error:
        if not db.in_transaction:  # disk full or I/O error: SQLite has rolled back everything already
            raise
        db.execute("ROLLBACK TO one")
        result = _Failed(error)
    db.execute("RELEASE one")
    return result


def prepare_file(path: Path) -> None:
    """Make the state file with mode 0600 before SQLite does: it will hold personal data."""
    try:
        if not path.parent.is_dir():
            raise StateNotWritable(f"{path}: the folder {path.parent} does not exist; make it first")
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StateNotWritable(f"{path}: cannot be written ({error.strerror}); check owner and permissions") from error
