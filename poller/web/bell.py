"""Rung after every commit, so that those who follow the event log need not look again and again."""

from __future__ import annotations

import asyncio


class Bell:
    """Heard by one task. A ring while it is busy is heard when it listens next; several rings are heard as one."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._erased = False

    def ring(self) -> None:
        """The log may have grown."""
        self._rung.set()

    def erase(self) -> None:
        """Something was erased from the log: what was read of it before must not be shown any more."""
        self._erased = True
        self._rung.set()

    async def heard(self) -> bool:
        """Wait for the next ring; True if copies must be dropped, too."""
        await self._rung.wait()
        self._rung.clear()
        erased, self._erased = self._erased, False
        return erased
