"""Webinars of one organizer or account. Vendor: GoTo Webinar v2, getWebinars, getAllAccountWebinars, getWebinar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Raw

from poller.admission import Judged
from poller.errors import Malformed, NotFound
from poller.goto import GotoClient, Priority, key_of, keys_of
from poller.ports import Change, Facts, Walk
from poller.sources.pages import read
from poller.sources.shapes import (
    CONFIRMING,
    change,
    decode,
    differences,
    encode,
    fingerprint,
    kept,
    normalise,
    parse_time,
    priority_of,
    zulu,
)
from state.records import Record, Scope, Target

# A difference in one of these is a `webinar.changed`. Counts, `inSession` and `status` (whose values the vendor never
# defined) are not among them; nor is anything that we do not know, nor the organizer: a co-organized webinar may be
# listed under another one by each of those who see it.
MEANINGFUL = (
    "subject",
    "description",
    "timeZone",
    "locale",
    "approvalType",
    "registrationUrl",
    "registrationLimit",
    "isPasswordProtected",
    "recurrenceType",
    "experienceType",
    "webinarID",
)

# Those that are texts; a record in which they are anything else is garbage.
_TEXTS = tuple(name for name in MEANINGFUL if name not in ("registrationLimit", "isPasswordProtected", "webinarID"))


class WebinarSource:
    """Reads the webinars that one connection sees. `account_key`: walk the whole account; `admits` picks organizers."""

    kind = "webinar"
    created = "webinar.created"
    changed = "webinar.changed"
    removed = "webinar.cancelled"
    judged = Judged.WINDOW
    timed = False
    recurs = False
    overlap = timedelta(0)

    def __init__(
        self,
        client: GotoClient,
        *,
        organizer_key: str,
        account_key: str = "",
        admits: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._client = client
        self._organizer_key = organizer_key
        self._account_key = account_key
        self._admits = admits

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        pages = (
            self._client.account_webinar_pages(self._account_key, since, until, priority=priority_of(target))
            if self._account_key
            else self._client.webinar_pages(self._organizer_key, since, until, priority=priority_of(target))
        )
        items: list[Raw] = []
        reading = await read(pages, items.extend)
        digest = self._digest(reading.digests, items)
        if reading.repeats(digest, target.digest):
            return reading.unchanged(digest)
        found = [self._record(item) for item in items]
        admitted = [record for record in found if record is not None and self._admitted(record)]
        return reading.walk(admitted, set_aside=found.count(None), digest=digest)

    def _digest(self, pages: Sequence[bytes], items: list[Raw]) -> bytes:
        """Of everything that decides what a walk brings."""
        if not self._account_key:
            return fingerprint(b"".join(pages))
        # The same bytes mean something else once other organizers are let in.
        admitted = bytes(self._admits(organizer or "") for organizer in keys_of(items, "organizerKey"))
        return fingerprint(b"".join([*pages, admitted]))

    def _record(self, raw: Raw) -> Record | None:
        key = key_of(raw, "webinarKey", _TEXTS)
        if key is None:
            return None
        try:
            body = encode(decode(raw, normal_webinar))
        except Malformed:
            return None
        return Record(key, fingerprint(body), body)

    def _admitted(self, record: Record) -> bool:
        return not self._account_key or self._admits(str(decode(record.body).get("organizerKey", "")))

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return (Scope("registrant", key), Scope("session", key))

    def may_be_gone(self, body: bytes, now: datetime) -> bool:
        return True

    async def confirm(self, target: Target, key: str) -> bytes | None:
        try:
            body = await self._client.webinar(
                target.organizer_key, key, priority=Priority.CONFIRM, wait_at_most=CONFIRMING
            )
        except NotFound:
            return None
        if key_of(body, "webinarKey", _TEXTS) != key:
            raise Malformed(f"asked for webinar {key}, GoTo answered with another or with garbage")
        return encode(decode(body, normal_webinar))

    def merge(self, before: bytes, after: bytes, now: datetime) -> bytes:
        """By its key a sequence shows only its future times, and some fields come only in lists."""
        old, new = decode(before), decode(after)
        shown = {_span(time) for time in _times(new)}
        past = [time for time in _times(old) if _span(time) not in shown and not _is_ahead(time, now)]
        times = sorted([*past, *_times(new)], key=_start) if shown else _times(old)
        return encode({**old, **new, "times": times})

    def keep(self, before: bytes, after: bytes) -> bytes:
        return kept(before, after, (*MEANINGFUL, "times"))

    def facts(self, target: Target, body: bytes) -> Facts:
        data = decode(body)
        data.setdefault("times", [])
        key = str(data["webinarKey"])
        all_ends = ends(data)
        end = max(all_ends, default=None)
        return Facts(
            subject=f"webinars/{key}",
            partition=key,
            data=data,
            happened=None,  # GoTo does not say when a webinar was made
            moment=end,
            order=(min((time["startTime"] for time in _times(data)), default=""), key),
            organizer_key=str(data.get("organizerKey") or "") if self._account_key else self._organizer_key,
            title=str(data.get("subject") or ""),
            starts_at=last_start(data),
            ends_at=None if end is None else end.timestamp(),
            ends=[moment.timestamp() for moment in all_ends],
        )

    def moment(self, body: bytes) -> float | None:
        """GoTo's lists do not say when a webinar was made."""
        return None

    def person(self, body: bytes) -> str:
        return ""

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        old, new = decode(before), decode(after)
        changed, previous = differences(old, new, MEANINGFUL)
        if _times_differ(old, new, now):
            changed.append("times")
            previous["times"] = old.get("times", [])
        return change(changed, previous)


def normal_webinar(item: Mapping[str, Any]) -> dict[str, Any]:
    """The list's and the by-key shape in one: `webinarID`, `recurrenceType`, lower-case types, sorted times."""
    data = normalise(item)
    public_id = data.pop("webinarId", None)
    if data.get("webinarID") is None and public_id is not None:
        data["webinarID"] = public_id
    if type(data.get("webinarID")) is int:
        data["webinarID"] = str(data["webinarID"])
    kind = data.pop("type", None)
    period = data.pop("recurrencePeriod", None)
    kind = data.get("recurrenceType") or kind or period
    if isinstance(kind, str):
        data["recurrenceType"] = kind.lower()
    if isinstance(data.get("status"), str):
        data["status"] = data["status"].upper()
    if isinstance(data.get("experienceType"), str):
        data["experienceType"] = data["experienceType"].lower()
    times = [
        {**time, "startTime": zulu(time["startTime"]), "endTime": zulu(time.get("endTime"))} for time in _times(data)
    ]
    data.pop("times", None)
    return {**data, "times": sorted(times, key=_start)} if times else data


def _times(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The readable entries of `times`."""
    times = data.get("times")
    if not isinstance(times, list):
        return []
    return [time for time in times if isinstance(time, dict) and isinstance(time.get("startTime"), str)]


def _start(time: Mapping[str, Any]) -> str:
    return str(time["startTime"])


def _span(time: Mapping[str, Any]) -> tuple[str, str]:
    return str(time["startTime"]), str(time.get("endTime"))


def ends(data: Mapping[str, Any]) -> list[datetime]:
    """When its times are over, as far as they can be read."""
    found = [parse_time(time.get("endTime")) or parse_time(time["startTime"]) for time in _times(data)]
    return [end for end in found if end is not None]


def last_start(data: Mapping[str, Any]) -> float | None:
    """When the last of its times begins, POSIX seconds; None if it has none that can be read."""
    starts = [parse_time(time["startTime"]) for time in _times(data)]
    return max((start.timestamp() for start in starts if start is not None), default=None)


def _times_differ(old: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> bool:
    """Whether a time came, moved or was called off. That the clock went past one is no change."""
    if not _times(old) or not _times(new):
        return False
    before = {_span(time): time for time in _times(old)}
    after = {_span(time): time for time in _times(new)}
    gone_ahead = [span for span, time in before.items() if span not in after and _is_ahead(time, now)]
    return bool(gone_ahead) or any(span not in before for span in after)


def _is_ahead(time: Mapping[str, Any], now: datetime) -> bool:
    end = parse_time(time.get("endTime")) or parse_time(time["startTime"])
    return end is not None and end > now
