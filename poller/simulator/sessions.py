"""What happens around sessions as the world's time passes: they begin, people join, they end, attendance shows.

It follows the world's truth log (webinars and registrants) and adds to it: `webinar.session.completed`,
`participant.attended` and `participant.absent`, each at the moment from which the API shows it. Joining and handing in
a survey are no facts of any list; whoever wants to hear of them (GoTo's webhooks do) adds a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from poller.simulator.attendance import (
    Participant,
    Session,
    absentee,
    draw_participant,
    draw_unregistered,
    draw_walk_ins,
    first_at,
    first_day_participants,
    invited,
    listed_at,
    session_of,
    session_spans,
    settled_at,
)
from poller.simulator.feedback import survey_sent_at
from poller.simulator.model import Registrant, Span, Webinar
from poller.simulator.truth import ABSENT, ADDED, ALTERED, ATTENDED, CANCELLED, COMPLETED, CREATED, Fact

if TYPE_CHECKING:
    from poller.simulator.world import World


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that GoTo tells only by webhook."""

    kind: Literal["registrant.joined", "survey.submitted"]
    participant: Participant
    at: datetime


@dataclass(slots=True)
class Holding:
    """One session with everybody decided on. Participants of a session before the first day are drawn when needed."""

    session: Session
    shown_at: datetime
    first_day: Callable[[], dict[str, Participant]] | None = None
    known_until: datetime | None = None  # what showed by then, the first day's facts have told
    away: set[str] = field(default_factory=set)  # registrant keys of those who do not come
    told: set[str] = field(default_factory=set)  # registrant keys with a fact in the log
    settled: bool = False
    _came: dict[str, Participant] = field(default_factory=dict)

    @property
    def came(self) -> dict[str, Participant]:
        if self.first_day is not None:
            self._came, self.first_day = self.first_day(), None
        return self._came


class Sessions:
    """All sessions of one world, begun or over."""

    def __init__(self, world: World) -> None:
        self._world, self._options = world, world.options
        self._hosts = world.hosts
        self._holdings: dict[str, dict[str, Holding]] = {}
        self.listeners: list[Callable[[Happening], None]] = []

    # ---- reading

    def completed(self, webinars: Iterable[Webinar], moment: datetime) -> list[Session]:
        """What the API shows as past sessions at this moment, by the webinars' order."""
        self._world.catch_up()
        holdings = (h for webinar in webinars for h in self._of(webinar.webinar_key).values())
        return [holding.session for holding in holdings if holding.shown_at <= moment]

    def attendees(self, session: Session, moment: datetime) -> list[Participant]:
        """Who came, as far as the API shows it at this moment."""
        return [participant for participant in self.everybody(session) if participant.shown_at <= moment]

    def everybody(self, session: Session) -> list[Participant]:
        """Who came, shown or not."""
        return list(self._of(session.webinar_key)[session.session_key].came.values())

    def _of(self, webinar_key: str) -> dict[str, Holding]:
        return self._holdings.get(webinar_key, {})

    # ---- the first day

    def begin(self, webinars: Iterable[tuple[Webinar, Callable[[], Mapping[str, Registrant]]]]) -> None:
        """Take up the webinars of the first day, each with its registrants, and follow the log from here on."""
        for webinar, people in webinars:
            for span in session_spans(webinar, self._options):
                if span.end <= self._world.now:
                    self._was_held(session_of(webinar, span, self._hosts), people)
                else:
                    self._plan(webinar, span)
        self._world.truth.subscribe(self._follow)

    def _was_held(self, session: Session, people: Callable[[], Mapping[str, Registrant]]) -> None:
        def draw() -> dict[str, Participant]:
            return first_day_participants(session, people().values(), self._options)

        now, settles = self._world.now, settled_at(session, self._options)
        holding = Holding(session, listed_at(session, self._options), draw, known_until=now, settled=settles <= now)
        self._holdings.setdefault(session.webinar_key, {})[session.session_key] = holding
        shows: tuple[tuple[datetime, Callable[[Holding], None]], ...] = (
            (holding.shown_at, self._show_session),
            (first_at(session, self._options), self._show_first_day),
            (settles, self._show_first_day),
            (settles, self._settle),
        )
        for moment, show in shows:
            if moment > now:
                self._world.at(moment, partial(show, holding))

    def first_day_facts(self, webinar: Webinar, people: Mapping[str, Registrant], start: datetime) -> Iterator[Fact]:
        """What the API shows of this webinar's sessions when the world begins."""
        for span in session_spans(webinar, self._options):
            session = session_of(webinar, span, self._hosts)
            if listed_at(session, self._options) > start:
                continue
            yield Fact(0, COMPLETED, webinar.organizer_key, start, None, session)
            came = first_day_participants(session, people.values(), self._options)
            for participant in came.values():
                if participant.shown_at <= start:
                    yield Fact(0, ATTENDED, webinar.organizer_key, start, None, participant)
            if settled_at(session, self._options) <= start:
                for person in people.values():
                    if invited(session, person) and person.registrant_key not in came:
                        missed = absentee(session, person, start)
                        yield Fact(0, ABSENT, webinar.organizer_key, start, None, missed)

    # ---- following the log

    def _follow(self, fact: Fact) -> None:
        thing = fact.thing
        if isinstance(thing, Webinar):
            self._follow_webinar(fact.kind, thing)
        elif isinstance(thing, Registrant) and fact.kind in (ADDED, ALTERED):
            for holding in tuple(self._of(thing.webinar_key).values()):
                if fact.kind == ADDED or holding.session.held.end > self._world.now:
                    self._decide(holding, thing)

    def _follow_webinar(self, kind: str, webinar: Webinar) -> None:
        if kind == CANCELLED:
            self._holdings.pop(webinar.webinar_key, None)
            return
        for span in session_spans(webinar, self._options):
            if kind == CREATED or span.end > self._world.now:
                self._plan(webinar, span)

    def _plan(self, webinar: Webinar, span: Span) -> None:
        self._world.at(span.start, partial(self._open, webinar.webinar_key, span))

    # ---- the life of one session

    def _open(self, webinar_key: str, span: Span) -> None:
        """Unless it was cancelled or moved since this was planned."""
        webinar = self._world.as_is(webinar_key)
        if webinar is None:
            return
        session = session_of(webinar, span, self._hosts)
        if span not in session_spans(webinar, self._options) or session.session_key in self._of(webinar_key):
            return
        holding = Holding(session, listed_at(session, self._options))
        self._holdings.setdefault(webinar_key, {})[session.session_key] = holding
        self._world.at(holding.shown_at, partial(self._show_session, holding))
        approved = [person for person in self._world.registrants(webinar_key).values() if invited(session, person)]
        for person in approved:
            self._decide(holding, person)
        self._let_strangers_in(holding, len(approved))
        self._world.at(settled_at(session, self._options), partial(self._settle, holding))
        self._world.at(span.end, partial(self._submit_surveys, holding))

    def _let_strangers_in(self, holding: Holding, expected: int) -> None:
        session = holding.session
        walk_ins = draw_walk_ins(session, self._options, expected)
        for participant in (*walk_ins, *draw_unregistered(session, self._options, expected)):
            self._note(holding, participant)
        for participant in walk_ins:
            self._world.add_registrant(participant.registrant, visible_in=session.held.end - self._world.now)

    def _decide(self, holding: Holding, person: Registrant) -> None:
        """Once for each person who is approved for the session."""
        session, now, key = holding.session, self._world.now, person.registrant_key
        if not invited(session, person) or key in holding.away or key in holding.came:
            return
        since = now if session.held.start < now < session.held.end else None
        participant = draw_participant(session, person, self._options, since=since)
        if participant.came:
            self._note(holding, participant)
            return
        holding.away.add(key)
        if holding.settled:
            missed = absentee(session, person, now)
            self._world.at(now, partial(self._tell, holding, ABSENT, missed))

    def _note(self, holding: Holding, participant: Participant) -> None:
        """Somebody comes; where this is known only afterwards, it shows at once."""
        now, joined = self._world.now, min(stay.start for stay in participant.stays)
        participant = replace(participant, shown_at=max(participant.shown_at, now))
        holding.came[participant.key] = participant
        self._world.at(participant.shown_at, partial(self._tell, holding, ATTENDED, participant))
        if joined >= now:
            self._happen_at(joined, Happening("registrant.joined", participant, joined))

    def _submit_surveys(self, holding: Holding) -> None:
        for participant in holding.came.values():
            moment = survey_sent_at(participant, self._options)
            if moment is not None:
                self._happen_at(moment, Happening("survey.submitted", participant, moment))

    def _happen_at(self, moment: datetime, happening: Happening) -> None:
        self._world.at(moment, partial(self._happen, happening))

    def _happen(self, happening: Happening) -> None:
        if self._world.as_is(happening.participant.webinar_key) is not None:
            for listener in tuple(self.listeners):
                listener(happening)

    # ---- what shows when

    def _show_session(self, holding: Holding) -> None:
        if self._still_there(holding):
            self._record(COMPLETED, holding.session)

    def _show_first_day(self, holding: Holding) -> None:
        """Attendance of a session from before the first day, as far as its facts do not tell it yet."""
        known, now = holding.known_until, self._world.now
        for participant in holding.came.values():
            if known is not None and known < participant.shown_at <= now:
                self._tell(holding, ATTENDED, participant)

    def _settle(self, holding: Holding) -> None:
        if not self._still_there(holding):
            return
        holding.settled = True
        for person in self._world.registrants(holding.session.webinar_key).values():
            if invited(holding.session, person) and person.registrant_key not in holding.came:
                self._tell(holding, ABSENT, absentee(holding.session, person, self._world.now))

    def _tell(self, holding: Holding, kind: str, participant: Participant) -> None:
        if participant.key not in holding.told and self._still_there(holding):
            holding.told.add(participant.key)
            self._record(kind, participant)

    def _record(self, kind: str, thing: Session | Participant) -> None:
        session = thing if isinstance(thing, Session) else thing.session
        self._world.truth.record(kind, session.webinar.organizer_key, self._world.now, after=thing)

    def _still_there(self, holding: Holding) -> bool:
        return self._of(holding.session.webinar_key).get(holding.session.session_key) is holding
