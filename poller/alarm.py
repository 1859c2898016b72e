"""Waiting for news or for a moment, whichever comes first."""

from __future__ import annotations

import asyncio

from poller.ports import Clock


class Alarm:
    """A bell that ends one task's rest. A ring while nobody rests ends the next rest at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    @property
    def is_rung(self) -> bool:
        return self._rung.is_set()

    def ring(self) -> None:
        self._rung.set()

    async def rest(self, seconds: float | None) -> None:
        """Until the bell rings or `seconds` have passed (None: for the bell only). May end early."""
        if seconds is None:
            await self._rung.wait()
        elif not self._rung.is_set():
            await self._first_of(seconds)
        self._rung.clear()

    async def _first_of(self, seconds: float) -> None:
        tasks = [asyncio.create_task(self._rung.wait()), asyncio.create_task(_sleep(self._clock, seconds))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
