"""Pure: what a reload changes, and what of it a running process cannot take up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from poller.settings.root import Settings

_FIXED: Final = ("engine.state", "engine.key", "http.listen")


def changed(old: Settings, new: Settings) -> list[str]:
    """The parts that differ, added and removed ones included: `engine.interval`, `sinks.crm`.

    Order means nothing: connections, triggers and sinks are known by their names.
    """
    before, after = _parts(old), _parts(new)
    return [part for part in {**before, **after} if _differ(before.get(part), after.get(part))]


def restart_required(old: Settings, new: Settings) -> list[str]:
    """Those of the changed keys that only take effect in a new process."""
    return [part for part in changed(old, new) if part in _FIXED]


def _differ(before: object, after: object) -> bool:
    return type(before) is not type(after) or before != after


def _parts(settings: Settings) -> dict[str, object]:
    parts: dict[str, object] = {}
    for table in ("engine", "goto", "limits", "http", "webhooks"):
        section = getattr(settings, table)
        parts |= {f"{table}.{key}": getattr(section, key) for key in type(section).model_fields}
    for kind in ("connections", "triggers", "sinks"):
        parts |= _by_name(kind, getattr(settings, kind))
    return parts


def _by_name(kind: str, models: Iterable[BaseModel]) -> dict[str, object]:
    return {f"{kind}.{getattr(model, 'name', '')}": model for model in models}
