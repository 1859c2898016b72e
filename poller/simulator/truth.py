"""The truth log: every fact of the world with the moment the API began to show it.

A checker compares delivered events with it. Four things to know when doing so:
- A cancelled webinar takes its registrants along (their list answers 404). That is one fact,
  `webinar.cancelled`; no `registrant.removed` is logged for them.
- A poller cannot see what was undone between two polls (added and removed, APPROVED → DENIED → APPROVED).
  `lasting_additions` names the additions that nothing undid.
- Sessions and participants of webinars have one fact each, when the API first shows them. A participant is told as
  absent once attendance has settled, so nobody is told both ways. They go with a cancelled webinar, as registrants do.
- What was held of a meeting stays when the meeting goes. `meeting.left` is a fact, but no event: the meeting is over
  (see `meeting_facts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from poller.simulator import meeting_facts
from poller.simulator.attendance import Participant, Session
from poller.simulator.meeting_model import MeetingThing
from poller.simulator.model import Registrant, Webinar
from poller.simulator.shapes import JsonObject, Shapes

CREATED, CHANGED, CANCELLED = "webinar.created", "webinar.changed", "webinar.cancelled"
ADDED, ALTERED, REMOVED = "registrant.added", "registrant.changed", "registrant.removed"
COMPLETED = "webinar.session.completed"
ATTENDED, ABSENT = "participant.attended", "participant.absent"
ATTENDANCE = (COMPLETED, ATTENDED, ABSENT)

# What makes a thing be there, and what ends it. Sessions of meetings, their recordings and attendees have no end.
BIRTHS = frozenset(
    {CREATED, ADDED, meeting_facts.CREATED, meeting_facts.ENDED, meeting_facts.RECORDING, meeting_facts.ATTENDED}
)
DEATHS = {
    CANCELLED: CREATED,
    REMOVED: ADDED,
    meeting_facts.CANCELLED: meeting_facts.CREATED,
    meeting_facts.LEFT: meeting_facts.CREATED,
}

AnyThing = Webinar | Registrant | Session | Participant | MeetingThing
Thing = TypeVar("Thing", Webinar, Registrant)

_CANONICAL = Shapes("strings")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `number` counts from 1 in the order of becoming visible; what exists at the start has 0."""

    number: int
    kind: str
    organizer_key: str
    visible_at: datetime
    before: AnyThing | None
    after: AnyThing | None

    @property
    def initial(self) -> bool:
        return self.number == 0

    @property
    def thing(self) -> AnyThing:
        """What the fact is about, as it is now; for something that is gone, as it last was."""
        thing = self.after or self.before
        assert thing is not None
        return thing

    @property
    def subject(self) -> str:
        return self.thing.path

    @property
    def data(self) -> JsonObject:
        """The item as the API's list shows it (last showed it, once gone), every key written as a string."""
        return _listed(self.thing)

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the listed fields that differ from before; empty unless something changed."""
        if self.before is None or self.after is None:
            return ()
        old, new = _listed(self.before), _listed(self.after)
        return tuple(name for name in new if new[name] != old[name])

    def as_json(self) -> JsonObject:
        return {
            "number": self.number,
            "kind": self.kind,
            "subject": self.subject,
            "organizerKey": self.organizer_key,
            "visibleAt": self.visible_at.isoformat().replace("+00:00", "Z"),
            "initial": self.initial,
            "changed": list(self.changed),
            "data": self.data,
        }


def _listed(thing: AnyThing) -> JsonObject:
    if isinstance(thing, Webinar):
        return _CANONICAL.listed_webinar(thing)
    if isinstance(thing, Registrant):
        return _CANONICAL.listed_registrant(thing)
    if isinstance(thing, Session):
        return _CANONICAL.session(thing)
    if not isinstance(thing, Participant):
        return meeting_facts.canonical(thing)
    if thing.came:
        return {"webinarKey": thing.webinar_key, **_CANONICAL.attendee(thing)}
    keys = {"webinarKey": thing.webinar_key, "sessionKey": thing.session.session_key}
    return {**keys, **_CANONICAL.listed_registrant(thing.registrant)}


class Truth:
    """All facts of one world: the start, drawn anew whenever asked for, and what happened since."""

    def __init__(self, initial: Callable[[], Iterable[Fact]]) -> None:
        self._initial = initial
        self._facts: list[Fact] = []
        self._listeners: list[Callable[[Fact], None]] = []

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What happened since the start, in the order of becoming visible."""
        return tuple(self._facts)

    def initial(self) -> Iterator[Fact]:
        """What existed at the start: every webinar, then its registrants."""
        return iter(self._initial())

    def all(self) -> Iterator[Fact]:
        yield from self._initial()
        yield from tuple(self._facts)

    def after(self, number: int) -> list[Fact]:
        """Facts since the start with a higher number than this one."""
        return self._facts[max(number, 0) :]

    def subscribe(self, listener: Callable[[Fact], None]) -> None:
        """Call `listener` with each fact to come, in order, at the moment it becomes visible."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[Fact], None]) -> None:
        self._listeners.remove(listener)

    def record(
        self,
        kind: str,
        organizer_key: str,
        visible_at: datetime,
        *,
        before: AnyThing | None = None,
        after: AnyThing | None = None,
    ) -> None:
        fact = Fact(len(self._facts) + 1, kind, organizer_key, visible_at, before, after)
        self._facts.append(fact)
        for listener in tuple(self._listeners):
            listener(fact)

    def lasting_additions(self) -> list[Fact]:
        """Live facts whose webinar, registrant or upcoming meeting is still there, and what was held of meetings."""
        lasting: dict[tuple[str, str], Fact] = {}
        for fact in self._facts:
            if fact.kind in BIRTHS:
                lasting[fact.kind, fact.subject] = fact
            elif fact.kind in DEATHS:
                lasting.pop((DEATHS[fact.kind], fact.subject), None)
        gone = self._cancelled()
        return [fact for fact in lasting.values() if _home(fact.subject) not in gone]

    def attendance(self) -> list[Fact]:
        """Live facts about sessions and participants of webinars that are still there: each to be told once."""
        gone = self._cancelled()
        return [f for f in self._facts if f.kind in ATTENDANCE and _home(f.subject) not in gone]

    def _cancelled(self) -> set[str]:
        return {fact.subject for fact in self._facts if fact.kind == CANCELLED}

    def since(self, moment: datetime) -> Iterator[Fact]:
        """Facts that became visible after `moment`, newest first."""
        for fact in reversed(self._facts):
            if fact.visible_at <= moment:
                return
            yield fact


def _home(subject: str) -> str:
    """The webinar or meeting that the thing of this subject belongs to."""
    return "/".join(subject.split("/")[:2])


def undone(current: Mapping[str, Thing], newest_first: Iterable[Fact], kind: type[Thing]) -> dict[str, Thing]:
    """The things (by event subject) as they were before these facts: the past from the present, pure."""
    past = dict(current)
    for fact in newest_first:
        if not isinstance(fact.thing, kind):
            continue
        if isinstance(fact.before, kind):
            past[fact.subject] = fact.before
        else:
            past.pop(fact.subject, None)
    return past
