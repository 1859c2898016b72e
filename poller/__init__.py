"""A polling trigger engine for GoTo Webinar and GoTo Meeting.

    from poller import Poller, Settings

Both names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poller.embedding import Poller
    from poller.settings import Settings

__all__ = ["Poller", "Settings"]


def __getattr__(name: str) -> Any:
    if name == "Poller":
        from poller.embedding import Poller

        return Poller
    if name == "Settings":
        from poller.settings import Settings

        return Settings
    raise AttributeError(f"module 'poller' has no attribute {name!r}")
