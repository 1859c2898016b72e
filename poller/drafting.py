"""Pure: from a record and what happened to it to the draft of its event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from poller.ports import Change, Facts
from state.events import GOTO, Draft, timestamp
from state.records import RecordRow

# A removal tells what was last known of the object; its time is when it was seen, as GoTo does not say.


_seen = lru_cache(maxsize=16)(timestamp)  # all events of one poll were seen at the same moment


def created(
    type_: str, facts: Facts, row: RecordRow, *, connection: str, observed: datetime, backfill: bool = False
) -> Draft:
    happened = facts.happened or observed
    return _draft(type_, facts, row.born, connection, observed, happened, dict(facts.data), backfill)


def changed(type_: str, facts: Facts, row: RecordRow, change: Change, *, connection: str, observed: datetime) -> Draft:
    data = {**facts.data, "changed": list(change.changed), "previous": dict(change.previous)}
    return _draft(type_, facts, row.revision, connection, observed, observed, data)


def removed(type_: str, facts: Facts, row: RecordRow, *, connection: str, observed: datetime) -> Draft:
    return _draft(type_, facts, row.revision, connection, observed, observed, dict(facts.data))


def operational(type_: str, subject: str, *, connection: str, at: datetime, data: dict[str, object]) -> Draft:
    """An event about the engine itself, `poller.…`. The moment is part of its identity: it can happen again."""
    moment = timestamp(at)
    return Draft(
        type=type_,
        source="/poller",
        subject=subject,
        revision=int(at.timestamp() * 1000),
        time=moment,
        observed=moment,
        connection=connection,
        partition=subject,
        data=data,
    )


def webhook(
    type_: str, told: Mapping[str, Any], key: str, *, connection: str, at: datetime | None, now: datetime
) -> Draft:
    """What a webhook of GoTo's told; `key` is GoTo's own of this one telling, which may come again."""
    webinar, session, person = (str(told.get(name) or "") for name in ("webinarKey", "sessionKey", "registrantKey"))
    organizer = told.get("organizerKey") or told.get("webinarCreatorKey") or ""
    place = f"webinars/{webinar}/sessions/{session}" if session else f"webinars/{webinar}"
    who = f"/{'participants' if session else 'registrants'}/{person}" if person else ""
    return Draft(
        type=GOTO + type_,
        source=f"/organizers/{organizer}",
        subject=place + who,
        revision=int.from_bytes(blake2b(key.encode(), digest_size=8).digest()),
        time=_plain(at or now),
        observed=timestamp(now),
        connection=connection,
        partition=webinar,
        data={"organizerKey": organizer, **told},
    )


def _draft(
    type_: str,
    facts: Facts,
    revision: int,
    connection: str,
    observed: datetime,
    time: datetime,
    data: dict[str, object],
    backfill: bool = False,
) -> Draft:
    return Draft(
        type=GOTO + type_,
        source=f"/organizers/{data.get('organizerKey') or ''}",
        subject=facts.subject,
        revision=revision,
        time=_plain(time),
        observed=_seen(observed),
        connection=connection,
        partition=facts.partition,
        data=data,
        backfill=backfill,
    )


def _plain(moment: datetime) -> str:
    text = timestamp(moment)
    return text.replace(".000Z", "Z")
