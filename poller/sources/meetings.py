"""Upcoming meetings. Vendor: GoTo Meeting 1.0, upcomingMeetings, meetings/{meetingId}, historicalMeetings.

The list has no window and no date of creation: a meeting is new when its id is. It leaves the list when it was held,
too, so its absence alone says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Raw

from poller.admission import Judged
from poller.errors import Malformed, NotFound, Refused
from poller.goto import GotoClient, ListAnswer, Priority, key_of
from poller.ports import Change, Facts, Walk
from poller.sources.meeting_shapes import Readers, normal_meeting
from poller.sources.meeting_times import parse
from poller.sources.shapes import (
    CONFIRMING,
    change,
    decode,
    differences,
    encode,
    fingerprint,
    kept,
    priority_of,
)
from state.records import Record, Scope, Target

# A difference in one of these is a `meeting.changed`; its running status is not among them.
MEANINGFUL: Final = (
    "subject",
    "startTime",
    "endTime",
    "meetingType",
    "passwordRequired",
    "conferenceCallInfo",
    "locale",
    "joinURL",
)

# How far the history of one meeting is looked through; GoTo's own default.
HELD: Final = timedelta(days=30)

_TEXTS = ("subject", "startTime", "endTime")


class MeetingSource:
    """Reads the meetings ahead of one organizer, or of all organizers of an account."""

    kind = "meeting"
    created = "meeting.created"
    changed = "meeting.changed"
    removed = "meeting.cancelled"
    judged = Judged.WINDOW
    timed = False
    recurs = False
    overlap = timedelta(0)

    def __init__(self, client: GotoClient, readers: Readers) -> None:
        self._client = client
        self._readers = readers

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        async def fetch(organizer_key: str) -> ListAnswer:
            return await self._client.upcoming_meetings(organizer_key, priority=priority_of(target))

        return (await self._readers.read(fetch)).walk(target.digest, _record)

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return (Scope("meeting_attendee", key),)

    def may_be_gone(self, body: bytes, now: datetime) -> bool:
        """One that had begun has left the list because it was held."""
        start = parse(decode(body).get("startTime"))
        return start is not None and start > now

    async def confirm(self, target: Target, key: str) -> bytes | None:
        """Gone is what GoTo does not know and what was never held: somebody may have begun it before its time."""
        try:
            body = await self._client.meeting(key, priority=Priority.CONFIRM, wait_at_most=CONFIRMING)
        except NotFound:
            if await self._was_held(target, key):
                raise Refused(f"meeting {key} was held, so it was not cancelled") from None
            return None
        if _key(body) != key:
            raise Malformed(f"asked for meeting {key}, GoTo answered with another or with garbage")
        return encode(decode(body, normal_meeting))

    async def _was_held(self, target: Target, key: str) -> bool:
        try:
            return key in map(_key, (await self._history(target, key)).items)
        except NotFound:  # what GoTo does not know has no history either
            return False

    async def _history(self, target: Target, key: str) -> ListAnswer:
        if not self._readers.account:
            return await self._client.meeting_history(key, priority=Priority.CONFIRM, wait_at_most=CONFIRMING)
        # An administrator is not shown the history of others' meetings by the meeting's own address.
        until = self._readers.now()
        return await self._client.historical_meetings(
            target.organizer_key, until - HELD, until, priority=Priority.CONFIRM, wait_at_most=CONFIRMING
        )

    def merge(self, before: bytes, after: bytes, now: datetime) -> bytes:
        """By its id a meeting has other fields beside; only those of the list are kept."""
        old, new = decode(before), decode(after)
        return encode({name: new.get(name, value) for name, value in old.items()})

    def keep(self, before: bytes, after: bytes) -> bytes:
        return kept(before, after, MEANINGFUL)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        key = str(item["meetingId"])
        organizer = str(item.get("organizerKey") or self._readers.organizer_key)
        end = parse(item.get("endTime")) or parse(item.get("startTime"))
        return Facts(
            subject=f"meetings/{key}",
            partition=key,
            data={"organizerKey": organizer, **item},
            happened=None,  # GoTo does not say when a meeting was made
            moment=None,  # whatever is in this list is ahead
            order=(str(item.get("startTime") or ""), key.zfill(20)),
            organizer_key=organizer,
            title=str(item.get("subject") or ""),
            ends_at=None if end is None else end.timestamp(),
        )

    def moment(self, body: bytes) -> float | None:
        return None

    def person(self, body: bytes) -> str:
        return ""

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        old, new = decode(before), decode(after)
        passed = _has_passed(old, now)
        names = [name for name in MEANINGFUL if not (passed and name in ("startTime", "endTime"))]
        return change(*differences(old, new, names))


def _key(raw: Raw) -> str | None:
    return key_of(raw, "meetingId", _TEXTS)


def _record(raw: Raw) -> Record | None:
    key = _key(raw)
    if key is None:
        return None
    try:
        body = encode(decode(raw, normal_meeting))
    except Malformed:
        return None
    return Record(key, fingerprint(body), body)


def _has_passed(meeting: Mapping[str, Any], now: datetime) -> bool:
    """A recurring meeting shows its next time when the last one is over: that the clock went past it is no change."""
    start = parse(meeting.get("startTime"))
    return meeting.get("meetingType") == "recurring" and start is not None and start <= now
