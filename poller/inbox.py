"""A sink that is a loop in the user's own program: an event is delivered when the loop comes back for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from poller.ports import Outcome, Outgoing

# A person's loop may take as long as it likes over one event; only its end counts as a failure.
NO_TIMEOUT = timedelta(days=365)


Offer = tuple[Outgoing, "asyncio.Future[None]"]


class Inbox:
    """Hands events one by one to a `Reading`. What is not acknowledged stays owed, across restarts too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.concurrency = 1
        self.batch = 1
        self.ordered = True
        self.max_age = NO_TIMEOUT
        self.timeout = NO_TIMEOUT
        self.readings = 0  # loops that have begun and were not left
        self._offer: asyncio.Queue[Offer] = asyncio.Queue(maxsize=1)

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

    async def take(self) -> Offer:
        """The next event, and what to set once it is dealt with."""
        while True:
            offer = await self._offer.get()
            if not offer[1].done():  # or else its delivery was cancelled while it waited here
                return offer

    def left(self, in_hand: Offer | None) -> None:
        """A loop has ended, and gives back what it had not dealt with."""
        self.readings -= 1
        if in_hand is not None and not in_hand[1].done():
            self._offer.put_nowait(in_hand)  # there is room: nothing else is offered meanwhile


class Reading:
    """One loop over an inbox, for ever.

    However it is left (a `break`, an error, `aclose`), the event in hand is given back, for the next loop.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._loop = asyncio.get_running_loop()
        self._in_hand: Offer | None = None
        self._left = False
        inbox.readings += 1

    def acknowledge(self) -> None:
        """What is in hand was dealt with."""
        if self._in_hand is not None:
            (_, taken), self._in_hand = self._in_hand, None
            if not taken.done():
                taken.set_result(None)

    async def next(self) -> dict[str, Any]:
        """A CloudEvent, in hand from then on. A second one is not to be asked for before this has returned."""
        self._in_hand = await self._inbox.take()
        return dict(self._in_hand[0].event)

    def leave(self) -> None:
        """Twice is harmless."""
        if not self._left:
            self._left = True
            self._inbox.left(self._in_hand)

    def __del__(self) -> None:
        """Nobody holds it any more: its loop was left. The collector may notice that in any thread."""
        if not self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._inbox.left, self._in_hand)
