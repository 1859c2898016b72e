"""One sliding window of a rate limit. Pure: the time comes in as seconds of a monotonic clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

# Another machine's second may be a little longer than ours: kernels slew clocks by up to 500 ppm.
CLOCK_DRIFT = 500e-6

# A window of more calls than this is kept in at most about this many buckets.
BUCKETS = 1000


class Window:
    """At most `limit` calls in any `width` seconds, wherever between sending and answer the other side counts.

    A call occupies its slot from before it is sent until one width after its answer was complete: two calls
    counted within one width of each other then always shared the window here, too.
    Wide windows keep neighbouring calls in one bucket, dated at the latest of them, which only ever errs
    towards fewer calls. The cost of every operation is constant on average.
    """

    __slots__ = ("_answered", "_bucket_width", "_buckets", "_in_flight", "_span", "limit", "name", "width")

    def __init__(self, name: str, limit: int, width: float) -> None:
        self.name = name
        self.limit = limit
        self.width = width
        self._span = width * (1 + CLOCK_DRIFT)
        self._bucket_width = width / BUCKETS if limit > BUCKETS else 0.0
        self._buckets: deque[list[float]] = deque()  # [first answer, last answer, calls]
        self._answered = 0
        self._in_flight = 0

    def seed(self, spent: Iterable[tuple[float, int]]) -> None:
        """Count calls of an earlier process: (moment of the last answer, calls), oldest first."""
        for moment, calls in spent:
            self._add(moment, calls)

    def has_room(self, now: float) -> bool:
        self._forget(now)
        return self._in_flight + self._answered < self.limit

    def used(self, now: float) -> int:
        self._forget(now)
        return self._in_flight + self._answered

    def spent(self, now: float, parts: int) -> list[float]:
        """Calls by when they were answered, in equal parts of the window, the oldest first; calls under way count as
        answered now."""
        self._forget(now)
        counts = [0.0] * parts
        for _, latest, calls in self._buckets:
            age = max(now - latest, 0.0) / self._span
            counts[parts - 1 - min(int(age * parts), parts - 1)] += calls
        counts[-1] += self._in_flight
        return counts

    def take(self) -> None:
        self._in_flight += 1

    def answered(self, now: float) -> None:
        """The answer of a taken call is complete: its slot frees one width from now."""
        self._in_flight -= 1
        self._add(now, 1)

    def give_back(self) -> None:
        """A taken call was never sent."""
        self._in_flight -= 1

    def free_at(self, now: float) -> float:
        """The moment the next call has room if nothing else is taken; infinite while only an answer can make room."""
        surplus = self.used(now) - self.limit + 1
        if surplus <= 0:
            return now
        for _, latest, calls in self._buckets:
            surplus -= int(calls)
            if surplus <= 0:
                return latest + self._span
        return math.inf

    def _add(self, moment: float, calls: int) -> None:
        self._answered += calls
        if self._buckets and moment - self._buckets[-1][0] < self._bucket_width:
            bucket = self._buckets[-1]
            bucket[1] = max(bucket[1], moment)
            bucket[2] += calls
        else:
            self._buckets.append([moment, moment, calls])

    def _forget(self, now: float) -> None:
        buckets = self._buckets
        while buckets and buckets[0][1] + self._span <= now:
            self._answered -= int(buckets.popleft()[2])
