"""What follows a 429: silence for the stated time, then one call at a time until the API is friendly again. Pure."""

from __future__ import annotations

import math
import random

BACKOFF_BASE = 1.0  # seconds; doubled with every further 429 that names no time
BACKOFF_LIMIT = 300.0
# After the silence calls go singly, this many seconds after the previous answer, until so many succeeded in a row.
PROBE_GAP = 0.2
PROBES = 5


class Penalty:
    """Seconds of a monotonic clock come in; nothing here waits."""

    __slots__ = ("_backoffs", "_opens_at", "_probes_left", "_rng", "count")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._opens_at = -math.inf
        self._backoffs = 0
        self._probes_left = 0
        self.count = 0

    def strike(self, now: float, retry_after: float | None) -> None:
        """The API said 429. Without a stated time the silence grows, once for all calls that were under way."""
        self.count += 1
        self._probes_left = PROBES
        if retry_after is None:
            if self._opens_at > now:
                return
            ceiling = min(BACKOFF_BASE * 2**self._backoffs, BACKOFF_LIMIT)
            self._backoffs = min(self._backoffs + 1, 16)
            retry_after = ceiling * self._rng.uniform(0.5, 1.0)
        self._opens_at = max(self._opens_at, now + retry_after)

    def success(self, now: float) -> None:
        """A call that was sent after the last strike came back."""
        self._backoffs = 0
        if self._probes_left:
            self._probes_left -= 1

    def answered(self, now: float) -> None:
        if self._probes_left:
            self._opens_at = max(self._opens_at, now + PROBE_GAP)

    def opens_at(self, now: float, in_flight: int) -> float:
        """When the next call may go; infinite while only an answer can tell."""
        if self._probes_left and in_flight:
            return math.inf
        return max(self._opens_at, now)
