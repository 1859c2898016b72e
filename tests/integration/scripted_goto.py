"""A GoTo that does and says what a test wants, behind the interface of `poller.goto.GotoClient`.

Its answers are JSON text, read by the real protocol and paging code; only tokens, limits and sockets are left out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from poller.errors import Malformed, NotFound, PollerError, Wait
from poller.goto import ListAnswer, Walk, protocol
from poller.goto.paging import registrant_identity, session_identity, webinar_identity
from poller.testing import FakeClock

Item = dict[str, Any]
Lie = Callable[[list[Item]], list[Item]]

# Operations, as tests name them: lists, and GETs by key.
WEBINARS, REGISTRANTS, WEBINAR, REGISTRANT = "webinars", "registrants", "webinar", "registrant"
SESSIONS, ATTENDEES, RUNNING = "sessions", "attendees", "running webinars"
POLLS, QUESTIONS, SURVEYS = "polls", "questions", "surveys"
MEETINGS, MEETING, HISTORY, PEOPLE = "meetings", "meeting", "history", "meeting attendees"


def empty(items: list[Item]) -> list[Item]:
    return []


def without(*keys: str) -> Lie:
    """The list as it is, but for these."""
    return lambda items: [item for item in items if not {str(value) for value in item.values()} & set(keys)]


def gone() -> PollerError:
    return NotFound("GoTo answered 404")


def busy() -> PollerError:
    return Wait("GoTo answered 503")


@dataclass
class Fault:
    """The next `times` calls of `operation` that `fits` fail with what `error` makes, after `skip` good ones."""

    operation: str
    error: Callable[[], PollerError]
    times: int = 1
    skip: int = 0
    fits: str = ""  # a key in the call


@dataclass
class Untruth:
    """The next `times` readings of a list are changed by `lie`; `parent` names the webinar of a registrants' list."""

    operation: str
    lie: Lie
    times: int = 1
    parent: str = ""


@dataclass
class Webinar:
    body: Item
    hosts: set[str]
    people: dict[str, Item] = field(default_factory=dict)
    sessions: dict[str, Item] = field(default_factory=dict)
    came: dict[str, dict[str, Item]] = field(default_factory=dict)  # by session
    runs: bool = False
    said: dict[tuple[str, str], list[Item]] = field(default_factory=dict)  # by list and person

    @property
    def times(self) -> list[tuple[datetime, datetime]]:
        moments = [(datetime.fromisoformat(t["startTime"]), datetime.fromisoformat(t["endTime"])) for t in self.times_]
        return sorted(moments)

    @property
    def times_(self) -> list[Item]:
        return list(self.body["times"])


@dataclass
class Meeting:
    body: Item
    sessions: dict[str, Item] = field(default_factory=dict)
    people: list[Item] = field(default_factory=list)
    upcoming: bool = True
    known: bool = True  # by its own GET


class Goto:
    """The truth. Its clock is not moved by jumps of the engine's wall clock; `skew` seconds it is ahead of that one."""

    def __init__(self, clock: FakeClock, *, skew: float = 0.0) -> None:
        self._clock, self._began, self._zero = clock, clock.now(), clock.monotonic()
        self.skew = skew
        self.webinars: dict[str, Webinar] = {}
        self.meetings: dict[str, Meeting] = {}
        self.calls: list[tuple[str, str, str]] = []  # operation, who asks, webinar or page
        self.faults: list[Fault] = []
        self.untruths: list[Untruth] = []
        self.page_size = 200
        self.shape: Callable[[str, Item], Item] = lambda operation, item: item
        self._keys = itertools.count(4255157664015486220)

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._clock.monotonic() - self._zero + self.skew)

    def ago(self, **span: float) -> str:
        return zulu(self.now() - timedelta(**span))

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def webinar(
        self, *, organizers: str = "1", days: float = 30, hours: float = 1, key: str = "", **fields: Any
    ) -> str:
        """One more webinar, `days` ahead; `organizers` are one-letter keys, the first one owns it."""
        key = key or str(next(self._keys))
        body = {
            "webinarKey": key,
            "webinarId": key[-9:],
            "organizerKey": organizers[0],
            "accountKey": "77",
            "subject": f"Webinar {key[-3:]}",
            "description": "First steps",
            "times": [self.span(days, hours)],
            "timeZone": "Europe/Berlin",
            "locale": "en_US",
            "status": "NEW",
            "approvalType": "AUTOMATIC",
            "registrationUrl": f"https://attendee.example.com/register/{key}",
            "impromptu": False,
            "isPasswordProtected": False,
            "recurrenceType": "single_session",
            "experienceType": "classic",
            **fields,
        }
        self.webinars[key] = Webinar(body, set(organizers))
        return key

    def span(self, days: float, hours: float = 1) -> Item:
        start = self.now() + timedelta(days=days)
        return {"startTime": zulu(start), "endTime": zulu(start + timedelta(hours=hours))}

    def change(self, key: str, **fields: Any) -> None:
        self.webinars[key].body.update(fields)

    def move(self, key: str, days: float) -> None:
        self.change(key, times=[self.span(days)])

    def cancel(self, key: str) -> Webinar:
        return self.webinars.pop(key)

    def register(self, webinar: str, *, key: str = "", **fields: Any) -> str:
        key = key or str(next(self._keys))
        self.webinars[webinar].people[key] = {
            "lastName": "Lind",
            "email": f"{key}@example.com",
            "firstName": f"Bo {key[-3:]}",
            "registrantKey": int(key),
            "registrationDate": zulu(self.now()),
            "status": "APPROVED",
            "joinUrl": f"https://example.com/join/{webinar}/{key}",
            "timeZone": "Europe/Berlin",
            **fields,
        }
        return key

    def alter(self, webinar: str, key: str, **fields: Any) -> None:
        self.webinars[webinar].people[key] = {**self.webinars[webinar].people[key], **fields}

    def leave(self, webinar: str, key: str) -> Item:
        return self.webinars[webinar].people.pop(key)

    def hold(self, webinar: str, *, key: str = "", **fields: Any) -> str:
        """One more completed session: it began an hour ago and has just ended."""
        held = self.webinars[webinar]
        key = key or str(15887209 + sum(len(w.sessions) for w in self.webinars.values()))
        held.sessions[key] = {
            "sessionKey": key,
            "webinarKey": webinar,
            "webinarName": held.body["subject"],
            "startTime": self.ago(hours=1),
            "endTime": zulu(self.now()),
            "registrantsAttended": 0,
            "registrantCount": len(held.people),
            "webinarID": held.body["webinarId"],
            **fields,
        }
        held.came[key] = {}
        return key

    def attend(self, webinar: str, session: str, person: str, minutes: int = 30, **fields: Any) -> None:
        """This person shows up among the attendees of a session."""
        held = self.webinars[webinar]
        joined = datetime.fromisoformat(held.sessions[session]["startTime"])
        stay = {"joinTime": zulu(joined), "leaveTime": zulu(joined + timedelta(minutes=minutes))}
        known = held.people.get(person, {})
        held.came[session][person] = {
            "registrantKey": int(person),
            "sessionKey": int(session),
            "email": known.get("email", "guest@example.com"),
            "firstName": known.get("firstName", "Guest"),
            "lastName": known.get("lastName", "Lind"),
            "attendanceTimeInSeconds": minutes * 60,
            "attendance": [stay],
            **fields,
        }

    def say(self, webinar: str, person: str, kind: str, *items: Item) -> None:
        """What somebody answered or asked, in any session of the webinar."""
        self.webinars[webinar].said.setdefault((kind, person), []).extend(items)

    def meeting(self, *, organizer: str = "1", days: float | None = 3, key: str = "", **fields: Any) -> str:
        """One more meeting; without `days` it has no time, as recurring ones may have none."""
        key = key or str(417382905 + len(self.meetings))
        span = self.span(days) if days is not None else None
        self.meetings[key] = Meeting(
            {
                "startTime": lone_dot(span["startTime"]) if span else "",
                "endTime": lone_dot(span["endTime"]) if span else "",
                "lastName": "Rivera",
                "accountKey": "77",
                "passwordRequired": "false",
                "email": "ana@example.com",
                "status": "INACTIVE",
                "subject": f"Meeting {key[-3:]}",
                "locale": "en_US",
                "organizerKey": organizer,
                "meetingId": key,
                "meetingType": "scheduled" if span else "recurring",
                "firstName": "Ana",
                "conferenceCallInfo": "Hybrid",
                "joinURL": f"https://meet.example.com/{key}",
                **fields,
            }
        )
        return key

    def meet(self, meeting: str, *, minutes: float = 30, key: str = "", **fields: Any) -> str:
        """A session of this meeting has just ended."""
        held = self.meetings[meeting]
        key = key or str(88214407 + sum(len(m.sessions) for m in self.meetings.values()))
        names = ("lastName", "accountKey", "email", "subject", "locale", "organizerKey", "meetingId", "meetingType")
        held.sessions[key] = {
            **{name: held.body[name] for name in names},
            "startTime": lone_dot(self.ago(minutes=minutes)),
            "endTime": lone_dot(zulu(self.now())),
            "duration": str(round(minutes)),
            "numAttendees": "2",
            "sessionId": key,
            **fields,
        }
        return key

    def join(self, meeting: str, session: str, email: str = "bo@example.com", **fields: Any) -> None:
        """Somebody shows up among the attendees of a session."""
        held = self.meetings[meeting]
        start, end = (held.sessions[session][name].replace(".+0000", "") for name in ("startTime", "endTime"))
        held.people.append(
            {
                "attendeeEmail": email,
                "attendeeName": "Bo Lind",
                "name": "Bo Lind",
                "email": "ana@example.com",
                "firstName": "Ana",
                "lastName": "Rivera",
                "groupName": "NA",
                "subject": held.body["subject"],
                "organizerkey": int(held.body["organizerKey"]),
                "meetingId": int(meeting),
                "meetingInstanceKey": int(session) + 1,
                "duration": 30,
                "startTime": start,
                "endTime": end,
                "joinTime": start,
                "leaveTime": end,
                **fields,
            }
        )

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────

    def fail(self, operation: str, error: Callable[[], PollerError] = busy, **how: Any) -> None:
        self.faults.append(Fault(operation, error, **how))

    def lie(self, operation: str, lie: Lie, times: int = 1, parent: str = "") -> None:
        self.untruths.append(Untruth(operation, lie, times, parent))

    def mend(self) -> None:
        self.faults.clear()
        self.untruths.clear()

    def count(self, operation: str, about: str = "") -> int:
        """Calls of one kind so far."""
        return Counter((name, where if about else "") for name, _, where in self.calls)[operation, about]

    # ── what it answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def client(self, organizer: str) -> Client:
        return Client(self, organizer)

    def called(self, operation: str, organizer: str, about: str) -> None:
        self.calls.append((operation, organizer, about))
        for fault in self.faults:
            if fault.operation != operation or fault.fits not in ("", about, organizer) or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            raise fault.error()

    def told(self, operation: str, items: list[Item], parent: str = "") -> list[Item]:
        for untruth in self.untruths:
            if untruth.operation == operation and untruth.times and untruth.parent in ("", parent):
                untruth.times -= 1
                return untruth.lie(items)
        return items

    def listed(self, organizer: str, since: datetime, until: datetime) -> list[Item]:
        seen = [w for w in self.webinars.values() if organizer == "account" or organizer in w.hosts]
        return [
            webinar.body for webinar in seen if any(start <= until and end >= since for start, end in webinar.times)
        ]

    def by_key(self, organizer: str, key: str) -> Item:
        webinar = self.webinars.get(key)
        if webinar is None or organizer not in webinar.hosts:
            raise gone()
        body = {**webinar.body, "webinarKey": int(key), "webinarID": webinar.body["webinarId"]}
        body |= {"type": body.pop("recurrenceType"), "recurrencePeriod": "single_session", "inSession": False}
        body |= {
            "numberOfRegistrants": len(webinar.people),
            "registrationLimit": 500,
            "organizerEmail": "o@example.com",
        }
        for name in ("webinarId", "approvalType", "status"):
            del body[name]
        if webinar.body["recurrenceType"] == "sequence":
            body["times"] = [t for t in webinar.times_ if datetime.fromisoformat(t["endTime"]) > self.now()]
        return self.shape(WEBINAR, body)

    def people_of(self, organizer: str, key: str) -> dict[str, Item]:
        return self.held_by(organizer, key).people

    def of_organizer(self, organizer: str) -> list[Meeting]:
        return [meeting for meeting in self.meetings.values() if meeting.body["organizerKey"] == organizer]

    def meeting_of(self, key: str) -> Meeting:
        meeting = self.meetings.get(key)
        if meeting is None:
            raise gone()
        return meeting

    def held_by(self, organizer: str, key: str) -> Webinar:
        webinar = self.webinars.get(key)
        if webinar is None or organizer not in webinar.hosts:
            raise gone()
        return webinar


class Client:
    """One organizer's view; "account" sees the webinars of all."""

    def __init__(self, goto: Goto, organizer: str) -> None:
        self._goto = goto
        self._organizer = organizer

    def webinar_pages(self, organizer_key: str, since: datetime, until: datetime, **_: Any) -> Walk:
        goto = self._goto

        def cut(number: int) -> bytes:
            goto.called(WEBINARS, self._organizer, str(number))
            items = goto.told(WEBINARS, goto.listed(organizer_key, since, until))
            shown, pages = _page(items, number, goto.page_size)
            shown = self._shaped(WEBINARS, shown)
            page = {"size": goto.page_size, "totalElements": len(items), "totalPages": pages, "number": number}
            return encoded({"page": page, **({"_embedded": {"webinars": shown}} if shown else {})})

        return Walk(_fetch(cut, protocol.webinar_page), webinar_identity)

    def account_webinar_pages(self, account_key: str, since: datetime, until: datetime, **how: Any) -> Walk:
        return self.webinar_pages("account", since, until, **how)

    async def in_session_webinars(self, organizer_key: str, **_: Any) -> ListAnswer:
        self._goto.called(RUNNING, self._organizer, organizer_key)
        hosted = [webinar for webinar in self._goto.webinars.values() if organizer_key in webinar.hosts]
        items = [{**webinar.body, "inSession": True} for webinar in hosted if webinar.runs]
        return self._answer(RUNNING, [{**item, "webinarKey": int(item["webinarKey"])} for item in items])

    async def webinar(self, organizer_key: str, webinar_key: str, **_: Any) -> msgspec.Raw:
        self._goto.called(WEBINAR, self._organizer, webinar_key)
        return protocol.document(encoded(self._goto.by_key(organizer_key, webinar_key)))

    async def registrants(
        self, organizer_key: str, webinar_key: str, *, unless_digest: bytes | None = None, **_: Any
    ) -> ListAnswer:
        self._goto.called(REGISTRANTS, self._organizer, webinar_key)
        people = self._shaped(REGISTRANTS, self._people(organizer_key, webinar_key))
        return protocol.whole_list(encoded(people), unless_digest, "registrants")

    def registrant_pages(self, organizer_key: str, webinar_key: str, **_: Any) -> Walk:
        goto = self._goto

        def cut(number: int) -> bytes:
            goto.called(REGISTRANTS, self._organizer, webinar_key)
            items = self._people(organizer_key, webinar_key)
            shown, _ = _page(items, number, goto.page_size)
            shown = self._shaped(REGISTRANTS, shown)
            return encoded({"data": shown, "total": len(items), "page": number, "pageSize": len(shown)})

        return Walk(_fetch(cut, protocol.registrant_page), registrant_identity)

    async def registrant(self, organizer_key: str, webinar_key: str, registrant_key: str, **_: Any) -> msgspec.Raw:
        self._goto.called(REGISTRANT, self._organizer, registrant_key)
        person = self._goto.people_of(organizer_key, webinar_key).get(registrant_key)
        if person is None:
            raise gone()
        detail = {**person, "organization": "Kite", "responses": []}
        return protocol.document(encoded(self._goto.shape(REGISTRANT, detail)))

    def session_pages(self, organizer_key: str, webinar_key: str, **_: Any) -> Walk:
        goto = self._goto

        def cut(number: int) -> bytes:
            goto.called(SESSIONS, self._organizer, webinar_key)
            items = goto.told(SESSIONS, list(goto.held_by(organizer_key, webinar_key).sessions.values()), webinar_key)
            shown, pages = _page(items, number, goto.page_size)
            shown = self._shaped(SESSIONS, shown)
            page = {"size": goto.page_size, "totalElements": len(items), "totalPages": pages, "number": number}
            return encoded({"page": page, **({"_embedded": {"sessionInfoResources": shown}} if shown else {})})

        return Walk(_fetch(cut, protocol.session_page), session_identity)

    async def attendees(self, organizer_key: str, webinar_key: str, session_key: str, **_: Any) -> ListAnswer:
        self._goto.called(ATTENDEES, self._organizer, webinar_key)
        came = self._goto.held_by(organizer_key, webinar_key).came.get(session_key)
        if came is None:
            raise gone()
        shown = self._shaped(ATTENDEES, self._goto.told(ATTENDEES, list(came.values()), webinar_key))
        return protocol.whole_list(encoded(shown), None, "attendees")

    async def attendee_list(
        self, kind: str, organizer_key: str, webinar_key: str, session_key: str, registrant_key: str, **_: Any
    ) -> ListAnswer:
        self._goto.called(kind, self._organizer, registrant_key)
        webinar = self._goto.held_by(organizer_key, webinar_key)
        if registrant_key not in webinar.came[session_key]:
            raise gone()
        return self._answer(kind, webinar.said.get((kind, registrant_key), []))

    # GoTo Meeting

    async def upcoming_meetings(self, organizer_key: str = "", **_: Any) -> ListAnswer:
        organizer = organizer_key or self._organizer
        self._goto.called(MEETINGS, self._organizer, organizer)
        items = [meeting.body for meeting in self._goto.of_organizer(organizer) if meeting.upcoming]
        return self._answer(MEETINGS, items)

    async def historical_meetings(self, organizer_key: str, since: datetime, until: datetime, **_: Any) -> ListAnswer:
        organizer = organizer_key or self._organizer
        self._goto.called(HISTORY, self._organizer, organizer)
        held = [item for meeting in self._goto.of_organizer(organizer) for item in meeting.sessions.values()]
        return self._answer(HISTORY, [item for item in held if since <= began(item) <= until])

    async def meeting(self, meeting_id: str, **_: Any) -> msgspec.Raw:
        self._goto.called(MEETING, self._organizer, meeting_id)
        meeting = self._goto.meeting_of(meeting_id)
        if not meeting.known:
            raise gone()
        lacking = ("locale", "organizerKey", "accountKey", "email", "firstName", "lastName")
        body = {name: value for name, value in meeting.body.items() if name not in lacking}
        body |= {"meetingId": int(meeting_id), "meetingKey": int(meeting_id), "createTime": "", "maxParticipants": 250}
        return protocol.only_one(encoded([self._goto.shape(MEETING, body)]), "a meeting")

    async def meeting_history(self, meeting_id: str, **_: Any) -> ListAnswer:
        self._goto.called(HISTORY, self._organizer, meeting_id)
        return self._answer(HISTORY, list(self._goto.meeting_of(meeting_id).sessions.values()))

    async def meeting_attendees(self, meeting_id: str, *, unless_digest: bytes | None = None, **_: Any) -> ListAnswer:
        self._goto.called(PEOPLE, self._organizer, meeting_id)
        shown = self._goto.told(PEOPLE, self._goto.meeting_of(meeting_id).people, meeting_id)
        return protocol.whole_list(encoded(self._shaped(PEOPLE, shown)), unless_digest, "attendees")

    async def meeting_organizers(self, **_: Any) -> ListAnswer:
        self._goto.called("organizers", self._organizer, "")
        keys = dict.fromkeys(meeting.body["organizerKey"] for meeting in self._goto.meetings.values())
        return self._answer("organizers", [{"organizerKey": int(key)} for key in keys])

    def _answer(self, operation: str, items: list[Item]) -> ListAnswer:
        shown = self._shaped(operation, self._goto.told(operation, items))
        return protocol.whole_list(encoded(shown), None, operation)

    def _people(self, organizer_key: str, webinar_key: str) -> list[Item]:
        goto = self._goto
        return goto.told(REGISTRANTS, list(goto.people_of(organizer_key, webinar_key).values()), webinar_key)

    def _shaped(self, operation: str, items: list[Item]) -> list[Item]:
        return [self._goto.shape(operation, dict(item)) for item in items]


def _fetch(cut: Callable[[int], bytes], read: Callable[[bytes], Any]) -> Callable[[int], Any]:
    async def fetch(number: int) -> Any:
        return read(cut(number))

    return fetch


def _page(items: list[Item], number: int, size: int) -> tuple[list[Item], int]:
    return items[number * size : (number + 1) * size], -(-len(items) // size)


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def lone_dot(text: str) -> str:
    """How GoTo Meeting writes a time."""
    return text.replace("Z", ".+0000")


def began(session: Item) -> datetime:
    return datetime.fromisoformat(session["startTime"].replace(".+0000", "Z"))


def zulu(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def html() -> PollerError:
    return Malformed("GoTo's answer (6 bytes) is not an array of registrants: DecodeError")
