"""Whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from poller.web.handling import Handlers
from poller.web.problems import Problem
from poller.web.pull import answer
from state.errors import StateError
from state.store import Store

PATIENCE: Final = 5.0  # seconds for the state


@dataclass(frozen=True, slots=True)
class Condition:
    """How the engine is. `stalled`: triggers that can have no news; `sinks`: those that are down; with reasons."""

    stalled: dict[str, str]
    sinks: dict[str, str]


class Health:
    def __init__(self, store: Store, condition: Callable[[], Condition]) -> None:
        self._store = store
        self._condition = condition

    def handlers(self) -> Handlers:
        yield "isAlive", self.alive
        yield "isReady", self.ready

    async def alive(self, request: web.Request) -> web.Response:
        """Touches nothing: a process that answers lives, whatever its disk and its network do."""
        return answer({"status": "alive"})

    async def ready(self, request: web.Request) -> web.Response:
        """A sink that is down is named and no reason for 503: it holds up nobody but itself."""
        found = self._condition()
        store = await self._state_of_store()
        facts: dict[str, Any] = {
            "store": store or "ok",
            "stalled": [{"trigger": name, "reason": reason} for name, reason in found.stalled.items()],
            "sinks": [{"sink": name, "reason": reason} for name, reason in found.sinks.items()],
        }
        if store:
            raise Problem(503, f"the state cannot be used: {store}", **facts)
        if found.stalled:
            raise Problem(503, f"nothing new can be found for: {', '.join(found.stalled)}", **facts)
        return answer({"status": "ready", **facts})

    async def _state_of_store(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.last_sequence()
        except TimeoutError:
            return f"no answer within {PATIENCE:g} s"
        except StateError as error:
            return type(error).__name__
        return ""
