"""What the scheduler is told: how often to poll, and whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from poller.planner import Quota
from poller.ports import CountHint
from state.records import Scope, Target


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings that say how often."""

    interval: timedelta = timedelta(seconds=120)
    nudge_interval: timedelta = timedelta(seconds=2)
    max_interval: timedelta = timedelta(hours=1)
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Membership:
    """What of the roster may be polled: said by settings, triggers and pauses."""

    connections: Callable[[], Iterable[str]]  # active, not paused, allowed in
    roots: Callable[[str], Collection[Scope]]  # the lists of its own that are wanted of a connection
    wants: Callable[[Target], bool]  # of a list that a record brought along
    client_of: Callable[[str], str]
    quota_of: Callable[[str], Quota]  # of a client
    spent: Callable[[str], list[float]]  # of a client: calls in each of the last 24 hours, the oldest first
    cost: Callable[[Target], float]  # calls of one poll
    delay: Callable[[str, str], float]  # (connection, kind) → seconds until a call of it would be let through
    settle: Callable[[str], float]  # seconds after an end for which lists are polled that belong to it
    count_hint: Callable[[str], CountHint | None] = lambda _: None  # of a connection
    in_maintenance: Callable[[], bool] = lambda: False  # announced by GoTo: many calls will fail
