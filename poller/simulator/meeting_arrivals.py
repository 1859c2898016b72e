"""What happens to meetings by itself: new ones, changed ones, deleted ones, and recurring ones started any time.

A Poisson process of its own beside that of the webinars, so that a world without meetings stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from poller.simulator.meeting_draws import SUBJECTS, draw_meeting, live_kind, moved
from poller.simulator.meeting_model import RECURRING, Meeting

if TYPE_CHECKING:
    from poller.simulator.arrivals import Lateness
    from poller.simulator.meeting_world import MeetingWorld
    from poller.simulator.world import World

SAFELY_AHEAD = timedelta(hours=1)  # what starts sooner is left alone: a poll could not tell a deletion from a beginning


class MeetingArrivals:
    """The stream of actions, one planned at a time."""

    def __init__(self, world: World, meetings: MeetingWorld, lateness: Lateness) -> None:
        options = world.options
        self._world, self._meetings, self._lateness = world, meetings, lateness
        self._rng = Random(f"{options.seed}:meeting-arrivals")
        self._acts: dict[Callable[[], None], float] = {
            self._create: 1.0,
            self._change: options.meeting_change_share,
            self._cancel: options.meeting_cancellation_share,
            self._start: options.meeting_start_share,
        }
        self._per_second = options.meeting_rate_per_minute / 60.0 * sum(self._acts.values())
        self._stream = 0  # what an earlier stream had planned does not happen
        self._paused = True

    def pause(self) -> None:
        self._paused = True
        self._stream += 1

    def resume(self) -> None:
        """Go on from now: nothing is made up for. Harmless when not paused."""
        if self._paused and self._per_second > 0:
            self._paused = False
            self._plan_next()

    def _plan_next(self) -> None:
        moment = self._world.now + timedelta(seconds=self._rng.expovariate(self._per_second))
        self._world.plan(moment, partial(self._strike, self._stream))

    def _strike(self, stream: int) -> None:
        if stream != self._stream:
            return
        act = self._rng.choices(list(self._acts), list(self._acts.values()))[0]
        act()
        self._plan_next()

    def _create(self) -> None:
        host, kind = self._rng.choice(self._world.organizers), live_kind(self._rng)
        meeting = draw_meeting(self._rng, self._world.options, host, kind, self._world.now)
        self._meetings.add(meeting, visible_in=self._lateness())

    def _change(self) -> None:
        """A new subject, half an hour later, another way to dial in, or a password."""
        meeting = self._pick(self._lies_ahead)
        if meeting is None:
            return
        changed = self._rng.choice(
            (
                {"subject": f"{self._rng.choice(SUBJECTS)} {self._rng.randrange(1000, 10000)}"},
                {"planned": meeting.planned and moved(meeting.planned, timedelta(minutes=30))},
                {"conference_call_info": "VoIP" if meeting.conference_call_info != "VoIP" else "Hybrid"},
                {"password_required": not meeting.password_required},
            )
        )
        self._meetings.change(meeting.meeting_id, **changed)

    def _cancel(self) -> None:
        if meeting := self._pick(self._lies_ahead):
            self._meetings.cancel(meeting.meeting_id)

    def _start(self) -> None:
        if meeting := self._pick(lambda meeting: meeting.kind == RECURRING):
            self._meetings.start(meeting.meeting_id)

    def _lies_ahead(self, meeting: Meeting) -> bool:
        """With a start that is not near."""
        return meeting.times is not None and meeting.times.start > self._world.now + SAFELY_AHEAD

    def _pick(self, fits: Callable[[Meeting], bool]) -> Meeting | None:
        """Some upcoming meeting that fits; None if twenty tries found none."""
        ids = self._meetings.book.open_ids()
        for _ in range(20 if ids else 0):
            meeting = self._meetings.book.meeting(self._rng.choice(ids), self._world.now)
            if meeting is not None and fits(meeting):
                return meeting
        return None
