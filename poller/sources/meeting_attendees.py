"""Who attended a meeting, in all its sessions. Vendor: GoTo Meeting 1.0, meetings/{meetingId}/attendees.

It takes the scope `identity:`. The list has no key for a person, so identity is the session (meetingInstanceKey), the
e-mail address, else the name, and the moment of joining. `email`, `firstName` and `lastName` are the organizer's.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Any

from msgspec import Raw

from poller.errors import Malformed
from poller.goto import GotoClient, key_of
from poller.ports import Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.meeting_shapes import normal_meeting
from poller.sources.meeting_times import parse
from poller.sources.shapes import decode, encode, fingerprint, priority_of
from state.records import Record, Target

_TEXTS = ("attendeeEmail", "attendeeName", "joinTime", "leaveTime", "startTime", "endTime")


class MeetingAttendeeSource(Lasting):
    """Reads the attendees of one meeting at a time, soon after each of its sessions."""

    kind = "meeting_attendee"
    created = "meeting.attended"
    recurs = True

    def __init__(self, client: GotoClient) -> None:
        self._client = client

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        answer = await self._client.meeting_attendees(
            target.scope.parent, unless_digest=target.digest or None, priority=priority_of(target)
        )
        if answer.unchanged:
            return Walk(unchanged=True, digest=answer.digest)
        records = [record for item in answer.items if (record := _record(item)) is not None]
        set_aside = len(answer.items) - len(records)
        return Walk(records, complete=not set_aside, digest=answer.digest, set_aside=set_aside)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        meeting, instance = target.scope.parent, str(item["meetingInstanceKey"])
        person = _person_in(item)
        joined, left = parse(item.get("joinTime")), parse(item.get("leaveTime"))
        minutes = None if joined is None or left is None else max(round((left - joined).total_seconds() / 60), 0)
        own = {"meetingId": meeting, "attendanceMinutes": minutes}
        return Facts(
            subject=f"meetings/{meeting}/instances/{instance}/attendees/{person}",
            partition=meeting,
            data={"organizerKey": target.organizer_key, **item, **own},
            happened=joined,
            moment=parse(item.get("endTime")) or left or joined,
            order=("" if joined is None else joined.isoformat(), person),
            person=str(item.get("attendeeEmail") or ""),
        )

    def person(self, body: bytes) -> str:
        return str(decode(body).get("attendeeEmail") or "")


def _record(raw: Raw) -> Record | None:
    instance = key_of(raw, "meetingInstanceKey", _TEXTS)
    if instance is None:
        return None
    try:
        item = decode(raw, normal_meeting)
        body = encode(item)
    except Malformed:
        return None
    if not (item.get("attendeeEmail") or item.get("attendeeName")):
        return None
    return Record(f"{instance}/{_person_in(item)}", fingerprint(body), body)


def _person_in(item: dict[str, Any]) -> str:
    """Who it is and since when, as far as GoTo says; addresses count without regard to case."""
    who = str(item.get("attendeeEmail") or "").strip().casefold() or str(item.get("attendeeName") or "").strip()
    text = f"{item['meetingInstanceKey']}\n{who}\n{item.get('joinTime') or ''}"
    return blake2b(text.encode(), digest_size=12).hexdigest()
