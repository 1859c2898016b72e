"""Keep a table of registrations in a database of one's own, each exactly once.

    python follow.py poller.toml registrations.db

An event is acknowledged when the loop comes back for the next one. If this program dies between its commit and that
moment, the event comes again with the same id: the primary key lets it pass without effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path

from poller import Poller, Settings

TABLE = """
CREATE TABLE IF NOT EXISTS registrations (
  event TEXT PRIMARY KEY, webinar TEXT NOT NULL, registrant TEXT NOT NULL, email TEXT, seen TEXT NOT NULL
)
"""


async def follow(settings: Path, database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute(TABLE)
        async with Poller(Settings.load(settings)) as engine:
            async for event in engine.events("registrations", types=["registrant.added"]):
                data = event["data"]
                row = (event["id"], data["webinarKey"], data["registrantKey"], data.get("email"), event["time"])
                with db:
                    db.execute("INSERT OR IGNORE INTO registrations VALUES (?, ?, ?, ?, ?)", row)
                print(f"{data['registrantKey']} registered for {data['webinarSubject']}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(Path(sys.argv[1]), Path(sys.argv[2])))
