"""Pure: the newest day of the event log, hour by hour, put together event by event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

HOURS: Final = 24
_HOUR: Final = 3600


class _Told(msgspec.Struct):
    """The part of an event that says how long it went unnoticed."""

    type: str
    time: str
    observedtime: str
    backfill: bool = False


_told = msgspec.json.Decoder(_Told).decode


@dataclass(slots=True)
class Hour:
    """What was told in one hour. `waited`: seconds from GoTo's own times of registrations to their polls, together."""

    events: int = 0
    registrations: int = 0
    waited: float = 0.0

    @property
    def delay(self) -> float:
        """Seconds, on average; 0 without a registration."""
        return self.waited / self.registrations if self.registrations else 0.0


@dataclass(slots=True)
class Trend:
    _hours: dict[int, Hour] = field(default_factory=dict)  # by hours since 1970

    def add(self, body: bytes) -> float:
        """Count one event, given as its JSON; returns when it was seen (POSIX seconds)."""
        told = _told(body)
        seen = datetime.fromisoformat(told.observedtime).timestamp()
        hour = self._hours.setdefault(int(seen // _HOUR), Hour())
        hour.events += 1
        # Only of registrations does GoTo say when they happened.
        if told.type.endswith("registrant.added") and not told.backfill:
            hour.registrations += 1
            hour.waited += max(seen - datetime.fromisoformat(told.time).timestamp(), 0.0)
        return seen

    def hours(self, now: float) -> Sequence[tuple[float, Hour]]:
        """The last `HOURS`, the oldest first, with the times (POSIX seconds) at which they begin."""
        last = int(now // _HOUR)
        numbers = range(last - HOURS + 1, last + 1)
        self._hours = {number: self._hours[number] for number in numbers if number in self._hours}
        return [(float(number * _HOUR), self._hours.get(number, Hour())) for number in numbers]
