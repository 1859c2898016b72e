"""Targets polled once each, without a schedule; and who hears of polls, with and without one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from poller.engine import Engine
from poller.errors import PollerError, Reauthorize
from poller.poll import Polled
from poller.ports import Clock
from state.errors import StateUnavailable
from state.records import Target


class Observer(Protocol):
    """Hears of every poll; for logs, metrics, journals of outages, and tests that wait for facts."""

    def polled(self, polled: Polled, seconds: float) -> None: ...
    def failed(self, target: Target, error: Exception, retry_in: float) -> None: ...
    def hint_changed(self, connection: str, state: str, reason: str) -> None:
        """A connection's count hint is now "on" (it is read, and moves polls about) or "off"."""
        ...

    async def refused(self, connection: str, error: Reauthorize) -> None:
        """The credentials of a connection are refused for good; its polls have stopped."""
        ...


@dataclass(slots=True)
class Pass:
    """What one pass came to."""

    polls: list[Polled] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


async def poll_all(
    targets: Iterable[Target], at_once: int, engine: Engine, observer: Observer, clock: Clock, result: Pass
) -> None:
    """Poll each target once, so many at a time; what comes of it is added to `result` and told to `observer`."""
    waiting = iter(targets)

    async def work() -> None:
        for target in waiting:  # shared by all workers
            await _poll(target, engine, observer, clock, result)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


async def _poll(target: Target, engine: Engine, observer: Observer, clock: Clock, result: Pass) -> None:
    started = clock.monotonic()
    try:
        polled = await engine.poll(target)
    except Reauthorize as error:
        await observer.refused(target.connection, error)
        result.errors.append(error)
    except (PollerError, StateUnavailable) as error:
        observer.failed(target, error, 0.0)
        result.errors.append(error)
    else:
        observer.polled(polled, clock.monotonic() - started)
        result.polls.append(polled)
        if polled.problem is not None:
            result.errors.append(polled.problem)
