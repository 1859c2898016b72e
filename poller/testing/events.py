"""Events on their way to a sink, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from poller.ports import Outgoing
from state.events import Draft, envelope, timestamp

SEEN = timestamp(datetime(2026, 3, 1, 9, 16, 40, 123000, UTC))
DATA = {
    "organizerKey": "5511973216410820613",
    "webinarKey": "4255157664015486220",
    "registrantKey": "6820277626085326123",
    "firstName": "Zoë",
    "email": "zoe@example.com",
    "times": [{"startTime": "2026-04-01T10:00:00Z"}],
}


def outgoing(sequence: int = 1, *, webinar: str = "w1", backfill: bool = False, **data: Any) -> Outgoing:
    """A registrant's `added`; the same arguments make the same event with the same id. `data`: more of its fields."""
    made = draft(sequence, webinar=webinar, backfill=backfill, **data)
    return Outgoing(sequence, made.id, made.type, made.subject, webinar, envelope(made, sequence))


def draft(sequence: int = 1, *, webinar: str = "w1", backfill: bool = False, **data: Any) -> Draft:
    """What `outgoing` is made of, before the state has numbered it."""
    return Draft(
        type="com.goto.registrant.added",
        source="/organizers/5511973216410820613",
        subject=f"webinars/{webinar}/registrants/{sequence}",
        revision=1,
        time="2026-03-01T09:15:42Z",
        observed=SEEN,
        connection="acme",
        partition=webinar,
        data=DATA | data,
        backfill=backfill,
    )
