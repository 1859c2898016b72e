"""Pure: which of the records that a walk found for the first time are news, which are history, which are neither.

The rules are those of the setting `start`. The baseline of a connection is its first complete webinar walk plus the
registrants of those webinars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from state.records import Phase

# How much older than the baseline every registration must be for a webinar to have merely moved into the window.
MOVED = timedelta(hours=24)


class Judged(Enum):
    """By what the additions to a list are judged."""

    WINDOW = "window"  # a list that is walked in a window: see `later_webinar`
    PHASE = "phase"  # by the phase of the list: see Phase
    DATE = "date"  # each by its own: see `by_date`


class Telling(Enum):
    SILENT = "silent"  # known from now on, not told
    NEWS = "news"
    HISTORY = "history"  # told with `backfill: true`


@dataclass(frozen=True, slots=True)
class Start:
    """What the first walk of a connection tells. `since` None with `history`: everything in the window."""

    history: bool = False
    since: datetime | None = None

    def telling(self, moment: datetime | None) -> Telling:
        """For something that happened (a webinar: ended last) at `moment`; what has no date counts as recent."""
        if not self.history:
            return Telling.SILENT
        too_old = self.since is not None and moment is not None and moment < self.since
        return Telling.SILENT if too_old else Telling.HISTORY

    @property
    def phase(self) -> Phase:
        """How the registrants of webinars found by the first walk are treated."""
        return Phase.BACKFILL if self.history else Phase.BASELINE


def later_webinar(ended: datetime | None, walked_from: float | None) -> Telling:
    """A webinar found after the baseline. One that had ended before the last walk's window began was there already:
    the window was widened backwards, which only baselines."""
    widened = ended is not None and walked_from is not None and ended.timestamp() < walked_from
    return Telling.SILENT if widened else Telling.NEWS


def registrants_of_new_webinar(
    moments: Iterable[datetime | None], baseline_at: float | None, *, complete: bool
) -> Telling | None:
    """The first walk of a webinar found after the baseline; None: not decidable before a complete walk.

    Its registrants are news, unless every registration is older than the baseline by MOVED: then the webinar existed
    all along and merely moved into the window. `moments` are those of all that the walk shows, known or not, so that
    a decision which a broken walk began holds for the rest.
    """
    oldest = (baseline_at or 0.0) - MOVED.total_seconds()
    found = list(moments)
    if any(moment is None or moment.timestamp() >= oldest for moment in found):
        return Telling.NEWS
    if not complete:
        return None
    return Telling.SILENT if found else Telling.NEWS


def by_date(moment: datetime | None, baseline_at: float | None, start: Start) -> Telling:
    """What was there before the baseline is told as the start says; what came after it, or has no date, is news.

    For whatever has such a date and is found when it is there, however late: sessions, attendance; and registrants of
    a webinar whose list was empty at the first look.
    """
    if moment is None or moment.timestamp() >= (baseline_at or 0.0):
        return Telling.NEWS
    return start.telling(moment)


def next_phase(phase: Phase, *, empty: bool) -> Phase:
    """After a walk of all pages. An empty first one proves little (a list may lie), so the next one judges by dates."""
    if not empty:
        return Phase.OPEN
    return Phase.NEW if phase is Phase.BASELINE else phase
