"""History on demand: what was known silently, or never seen, from a date on. Safe to repeat: nothing is told twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from poller.admission import Start
from poller.engine import Engine
from poller.errors import NotFound, PollerError, Reauthorize, Wait
from poller.poll import Polled
from poller.ports import Clock
from poller.roster import WEBINARS, Roster
from state.records import Scope, Target

# Tries for one list before it is reported as failed; a later backfill takes it up again.
TRIES = 5
FIRST_PAUSE = 5.0  # seconds, doubling

Progress = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Tally:
    """What a backfill came to."""

    found: Counter[str] = field(default_factory=Counter)  # told, by kind
    lists: int = 0
    failed: int = 0

    @property
    def webinars(self) -> int:
        return self.found["webinar"]

    @property
    def registrants(self) -> int:
        return self.found["registrant"]

    def as_dict(self) -> dict[str, Any]:
        others = {f"{kind}s": count for kind, count in self.found.items() if kind not in ("webinar", "registrant")}
        return {
            "webinars": self.webinars,
            "registrants": self.registrants,
            **others,
            "lists": self.lists,
            "failed": self.failed,
        }

    def count(self, target: Target, polled: Polled | None) -> None:
        self.lists += 1
        self.failed += polled is None
        if polled is not None and polled.added:
            self.found[target.scope.kind] += polled.added


class Backfill:
    """Walks one connection's own lists from `since` on, then the lists that are found in them.

    `wants` says of which of these anybody wants to hear.
    """

    def __init__(
        self,
        engine: Engine,
        roster: Roster,
        clock: Clock,
        connection: str,
        since: datetime,
        *,
        roots: Collection[Scope] = (WEBINARS,),
        wants: Callable[[Target], bool] = lambda _: True,
    ) -> None:
        self._engine = engine
        self._roster = roster
        self._clock = clock
        self._connection = connection
        self._since = since
        self._start = Start(history=True, since=since)
        self._roots = roots
        self._wants = wants

    async def run(self, progress: Progress) -> Tally:
        """Raises Reauthorize; other failures are counted. A connection without a baseline gets that first."""
        tally = Tally()
        for root in self._roots:
            own = self._roster.own_list(self._connection, root)
            if self._roster.baseline_at(self._connection, root) is None:
                await self._engine.poll(own)
            tally.count(own, await self._patiently(own, self._since))
        done: set[Scope] = set()
        while targets := [one for one in self._roster.of(self._connection) if self._reaches(one, done)]:
            of = len(done) + len(targets)
            for target in targets:
                progress({"done": len(done), "of": of, **tally.as_dict()})
                done.add(target.scope)
                tally.count(target, await self._patiently(target))
        return tally

    def _reaches(self, target: Target, done: Collection[Scope]) -> bool:
        """Whether anything in this list can be as young as the wished date, and is wanted."""
        if target.scope.is_root or target.scope in done or not self._wants(target):
            return False
        if target.ends is not None and min(target.ends, default=math.inf) > self._clock.now().timestamp():
            return False  # there is nothing in it yet
        return target.ends_at is None or target.ends_at >= self._since.timestamp()

    async def _patiently(self, target: Target, since: datetime | None = None) -> Polled | None:
        pause = FIRST_PAUSE
        for _ in range(TRIES):
            try:
                polled = await self._engine.poll(target, backfill=self._start, since=since)
                if polled.problem is None:
                    return polled
            except Reauthorize:
                raise
            except NotFound:
                return None
            except Wait as error:
                pause = max(pause, error.retry_after or 0.0)
            except PollerError:
                pass
            await self._clock.sleep(pause)
            pause *= 2
        return None
