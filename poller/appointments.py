"""When targets that are read around certain moments only have their turn. The plan knows nothing of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from poller.looks import next_look
from poller.pools import Key
from poller.ports import Clock
from poller.roster import Roster
from state.records import Target


class Appointments:
    """`settle` says of a connection how long (seconds) after an end its lists are read."""

    def __init__(self, roster: Roster, clock: Clock, settle: Callable[[str], float]) -> None:
        self._roster = roster
        self._clock = clock
        self._settle = settle
        self._given_up: set[Key] = set()

    def keeps(self, key: Key) -> bool:
        """Whether this target has its turns by appointment."""
        target = self._roster.target(*key)
        return target is not None and target.ends is not None

    def next(self, target: Target) -> float | None:
        """The next look (POSIX seconds), which may be long due; None after the last one."""
        if (target.connection, target.scope) in self._given_up:
            return None
        return next_look(target, self._settle(target.connection), self._roster.polled_at(target.scope))

    def moment(self, target: Target) -> float:
        """The same, for a target that is not over, by the monotonic clock."""
        date = self.next(target)
        assert date is not None, "what is over has no appointment"
        return self._clock.monotonic() + max(0.0, date - self._clock.now().timestamp())

    def is_due(self, key: Key) -> bool:
        """Whether its moment has come; that of all others always has."""
        target = self._roster.target(*key)
        if target is None or target.ends is None:
            return True
        date = self.next(target)
        return date is not None and date <= self._clock.now().timestamp()

    def has_begun(self, key: Key) -> bool:
        """Whether one of its ends is over: before that there is nothing to be read."""
        target = self._roster.target(*key)
        ends = () if target is None else target.ends or ()
        return min(ends, default=math.inf) <= self._clock.now().timestamp()

    def after_refusal(self, target: Target) -> float:
        """Seconds until the next try: a look that was refused is not made up for, but what is not there yet, or not
        allowed, may be at the next one. After the last one the target is over."""
        wall = self._clock.now().timestamp()
        date = next_look(target, self._settle(target.connection), wall)
        if date is None:
            self._given_up.add((target.connection, target.scope))
            return 0.0
        return date - wall

    def renew(self, keys: Iterable[Key]) -> None:
        """There may be other ends now."""
        self._given_up.difference_update(keys)
