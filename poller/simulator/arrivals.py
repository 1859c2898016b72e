"""What happens by itself in a world: registrations above all, at random moments, skewed over the webinars.

All actions together form one Poisson process; each draws its kind by the options' shares. Times and choices
come from a generator of their own, so the same options give the same history whatever is asked of the API.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from poller.simulator.draws import TOPICS, draw_registrant, draw_start, draw_webinar, first_status, hour_from
from poller.simulator.model import Registrant, Span, Webinar
from poller.simulator.options import WorldOptions

if TYPE_CHECKING:
    from poller.simulator.world import World

Lateness = Callable[[], timedelta]


class Arrivals:
    """The stream of actions. The world calls `strike` whenever its time reaches `next_at`."""

    def __init__(self, options: WorldOptions, start: datetime, lateness: Lateness) -> None:
        self._options = options
        self._rng = Random(f"{options.seed}:arrivals")
        self._lateness = lateness
        self._acts: dict[Callable[[World], None], float] = {
            self._register: 1.0,
            self._move_status: options.status_share,
            self._remove: options.removal_share,
            self._change: options.change_share,
            self._create: options.creation_share,
            self._cancel: options.cancellation_share,
        }
        self._per_second = options.rate_per_minute / 60.0 * sum(self._acts.values())
        self._crowd: tuple[int, list[Webinar], list[float]] = (-1, [], [])
        self.next_at: datetime | None = None
        self.resume(start)

    def pause(self) -> None:
        self.next_at = None

    def resume(self, now: datetime) -> None:
        """Go on from `now`: nothing is made up for the time in between. Harmless when not paused."""
        if self.next_at is None and self._per_second > 0:
            self.next_at = now + timedelta(seconds=self._rng.expovariate(self._per_second))

    def strike(self, world: World) -> None:
        """Do the action that is due, then draw the time of the next one."""
        assert self.next_at is not None
        due, self.next_at = self.next_at, None
        act = self._rng.choices(list(self._acts), list(self._acts.values()))[0]
        act(world)
        self.resume(due)

    def _pick(self, world: World) -> Webinar | None:
        """A webinar that has not ended: the earlier in the list, the more popular."""
        if self._crowd[0] != world.listing_revision:
            webinars = world.webinars()
            weights = accumulate(1.0 / (rank + 1) ** self._options.skew for rank in range(len(webinars)))
            self._crowd = (world.listing_revision, webinars, list(weights))
        _, webinars, sums = self._crowd
        for _ in range(20):
            point = self._rng.random() * (sums[-1] if sums else 0.0)
            if sums and webinars[bisect(sums, point)].ends > world.now:
                return webinars[bisect(sums, point)]
        return None

    def _pick_registrant(self, world: World, *, waiting_first: bool = False) -> Registrant | None:
        webinar = self._pick(world)
        everybody = list(world.registrants(webinar.webinar_key).values()) if webinar else []
        waiting = [person for person in everybody if person.status == "WAITING"] if waiting_first else []
        return self._rng.choice(waiting or everybody) if everybody else None

    def _register(self, world: World) -> None:
        if webinar := self._pick(world):
            person = draw_registrant(self._rng, webinar, world.now, first_status(webinar))
            world.add_registrant(person, visible_in=self._lateness())

    def _move_status(self, world: World) -> None:
        """Somebody waiting is approved or denied; where nobody waits, a decision is taken back."""
        person = self._pick_registrant(world, waiting_first=True)
        if person is None:
            return
        if person.status == "WAITING":
            status = self._rng.choices(("APPROVED", "DENIED"), (4, 1))[0]
        else:
            status = "DENIED" if person.status == "APPROVED" else "APPROVED"
        world.set_status(person.webinar_key, person.registrant_key, status)

    def _remove(self, world: World) -> None:
        if person := self._pick_registrant(world):
            world.remove_registrant(person.webinar_key, person.registrant_key)

    def _change(self, world: World) -> None:
        """A new subject, or everything half an hour later."""
        webinar = self._pick(world)
        if webinar is None or webinar.in_session(world.now):
            return
        if self._rng.random() < 0.5:
            subject = f"{self._rng.choice(TOPICS)} {self._rng.randrange(1000, 10000)}"
            world.change_webinar(webinar.webinar_key, subject=subject)
        else:
            later = timedelta(minutes=30)
            times = tuple(Span(span.start + later, span.end + later) for span in webinar.times)
            world.change_webinar(webinar.webinar_key, times=times)

    def _create(self, world: World) -> None:
        organizer = self._rng.choice(world.organizers)
        times = (hour_from(draw_start(self._rng, world.now)),)
        webinar = draw_webinar(self._rng, organizer, times, manual_share=self._options.manual_share)
        world.add_webinar(replace(webinar, impromptu=self._rng.random() < 0.1))

    def _cancel(self, world: World) -> None:
        """Never the last webinar, never one in session."""
        webinar = self._pick(world)
        if webinar and not webinar.in_session(world.now) and len(world.webinars()) > 1:
            world.cancel_webinar(webinar.webinar_key)
