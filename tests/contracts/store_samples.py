"""Small values to fill a store with, and a clock that stands until it is moved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from state.delivery import Delivery, DeliveryState, Settlement
from state.events import Draft
from state.records import RecordRow, Scope, Target
from state.store import PollCommit, PollRow, Route, Store

T0 = 1_800_000_000.0  # POSIX seconds: when these tests play
OBSERVED = "2027-01-15T08:00:00.000Z"  # the same moment
DAY = 86_400.0

WEBINARS = Scope("webinar")
PEOPLE = Scope("registrant", "100")
ADDED = "com.goto.registrant.added"


class Now:
    """A wall clock for a store: `now()` until somebody assigns `now.value`."""

    def __init__(self) -> None:
        self.value = T0

    def __call__(self) -> float:
        return self.value


def body_of(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def row(key: str, body: bytes = b"{}", **changes: Any) -> RecordRow:
    return RecordRow(key, b"print of " + key.encode(), body)._replace(**changes)


def draft(key: str, *, webinar: str = "100", type_: str = ADDED, revision: int = 1, **data: Any) -> Draft:
    return Draft(
        type=type_,
        source="/organizers/1",
        subject=f"webinars/{webinar}/registrants/{key}",
        revision=revision,
        time=OBSERVED,
        observed=OBSERVED,
        connection="acme",
        partition=webinar,
        data={"registrantKey": key, **data},
    )


def owing(*drafts: Draft, sinks: Sequence[str] = ("crm",), held_by: str = "", **rest: Any) -> PollCommit:
    """A commit that tells `drafts` to every one of `sinks`."""
    routes = [Route(sink, held_by) for sink in sinks]
    return PollCommit(PEOPLE, drafts=[(item, routes) for item in drafts], **rest)


def journal_row(started_at: float = T0, connection: str = "acme", scope: Scope = PEOPLE) -> PollRow:
    return PollRow(connection, scope, started_at, 0.5, "changed", calls=2, records=7, added=1)


def target(webinar: str = "100", connection: str = "acme", **changes: Any) -> Target:
    return Target(connection, Scope("registrant", webinar), **{"title": f"Webinar {webinar}", **changes})


async def leased(store: Store, sink: str = "crm", at: float = T0, limit: int = 100, **how: Any) -> list[Delivery]:
    options: dict[str, Any] = {"ordered": True, "skip": (), "busy": (), **how}
    return await store.lease(sink, limit, at, **options)


async def keys_leased(store: Store, sink: str = "crm", at: float = T0, limit: int = 100, **how: Any) -> list[str]:
    """The registrant keys of what a lease gives, in its order."""
    return [item.subject.rpartition("/")[2] for item in await leased(store, sink, at, limit, **how)]


def settled(item: Delivery, state: DeliveryState, **changes: Any) -> Settlement:
    values = {"at": T0 + 1, "attempts": item.attempts + 1, **changes}
    return Settlement(item.sink, item.sequence, state, **values)
