"""Calls that were reserved, so that no crash and no restart can spend the same quota twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable

from state.sqlite.connection import Writer

# No window of the limits is longer (seconds).
LONGEST_WINDOW = 86_400.0


class SqliteLedger:
    """Blocks are dated by the wall clock, because only that survives a restart; ages are never negative."""

    def __init__(self, writer: Writer, now: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._now = now
        self._open: set[int] = set()  # blocks of this process that are not settled

    async def reserve(self, client: str, connection: str, calls: int) -> int:
        """Make `calls` durable before the first of them is sent; returns the block's id."""
        now = self._now()

        def work(db: sqlite3.Connection) -> int:
            cursor = db.execute(
                "INSERT INTO calls (client, connection, at, calls, open) VALUES (?, ?, ?, ?, 1)",
                (client, connection, now, calls),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

        block = await self._writer.run(work)
        self._open.add(block)
        return block

    async def settle(self, block: int, used: int) -> None:
        """Say how many calls of the block were made; dated now, the time of its last answer. Buffered."""
        now = self._now()
        self._open.discard(block)

        def work(db: sqlite3.Connection) -> None:
            if used:
                db.execute("UPDATE calls SET at = ?, calls = ?, open = 0 WHERE id = ?", (now, used, block))
            else:
                db.execute("DELETE FROM calls WHERE id = ?", (block,))

        self._writer.note(work)

    async def recent(self, client: str) -> list[tuple[str, int, float]]:
        """(connection, calls, age in seconds) of the last day. Open blocks may have been spent until this moment."""
        now = self._now()

        def work(db: sqlite3.Connection) -> list[tuple[str, int, float]]:
            # A dead process's open blocks are dated and closed; so is what a clock that ran ahead has dated in the
            # future, which would otherwise count as just spent at every start until that day comes.
            db.execute(
                "UPDATE calls SET at = ?1, open = id IN (SELECT value FROM json_each(?3))"
                " WHERE client = ?2 AND (open = 1 OR at > ?1)",
                (now, client, json.dumps(sorted(self._open))),
            )
            rows = db.execute(
                "SELECT connection, calls, at FROM calls WHERE client = ? AND at > ?",
                (client, now - LONGEST_WINDOW),
            )
            return [(connection, calls, max(0.0, now - at)) for connection, calls, at in rows]

        return await self._writer.run(work)

    async def keep_pause(self, client: str, seconds: float) -> None:
        """The API asked for so many seconds of silence from now; the longest such wish counts."""
        until = self._now() + seconds
        await self._writer.run(
            lambda db: db.execute(
                "INSERT INTO silences (client, until) VALUES (?, ?)"
                " ON CONFLICT (client) DO UPDATE SET until = max(until, excluded.until)",
                (client, until),
            )
        )

    async def pause_left(self, client: str) -> float:
        """Seconds of silence that are still to come; never more than the longest window, whatever the clock did."""
        now = self._now()

        def work(db: sqlite3.Connection) -> float:
            row = db.execute("SELECT until FROM silences WHERE client = ?", (client,)).fetchone()
            return 0.0 if row is None else min(max(0.0, row[0] - now), LONGEST_WINDOW)

        return await self._writer.run(work)


def prune(db: sqlite3.Connection, now: float) -> int:
    return db.execute("DELETE FROM calls WHERE open = 0 AND at < ?", (now - 2 * LONGEST_WINDOW,)).rowcount


def by_hour(db: sqlite3.Connection, client: str, now: float) -> list[float]:
    """Calls in each of the last 24 hours, the oldest first; those of open blocks count where these were begun."""
    rows = db.execute(
        "SELECT min(cast((?1 - at) / 3600 AS INTEGER), 23), sum(calls) FROM calls"
        " WHERE client = ?2 AND at > ?3 AND at <= ?1 GROUP BY 1",
        (now, client, now - LONGEST_WINDOW),
    )
    hours = [0.0] * 24
    for ago, calls in rows:
        hours[23 - ago] = float(calls)
    return hours
