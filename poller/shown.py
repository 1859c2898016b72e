"""How values are shown: moments and lengths, to people in their time zone, to programs as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from state.store import PollRow

# One row of the journal, wherever it is shown.
POLL_COLUMNS: Final = (
    "started",
    "connection",
    "target",
    "outcome",
    "calls",
    "records",
    "added",
    "changed",
    "removed",
    "set_aside",
    "seconds",
    "note",
)


class Shown:
    """Writes values for one command: for people (`display_timezone`), or for programs (RFC 3339 UTC, seconds)."""

    def __init__(self, display_timezone: str, *, as_json: bool) -> None:
        from zoneinfo import ZoneInfo

        self.as_json = as_json
        self._zone: tzinfo = ZoneInfo(display_timezone)

    def time(self, posix: float | None, none: str = "") -> str | None:
        """POSIX seconds as a moment; for None `none`, which programs get as null."""
        if posix is None:
            return None if self.as_json else none
        moment = datetime.fromtimestamp(posix, UTC)
        if self.as_json:
            from state.events import timestamp

            return timestamp(moment)
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S %Z}"

    def iso(self, text: str) -> str:
        """A moment that is RFC 3339 already; whatever else the text is, it stays."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return text if self.as_json or moment.tzinfo is None else str(self.time(moment.timestamp()))

    def length(self, seconds: float | None) -> str | float | None:
        if seconds is None or self.as_json:
            return seconds
        from poller.fields import rounded

        return rounded(seconds)

    def listed(self, values: Sequence[str]) -> str | list[str]:
        return list(values) if self.as_json else ", ".join(values)


def poll_cells(row: PollRow, shown: Shown) -> tuple[Any, ...]:
    """The values of `POLL_COLUMNS`."""
    return (
        shown.time(row.started_at),
        row.connection,
        str(row.scope),
        row.outcome,
        row.calls,
        row.records,
        row.added,
        row.changed,
        row.removed,
        row.set_aside,
        round(row.seconds, 3),
        row.note,
    )
