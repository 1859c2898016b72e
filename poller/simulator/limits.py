"""The API's own rate limits: exact sliding windows, counted here and nowhere else.

A call counts at the moment its request arrives, whatever is answered, and counts against every window. A window
of w seconds with limit n is breached by a call if the w seconds that end with it hold more than n calls.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count
from math import ceil
from typing import Literal

from poller.errors import UsageError

RetryAfterMode = Literal["none", "seconds", "date", "absurd"]
Scope = Literal["client", "connection", "operation"]

ABSURD_RETRY_AFTER = ("-30", "soon", "99999999999", "1e400", "")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = re.compile(r"(\d+)/(\d*)([smhd])")


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` calls in any `seconds`; counted per client, per login under it, or per API operation."""

    limit: int
    seconds: int
    scope: Scope = "client"

    def __str__(self) -> str:
        return f"{self.limit}/{self.seconds}s per {self.scope}"


PROFILES: dict[str, tuple[Window, ...]] = {
    "none": (),
    "safe": (Window(10, 1), Window(100, 60, "connection")),  # what every published limit allows
    "published": (Window(10, 1),),  # the vendor's page "Rate Limiting"
    "power-automate": (Window(100, 60, "connection"),),  # the connector's page: per connection
    "developer": (Window(100, 1), Window(10, 1, "operation"), Window(500, 86400)),  # the vendor's FAQ
}


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Which windows apply and how a 429 says when to come back."""

    windows: tuple[Window, ...] = ()
    retry_after: RetryAfterMode = "seconds"

    @classmethod
    def profile(cls, name: str, *, retry_after: RetryAfterMode = "seconds") -> LimitOptions:
        """A named profile, or numbers such as `10/s,100/60s,500/d` (per client). Raises UsageError."""
        if name in PROFILES:
            return cls(PROFILES[name], retry_after)
        return cls(tuple(_parse(part) for part in name.split(",")), retry_after)


def _parse(text: str) -> Window:
    match = _WINDOW.fullmatch(text.strip())
    if match is None or int(match[1]) < 1 or match[2] == "0":
        raise UsageError(
            f"limits: {text!r} is neither one of {', '.join(PROFILES)} nor calls per time such as 10/s or 100/60s"
        )
    return Window(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])


@dataclass(frozen=True, slots=True)
class Breach:
    """One call too many. `seen` counts the calls in the window, this one included; `wait` is until it had room."""

    at: datetime
    window: Window
    whose: str
    operation: str
    seen: int
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a call counts for: the OAuth client, and the login (organizerKey) its token belongs to."""

    client_id: str
    organizer_key: str


@dataclass(slots=True)
class Meter:
    """Counts calls. Moments are whole microseconds, so that the edge of a window is exact."""

    options: LimitOptions
    breaches: list[Breach] = field(default_factory=list)
    peaks: Counter[Window] = field(default_factory=Counter)  # the most calls any such window ever held
    _calls: dict[tuple[Window, str], deque[int]] = field(default_factory=dict)

    def count(self, caller: Caller, operation: str, microseconds: int, now: datetime) -> Breach | None:
        """Count one call in all windows; the breach with the longest wait if there is any."""
        found = [
            breach
            for window in self.options.windows
            if (breach := self._count_in(window, caller, operation, microseconds, now)) is not None
        ]
        self.breaches += found
        return max(found, key=lambda breach: breach.wait, default=None)

    def _count_in(
        self, window: Window, caller: Caller, operation: str, microseconds: int, now: datetime
    ) -> Breach | None:
        whose = _whose(window.scope, caller, operation)
        calls = self._calls.setdefault((window, whose), deque())
        width = window.seconds * 1_000_000
        while calls and calls[0] <= microseconds - width:
            calls.popleft()
        calls.append(microseconds)
        self.peaks[window] = max(self.peaks[window], len(calls))
        if len(calls) <= window.limit:
            return None
        free_at = calls[len(calls) - window.limit] + width
        wait = timedelta(microseconds=free_at - microseconds)
        return Breach(now, window, whose, operation, len(calls), wait)


def _whose(scope: Scope, caller: Caller, operation: str) -> str:
    if scope == "operation":
        return f"{caller.client_id} {operation}"
    return caller.client_id if scope == "client" else f"{caller.client_id} {caller.organizer_key}"


class RetryAfter:
    """Writes the Retry-After header of a 429 (RFC 9110, 10.2.3), or something no document allows."""

    def __init__(self, mode: RetryAfterMode) -> None:
        self._mode = mode
        self._turn = count()

    def headers(self, wait: timedelta, now: datetime) -> dict[str, str]:
        seconds = max(ceil(wait.total_seconds()), 1)
        if self._mode == "seconds":
            return {"Retry-After": str(seconds)}
        if self._mode == "date":
            # HTTP dates have whole seconds: round up, or the date would lie before the slot is free
            moment = now.replace(microsecond=0) + timedelta(seconds=seconds + 1)
            return {"Retry-After": format_datetime(moment, usegmt=True)}
        if self._mode == "absurd":
            return {"Retry-After": ABSURD_RETRY_AFTER[next(self._turn) % len(ABSURD_RETRY_AFTER)]}
        return {}
