"""Pure: when a list is read that can have news only after something is over: sessions, attendance.

GoTo does not say how long after the end they show up, and a session may end later than it was planned to: so the looks
begin soon and grow apart until the settling period is over, with two more for what comes late.
"""

from __future__ import annotations

from collections.abc import Iterator

from state.records import Target

FIRST = 120.0  # seconds after the end
WIDENING = 3.0  # each look is so many times as far from the end as the one before
LATE = (2, 7)  # looks after the settling period, in multiples of it


def looks(settle: float) -> Iterator[float]:
    """Seconds after an end, ascending; `settle` is the settling period in seconds."""
    after = FIRST
    while after < settle:
        yield after
        after *= WIDENING
    yield from (settle, *(settle * times for times in LATE))


def next_look(target: Target, settle: float, since: float) -> float | None:
    """The first look after `since`, in POSIX seconds as that is; None if there is none any more."""
    dates = (end + after for end in target.ends or () for after in looks(settle))
    return min((date for date in dates if date > since), default=None)
