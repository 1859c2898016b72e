"""The state of a simulated GoTo: webinars, registrants, and what happens to them as time passes. No sockets.

The world moves only when somebody looks: every reading and every action first catches up with the clock, doing
in order whatever fell due since the last look. Its time is the start plus what the clock's `monotonic` counted
since, so a wall clock that jumps on the poller's side does not move GoTo.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

from poller.ports import Clock
from poller.simulator.arrivals import Arrivals, Lateness
from poller.simulator.draws import draw_registrant, draw_start, draw_webinar, first_status, hour_from
from poller.simulator.genesis import first_count, first_people, first_registrants, first_webinars
from poller.simulator.meeting_world import MeetingWorld
from poller.simulator.model import Organizer, Registrant, Span, Webinar
from poller.simulator.options import WorldOptions
from poller.simulator.rooms import Rooms
from poller.simulator.roster import AlreadyRegisteredError, Roster, UnknownKeyError
from poller.simulator.sessions import Sessions
from poller.simulator.truth import (
    ADDED,
    ALTERED,
    CANCELLED,
    CHANGED,
    CREATED,
    REMOVED,
    Fact,
    Truth,
    undone,
)

AT_ONCE = timedelta(0)


class World:
    """One account with its organizers. All keys are decimal strings.

    `visible_in` delays an action until the API shows it: before that neither lists nor a GET by key know of it.
    """

    def __init__(self, options: WorldOptions, clock: Clock, *, lateness: Lateness = timedelta) -> None:
        self.options = options
        self._clock = clock
        self._began, self._zero = clock.now(), clock.monotonic()
        self.now = self._began
        self.admin, self.organizers = first_people(options)
        self._first = first_webinars(options, self.organizers, self._began)
        self._rosters = {w.webinar_key: self._roster(w, n) for n, w in enumerate(self._first)}
        self.truth = Truth(self._initial_facts)
        self.arrivals = Arrivals(options, self._began, lateness)
        self.listing_revision = 0
        self.rng = Random(f"{options.seed}:actions")
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self._settling = False
        self.rooms = Rooms()
        self.sessions = Sessions(self)
        self.sessions.begin((w, self._first_day(w, n)) for n, w in enumerate(self._first))
        self.meetings = MeetingWorld(self, lateness)

    # ---- time

    def catch_up(self) -> datetime:
        """Let everything happen that is due by now, in order; the world's time (UTC)."""
        if not self._settling:
            self._settling = True
            try:
                self._settle(self._began + timedelta(seconds=self._clock.monotonic() - self._zero))
            finally:
                self._settling = False
        return self.now

    def _settle(self, until: datetime) -> None:
        while True:
            arrival, action = self.arrivals.next_at, self._due[0][0] if self._due else None
            due = min((moment for moment in (arrival, action) if moment is not None), default=None)
            if due is None or due > until:
                break
            self.now = due
            if due == action:
                heapq.heappop(self._due)[2]()
            else:
                self.arrivals.strike(self)
        self.now = max(self.now, until)

    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        """Do this at that moment of the world's time; what has passed is done when somebody looks next."""
        heapq.heappush(self._due, (max(moment, self.now), next(self._order), act))

    def plan(self, moment: datetime, act: Callable[[], None]) -> None:
        """As `at`, but what is not ahead is done now."""
        if moment <= self.now:
            act()
        else:
            self.at(moment, act)

    def _when_visible(self, visible_in: timedelta, act: Callable[[], None]) -> None:
        self.plan(self.now + visible_in, act)

    def pause_arrivals(self) -> None:
        self.catch_up()
        self.arrivals.pause()
        self.meetings.arrivals.pause()

    def resume_arrivals(self) -> None:
        self.arrivals.resume(self.catch_up())
        self.meetings.arrivals.resume()

    # ---- reading

    @property
    def people(self) -> tuple[Organizer, ...]:
        """Everybody with a login: the organizers and the account's administrator."""
        return (*self.organizers, self.admin)

    @property
    def hosts(self) -> dict[str, Organizer]:
        """The same people by their keys."""
        return {person.organizer_key: person for person in self.people}

    def webinars(self, organizer_key: str | None = None) -> list[Webinar]:
        """Webinars that exist, oldest first; with a key those this person organizes or co-organizes."""
        self.catch_up()
        every = (roster.webinar for roster in self._rosters.values())
        return [w for w in every if organizer_key is None or w.hosted_by(organizer_key)]

    def as_is(self, webinar_key: str) -> Webinar | None:
        """The webinar, if there is one, without letting time pass: for whoever follows the log."""
        roster = self._rosters.get(webinar_key)
        return None if roster is None else roster.webinar

    def webinar(self, webinar_key: str) -> Webinar:
        return self._known(webinar_key).webinar

    def registrants(self, webinar_key: str) -> Mapping[str, Registrant]:
        """By key, in the order of becoming visible."""
        return self._known(webinar_key).registrants()

    def registrant(self, webinar_key: str, registrant_key: str) -> Registrant:
        person = self.registrants(webinar_key).get(registrant_key)
        if person is None:
            raise UnknownKeyError(registrant_key)
        return person

    def registrant_count(self, webinar_key: str) -> int:
        return self._known(webinar_key).size()

    def registrants_revision(self, webinar_key: str) -> int:
        """A number that changes whenever the registrants of this webinar do."""
        return self._known(webinar_key).revision

    def webinars_as_of(self, moment: datetime) -> list[Webinar]:
        """All webinars as the API showed them at an earlier moment."""
        current = {w.path: w for w in self.webinars()}
        return list(undone(current, self.truth.since(moment), Webinar).values())

    def registrants_as_of(self, webinar_key: str, moment: datetime) -> list[Registrant]:
        current = {r.path: r for r in self.registrants(webinar_key).values()}
        facts = (fact for fact in self.truth.since(moment) if fact.subject.startswith(f"webinars/{webinar_key}/"))
        return list(undone(current, facts, Registrant).values())

    def _known(self, webinar_key: str) -> Roster:
        self.catch_up()
        roster = self._rosters.get(webinar_key)
        if roster is None:
            raise UnknownKeyError(webinar_key)
        return roster

    def _roster(self, webinar: Webinar, position: int) -> Roster:
        return Roster(webinar, self._first_day(webinar, position), expected=first_count(self.options, position))

    def _first_day(self, webinar: Webinar, position: int) -> Callable[[], dict[str, Registrant]]:
        return partial(first_registrants, self.options, webinar, position, self._began)

    def _initial_facts(self) -> Iterator[Fact]:
        for position, webinar in enumerate(self._first):
            owner = webinar.organizer_key
            yield Fact(0, CREATED, owner, self._began, None, webinar)
            people = self._first_day(webinar, position)()
            for person in people.values():
                yield Fact(0, ADDED, owner, self._began, None, person)
            yield from self.sessions.first_day_facts(webinar, people, self._began)
        yield from self.meetings.first_facts()

    # ---- webinars

    def create_webinar(
        self, organizer_key: str | None = None, *, visible_in: timedelta = AT_ONCE, **fields: Any
    ) -> Webinar:
        """A new webinar of this organizer (else of the first), drawn where `fields` of `Webinar` say nothing."""
        return self.add_webinar(self.draw_webinar(organizer_key, **fields), visible_in=visible_in)

    def draw_webinar(
        self, organizer_key: str | None = None, *, times: tuple[Span, ...] | None = None, **fields: Any
    ) -> Webinar:
        """As `create_webinar`, but nobody gets to see it yet."""
        now, hosts = self.catch_up(), self.hosts
        if organizer_key is not None and organizer_key not in hosts:
            raise UnknownKeyError(organizer_key)
        host = hosts[organizer_key or self.organizers[0].organizer_key]
        drawn = draw_webinar(self.rng, host, times or (hour_from(draw_start(self.rng, now)),), manual_share=0.0)
        return replace(drawn, **fields)

    def add_webinar(self, webinar: Webinar, *, visible_in: timedelta = AT_ONCE) -> Webinar:
        self.catch_up()
        self._when_visible(visible_in, partial(self._put_webinar, webinar))
        return webinar

    def change_webinar(self, webinar_key: str, *, visible_in: timedelta = AT_ONCE, **fields: Any) -> Webinar:
        """Give some fields of `Webinar` new values; returns how it will look."""
        changed = replace(self.webinar(webinar_key), **fields)
        self._when_visible(visible_in, partial(self._change_webinar, webinar_key, fields))
        return changed

    def set_coorganizers(self, webinar_key: str, organizer_keys: tuple[str, ...]) -> None:
        """No fact of its own: no list shows a webinar's co-organizers."""
        roster = self._known(webinar_key)
        roster.webinar = replace(roster.webinar, coorganizers=organizer_keys)
        self.listing_revision += 1

    def cancel_webinar(self, webinar_key: str, *, visible_in: timedelta = AT_ONCE) -> None:
        """It and its registrants are gone for the API from then on."""
        self._known(webinar_key)
        self._when_visible(visible_in, partial(self._drop_webinar, webinar_key))

    def _put_webinar(self, webinar: Webinar) -> None:
        self._rosters[webinar.webinar_key] = Roster(webinar)
        self.listing_revision += 1
        self.truth.record(CREATED, webinar.organizer_key, self.now, after=webinar)

    def _change_webinar(self, webinar_key: str, fields: Mapping[str, Any]) -> None:
        roster = self._rosters.get(webinar_key)
        if roster is None:
            return  # cancelled before the change could be seen
        before = roster.webinar
        after = replace(before, **fields)
        if after == before:
            return
        roster.webinar = after
        self.listing_revision += 1
        self.truth.record(CHANGED, after.organizer_key, self.now, before=before, after=after)

    def _drop_webinar(self, webinar_key: str) -> None:
        roster = self._rosters.pop(webinar_key, None)
        if roster is not None:
            self.listing_revision += 1
            self.truth.record(CANCELLED, roster.webinar.organizer_key, self.now, before=roster.webinar)

    # ---- registrants

    def register(
        self,
        webinar_key: str | None = None,
        *,
        visible_in: timedelta = AT_ONCE,
        **fields: Any,
    ) -> Registrant:
        """Somebody registers, for the first webinar unless said otherwise; `fields` are those of `Registrant`.

        Raises AlreadyRegisteredError for an e-mail that the webinar has, UnknownKeyError for an unknown webinar.
        """
        webinar = self.webinar(webinar_key) if webinar_key else self.webinars()[0]
        drawn = draw_registrant(self.rng, webinar, self.now, first_status(webinar))
        person = replace(drawn, **fields)
        return self.add_registrant(person, visible_in=visible_in)

    def add_registrant(self, person: Registrant, *, visible_in: timedelta = AT_ONCE) -> Registrant:
        roster = self._known(person.webinar_key)
        holder = roster.holder(person.email)
        if holder is not None:
            raise AlreadyRegisteredError(holder)
        former = roster.former_keys.get(person.email)
        if former is not None and self.options.same_key_on_return:
            person = replace(person, registrant_key=former)
        self._when_visible(visible_in, partial(self._put_registrant, person))
        return person

    def set_status(
        self, webinar_key: str, registrant_key: str, status: str, *, visible_in: timedelta = AT_ONCE
    ) -> None:
        self.registrant(webinar_key, registrant_key)
        act = partial(self._alter_registrant, webinar_key, registrant_key, status)
        self._when_visible(visible_in, act)

    def remove_registrant(self, webinar_key: str, registrant_key: str, *, visible_in: timedelta = AT_ONCE) -> None:
        self.registrant(webinar_key, registrant_key)
        self._when_visible(visible_in, partial(self._drop_registrant, webinar_key, registrant_key))

    def _put_registrant(self, person: Registrant) -> None:
        roster = self._rosters.get(person.webinar_key)
        if roster is None:
            return  # the webinar was cancelled before this could be seen
        roster.put(person)
        self.truth.record(ADDED, roster.webinar.organizer_key, self.now, after=person)

    def _alter_registrant(self, webinar_key: str, registrant_key: str, status: str) -> None:
        roster = self._rosters.get(webinar_key)
        before = roster.registrants().get(registrant_key) if roster else None
        if roster is None or before is None or before.status == status:
            return
        after = replace(before, status=status)
        roster.put(after)
        self.truth.record(ALTERED, roster.webinar.organizer_key, self.now, before=before, after=after)

    def _drop_registrant(self, webinar_key: str, registrant_key: str) -> None:
        roster = self._rosters.get(webinar_key)
        if roster is not None and (before := roster.drop(registrant_key)) is not None:
            self.truth.record(REMOVED, roster.webinar.organizer_key, self.now, before=before)
