"""Registrants of one webinar. Vendor: GoTo Webinar v2, getAllRegistrantsForWebinar, getRegistrant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw

from poller.admission import Judged
from poller.errors import Malformed, NotFound
from poller.goto import GotoClient, Page, Priority, key_of, keys_of
from poller.ports import Change, Facts, Walk
from poller.sources.pages import read
from poller.sources.shapes import (
    CONFIRMING,
    UNREADABLE,
    change,
    decode,
    differences,
    encode,
    fingerprint,
    kept,
    make_records,
    normal_registrant,
    parse_time,
    priority_of,
)
from state.records import Record, Scope, Target

# A difference in one of these is a `registrant.changed`. The registration's date is not among them: the vendor writes
# it with and without parts of seconds. All of them are texts.
MEANINGFUL = ("status", "firstName", "lastName", "email", "timeZone", "joinUrl")


# Of a list of many pages every so often all are read; in between only the first, as long as it stays as it was and the
# total does, too: a change on another page is found that much later.
GLANCES = 10


@dataclass(slots=True)
class _Glance:
    """What a complete walk began with."""

    first: bytes  # digest of its first page
    total: int
    whole: bytes  # digest of all of it
    taken: int = 0


class _Person(msgspec.Struct):
    email: Any = None


class _Dated(msgspec.Struct):
    registrationDate: Any = None  # noqa: N815 - GoTo's spelling


_date = msgspec.json.Decoder(_Dated).decode
_person = msgspec.json.Decoder(_Person).decode


class RegistrantSource:
    """Reads the registrants of the webinars of one connection.

    Without paging the whole list costs one call, so pages are read only of lists known to be larger than
    `page_above`. Of such a list the first page and the total usually say enough: see GLANCES.
    """

    kind = "registrant"
    created = "registrant.added"
    changed = "registrant.changed"
    removed = "registrant.removed"
    judged = Judged.PHASE
    timed = False
    recurs = False
    overlap = timedelta(0)

    def __init__(self, client: GotoClient, *, page_above: int) -> None:
        self._client = client
        self._page_above = page_above
        self._glances: dict[str, _Glance] = {}

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        if target.size > self._page_above:
            return await self._walk_pages(target)
        answer = await self._client.registrants(
            target.organizer_key,
            target.scope.parent,
            unless_digest=target.digest or None,
            priority=priority_of(target),
        )
        if answer.unchanged:
            return Walk(unchanged=True, digest=answer.digest)
        records, set_aside = self._read(answer.items)
        return Walk(records, complete=not set_aside, digest=answer.digest, set_aside=set_aside)

    async def _walk_pages(self, target: Target) -> Walk:
        pages = self._client.registrant_pages(target.organizer_key, target.scope.parent, priority=priority_of(target))
        first = await anext(pages)
        if self._looks_alike(target, first):
            return Walk(unchanged=True, digest=target.digest)
        records: list[Record] = []
        set_aside = 0

        def take(items: list[Raw]) -> None:
            nonlocal set_aside
            found, unreadable = self._read(items)
            records.extend(found)
            set_aside += unreadable

        reading = await read(pages, take, first)
        digest = fingerprint(b"".join(reading.digests))
        if reading.complete and reading.problem is None:
            self._glances[target.scope.parent] = _Glance(first.digest, first.total, digest)
        if reading.repeats(digest, target.digest):
            return reading.unchanged(digest)
        return reading.walk(records, set_aside=set_aside, digest=digest)

    def _looks_alike(self, target: Target, first: Page) -> bool:
        """Whether to leave it at the first page, this time."""
        glance = self._glances.get(target.scope.parent)
        if glance is None or (glance.first, glance.total) != (first.digest, first.total):
            return False
        glance.taken += 1
        return glance.whole == target.digest and glance.taken < GLANCES

    def _read(self, items: list[Raw]) -> tuple[list[Record], int]:
        records = make_records(keys_of(items, "registrantKey", MEANINGFUL), items)
        return records, len(items) - len(records)

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return ()

    def may_be_gone(self, body: bytes, now: datetime) -> bool:
        return True

    async def confirm(self, target: Target, key: str) -> bytes | None:
        try:
            body = await self._client.registrant(
                target.organizer_key, target.scope.parent, key, priority=Priority.CONFIRM, wait_at_most=CONFIRMING
            )
        except NotFound:
            return None
        if key_of(body, "registrantKey", MEANINGFUL) != key:
            raise Malformed(f"asked for registrant {key}, GoTo answered with another or with garbage")
        return bytes(body)

    def merge(self, before: bytes, after: bytes, now: datetime) -> bytes:
        """The detail has all fields of the list and more; only those of the list are kept."""
        old, new = decode(before), decode(after)
        return encode({name: new.get(name, value) for name, value in old.items()})

    def keep(self, before: bytes, after: bytes) -> bytes:
        return kept(before, after, MEANINGFUL)

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body, normal_registrant)
        key = str(item["registrantKey"])
        webinar = target.scope.parent
        registered = parse_time(item.get("registrationDate"))
        own = {"organizerKey": target.organizer_key, "webinarKey": webinar, "webinarSubject": target.title}
        data: dict[str, Any] = {**own, **item, **own}
        return Facts(
            subject=f"webinars/{webinar}/registrants/{key}",
            partition=webinar,
            data=data,
            happened=registered,
            moment=registered,
            order=(registered.isoformat() if registered else "", key.zfill(20)),
            person=str(item.get("email") or ""),
        )

    def moment(self, body: bytes) -> float | None:
        try:
            registered = parse_time(_date(body).registrationDate)
        except UNREADABLE:
            return None
        return None if registered is None else registered.timestamp()

    def person(self, body: bytes) -> str:
        try:
            return str(_person(body).email or "")
        except UNREADABLE:
            return ""

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        old, new = decode(before, normal_registrant), decode(after, normal_registrant)
        return change(*differences(old, new, MEANINGFUL))
