"""Time for waits that are written down as POSIX seconds, although the wall clock may jump."""

from __future__ import annotations

from poller.ports import Clock


class Timeline:
    """POSIX seconds that never go back while the process lives.

    A wall clock set back does not freeze what is due by its old time: from then on the monotonic clock leads. A wall
    clock set forward is followed, and what it makes due at once is held by the rule of one probe at a time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._lead = self._wall() - clock.monotonic()

    def now(self) -> float:
        monotonic = self._clock.monotonic()
        self._lead = max(self._lead, self._wall() - monotonic)
        return monotonic + self._lead

    def age(self, since: float) -> float:
        """Seconds since the moment `since` of the wall clock, by whichever clock says fewer: a jump ages nothing."""
        return min(self._wall(), self._clock.monotonic() + self._began) - since

    def _wall(self) -> float:
        return self._clock.now().timestamp()
