"""The values of simulated meetings. Identifiers are decimal strings; `meeting_shapes` says how answers write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from poller.simulator.model import Organizer, Span

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
SCHEDULED, RECURRING, IMMEDIATE = "scheduled", "recurring", "immediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One meetingId. `planned` is when it is meant to be held, of a recurring one the first time, repeated `every`."""

    meeting_id: str
    host: Organizer
    subject: str
    kind: str = SCHEDULED
    planned: Span | None = None
    every: timedelta | None = None
    password_required: bool = False
    conference_call_info: str = "Hybrid"
    locale: str = "en_US"
    coorganizers: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The subject line of events about this meeting."""
        return f"meetings/{self.meeting_id}"

    @property
    def organizer_key(self) -> str:
        return self.host.organizer_key

    @property
    def times(self) -> Span | None:
        """As the API shows them: recurring and immediate meetings have none."""
        return None if self.kind in (RECURRING, IMMEDIATE) else self.planned


@dataclass(frozen=True, slots=True)
class Visitor:
    """One stay of one person in a session. Without an e-mail it is empty; the end of a stay may be unknown."""

    name: str
    email: str
    joined: datetime
    left: datetime | None


@dataclass(frozen=True, slots=True)
class Recording:
    recording_id: str
    size: int  # bytes
    ready_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingSession:
    """One time a meeting was held. While it runs, the end of `held` lies ahead.

    The history shows it from `listed_at`, its attendees from `attended_at`, until somebody removes the "session"
    with all that belongs to it, or only its "attendees" or "recordings".
    """

    session_id: str
    instance_key: str
    meeting: Meeting
    held: Span
    visitors: tuple[Visitor, ...] = ()
    recording: Recording | None = None
    listed_at: datetime
    attended_at: datetime
    known_from: datetime = BEFORE_ALL  # a session that was put in afterwards was never seen running
    removed: Mapping[str, datetime] = field(default_factory=dict)  # part → when the API was told to remove it

    @property
    def path(self) -> str:
        """The subject line of events about this session."""
        return f"{self.meeting.path}/sessions/{self.session_id}"

    @property
    def minutes(self) -> int:
        return round((self.held.end - self.held.start).total_seconds() / 60)

    @property
    def heads(self) -> int:
        """People, however often each of them joined."""
        return len({visitor.email or visitor.name for visitor in self.visitors})

    def runs(self, moment: datetime) -> bool:
        return self.known_from <= moment and self.held.holds(moment)

    def kept(self, part: str, moment: datetime) -> bool:
        """Not removed by then. Removing the session removes every part."""
        return not any(gone <= moment for name, gone in self.removed.items() if name in (part, "session"))

    def recorded(self, moment: datetime) -> bool:
        made = self.recording is not None and self.recording.ready_at <= moment
        return made and self.kept("recordings", moment)

    def attended(self, moment: datetime) -> tuple[Attended, ...]:
        """The rows of the attendee list at that moment, earliest first."""
        if self.attended_at > moment or not self.kept("attendees", moment):
            return ()
        return tuple(Attended(self, visitor) for visitor in self.visitors)

    def without(self, part: str, moment: datetime) -> MeetingSession:
        return replace(self, removed={part: moment, **self.removed})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A session together with its recording."""

    session: MeetingSession

    @property
    def path(self) -> str:
        return self.session.path


@dataclass(frozen=True, slots=True)
class Attended:
    """One row of an attendee list."""

    session: MeetingSession
    visitor: Visitor

    @property
    def path(self) -> str:
        """As an event's subject, but with the identity in clear where the event has a hash of it."""
        who = f"{self.visitor.email or self.visitor.name}@{self.visitor.joined:%Y-%m-%dT%H:%M:%SZ}"
        return f"{self.session.meeting.path}/instances/{self.session.instance_key}/attendees/{who}"


MeetingThing = Meeting | MeetingSession | Recorded | Attended


@dataclass(frozen=True, slots=True)
class Upcoming:
    """One item of the upcoming list."""

    meeting: Meeting
    running: bool


@dataclass(frozen=True, slots=True)
class Held:
    """One item of the history. A session that was removed leaves its meeting there, without a sessionId."""

    session: MeetingSession
    kept: bool
    recorded: bool


@dataclass(frozen=True, slots=True)
class MeetingGroup:
    """Some organizers of the account. Group lists serve at most fifty of them."""

    group_key: str
    name: str
    members: tuple[Organizer, ...]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(member.organizer_key for member in self.members)
