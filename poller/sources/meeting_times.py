"""Pure: GoTo Meeting writes times in five forms; see "Time formats" in the vendor's GoTo Meeting API reference."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

# The usual form has a dot without digits behind it and an offset without a colon: 2021-07-01T23:00:00.+0000
_FORM: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d*))?\s*(Z|[+-]\d\d:?\d\d)?")


def parse(value: Any) -> datetime | None:
    """In UTC; a time without a zone is taken for UTC. None for the empty text (no time is set) and whatever is none."""
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    seconds, fraction, zone = found.groups()
    text = f"{seconds}.{(fraction or '0')[:6]:0<6}{_offset(zone)}"
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _offset(zone: str | None) -> str:
    if zone in (None, "Z"):
        return "+00:00"
    assert zone is not None
    return zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def rfc3339(value: Any) -> Any:
    """`2026-03-03T17:00:00Z`; None where no time is set; what is no time stays as it came."""
    if value == "":
        return None
    moment = parse(value)
    if moment is None:
        return value
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
