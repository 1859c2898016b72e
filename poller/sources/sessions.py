"""Completed sessions of one webinar. Vendor: GoTo Webinar v2, getAllSessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Raw

from poller.errors import Malformed
from poller.goto import GotoClient, key_of
from poller.ports import Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.pages import read
from poller.sources.shapes import decode, encode, fingerprint, normalise, parse_time, priority_of, zulu
from state.records import Record, Scope, Target


class SessionSource(Lasting):
    """Reads the completed sessions of the webinars of one connection; each brings its participants along."""

    kind = "session"
    created = "webinar.session.completed"

    def __init__(self, client: GotoClient) -> None:
        self._client = client

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        pages = self._client.session_pages(target.organizer_key, target.scope.parent, priority=priority_of(target))
        items: list[Raw] = []
        reading = await read(pages, items.extend)
        digest = fingerprint(b"".join(reading.digests))
        if reading.repeats(digest, target.digest):
            return reading.unchanged(digest)
        found = [_record(item) for item in items]
        records = [record for record in found if record is not None]
        return reading.walk(records, set_aside=found.count(None), digest=digest)

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return (Scope("participant", f"{target.scope.parent}/{key}"),)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        key, webinar = str(item["sessionKey"]), target.scope.parent
        end = parse_time(item.get("endTime"))
        ends = [] if end is None else [end.timestamp()]
        own = {"organizerKey": target.organizer_key, "webinarKey": webinar, "webinarSubject": target.title}
        return Facts(
            subject=f"webinars/{webinar}/sessions/{key}",
            partition=webinar,
            data={**own, **item, **own},
            happened=end,
            moment=end,
            order=(str(item.get("startTime") or ""), key.zfill(20)),
            ends_at=max(ends, default=None),
            ends=ends,
        )


def _record(raw: Raw) -> Record | None:
    key = key_of(raw, "sessionKey", ("webinarName", "startTime", "endTime"))
    if key is None:
        return None
    try:
        body = encode(decode(raw, normal_session))
    except Malformed:
        return None
    return Record(key, fingerprint(body), body)


def normal_session(item: Mapping[str, Any]) -> dict[str, Any]:
    data = normalise(item)
    return data | {name: zulu(data[name]) for name in ("startTime", "endTime") if name in data}
