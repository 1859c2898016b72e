"""What the scheduler remembers of one target, and those who wait for the outcome of its next poll."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from poller.poll import Polled


@dataclass(slots=True)
class Entry:
    """One target, beside its place in the agenda."""

    failures: int = 0
    started: float = float("-inf")  # monotonic
    not_before: float = float("-inf")  # monotonic: the other side asked for this pause
    again: bool = False  # nudged while its poll was running
    waiters: list[asyncio.Future[Polled]] = field(default_factory=list)


def fail(waiters: Iterable[asyncio.Future[Polled]], error: BaseException) -> None:
    """Tell those who still wait. Nobody has to listen."""
    for waiter in waiters:
        if waiter.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            waiter.cancel()
        else:
            waiter.set_exception(error)
            with contextlib.suppress(BaseException):
                waiter.exception()  # nobody may be listening any more
