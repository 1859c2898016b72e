"""The meetings of a simulated world: what happens to them as time passes, and the facts that makes.

Sessions begin and end by their meetings' plans; `MeetingArrivals` does everything else that happens by itself.
Times are those of the `World` this belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from poller.simulator.meeting_arrivals import MeetingArrivals
from poller.simulator.meeting_book import MeetingBook
from poller.simulator.meeting_draws import draw_groups, draw_meeting, draw_session, ended, first_meetings, past_begins
from poller.simulator.meeting_facts import ATTENDED, CANCELLED, CHANGED, CREATED, ENDED, LEFT, RECORDING, canonical
from poller.simulator.meeting_model import (
    IMMEDIATE,
    RECURRING,
    SCHEDULED,
    Meeting,
    MeetingSession,
    MeetingThing,
    Recorded,
    Visitor,
)
from poller.simulator.roster import UnknownKeyError
from poller.simulator.truth import Fact

if TYPE_CHECKING:
    from poller.simulator.arrivals import Lateness
    from poller.simulator.world import World

AT_ONCE = timedelta(0)
HALF_AN_HOUR = timedelta(minutes=30)
NOBODY_HEARD_OF = "town-hall"  # as a meetingType
PARTS = {ENDED: "session", RECORDING: "recordings", ATTENDED: "attendees"}  # what must still be there for the fact


class MeetingWorld:
    """All meetings of the account. `book` answers what there is; whoever reads it lets the world catch up first."""

    def __init__(self, world: World, lateness: Lateness) -> None:
        self._world, self._options, self._lateness = world, world.options, lateness
        self.book = MeetingBook()
        self.groups = draw_groups(world.options, world.organizers)
        self.arrivals = MeetingArrivals(world, self, lateness)
        self.rng = Random(f"{world.options.seed}:meeting-actions")
        self._running: dict[str, MeetingSession] = {}  # by meeting
        self._ids: set[str] = set()  # of all meetings, also those not visible yet
        self._numbers = count()
        self._first = self._first_day()
        self.arrivals.resume()

    # ---- the first day

    def _first_day(self) -> tuple[Fact, ...]:
        sessions: list[MeetingSession] = []
        for drawn, past in first_meetings(self._options, self._world.organizers, self._world.now):
            meeting = self._with_own_id(drawn)
            self.book.add(meeting)
            begins = past_begins(meeting, self._world.now) if past else []
            sessions += [self.book.keep(self._draw_session(meeting, begin)) for begin in begins]
            if past and meeting.kind != RECURRING:
                self.book.close(meeting.meeting_id)
            else:
                self._expect(meeting)
        return tuple(self._first_facts(sessions))

    def _first_facts(self, sessions: Iterable[MeetingSession]) -> Iterator[Fact]:
        began = self._world.now
        for item in self.book.upcoming(began):
            yield Fact(0, CREATED, item.meeting.organizer_key, began, None, item.meeting)
        for session in sessions:
            for kind, at, things in _showings(session):
                if at > began:
                    self._world.plan(at, partial(self._show, kind, session, things))
                    continue
                for thing in things:
                    yield Fact(0, kind, session.meeting.organizer_key, began, None, thing)

    def first_facts(self) -> tuple[Fact, ...]:
        """What existed at the start: the meetings of the upcoming list, then what the history showed."""
        return self._first

    # ---- reading

    def meeting(self, meeting_id: str) -> Meeting:
        """Also one that is over. Raises UnknownKeyError for one that is deleted or never was."""
        found = self.book.meeting(meeting_id, self._world.catch_up())
        if found is None:
            raise UnknownKeyError(meeting_id)
        return found

    def session(self, session_id: str) -> MeetingSession:
        """One that the history shows. Raises UnknownKeyError."""
        now, session = self._world.catch_up(), self.book.session(session_id)
        if session is None or session.listed_at > now or not session.kept("session", now):
            raise UnknownKeyError(session_id)
        return session

    def group_name(self, organizer_key: str) -> str:
        """Of the group that this person belongs to; empty for the administrator, who is in none."""
        return next((group.name for group in self.groups if organizer_key in group.keys), "")

    def running(self) -> list[Meeting]:
        self._world.catch_up()
        return [session.meeting for session in self._running.values()]

    # ---- meetings

    def create(
        self, organizer_key: str | None = None, *, visible_in: timedelta = AT_ONCE, kind: str = SCHEDULED, **fields: Any
    ) -> Meeting:
        """A new meeting of this organizer (else of the first), drawn where `fields` of `Meeting` say nothing.

        An immediate one begins as soon as it is visible. Raises UnknownKeyError for an unknown organizer.
        """
        now, hosts = self._world.catch_up(), self._world.hosts
        if organizer_key is not None and organizer_key not in hosts:
            raise UnknownKeyError(organizer_key)
        host = hosts[organizer_key or self._world.organizers[0].organizer_key]
        drawn = draw_meeting(self.rng, self._options, host, kind, now)
        return self.add(replace(drawn, **fields), visible_in=visible_in)

    def add(self, meeting: Meeting, *, visible_in: timedelta = AT_ONCE) -> Meeting:
        """It gets another id where its own is taken."""
        meeting = self._with_own_id(meeting)
        self._world.plan(self._world.catch_up() + visible_in, partial(self._put, meeting))
        return meeting

    def change(self, meeting_id: str, *, visible_in: timedelta = AT_ONCE, **fields: Any) -> Meeting:
        """Give some fields of `Meeting` new values; returns how it will look."""
        changed = replace(self.meeting(meeting_id), **fields)
        self._world.plan(self._world.now + visible_in, partial(self._change, meeting_id, fields))
        return changed

    def cancel(self, meeting_id: str, *, visible_in: timedelta = AT_ONCE) -> None:
        """It is gone for the API from then on; its history stays."""
        self.meeting(meeting_id)
        self._world.plan(self._world.now + visible_in, partial(self._drop, meeting_id))

    def invent_kind(self, rng: Random) -> bool:
        """Some meeting gets a type that no document names; False if there is none that can."""
        upcoming = self.book.upcoming(self._world.catch_up())
        able = [item.meeting for item in upcoming if item.meeting.kind == SCHEDULED and not item.running]
        if able:
            self.change(rng.choice(able).meeting_id, kind=NOBODY_HEARD_OF)
        return bool(able)

    def _with_own_id(self, meeting: Meeting) -> Meeting:
        while meeting.meeting_id in self._ids:
            meeting = replace(meeting, meeting_id=str(int(meeting.meeting_id) + 1))
        self._ids.add(meeting.meeting_id)
        return meeting

    def _put(self, meeting: Meeting) -> None:
        self.book.add(meeting, self._world.now)
        self._record(CREATED, meeting, after=meeting)
        if meeting.kind == IMMEDIATE:
            self._begin(meeting)
        else:
            self._expect(meeting)

    def _change(self, meeting_id: str, fields: Mapping[str, Any]) -> None:
        before = self.book.meeting(meeting_id, self._world.now)
        if before is None:
            return  # deleted before the change could be seen
        after = replace(before, **fields)
        self.book.change(after, self._world.now)
        if canonical(before) != canonical(after):
            self._record(CHANGED, after, before=before, after=after)
        if (after.planned, after.every) != (before.planned, before.every):
            self._expect(after)

    def _drop(self, meeting_id: str) -> None:
        before = self.book.meeting(meeting_id, self._world.now)
        if before is None:
            return
        self.book.drop(meeting_id, self._world.now)
        if self.book.close(meeting_id, self._world.now):
            self._record(CANCELLED if self._lay_ahead(before) else LEFT, before, before=before)

    def _lay_ahead(self, meeting: Meeting) -> bool:
        """It showed a start that lies ahead, and was never held: only then does a poll know that it was cancelled."""
        times = meeting.times
        return times is not None and times.start > self._world.now and not self.book.was_held(meeting.meeting_id)

    def _leave_if_over(self, meeting_id: str) -> None:
        meeting = self.book.meeting(meeting_id, self._world.now)
        if meeting is None or not self.book.over(meeting, self._world.now):
            return
        if self.book.close(meeting_id, self._world.now):
            self._record(LEFT, meeting, before=meeting)

    # ---- sessions

    def start(self, meeting_id: str) -> None:
        """The organizer starts it now, whatever is planned. Harmless when it runs."""
        meeting = self.meeting(meeting_id)
        if meeting_id not in self._running:
            self._begin(meeting)

    def end(self, meeting_id: str) -> MeetingSession:
        """The organizer ends what runs. Raises UnknownKeyError when nothing does."""
        now, session = self._world.catch_up(), self._running.get(meeting_id)
        if session is None:
            raise UnknownKeyError(meeting_id)
        return self._close(session, max(now.replace(microsecond=0), session.held.start + timedelta(seconds=1)))

    def hold(
        self, meeting_id: str, *, visitors: Sequence[Visitor] | None = None, recorded: bool | None = None
    ) -> MeetingSession:
        """A session of half an hour that ends now, at once: what otherwise takes its time.

        Visitors, and whether there is a recording, are drawn where nothing is said.
        """
        meeting, now = self.meeting(meeting_id), self._world.now.replace(microsecond=0)
        session = self._draw_session(meeting, now - HALF_AN_HOUR, recorded=recorded)
        if visitors is not None:
            session = replace(session, visitors=tuple(visitors))
        return self._close(replace(session, known_from=self._world.now), now)

    def remove(self, session_id: str, part: str) -> None:
        """Take the "session", or only its "attendees" or "recordings", out of the history. Raises UnknownKeyError."""
        self.book.keep(self.session(session_id).without(part, self._world.now))

    def _draw_session(self, meeting: Meeting, begin: datetime, *, recorded: bool | None = None) -> MeetingSession:
        number = next(self._numbers)
        rng = Random(f"{self._options.seed}:session:{number}:{meeting.meeting_id}")
        return draw_session(rng, self._options, meeting, number, begin, recorded=recorded)

    def _expect(self, meeting: Meeting, turn: int = 0) -> None:
        """Wait for the next planned time."""
        if meeting.planned is None:
            return
        begin = meeting.planned.start
        if meeting.every:
            turn = max(turn, -((begin - self._world.now) // meeting.every))
            begin += turn * meeting.every
        self._world.plan(begin, partial(self._come_together, meeting.meeting_id, meeting.planned, turn))

    def _come_together(self, meeting_id: str, planned: object, turn: int) -> None:
        """The planned time is here. The meeting may have been moved or deleted since, or nobody comes."""
        meeting = self.book.meeting(meeting_id, self._world.now)
        if meeting is None or meeting.planned is None or meeting.planned != planned:
            return
        if meeting.every:
            self._expect(meeting, turn + 1)
        else:
            self._world.plan(meeting.planned.end, partial(self._leave_if_over, meeting_id))
        comes = Random(f"{self._options.seed}:{meeting_id}:{turn}").random() < self._options.meeting_held_share
        if comes and meeting_id not in self._running:
            self._begin(meeting)

    def _begin(self, meeting: Meeting) -> None:
        session = self.book.keep(self._draw_session(meeting, self._world.now))
        self._running[meeting.meeting_id] = session
        self._world.plan(session.held.end, partial(self._run_out, session))

    def _run_out(self, session: MeetingSession) -> None:
        if self._running.get(session.meeting.meeting_id) is session:
            self._close(session, session.held.end)

    def _close(self, session: MeetingSession, end: datetime) -> MeetingSession:
        meeting_id = session.meeting.meeting_id
        if (running := self._running.get(meeting_id)) and running.session_id == session.session_id:
            del self._running[meeting_id]
        final = self.book.keep(ended(session, self._options, end, self._lateness()))
        self._world.plan(end, partial(self._leave_if_over, meeting_id))
        for kind, at, things in _showings(final):
            self._world.plan(at, partial(self._show, kind, final, things))
        return final

    # ---- facts

    def _show(self, kind: str, session: MeetingSession, things: Sequence[MeetingThing]) -> None:
        """From now on the API shows this of the session, unless it was removed before."""
        kept = self.book.session(session.session_id)
        if kept is not None and kept.kept(PARTS[kind], self._world.now):
            for thing in things:
                self._record(kind, session.meeting, after=thing)

    def _record(
        self,
        kind: str,
        meeting: Meeting,
        *,
        before: MeetingThing | None = None,
        after: MeetingThing | None = None,
    ) -> None:
        self._world.truth.record(kind, meeting.organizer_key, self._world.now, before=before, after=after)


def _showings(session: MeetingSession) -> Iterator[tuple[str, datetime, Sequence[MeetingThing]]]:
    """Kind of fact, when the API begins to show it, and what it is about."""
    yield ENDED, session.listed_at, [session]
    if session.recording is not None:
        yield RECORDING, session.recording.ready_at, [Recorded(session)]
    yield ATTENDED, session.attended_at, session.attended(session.attended_at)
