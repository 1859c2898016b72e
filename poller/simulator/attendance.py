"""Who comes to a session and for how long: drawn from keys and options alone, so that everybody who asks agrees. Pure.

When it shows in the API is said here too: some of those who came at `first_at`, the others, and so those who did not
come, at `settled_at`. Making it happen is the business of `sessions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from zlib import crc32

from poller.simulator.draws import draw_registrant
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.options import WorldOptions

SHORTEST_STAY = timedelta(seconds=1)  # who finds less time than this left does not come
SHORTEST_DRAWN = timedelta(seconds=10)  # who finds less time than this is there for all of it
SHORTEST_SPLIT = timedelta(minutes=20)  # a shorter webinar is not held twice


@dataclass(frozen=True, slots=True)
class Session:
    """One holding of a webinar. Its key is a small number, unlike all other keys."""

    session_key: str
    webinar: Webinar
    held: Span
    creator: Organizer
    starter: Organizer

    @property
    def webinar_key(self) -> str:
        return self.webinar.webinar_key

    @property
    def path(self) -> str:
        """The subject line of the event about this session."""
        return f"webinars/{self.webinar_key}/sessions/{self.session_key}"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody and one session; without stays it is somebody who was approved and did not come."""

    registrant: Registrant
    session: Session
    shown_at: datetime
    stays: tuple[Span, ...] = ()

    @property
    def came(self) -> bool:
        return bool(self.stays)

    @property
    def key(self) -> str:
        return self.registrant.registrant_key

    @property
    def webinar_key(self) -> str:
        return self.session.webinar_key

    @property
    def path(self) -> str:
        """The subject line of the event about this participant."""
        return f"{self.session.path}/participants/{self.key}"

    @property
    def seconds(self) -> int:
        """In the session; time on two devices at once counts once."""
        total, until = 0.0, self.session.held.start
        for stay in sorted(self.stays, key=lambda stay: stay.start):
            total += max((stay.end - max(stay.start, until)).total_seconds(), 0.0)
            until = max(until, stay.end)
        return round(total)


def session_spans(webinar: Webinar, options: WorldOptions) -> list[Span]:
    """When this webinar is held: each of its times, some of them in two goes with a break between."""
    spans: list[Span] = []
    for number, span in enumerate(webinar.times):
        length = span.end - span.start
        chance = Random(f"{webinar.webinar_key}:{number}:goes").random()
        if length >= SHORTEST_SPLIT and chance < options.second_session_share:
            spans += [Span(span.start, span.start + length * 0.5), Span(span.start + length * 0.6, span.end)]
        else:
            spans.append(span)
    return spans


def session_of(webinar: Webinar, held: Span, hosts: Mapping[str, Organizer]) -> Session:
    """Where there are co-organizers, one of them starts every other session."""
    number = crc32(f"{webinar.webinar_key}:{held.start.isoformat()}".encode())
    starters = [webinar.organizer_key]
    if webinar.coorganizers:
        starters.append(webinar.coorganizers[number // 2 % len(webinar.coorganizers)])
    starter = starters[number % len(starters)]
    return Session(str(10**7 + number % 10**7), webinar, held, hosts[webinar.organizer_key], hosts[starter])


def listed_at(session: Session, options: WorldOptions) -> datetime:
    """When the API begins to show that it was held."""
    return session.held.end + timedelta(seconds=options.session_delay_seconds)


def first_at(session: Session, options: WorldOptions) -> datetime:
    """When the API begins to show who came."""
    delay = timedelta(seconds=options.attendance_delay_seconds)
    return max(session.held.end + delay, listed_at(session, options))


def settled_at(session: Session, options: WorldOptions) -> datetime:
    """When the API shows everybody who came."""
    return first_at(session, options) + timedelta(seconds=options.attendance_settling_seconds)


def invited(session: Session, person: Registrant) -> bool:
    return person.status == "APPROVED" and person.registered < session.held.end


def draw_participant(
    session: Session, person: Registrant, options: WorldOptions, *, since: datetime | None = None
) -> Participant:
    """What this person does: comes in one stay, in two, on two devices at once, or not at all.

    Nobody comes before registering, nor before `since`.
    """
    rng = Random(f"{session.session_key}:{person.registrant_key}")
    begin = max(session.held.start, person.registered, since or session.held.start)
    comes = rng.random() < options.attendance_share and session.held.end - begin >= SHORTEST_STAY
    stays = _draw_stays(rng, Span(begin, session.held.end), options) if comes else ()
    return Participant(person, session, _shown(rng, session, options, comes=comes), stays)


def draw_unregistered(session: Session, options: WorldOptions, expected: int) -> list[Participant]:
    """Those who come without a registrant record: their share of the `expected` registrants."""
    rng = Random(f"{session.session_key}:unregistered")
    return [_draw_stranger(rng, session, options) for _ in range(round(options.unregistered_share * expected))]


def draw_walk_ins(session: Session, options: WorldOptions, expected: int) -> list[Participant]:
    """Those who come first and are registered afterwards, with the moment of joining as their date."""
    rng = Random(f"{session.session_key}:walk-ins")
    return [_draw_stranger(rng, session, options) for _ in range(round(options.walk_in_share * expected))]


def _draw_stranger(rng: Random, session: Session, options: WorldOptions) -> Participant:
    person = draw_registrant(rng, session.webinar, session.held.start, "APPROVED")
    stays = _draw_stays(rng, session.held, options)
    person = replace(person, registered=min(stay.start for stay in stays))
    return Participant(person, session, _shown(rng, session, options, comes=True), stays)


def first_day_participants(
    session: Session, people: Iterable[Registrant], options: WorldOptions
) -> dict[str, Participant]:
    """By registrant key, those who came to a session that was over before the world's first day."""
    approved = [person for person in people if invited(session, person)]
    drawn = [draw_participant(session, person, options) for person in approved]
    drawn += draw_unregistered(session, options, len(approved))
    return {participant.key: participant for participant in drawn if participant.came}


def absentee(session: Session, person: Registrant, moment: datetime) -> Participant:
    return Participant(person, session, moment)


def _shown(rng: Random, session: Session, options: WorldOptions, *, comes: bool) -> datetime:
    if comes and rng.random() < options.attendance_first_share:
        return first_at(session, options)
    return settled_at(session, options)


def _draw_stays(rng: Random, window: Span, options: WorldOptions) -> tuple[Span, ...]:
    if window.end - window.start < SHORTEST_DRAWN:
        return (window,)
    length = int((window.end - window.start).total_seconds())
    moments = [window.start + timedelta(seconds=mark) for mark in sorted(rng.sample(range(length), 4))]
    kind = rng.random()
    if kind < options.rejoin_share:
        return Span(*moments[:2]), Span(*moments[2:])
    if kind < options.rejoin_share + options.two_devices_share:
        return Span(moments[0], moments[2]), Span(moments[1], moments[3])
    return (Span(moments[0], moments[3]),)
