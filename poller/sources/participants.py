"""Who came to one completed session, and who did not. Vendor: GoTo Webinar v2, getAttendees.

GoTo lists those who came, some time after the end, and nobody says when that list is whole. Who is missing from it is
known by comparing it with the registrants, once the settling period is over and the list did not change any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Raw

from poller.errors import Malformed, NotFound, PermissionRefused, Refused, Wait
from poller.goto import GotoClient, ListAnswer, keys_of
from poller.looks import LATE
from poller.ports import Change, Facts, Walk
from poller.sources.lasting import Lasting
from poller.sources.shapes import (
    UNREADABLE,
    decode,
    encode,
    fingerprint,
    normal_registrant,
    normalise,
    parse_time,
    priority_of,
    zulu,
)
from state.records import Record, Target

ATTENDED: Final = "participant.attended"
ABSENT: Final = "participant.absent"

_TEXTS = ("email", "firstName", "lastName")


class _Person(msgspec.Struct):
    email: Any = None


_person = msgspec.json.Decoder(_Person).decode


class ParticipantSource(Lasting):
    """`settle`: how long after the end of a session its attendance is known for certain."""

    kind = "participant"
    created = ATTENDED

    def __init__(self, client: GotoClient, *, now: Callable[[], datetime], settle: timedelta) -> None:
        self._client = client
        self._now = now
        self._settle = settle

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        answer = await self._attendees(target)
        if not self._has_passed(target, 1):
            return _unchanged(answer) if answer.digest == target.digest else _walk(answer)
        try:
            certain, calls = await self._certain(target, answer)
            if certain is None:
                return replace(_walk(answer), calls=calls)
            walk = _walk(certain)
            if walk.set_aside:
                return walk  # whoever could not be read may be anybody
            absent = _absent(target, walk.records, await self._registrants(target))
        except (NotFound, PermissionRefused, Refused):  # a deleted webinar, say: who came is still told
            return _walk(answer)
        except (Wait, Malformed) as error:
            return replace(_walk(answer), complete=False, read_through=False, problem=error)
        return replace(walk, records=[*walk.records, *absent], calls=calls + 1)

    def _has_passed(self, target: Target, periods: int) -> bool:
        """Whether so many settling periods have, since the end."""
        passes = (target.ends_at or 0.0) + periods * self._settle.total_seconds()
        return self._now().timestamp() >= passes

    async def _certain(self, target: Target, answer: ListAnswer) -> tuple[ListAnswer | None, int]:
        """The list if it is the same as at the last look, and the calls spent; another one is asked for once more.

        Where there was no look before, or none is to come, twice in a row has to do.
        """
        if answer.digest == target.digest:
            return answer, 1
        again = await self._attendees(target)
        is_only = not target.digest or self._has_passed(target, LATE[-1])
        believed = again.digest == target.digest or (is_only and again.digest == answer.digest)
        return again if believed else None, 2

    async def _attendees(self, target: Target) -> ListAnswer:
        webinar, _, session = target.scope.parent.partition("/")
        return await self._client.attendees(target.organizer_key, webinar, session, priority=priority_of(target))

    async def _registrants(self, target: Target) -> Sequence[Raw]:
        webinar = target.scope.parent.partition("/")[0]
        answer = await self._client.registrants(target.organizer_key, webinar, priority=priority_of(target))
        return answer.items

    def facts(self, target: Target, body: bytes) -> Facts:
        item = decode(body)
        webinar, _, session = target.scope.parent.partition("/")
        key = str(item["registrantKey"])
        end = None if target.ends_at is None else datetime.fromtimestamp(target.ends_at, UTC)
        joined = min((str(stay["joinTime"]) for stay in item["intervals"] if stay.get("joinTime")), default="")
        own = {
            "organizerKey": target.organizer_key,
            "webinarKey": webinar,
            "webinarSubject": target.title,
            "sessionKey": session,
        }
        return Facts(
            subject=f"webinars/{webinar}/sessions/{session}/participants/{key}",
            partition=webinar,
            data={**own, **item, **own},
            happened=parse_time(joined) or end,
            moment=end,
            order=(joined or "~", key.zfill(20)),  # who came first; who did not, last
            person=str(item.get("email") or ""),
            type=ATTENDED if item["attended"] else ABSENT,
        )

    def person(self, body: bytes) -> str:
        try:
            return str(_person(body).email or "")
        except UNREADABLE:
            return ""

    def keep(self, before: bytes, after: bytes) -> bytes:
        """Who came has come: a list that lacks them later says nothing."""
        return before if _attended(before) and not _attended(after) else after

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        if _attended(before) or not _attended(after):
            return None
        return Change(["attended"], {"attended": False}, anew={"late": True})


def _unchanged(answer: ListAnswer) -> Walk:
    return Walk(unchanged=True, digest=answer.digest)


def _walk(answer: ListAnswer) -> Walk:
    records = _records(answer.items, normal_attendee)
    set_aside = len(answer.items) - len(records)
    return Walk(records, complete=not set_aside, digest=answer.digest, set_aside=set_aside)


def _records(items: Sequence[Raw], read: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Record]:
    """Of the items that can be read."""
    records = []
    for key, item in zip(keys_of(items, "registrantKey", _TEXTS), items, strict=True):
        if key is not None:
            with suppress(Malformed):
                body = encode(decode(item, read))
                records.append(Record(key, fingerprint(body), body))
    return records


def _absent(target: Target, came: Sequence[Record], registrants: Sequence[Raw]) -> list[Record]:
    """Those who were invited to the session and are not among the ones that came."""
    present = {record.key for record in came}
    everybody = _records(registrants, normal_registrant)
    return [
        Record(record.key, fingerprint(body), body)
        for record in everybody
        if record.key not in present and was_invited(item := decode(record.body), target.ends_at)
        for body in [encode(absence(item))]
    ]


def was_invited(registrant: Mapping[str, Any], ends_at: float | None) -> bool:
    """Not who was not approved, or registered when it was over (for a later session of the same webinar)."""
    registered = parse_time(registrant.get("registrationDate"))
    is_late = registered is not None and ends_at is not None and registered.timestamp() >= ends_at
    return registrant.get("status") == "APPROVED" and not is_late


def absence(registrant: Mapping[str, Any]) -> dict[str, Any]:
    """A registrant, in normal form, as a participant who did not come."""
    return {**registrant, "attended": False, "attendanceMinutes": 0, "intervals": []}


def normal_attendee(item: Mapping[str, Any]) -> dict[str, Any]:
    """Minutes instead of seconds, and the stays with times as they are everywhere."""
    data = normalise(item)
    listed = data.pop("attendance", None)
    stays = [stay for stay in listed if isinstance(stay, dict)] if isinstance(listed, list) else []
    intervals = [{name: zulu(stay.get(name)) for name in ("joinTime", "leaveTime")} for stay in stays]
    seconds = data.get("attendanceTimeInSeconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        seconds = sum(_seconds(stay) for stay in intervals)
    return {**data, "attended": True, "attendanceMinutes": round(seconds / 60), "intervals": intervals}


def _seconds(stay: Mapping[str, Any]) -> float:
    joined, left = parse_time(stay["joinTime"]), parse_time(stay["leaveTime"])
    return max((left - joined).total_seconds(), 0.0) if joined and left else 0.0


def _attended(body: bytes) -> bool:
    return decode(body).get("attended") is True
