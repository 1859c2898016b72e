"""The simulator by itself, as `poller simulate` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from poller.clock import ScaledClock, SystemClock
from poller.simulator.faults import FaultPlan
from poller.simulator.limits import LimitOptions
from poller.simulator.options import WebhookOptions, WorldOptions
from poller.simulator.server import Simulator


async def simulate(
    *,
    port: int = 0,
    webinars: int = 20,
    registrants: int = 300,
    rate: float = 30.0,
    meetings: int = 0,
    meeting_rate: float = 0.0,
    limits: str = "published",
    faults: Sequence[str] = (),
    seed: int = 1,
    speed: float = 1.0,
    past_share: float = 0.0,
    attendance_delay: float = 0.0,
    webhooks: WebhookOptions | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serve on loopback until cancelled. `ready` gets the base URL once the port is open.

    `rate` is registrations per minute, `meeting_rate` new meetings per minute, `limits` as in
    `LimitOptions.profile`, each fault as in `FaultPlan.of`, `speed` how many times faster than real time the world
    lives; `past_share` and `attendance_delay` (seconds) as in `WorldOptions`. Raises UsageError before the port opens.
    """
    simulator = Simulator(
        WorldOptions(
            seed=seed,
            webinars=webinars,
            registrants=registrants,
            rate_per_minute=rate,
            past_share=past_share,
            attendance_delay_seconds=attendance_delay,
            meetings=meetings,
            meeting_rate_per_minute=meeting_rate,
        ),
        clock=SystemClock() if speed == 1 else ScaledClock(speed),
        limits=LimitOptions.profile(limits),
        faults=FaultPlan.of(faults, seed=seed),
        webhooks=webhooks,
    )
    async with simulator.serve(port=port) as base_url:
        ready(base_url)
        await asyncio.Event().wait()
