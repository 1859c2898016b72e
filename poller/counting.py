"""Pure: what a list of counts says about many webinars in one call, and how far it may be believed.

GoTo's old v1 list of upcoming webinars still carries the number of each one's registrants, which the v2 lists lack. A
number that differs from what our own polls make one expect announces news. It says nothing of somebody who changed,
nor of one who came while another left; and it may lag, or lie. So it only moves polls about: what is news is for the
polls to say, and each of them also shows how good the hint was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# How long (seconds) a count may stay behind what a poll has found before it is taken for what this list now shows.
LAG = 3600.0

# What is assumed before anything was seen: one piece of news in ten is missed, and announcements are true.
_MISSED, _SEEN = 1.0, 10.0
_TRUE = 3.0
_MEMORY = 400.0  # pieces of news after which older ones count half

# A hint that misses more than half of the news, or is wrong three times in four, is not worth its calls.
_MOST_MISSED = 0.5
_LEAST_TRUE = 0.25


@dataclass(slots=True)
class _Count:
    seen: int  # by the hint
    expected: int  # by our own polls; before the first of them what the hint showed first
    since: float | None = None  # since when there is a difference (seconds, any clock): news wait
    ahead: float | None = None  # when a poll found more than the hint has shown yet
    missed: bool = False  # that has been counted


class Counts:
    """What one connection's hint has said. Moments are seconds of any one clock that does not go back."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._missed = self._announced = self._true = self._polls = 0.0

    def read(self, counts: Mapping[str, int], sizes: Mapping[str, int], now: float) -> dict[str, tuple[int, float]]:
        """Take a reading, by webinar key. `sizes`: how many registrants the last poll of each one showed.

        Returns where news wait: how many pieces, and for how many seconds they are known to.
        """
        known, self._counts = self._counts, {}
        is_alike = _is_alike(counts, sizes)
        for key, seen in counts.items():
            expected = sizes.get(key, seen) if is_alike else seen
            count = self._counts[key] = known.get(key) or _Count(seen, expected)
            count.seen = seen
            self._compare(count, now)
        return {key: waiting for key in self._counts if (waiting := self.waiting(key, now)) is not None}

    def _compare(self, count: _Count, now: float) -> None:
        if count.seen == count.expected:
            count.since = count.ahead = None
        elif count.seen < count.expected and count.ahead is not None:
            count.since = None
            self._stays_behind(count, count.expected - count.seen, now - count.ahead)
        else:
            count.ahead = None
            count.since = now if count.since is None else count.since

    def _stays_behind(self, count: _Count, by: int, seconds: float) -> None:
        """A poll found what this does not show: nothing to poll for, but something to remember it by."""
        if not count.missed:
            count.missed = True
            self._learn(missed=by)
        if seconds > LAG:
            count.expected, count.ahead = count.seen, None

    def waiting(self, key: str, now: float) -> tuple[int, float] | None:
        """How many pieces of news wait there, and for how many seconds that is known; None: none that one knows of."""
        count = self._counts.get(key)
        if count is None or count.since is None:
            return None
        return max(abs(count.seen - count.expected), 1), now - count.since

    def first_polled(self, key: str, size: int) -> None:
        """The first complete poll of a webinar showed so many registrants."""
        if (count := self._counts.get(key)) is not None:
            count.expected, count.since = size, None

    def polled(self, key: str, started: float, grown: int, added: int, changed: int) -> None:
        """A later one, begun at `started`, found so many additions and changes; `grown`: by how many registrants there
        are more than before."""
        count = self._counts.get(key)
        if count is None:
            return
        self._learn(missed=changed)
        if count.since is not None and count.since <= started:
            self._answered(count, grown, added, started)
            return
        count.expected += grown
        if grown > 0:
            self._went_ahead(count, started)
        elif added:
            self._learn(missed=added)

    def _answered(self, count: _Count, grown: int, added: int, started: float) -> None:
        """This poll was announced."""
        count.since = None
        is_true = bool(grown or added)
        self._learn(announced=added, true=float(is_true), polls=1)
        count.expected = count.expected + grown if is_true else count.seen
        if count.expected > count.seen:
            self._went_ahead(count, started)

    def _went_ahead(self, count: _Count, moment: float) -> None:
        count.ahead, count.missed = moment, False

    def _learn(self, missed: float = 0.0, announced: float = 0.0, true: float = 0.0, polls: float = 0.0) -> None:
        self._missed += missed
        self._announced += announced
        self._true += true
        self._polls += polls
        if self._missed + self._announced + self._polls > _MEMORY:
            self._missed, self._announced = self._missed / 2, self._announced / 2
            self._true, self._polls = self._true / 2, self._polls / 2

    def covers(self, key: str) -> bool:
        return key in self._counts

    @property
    def share(self) -> float:
        """The share of the news of covered webinars that it announces."""
        return 1 - (self._missed + _MISSED) / (self._missed + self._announced + _SEEN)

    @property
    def is_useful(self) -> bool:
        true = (self._true + _TRUE) / (self._polls + _TRUE)
        return 1 - self.share <= _MOST_MISSED and true >= _LEAST_TRUE


def _is_alike(counts: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Whether it counts what we count: most of what can be compared is the same."""
    both = counts.keys() & sizes.keys()
    return 2 * sum(counts[key] == sizes[key] for key in both) >= len(both)
