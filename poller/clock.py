"""Real time, and real time run faster. Tests use `poller.testing.FakeClock` instead."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

# A sleeping asyncio timer stands still while the machine is suspended, so no sleep is longer than this (seconds):
# after a resume every loop looks at the time again within it.
LONGEST_SLEEP = 30.0

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """The machine's own time. `monotonic` counts suspended time too where the kernel offers that."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(max(seconds, 0.0), LONGEST_SLEEP))


class ScaledClock:
    """Time that starts now and runs `speed` times as fast: for the demo, where minutes should pass in seconds."""

    def __init__(self, speed: float) -> None:
        if speed <= 0:
            raise ValueError("the speed of a clock must be greater than 0")
        self.speed = speed
        self._began = datetime.now(UTC)
        self._zero = time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._zero) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(max(seconds, 0.0) / self.speed, LONGEST_SLEEP))
