"""What is stored of meetings, and the lists that follow from it for any moment. Pure: no clock, nothing drawn.

The list of an earlier moment is as true as that of now: all versions of a meeting are kept, and a session says from
when it shows.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime
from itertools import takewhile

from poller.simulator.meeting_model import BEFORE_ALL, RECURRING, Attended, Held, Meeting, MeetingSession, Upcoming
from poller.simulator.model import Span


class MeetingBook:
    """Meetings by id with all their versions, and their sessions. Lists narrow to these organizers, this meeting, and
    sessions that started within this range, each unless it is None.
    """

    def __init__(self) -> None:
        self._versions: dict[str, list[tuple[datetime, Meeting | None]]] = {}
        self._open: dict[str, None] = {}  # in the upcoming list, in order
        self._closed: list[tuple[datetime, str]] = []  # no longer there, in the order of leaving
        self._sessions: dict[str, MeetingSession] = {}
        self._held: dict[str, list[str]] = {}  # meeting → its sessions

    # ---- writing

    def add(self, meeting: Meeting, since: datetime = BEFORE_ALL) -> None:
        self._versions[meeting.meeting_id] = [(since, meeting)]
        self._open[meeting.meeting_id] = None

    def change(self, meeting: Meeting, since: datetime) -> None:
        self._versions[meeting.meeting_id].append((since, meeting))

    def drop(self, meeting_id: str, since: datetime) -> None:
        """It was deleted; its sessions stay."""
        self._versions[meeting_id].append((since, None))

    def close(self, meeting_id: str, since: datetime = BEFORE_ALL) -> bool:
        """It never comes back to the upcoming list; False if that was said before."""
        if meeting_id not in self._open:
            return False
        del self._open[meeting_id]
        self._closed.append((since, meeting_id))
        return True

    def keep(self, session: MeetingSession) -> MeetingSession:
        """A new session, or a known one as it is from now on."""
        if session.session_id not in self._sessions:
            self._held.setdefault(session.meeting.meeting_id, []).append(session.session_id)
        self._sessions[session.session_id] = session
        return session

    # ---- meetings

    def meeting(self, meeting_id: str, moment: datetime) -> Meeting | None:
        """As it was then, also when it was over; None if it did not exist."""
        versions = self._versions.get(meeting_id, ())
        return next((meeting for since, meeting in reversed(versions) if since <= moment), None)

    def upcoming(self, moment: datetime, organizers: Container[str] | None = None) -> list[Upcoming]:
        """Meetings that lie ahead, run or recur."""
        closed_later = (meeting_id for _, meeting_id in takewhile(lambda end: end[0] > moment, reversed(self._closed)))
        existing = (self.meeting(meeting_id, moment) for meeting_id in (*self._open, *closed_later))
        mine = (m for m in existing if m is not None and (organizers is None or m.organizer_key in organizers))
        return [Upcoming(m, self.runs(m.meeting_id, moment)) for m in mine if not self.over(m, moment)]

    def open_ids(self) -> list[str]:
        """Of all meetings that are not closed, those of the upcoming list and maybe some about to leave it."""
        return list(self._open)

    def runs(self, meeting_id: str, moment: datetime) -> bool:
        return any(session.runs(moment) for session in self._of(meeting_id))

    def over(self, meeting: Meeting, moment: datetime) -> bool:
        """A recurring meeting never is, an immediate one when it stops running, any other when its time is up."""
        if meeting.kind == RECURRING or self.runs(meeting.meeting_id, moment):
            return False
        if meeting.planned is None:
            return True
        begin = meeting.planned.start
        held = (session.held for session in self._of(meeting.meeting_id) if session.held.start >= begin)
        return meeting.planned.end <= moment or any(span.end <= moment for span in held)

    # ---- sessions

    def session(self, session_id: str) -> MeetingSession | None:
        return self._sessions.get(session_id)

    def was_held(self, meeting_id: str) -> bool:
        """Whether it ever began."""
        return meeting_id in self._held

    def history(
        self,
        moment: datetime,
        organizers: Container[str] | None = None,
        *,
        meeting_id: str | None = None,
        started: Span | None = None,
    ) -> list[Held]:
        """Sessions that the history shows, by their beginning; one that runs is not among them."""
        shown = [s for s in self._narrowed(organizers, meeting_id, started) if s.listed_at <= moment]
        shown.sort(key=lambda session: session.held.start)
        return [Held(s, s.kept("session", moment), s.recorded(moment)) for s in shown]

    def attendees(
        self,
        moment: datetime,
        organizers: Container[str] | None = None,
        *,
        meeting_id: str | None = None,
        started: Span | None = None,
    ) -> list[Attended]:
        """Rows of the attendee lists, session by session."""
        return [row for session in self._narrowed(organizers, meeting_id, started) for row in session.attended(moment)]

    def _narrowed(
        self, organizers: Container[str] | None, meeting_id: str | None, started: Span | None
    ) -> Iterator[MeetingSession]:
        for session in self._sessions.values() if meeting_id is None else self._of(meeting_id):
            mine = organizers is None or session.meeting.organizer_key in organizers
            if mine and (started is None or started.holds(session.held.start)):
                yield session

    def _of(self, meeting_id: str) -> Iterator[MeetingSession]:
        return (self._sessions[session_id] for session_id in self._held.get(meeting_id, ()))
