"""A sink that is a loop in the user's own program: an event is delivered when the loop comes back for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from poller.ports import Outcome, Outgoing

# A person's loop may take as long as it likes over one event; only its end counts as a failure.
NO_TIMEOUT = timedelta(days=365)


class Inbox:
    """Hands events one by one to `events()`. What is not acknowledged stays owed, across restarts too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.concurrency = 1
        self.batch = 1
        self.ordered = True
        self.max_age = NO_TIMEOUT
        self.timeout = NO_TIMEOUT
        self._offer: asyncio.Queue[tuple[Outgoing, asyncio.Future[None]]] = asyncio.Queue(maxsize=1)

    async def connect(self) -> None:
        """Nothing to reach."""

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """Wait until the loop has taken the event and come back. A cancellation (shutdown) leaves it owed."""
        for outgoing in batch:
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            await self._offer.put((outgoing, taken))
            await taken
        return [None] * len(batch)

    async def check(self) -> str:
        return "a loop of this program"

    async def close(self) -> None:
        """Nothing is held."""

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """CloudEvents as mappings, for ever. A loop that is left gives the event in hand back, for the next one."""
        while True:
            outgoing, taken = await self._offer.get()
            if taken.done():  # its delivery was cancelled while it waited here
                continue
            came_back = False
            try:
                yield dict(outgoing.event)
                came_back = True
            finally:
                if not came_back and not taken.done():
                    self._offer.put_nowait((outgoing, taken))  # there is room: nothing else is offered meanwhile
            if not taken.done():
                taken.set_result(None)
