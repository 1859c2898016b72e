"""How values are read and shown: moments and lengths, to people in their time zone, to programs as they stand."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under names that are the keys of its JSON. `empty`: what is said instead of a table without rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    empty: str = "nothing"

    def records(self) -> list[Mapping[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def print(self, *, as_json: bool) -> None:
        from poller.cli import frame

        frame.show_table(self.columns, self.rows, as_json=as_json, empty=self.empty)


def moment(option: str, text: str, now: datetime) -> datetime:
    """A date (UTC midnight), an RFC 3339 time (UTC where it names no zone) or a length back from now, such as `2h`.

    Raises UsageError that names `option`.
    """
    from poller.errors import UsageError
    from poller.fields import FieldError, parse_duration

    with contextlib.suppress(FieldError):
        return now - parse_duration(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as err:
        example = "2026-01-31, 2026-01-31T09:30:00Z or 2h"
        raise UsageError(
            f'{option} "{text}": takes a date, a time or a length back from now, such as {example}'
        ) from err
    return found if found.tzinfo else found.replace(tzinfo=UTC)
