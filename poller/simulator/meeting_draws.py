"""Drawing meetings, their sessions and the people who come. Pure: the same state gives the same values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from poller.simulator.draws import FIRST_NAMES, LAST_NAMES, draw_key, draw_start
from poller.simulator.meeting_model import (
    IMMEDIATE,
    RECURRING,
    SCHEDULED,
    Meeting,
    MeetingGroup,
    MeetingSession,
    Recording,
    Visitor,
)
from poller.simulator.model import Organizer, Span
from poller.simulator.options import WorldOptions

# fmt: off
SUBJECTS = (
    "Weekly review", "Stand-up", "Retrospective", "Planning", "One on one", "Budget", "Interview", "Handover",
    "Roadmap", "Call with a customer", "Design review", "All hands",
)
# fmt: on
CALL_INFOS = ("Hybrid", "VoIP", "PSTN", "Free", "Private", "Dial +49 30 555 0100")
DAY = timedelta(days=1)
EARLY_SESSIONS = 4  # of a recurring meeting, before the first day
NO_EMAIL_SHARE, REJOIN_SHARE, NO_END_SHARE = 0.15, 0.2, 0.05


def draw_meeting_id(rng: Random) -> str:
    return str(rng.randrange(10**8, 10**9))


def draw_meeting(rng: Random, options: WorldOptions, host: Organizer, kind: str, now: datetime) -> Meeting:
    """A meeting that lies ahead; an immediate one begins with its making."""
    begin = draw_start(rng, now)
    span = Span(begin, begin + timedelta(minutes=options.meeting_minutes))
    return Meeting(
        meeting_id=draw_meeting_id(rng),
        host=host,
        subject=f"{rng.choice(SUBJECTS)} {rng.randrange(100, 1000)}",
        kind=kind,
        planned=None if kind == IMMEDIATE else span,
        every=rng.choice((DAY, 7 * DAY)) if kind == RECURRING else None,
        password_required=rng.random() < 0.2,
        conference_call_info=rng.choice(CALL_INFOS),
    )


def live_kind(rng: Random) -> str:
    return rng.choices((SCHEDULED, RECURRING, IMMEDIATE), (2, 1, 2))[0]


def moved(span: Span, by: timedelta) -> Span:
    return Span(span.start + by, span.end + by)


def first_meetings(
    options: WorldOptions, organizers: tuple[Organizer, ...], start: datetime
) -> Iterator[tuple[Meeting, bool]]:
    """The meetings of the first day, and whether they have a past. Nothing immediate: that is over by then."""
    rng = Random(f"{options.seed}:meetings")
    for number in range(options.meetings):
        kind = rng.choices((SCHEDULED, RECURRING), (3, 2))[0]
        meeting = draw_meeting(rng, options, organizers[number % len(organizers)], kind, start)
        past, days = rng.random() < options.meeting_past_share, rng.randrange(3, 30)
        if past and meeting.planned:
            back = (meeting.planned.start - start).days + days
            meeting = replace(meeting, planned=moved(meeting.planned, timedelta(days=-back)))
        yield meeting, past


def past_begins(meeting: Meeting, start: datetime) -> list[datetime]:
    """When a meeting that has a past was held before the first day: a recurring one up to four times."""
    if meeting.planned is None:
        return []
    turns = EARLY_SESSIONS if meeting.every else 1
    begins = (meeting.planned.start + (meeting.every or DAY) * turn for turn in range(turns))
    return [begin for begin in begins if begin < start - DAY]


def draw_groups(options: WorldOptions, organizers: tuple[Organizer, ...]) -> tuple[MeetingGroup, ...]:
    """The organizers in their order, so many to a group."""
    rng, size = Random(f"{options.seed}:groups"), options.meeting_group_size
    starts = range(0, len(organizers), size)
    return tuple(
        MeetingGroup(draw_key(rng), f"Group {number + 1}", organizers[at : at + size])
        for number, at in enumerate(starts)
    )


def draw_session(
    rng: Random,
    options: WorldOptions,
    meeting: Meeting,
    number: int,
    begin: datetime,
    *,
    recorded: bool | None = None,
) -> MeetingSession:
    """The `number`th session of the world, in whole seconds, with the end it will have if nobody ends it earlier.

    Whether there will be a recording is drawn unless it is said.
    """
    begin = begin.replace(microsecond=0)
    end = begin + timedelta(seconds=max(2, round(options.meeting_minutes * 60 * rng.uniform(0.7, 1.2))))
    drawn = MeetingSession(
        session_id=str(80_000_000 + number * 37 + rng.randrange(37)),
        instance_key=str(90_000_000 + number * 41 + rng.randrange(41)),
        meeting=meeting,
        held=Span(begin, end),
        visitors=_draw_visitors(rng, Span(begin, end), rng.randint(0, options.meeting_visitors)),
        recording=_draw_recording(rng, options.meeting_recording_share if recorded is None else float(recorded), end),
        listed_at=end,
        attended_at=end,
    )
    return ended(drawn, options, end)


def ended(
    session: MeetingSession, options: WorldOptions, end: datetime, late: timedelta = timedelta(0)
) -> MeetingSession:
    """The session over at `end`: nobody stays longer, and each part of it shows after its delay and `late`."""
    shown = end + late
    listed = shown + timedelta(seconds=options.meeting_history_delay_seconds)
    ready = shown + timedelta(seconds=options.meeting_recording_delay_seconds)
    return replace(
        session,
        held=Span(session.held.start, end),
        visitors=tuple(_cut(visitor, end) for visitor in session.visitors if visitor.joined < end),
        recording=session.recording and replace(session.recording, ready_at=max(ready, listed)),
        listed_at=listed,
        attended_at=shown + timedelta(seconds=options.meeting_attendance_delay_seconds),
    )


def _cut(visitor: Visitor, end: datetime) -> Visitor:
    return visitor if visitor.left is None else replace(visitor, left=min(visitor.left, end))


def _draw_recording(rng: Random, share: float, end: datetime) -> Recording | None:
    recording = Recording(f"{rng.getrandbits(64):016x}", rng.randrange(10**6, 10**9), end)
    return recording if rng.random() < share else None


def _draw_visitors(rng: Random, held: Span, heads: int) -> tuple[Visitor, ...]:
    """So many people, some of them twice, some without an e-mail; no two of them share a name."""
    everybody = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    rows = [row for name in rng.sample(everybody, heads) for row in _stays(rng, held, name)]
    return tuple(sorted(rows, key=lambda visitor: visitor.joined))


def _stays(rng: Random, held: Span, name: str) -> list[Visitor]:
    seconds = round((held.end - held.start).total_seconds())
    stays = 2 if rng.random() < REJOIN_SHARE and seconds >= 4 else 1
    email = "" if rng.random() < NO_EMAIL_SHARE else f"{name.replace(' ', '.')}@example.org".lower()
    marks = sorted(rng.sample(range(seconds + 1), 2 * stays))
    joined, left = ([held.start + timedelta(seconds=mark) for mark in marks[side::2]] for side in (0, 1))
    unknown = rng.random() < NO_END_SHARE
    ends = [*left[:-1], None if unknown else left[-1]]
    return [Visitor(name, email, *stay) for stay in zip(joined, ends, strict=True)]
