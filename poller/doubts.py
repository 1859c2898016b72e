"""Keys that a list keeps leaving out although they exist: asked about ever more rarely."""

from __future__ import annotations

from collections.abc import Sequence

from poller.ports import Clock
from state.records import Scope

FIRST_PAUSE = 60.0  # seconds after the first answer "still there"; doubles with each further one
LONGEST_PAUSE = 3600.0

UNCLEAR = 3  # answers of no help to the GET of one key until the list is believed instead


class Doubts:
    """Lives in memory only: after a restart each missing key is asked about once more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unclear: dict[tuple[Scope, str], int] = {}
        self._put_off: dict[tuple[Scope, str], tuple[float, float]] = {}  # (pause, not before), in seconds

    def due(self, scope: Scope, keys: Sequence[str]) -> list[str]:
        """The keys to ask about now; those never asked about come first."""
        now = self._clock.monotonic()
        due = [key for key in keys if self._put_off.get((scope, key), (0.0, 0.0))[1] <= now]
        return sorted(due, key=lambda key: self._put_off.get((scope, key), (0.0, 0.0))[0])

    def put_off(self, scope: Scope, key: str) -> None:
        pause, _ = self._put_off.get((scope, key), (FIRST_PAUSE / 2, 0.0))
        pause = min(2 * pause, LONGEST_PAUSE)
        self._put_off[scope, key] = (pause, self._clock.monotonic() + pause)

    def is_unclear(self, scope: Scope, key: str) -> bool:
        """Its own GET said nothing that helps. Repeatedly: nothing better will come."""
        seen = self._unclear[scope, key] = self._unclear.get((scope, key), 0) + 1
        return seen < UNCLEAR

    def settle(self, scope: Scope, keys: Sequence[str]) -> None:
        """The list shows them again, or they are gone."""
        for key in keys:
            self._put_off.pop((scope, key), None)

    def clear(self, scope: Scope, key: str) -> None:
        """Its own GET has said something."""
        self._unclear.pop((scope, key), None)
