"""Meetings that begin. Vendor: GoTo Meeting 1.0, upcomingMeetings, whose `status` is ACTIVE while a meeting runs.

Many meetings have no time (their room is always there), so a start is known by the change of the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Raw

from poller.errors import Malformed
from poller.goto import GotoClient, ListAnswer, key_of
from poller.ports import Change, Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.meeting_shapes import Readers, normal_meeting
from poller.sources.shapes import decode, encode, fingerprint, parse_time, priority_of, zulu
from state.records import Record, Target

# A meeting that runs again so soon has never ended: somebody came back, or the list was an old copy.
PAUSE: Final = timedelta(minutes=10)

# Of a record: since when it does not run any more. GoTo has no field that begins so.
_LEFT: Final = "$left"


class MeetingStartSource(Lasting):
    """Reads the meetings ahead of one organizer, or of all organizers of an account, for their status alone."""

    kind = "meeting_start"
    created = "meeting.started"
    changed = "meeting.started"
    timed = False

    def __init__(self, client: GotoClient, readers: Readers) -> None:
        self._client = client
        self._readers = readers

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        async def fetch(organizer_key: str) -> ListAnswer:
            return await self._client.upcoming_meetings(organizer_key, priority=priority_of(target))

        return (await self._readers.read(fetch)).walk(target.digest, _record)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        item.pop(_LEFT, None)
        meeting = str(item["meetingId"])
        organizer = str(item.get("organizerKey") or self._readers.organizer_key)
        return Facts(
            subject=f"meetings/{meeting}",
            partition=meeting,
            data={"organizerKey": organizer, **item},
            happened=None,  # GoTo does not say when it began
            moment=None,  # it runs now, whenever it was planned for
            order=(str(item.get("startTime") or ""), meeting.zfill(20)),
            organizer_key=organizer,
            title=str(item.get("subject") or ""),
            untold=not _runs(item),
        )

    def keep(self, before: bytes, after: bytes) -> bytes:
        old, new = decode(before), decode(after)
        if _runs(new):
            return after
        left = zulu(self._readers.now().isoformat()) if _runs(old) else old.get(_LEFT)
        return encode({**new, _LEFT: left}) if left else after

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        old, new = decode(before), decode(after)
        if _runs(old) or not _runs(new):
            return None
        left = parse_time(old.get(_LEFT))
        if left is not None and now - left < PAUSE:
            return None
        return Change(["status"], {"status": old.get("status")})


def _runs(item: Mapping[str, Any]) -> bool:
    return item.get("status") == "ACTIVE"


def _record(raw: Raw) -> Record | None:
    key = key_of(raw, "meetingId", ("subject", "startTime", "endTime"))
    if key is None:
        return None
    try:
        body = encode(decode(raw, normal_meeting))
    except Malformed:
        return None
    return Record(key, fingerprint(body), body)
