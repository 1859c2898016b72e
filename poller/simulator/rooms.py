"""What belongs to a webinar beside its registrants: co-organizers without a login, panelists, audio settings.

No list that tells of webinars shows any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

AudioType = Literal["PSTN", "VOIP", "Hybrid", "Private"]


@dataclass(frozen=True, slots=True)
class Helper:
    """A panelist, or a co-organizer without a GoTo Webinar account."""

    key: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Audio:
    """How people hear each other. `private` are the phone numbers of an own conference service, by role."""

    type: AudioType = "Hybrid"
    toll: tuple[str, ...] = ("US", "DE")
    toll_free: tuple[str, ...] = ()
    private: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Room:
    """Helpers by their keys."""

    outsiders: dict[str, Helper] = field(default_factory=dict)
    panelists: dict[str, Helper] = field(default_factory=dict)
    audio: Audio = field(default_factory=Audio)


class Rooms:
    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def of(self, webinar_key: str) -> Room:
        return self._rooms.setdefault(webinar_key, Room())
