"""A rehearsal: the same polls against a copy of the state in memory. Only tokens and spent calls touch the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from poller.engine import Engine
from poller.poll import Link
from poller.ports import Clock
from poller.roster import Roster
from poller.routing import Routing
from state.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An engine whose commits go to a throw-away copy; `after` is the last event the real state had."""

    engine: Engine
    roster: Roster
    store: SqliteStore
    after: int


@asynccontextmanager
async def rehearsal(
    real: SqliteStore, known: Roster, links: dict[str, Link], routing: Routing, clock: Clock
) -> AsyncIterator[Rehearsal]:
    """Copy the state and set an engine on it. The links bring the real clients: limits and tokens are the real ones."""
    with TemporaryDirectory(prefix="goto-poller-") as folder:
        copy = Path(folder) / "copy.db"
        await real.backup(copy)
        store = await SqliteStore.open(copy, now=lambda: clock.now().timestamp())
        try:
            roster = Roster(known.connections(), await store.targets())
            engine = Engine(store, roster, routing, clock)
            engine.links = links
            yield Rehearsal(engine, roster, store, await store.last_sequence())
        finally:
            await store.close()
