"""The Retry-After header (RFC 9110, 10.2.3): seconds or a date. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Seconds. No window of GoTo's limits is longer, so a header that asks for more is a mistake and says nothing: to obey
# it, or a part of it, would stop all polling for years, or for a day.
LONGEST = 86_400.0


def parse(value: str | None, *, now: datetime, sent_at: str | None = None) -> float | None:
    """Seconds to wait, at most `LONGEST`; None where the header is absent or makes no sense.

    A date is measured from the answer's own Date header (`sent_at`), so that a wrong clock here does no harm.
    """
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None:
        moment = _date(value)
        seconds = None if moment is None else max((moment - (_date(sent_at) or now)).total_seconds(), 0.0)
    return None if seconds is None or seconds > LONGEST else seconds


def _number(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return None if math.isnan(seconds) or seconds < 0 else seconds


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
