"""Who is registered for a webinar, who came and who did not: what the state knows of it, joined by person and session.

Nothing is asked of GoTo. Who was not invited to a session, and did not come either, has no row for it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, Final, NamedTuple

from poller.errors import Malformed, NotFound
from poller.sources.participants import was_invited
from poller.sources.shapes import decode, normal_registrant, parse_time, zulu
from state.records import Presence, RecordRow, Scope
from state.store import Store

Person = Mapping[str, Any]
Row = dict[str, Any]

COLUMNS: Final = (
    "webinarKey",
    "sessionKey",
    "registrantKey",
    "firstName",
    "lastName",
    "email",
    "status",
    "registrationDate",
    "attended",  # None: not known, or not yet
    "attendanceMinutes",
    "joinTime",  # the first
    "leaveTime",  # the last
    "intervals",
)
_TIMES: Final = ("registrationDate", "joinTime", "leaveTime")

# What a spreadsheet takes for the beginning of a formula. https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


class Group(StrEnum):
    registered = "registered"  # everybody
    attended = "attended"
    absent = "absent"


class Participants(NamedTuple):
    rows: list[Row]  # each with all COLUMNS, times in UTC
    notes: list[str]  # what is missing from them, and why


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Recorded:
    """The state's rows about one webinar, by their keys."""

    webinar: str
    registrants: Mapping[str, RecordRow]
    sessions: Mapping[str, RecordRow]
    participants: Mapping[str, Mapping[str, RecordRow]]  # by session


async def recorded(store: Store, webinar: str) -> Recorded:
    """Raises NotFound for a webinar that the state does not know."""
    if webinar not in await store.rows(Scope("webinar"), [webinar]):
        raise NotFound(f"no webinar {webinar} is known; `poller polls` shows whether its list was read")
    sessions = await _present(store, Scope("session", webinar))
    return Recorded(
        webinar,
        await _present(store, Scope("registrant", webinar)),
        sessions,
        {key: await _present(store, Scope("participant", f"{webinar}/{key}")) for key in sessions},
    )


async def _present(store: Store, scope: Scope) -> dict[str, RecordRow]:
    keys = (await store.known(scope)).fingerprints
    rows = await store.rows(scope, keys) if keys else {}
    return {key: row for key, row in rows.items() if row.presence != Presence.GONE}


# ── joining ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Session:
    key: str
    began: str
    people: Mapping[str, Person]  # who came, and once that is settled who did not
    invited: frozenset[str]

    @property
    def is_settled(self) -> bool:
        """Who did not come is told of all at once, when it is certain; or nobody is left of whom it could be told."""
        return any(not person["attended"] for person in self.people.values()) or self.invited <= self.people.keys()


def participants(found: Recorded, group: Group) -> Participants:
    """Who registered first comes first; the sessions of each in their order."""
    registrants = _people(found.registrants)
    sessions = sorted(_sessions(found, registrants), key=lambda session: (session.began, session.key.zfill(20)))
    if group is Group.registered:
        rows = list(_everybody(found.webinar, registrants, sessions))
        return Participants(_ordered(rows), _erased(found.registrants))
    wanted = group is Group.attended
    rows = [
        _row(found.webinar, session.key, key, {**person, **registrants.get(key, {})})
        for session in sessions
        if session.is_settled
        for key, person in session.people.items()
        if person["attended"] is wanted
    ]
    return Participants(_ordered(rows), [*_unsettled(sessions), *_erased(found.registrants)])


def _people(rows: Mapping[str, RecordRow]) -> dict[str, Person]:
    """Without those who were erased, and those whose record cannot be read."""
    found: dict[str, Person] = {}
    for key, row in rows.items():
        with suppress(Malformed):
            if row.body is not None:
                found[key] = decode(row.body, normal_registrant)
    return found


def _sessions(found: Recorded, registrants: Mapping[str, Person]) -> Iterator[_Session]:
    about = _people(found.sessions)
    for key in found.sessions:
        session = about.get(key, {})
        ended = parse_time(session.get("endTime"))
        ends_at = None if ended is None else ended.timestamp()
        invited = frozenset(one for one, person in registrants.items() if was_invited(person, ends_at))
        people = _people(found.participants[key])
        yield _Session(key, str(session.get("startTime") or ""), people, invited)


def _everybody(webinar: str, registrants: Mapping[str, Person], sessions: Sequence[_Session]) -> Iterator[Row]:
    """With every session they were invited to or came to; whoever has none has one row without."""
    told: set[str] = set()
    for session in sessions:
        keys = session.invited | session.people.keys()
        told |= keys
        for key in keys:
            yield _row(webinar, session.key, key, {**session.people.get(key, {}), **registrants.get(key, {})})
    for key in registrants.keys() - told:
        yield _row(webinar, None, key, registrants[key])


def _row(webinar: str, session: str | None, key: str, person: Person) -> Row:
    stays = person.get("intervals") or []
    known = {
        **person,
        "webinarKey": webinar,
        "sessionKey": session,
        "registrantKey": key,
        "registrationDate": zulu(person.get("registrationDate")),
        "joinTime": _utc(min(_moments(stays, "joinTime"), default=None)),
        "leaveTime": _utc(max(_moments(stays, "leaveTime"), default=None)),
        "intervals": stays,
    }
    return {name: known.get(name) for name in COLUMNS}


def _moments(stays: Iterable[Person], name: str) -> list[datetime]:
    return [moment for stay in stays if (moment := parse_time(stay[name])) is not None]


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else str(zulu(moment.isoformat()))


def _ordered(rows: list[Row]) -> list[Row]:
    """Stable: what comes in the order of the sessions stays in it."""
    return sorted(rows, key=lambda row: (str(row["registrationDate"] or "~"), row["registrantKey"].zfill(20)))


def _unsettled(sessions: Sequence[_Session]) -> Iterator[str]:
    if not sessions:
        yield "no completed session of this webinar is known, so nobody attended or was absent yet"
    for session in sessions:
        if not session.is_settled:
            yield f"session {session.key} is left out: who came is not settled yet, or no trigger wants to know"


def _erased(rows: Mapping[str, RecordRow]) -> list[str]:
    count = sum(row.body is None for row in rows.values())
    return [f"left out, as their data was erased (at their wish, or long after the end): {count}"] if count else []


# ── as a table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def as_csv(rows: Iterable[Row], zone: tzinfo) -> str:
    """RFC 4180, times in `zone` with their offset. No cell is a formula: what would be one gets an apostrophe."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(COLUMNS)
    table.writerows([_cell(name, row[name], zone) for name in COLUMNS] for row in rows)
    return text.getvalue()


def _cell(name: str, value: Any, zone: tzinfo) -> str:
    if name == "attended":
        return "unknown" if value is None else str(value).lower()
    if name == "intervals":
        stays = [{when: _local(moment, zone) for when, moment in stay.items()} for stay in value]
        return json.dumps(stays) if stays else ""
    text = str(_local(value, zone) if name in _TIMES else "" if value is None else value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(("\t", "\r", "\n")) else text


def _local(value: Any, zone: tzinfo) -> Any:
    """What is no time stays as it came."""
    moment = parse_time(value)
    return ("" if value is None else value) if moment is None else moment.astimezone(zone).isoformat()
