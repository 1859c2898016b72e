"""Meetings that were held, and their recordings. Vendor: GoTo Meeting 1.0, historicalMeetings.

A meeting that is still running is not in the history, and a recording appears some time after the end: so what was
listed before is listed again for some days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Raw

from poller.errors import Malformed
from poller.goto import GotoClient, ListAnswer, key_of
from poller.ports import Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.meeting_shapes import Readers, normal_meeting
from poller.sources.meeting_times import parse
from poller.sources.shapes import decode, encode, fingerprint, priority_of
from state.records import Record, Scope, Target

ENDED: Final = "meeting.ended"
RECORDED: Final = "meeting.recording.available"

# Of the record of a recording: which one it is. GoTo has no field that begins so.
_SEQUEL: Final = "$sequel"


class MeetingSessionSource(Lasting):
    """Reads the history of one organizer, or of all organizers of an account. Each session brings its attendees along.

    A recording is a record of its own beside that of its session: it comes once, like everything here.
    """

    kind = "meeting_session"
    created = ENDED
    timed = False
    overlap = timedelta(days=3)

    def __init__(self, client: GotoClient, readers: Readers) -> None:
        self._client = client
        self._readers = readers

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        now = self._readers.now()

        async def fetch(organizer_key: str) -> ListAnswer:
            return await self._client.historical_meetings(organizer_key, since, now, priority=priority_of(target))

        found = await self._readers.read(fetch)
        if found.digest == target.digest and found.problem is None:
            return found.unchanged(found.digest)
        records: list[Record] = []
        set_aside = 0
        for item in found.items:
            try:
                records += _records(item)
            except Malformed:
                set_aside += 1
        return found.found(records, set_aside, found.digest)

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return (Scope("meeting_attendee", key.partition("/")[0]),)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        is_recording = item.pop(_SEQUEL, None) is not None
        meeting, session = str(item["meetingId"]), str(item["sessionId"])
        organizer = str(item.get("organizerKey") or self._readers.organizer_key)
        end = parse(item.get("endTime"))
        over = end or parse(item.get("startTime"))
        ends = [] if over is None else [over.timestamp()]
        return Facts(
            subject=f"meetings/{meeting}/sessions/{session}",
            partition=meeting,
            data={"organizerKey": organizer, **item},
            happened=None if is_recording else end,  # GoTo does not say when a recording was ready
            moment=over,
            order=("" if over is None else over.isoformat(), f"{session.zfill(20)} {is_recording}"),
            organizer_key=organizer,
            title=str(item.get("subject") or ""),
            ends_at=max(ends, default=None),
            ends=ends,
            type=RECORDED if is_recording else ENDED,
            sequel_of=f"{meeting}/{session}" if is_recording else "",
        )


def _records(raw: Raw) -> Iterator[Record]:
    """The session and, if there is one, its recording. An entry without a session says nothing that could be told.

    Raises Malformed for what is no entry.
    """
    meeting = key_of(raw, "meetingId", ("subject", "startTime", "endTime"))
    if meeting is None:
        raise Malformed("an entry of the history without a meetingId")
    session = key_of(raw, "sessionId")
    if session is None:
        return
    item = decode(raw, normal_meeting)
    yield _record(f"{meeting}/{session}", item)
    if item.get("recording"):
        yield _record(f"{meeting}/{session}/recording", as_recording(item))


def as_recording(session: dict[str, Any]) -> dict[str, Any]:
    """The record of a session's recording, which is the session with a mark."""
    return {**session, _SEQUEL: "recording"}


def _record(key: str, item: dict[str, Any]) -> Record:
    body = encode(item)
    return Record(key, fingerprint(body), body)
