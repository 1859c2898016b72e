"""Pure: who waits for a turn under one limit, and the calls that this limit gives out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import attrgetter

from poller.agenda import Agenda
from state.records import Scope

Key = tuple[str, Scope]  # connection and scope

# What a count hint asked for is remembered so long (seconds).
_MEMORY = 3 * 3600.0


@dataclass(slots=True)
class First:
    """Whoever has waited longest in a level: each decision looks at all of these, and at nobody else."""

    since: float  # monotonic
    pace: float  # intervals a second
    soonest: float  # monotonic: its turn cannot come before
    key: Key


SOONEST = attrgetter("soonest")


class Bucket:
    """Calls that may be made now, at so many a second: what is saved up is one call at most, so that they are spread
    over time and not made in bursts."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._ready = now

    def opens(self) -> float:
        """When (monotonic) the next call may be made."""
        return self._ready

    def take(self, cost: float, now: float) -> None:
        self._ready = max(self._ready, now - 1 / self.rate) + cost / self.rate


@dataclass(slots=True)
class Load:
    """Calls that a count hint asked for, older ones counting less."""

    calls: float = 0.0
    at: float = 0.0  # monotonic
    since: float = 0.0

    def add(self, cost: float, now: float) -> None:
        self.calls, self.at = self.calls * math.exp((self.at - now) / _MEMORY) + cost, now

    def rate(self, now: float) -> float:
        """Calls a second."""
        seen = 1 - math.exp((self.since - now) / _MEMORY)
        return self.calls * math.exp((self.at - now) / _MEMORY) / (_MEMORY * max(seen, 0.1))


@dataclass(slots=True)
class Pool:
    """Members that the same limit holds back, so that one factor makes the intervals of all: those of a client, or of
    one connection that its own limit holds back further. Whoever has waited longest in a level is first in it."""

    connection: str  # any of it
    bucket: Bucket | None = None
    scarce: bool = False  # whether limits hold its polls back further than the plan's bounds do
    members: Agenda[int, Key] = field(default_factory=Agenda)
    firsts: dict[int, First] = field(default_factory=dict)  # by level
    ready: float | None = None  # when there may be something to poll if nothing changes before; None: look anew

    def opens(self) -> float:
        """When (monotonic) its limit allows the next planned poll."""
        return self.bucket.opens() if self.bucket is not None and self.scarce else -math.inf


def refilled(known: Bucket | None, rate: float, now: float) -> Bucket | None:
    """A bucket of this rate; none where it is no limit."""
    if math.isinf(rate):
        return None
    bucket = known or Bucket(rate, now)
    bucket.rate = rate
    return bucket
