"""Pure: a change becomes a CloudEvents 1.0 envelope whose id depends on nothing but the fact itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

GOTO = "com.goto."  # prefix of the types that tell a fact about GoTo
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Draft:
    """An event without its place in the sequence, which only the commit can give."""

    type: str
    source: str
    subject: str
    revision: int
    time: str  # when it happened, if the API says so; else when it was seen
    observed: str  # when the poll saw it
    connection: str
    partition: str  # events of one partition keep their order
    data: Mapping[str, Any]
    backfill: bool = False

    @property
    def id(self) -> str:
        return event_id(self.type, self.subject, self.revision)


def event_id(type_: str, subject: str, revision: int) -> str:
    """The same fact gets the same id in every database, for every finder and at every attempt."""
    return blake2b(f"{type_}\n{subject}\n{revision}".encode(), digest_size=16).hexdigest()


def sequence_text(sequence: int) -> str:
    """CloudEvents' `sequence` extension compares as text, hence the fixed width."""
    return f"{sequence:020d}"


def envelope(draft: Draft, sequence: int) -> bytes:
    """The event as JSON. These bytes are stored and are the same at every delivery."""
    return _encode(as_event(draft, sequence))


def as_event(draft: Draft, sequence: int = 0) -> dict[str, Any]:
    """The event as a mapping; conditions see it before it has its place in the sequence."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": draft.id,
        "type": draft.type,
        "source": draft.source,
        "subject": draft.subject,
        "time": draft.time,
        "observedtime": draft.observed,
        "connection": draft.connection,
        "sequence": sequence_text(sequence),
        "partitionkey": draft.partition,
    }
    if draft.backfill:
        event["backfill"] = True
    event["datacontenttype"] = "application/json"
    event["data"] = draft.data
    return event


def short_type(type_: str) -> str:
    """`com.goto.registrant.added` → `registrant.added`; operational types stay as they are."""
    return type_.removeprefix(GOTO)


def full_type(short: str) -> str:
    """The other way round."""
    return short if short.startswith("poller.") else GOTO + short.removeprefix(GOTO)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-03-01T09:16:40.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
