"""The nearest right spelling of a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MANY = 24  # more names than this are no help on one line


def suggestion(wrong: str, right: Iterable[str]) -> str:
    """The rest of a message: `; did you mean "…"?`, else what there is to choose from, else nothing."""
    names = {name.lower(): name for name in right}
    close = get_close_matches(wrong.lower(), names, n=1)
    if close:
        return f'; did you mean "{names[close[0]]}"?'
    return f"; known: {', '.join(names.values())}" if 0 < len(names) <= _MANY else ""
