"""Coroutines of one's own as sinks: one per subject, each with its own retries and dead letters.

    python handlers.py poller.toml

A handler that raises is called again later, and holds up nothing but itself. `Refused` says that this one event will
never be accepted: it becomes a dead letter at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from poller import Poller, Settings
from poller.errors import Refused


async def serve(settings: Path) -> None:
    engine = Poller(Settings.load(settings))
    seats: Counter[str] = Counter()

    @engine.on("registrant.*", name="seats")
    async def count(event: dict[str, Any]) -> None:
        change = {"com.goto.registrant.added": 1, "com.goto.registrant.removed": -1}.get(event["type"], 0)
        seats[event["data"]["webinarKey"]] += change
        print(f"seats {event['data']['webinarKey']} {seats[event['data']['webinarKey']]}", flush=True)

    @engine.on("webinar.created", name="announcements")
    async def announce(event: dict[str, Any]) -> None:
        if not event["data"].get("subject"):
            raise Refused("a webinar without a subject cannot be announced")
        print(f"announced {event['data']['subject']}", flush=True)

    async with engine:
        await engine.run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Path(sys.argv[1])))
