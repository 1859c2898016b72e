"""Webinars that are running now. Vendor: GoTo Webinar v2, getInSessionWebinars.

GoTo does not say which session it is that has begun (its key shows up with the completed ones), so a start is known by
the webinar and the time it was planned for: one that is interrupted and goes on is not told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Raw

from poller.errors import Malformed
from poller.goto import GotoClient, ListAnswer, key_of
from poller.ports import Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.meeting_shapes import Readers
from poller.sources.shapes import decode, encode, fingerprint, normalise, parse_time, priority_of, zulu
from state.records import Record, Target

# How long before a planned time a start is taken for the one planned.
EARLY: Final = timedelta(minutes=30)

# In place of its time, for one that has none.
UNPLANNED: Final = "unplanned"


class WebinarStartSource(Lasting):
    """Reads the running webinars of one organizer, or of all organizers of an account."""

    kind = "webinar_start"
    created = "webinar.session.started"
    timed = False

    def __init__(self, client: GotoClient, readers: Readers) -> None:
        self._client = client
        self._readers = readers

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        async def fetch(organizer_key: str) -> ListAnswer:
            organizer = organizer_key or self._readers.organizer_key
            return await self._client.in_session_webinars(organizer, priority=priority_of(target))

        found = await self._readers.read(fetch)
        now = self._readers.now()
        records = [record for item in found.items if (record := _record(item, now)) is not None]
        # The same answer means another start once another planned time has come.
        digest = fingerprint(b"".join([found.digest, *(record.key.encode() for record in records)]))
        if digest == target.digest and found.problem is None:
            return found.unchanged(digest)
        return found.found(records, len(found.items) - len(records), digest)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        key, planned = str(item["webinarKey"]), str(item.get("plannedStart") or "")
        organizer = str(item.get("organizerKey") or self._readers.organizer_key)
        title = str(item.get("subject") or "")
        return Facts(
            subject=f"webinars/{key}/starts/{planned or UNPLANNED}",
            partition=key,
            data={"organizerKey": organizer, "webinarSubject": title, **item},
            happened=None,  # GoTo does not say when it began
            moment=None,  # it runs now, whenever it was planned for
            order=(planned, key.zfill(20)),
            organizer_key=organizer,
            title=title,
        )


def _record(raw: Raw, now: datetime) -> Record | None:
    key = key_of(raw, "webinarKey", ("subject",))
    if key is None:
        return None
    try:
        item = decode(raw, normal_running)
        planned = planned_start(item, now)
        body = encode({**item, "plannedStart": planned})
    except Malformed:
        return None
    return Record(f"{key}/{planned or UNPLANNED}", fingerprint(body), body)


def normal_running(item: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as strings, times in UTC, the type of experience in lower case."""
    data = normalise(item)
    listed = data.get("times")
    times = [time for time in listed if isinstance(time, dict)] if isinstance(listed, list) else []
    data["times"] = [
        {**time, **{name: zulu(time[name]) for name in ("startTime", "endTime") if name in time}} for time in times
    ]
    if isinstance(data.get("experienceType"), str):
        data["experienceType"] = data["experienceType"].lower()
    return data


def planned_start(item: Mapping[str, Any], now: datetime) -> str | None:
    """The last of its times that has begun or is about to, else the first there is."""
    starts = sorted(start for time in item["times"] if (start := parse_time(time.get("startTime"))) is not None)
    begun = [start for start in starts if start - EARLY <= now]
    chosen = begun[-1:] or starts[:1]
    return str(zulu(chosen[0].isoformat())) if chosen else None
