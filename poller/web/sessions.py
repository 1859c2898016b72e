"""Who is logged in at the dashboard: in memory only, so that a restart ends every session."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from poller.ports import Clock

LIFETIME: Final = 12 * 3600.0  # seconds
_MOST: Final = 1000  # sessions; the one that was used longest ago goes first


@dataclass(slots=True)
class Session:
    """`key`: digest of the API key that opened it; empty on a machine of one's own, where none is asked for.

    `csrf` stands in every form of its pages. `notices` are shown on the next page: how it went, and in words.
    """

    key: bytes = field(repr=False)
    ends: float  # monotonic
    csrf: str = field(repr=False, default_factory=lambda: secrets.token_urlsafe(32))
    notices: list[tuple[str, str]] = field(default_factory=list)


class Sessions:
    """By the token in the browser's cookie, of which only the digest is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, key: bytes = b"") -> tuple[str, Session]:
        """A new token, and its session."""
        token = secrets.token_urlsafe(32)
        session = self._sessions[digest(token)] = Session(key, self._clock.monotonic() + LIFETIME)
        if len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return token, session

    def find(self, token: str) -> Session | None:
        name = digest(token)
        session = self._sessions.get(name)
        if session is None:
            return None
        if self._clock.monotonic() >= session.ends:
            del self._sessions[name]
            return None
        self._sessions.move_to_end(name)
        return session

    def end(self, token: str) -> None:
        self._sessions.pop(digest(token), None)


def digest(secret: str) -> bytes:
    """Of one length for all: comparing digests says nothing about what they are of."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
