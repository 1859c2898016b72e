"""What all actions have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec


class Action(msgspec.Struct, tag_field="action", rename="camel", forbid_unknown_fields=True):
    """`action` names it; an unknown field is refused. Each kind has `perform`."""


class Delayed(Action, kw_only=True):
    visible_in: float = 0.0

    @property
    def delay(self) -> timedelta:
        return timedelta(seconds=self.visible_in)


def said(**fields: Any) -> dict[str, Any]:
    """Fields that the action names."""
    return {name: value for name, value in fields.items() if value is not None}
