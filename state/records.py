"""What we know: records, where they belong, and which of them we have told the world about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    """How the first complete walk of a scope treats what it finds; every later walk is OPEN."""

    BASELINE = "baseline"  # silent: it was there before we came
    BACKFILL = "backfill"  # told as history (`backfill: true`), from the connection's start date on
    NEW = "new"  # told as news, unless every record is older than the baseline
    OPEN = "open"


class Presence(IntEnum):
    GONE = 0  # a removal was confirmed; the row stays, so that a return gets new ids
    PRESENT = 1
    MISSING = 2  # a complete walk did not have it; to be confirmed by its own GET


class Scope(NamedTuple):
    """A set of records that one complete walk lists: all webinars, or the registrants of one webinar.

    A root is a connection's own list. Every other scope is brought along by a record, whose key its parent begins with:
    `W`, or `W/S` for the session S of webinar W.
    """

    kind: str
    parent: str = ""

    @property
    def is_root(self) -> bool:
        return not self.parent

    def __str__(self) -> str:
        return f"{self.kind}s of {self.parent}" if self.parent else f"{self.kind}s"


class Record(NamedTuple):
    """One object as a list shows it. Equal fingerprints mean nothing to compare; unequal ones may still mean nothing.

    The fingerprint covers the bytes of the body, so that a record which did not change costs one hash and no decoding.
    Whether a difference has a meaning is decided by the source, field by field, because the two shapes in which
    an object is served (in a list, by its key) do not carry the same fields.
    """

    key: str
    fingerprint: bytes
    body: bytes


class RecordRow(NamedTuple):
    """A record as the state keeps it.

    `revision` counts everything told about the key; `born` is the revision of its present life (the revision that its
    `created` event has). Both outlive the events and never go back.
    """

    key: str
    fingerprint: bytes
    body: bytes | None  # None once erased: by `forget`, by removal, or long after the target's end
    born: int = 1
    revision: int = 1
    presence: int = Presence.PRESENT
    announced: bool = True  # its creation was told (a silent baseline leaves this False)
    previous: bytes | None = None  # the fingerprint before the last change: a list that shows it again may be stale


@dataclass(frozen=True, slots=True)
class Known:
    """What the state knows of one scope, as far as a diff needs it."""

    fingerprints: Mapping[str, bytes] = field(default_factory=dict)  # present and missing ones
    missing: frozenset[str] = frozenset()
    gone: Mapping[str, int] = field(default_factory=dict)  # key → last revision


@dataclass(frozen=True, slots=True)
class Target:
    """One connection's way to one scope: the unit that is polled."""

    connection: str
    scope: Scope
    organizer_key: str = ""
    title: str = ""  # the webinar's subject line
    phase: Phase = Phase.OPEN
    ends_at: float | None = None  # the last end of the webinar or meeting, POSIX seconds; None = not bound to a time
    polled_at: float | None = None  # start of the last complete poll, POSIX seconds
    digest: bytes = b""  # of the last complete walk's bytes
    size: int = 0  # records present at the last complete walk
    news: float = 0.0  # pieces of news that its polls found, old ones counting less
    exposure: float = 0.0  # seconds in which they would have been found, weighed like them
    ends: tuple[float, ...] | None = None  # read around these moments only (POSIX seconds); None = ever again
    began_at: float | None = None  # start of the first complete poll
    starts_at: float | None = None  # the last start of the webinar, POSIX seconds


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What the state knows of one connection (one organizer's or account's credentials)."""

    name: str
    organizer_key: str = ""
    account_key: str = ""
    status: str = "active"  # active | unauthorized | forbidden
    reason: str = ""
    baseline_at: float | None = None  # start of the first complete webinar walk
    walked_from: float | None = None  # where the window of the last complete walk began
    walked_at: float | None = None
