"""The loop that polls: ask the planner what is due, run the engine on it, note when it is due again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

from poller.alarm import Alarm
from poller.appointments import Appointments
from poller.backoff import backoff
from poller.engine import Engine
from poller.entries import Entry, fail
from poller.errors import NotFound, PermissionRefused, Reauthorize, Wait
from poller.hinting import Hinting, Polls
from poller.membership import Membership, Pace
from poller.pacing import Calls, Pacing
from poller.passes import Observer, Pass, poll_all
from poller.planner import Outlook
from poller.poll import Polled
from poller.pools import Key
from poller.ports import Clock
from poller.rates import Experience
from poller.roster import Roster, root_of
from state.errors import StateUnavailable
from state.records import Scope, Target


class NotPolled(NotFound):
    """Nobody polls this target (any more): paused, over, dropped, or read by another connection."""


# How often (seconds) the set of live targets is looked through for those whose time is over.
REVIEW = 600.0

# How many times rarer polls are during GoTo's announced maintenance. What was not found by then is due after it.
MAINTENANCE = 2.0

# How long (seconds) a connection without a free call is passed over before it is looked at again.
LONGEST_BLOCK = 1.0


class Scheduler:
    """Runs polls until stopped. At most `pace.concurrency` at once, at most one of a target."""

    def __init__(
        self,
        engine: Engine,
        roster: Roster,
        membership: Membership,
        clock: Clock,
        random: Random,
        observer: Observer,
        pace: Pace,
        experience: Experience | None = None,
    ) -> None:
        self._engine = engine
        self._roster = roster
        self._membership = membership
        self._clock = clock
        self._random = random
        self._observer = observer
        self._alarm = Alarm(clock)
        self._pace = pace
        self._pacing = Pacing(
            roster,
            experience or Experience(),
            Calls(
                membership.client_of,
                membership.quota_of,
                membership.spent,
                membership.cost,
                self._announced,
                lambda: MAINTENANCE if membership.in_maintenance() else 1.0,
            ),
            clock,
            floor=pace.interval.total_seconds(),
            ceiling=pace.max_interval.total_seconds(),
        )
        self._appointments = Appointments(roster, clock, membership.settle)
        polls = Polls(soonest=self._soonest_planned, nudge=self.nudge, ring=self._alarm.ring)
        self._hinting = Hinting(roster, self._pacing, membership.count_hint, clock, polls, observer)
        self._members: set[Key] = set()
        self._entries: dict[Key, Entry] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._blocked: dict[str, float] = {}
        self._reviewed = float("-inf")
        self._stopping = False

    @property
    def pace(self) -> Pace:
        return self._pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        self._pace = pace
        self._pacing.bounds(pace.interval.total_seconds(), pace.max_interval.total_seconds())

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Poll what is due until `stop`; then let the polls in flight finish their commits or be cancelled."""
        self.refresh()
        try:
            while not self._stopping:
                self._start_due()
                await self._alarm.rest(self._pause())
        finally:
            await self._finish()

    def stop(self) -> None:
        """No new poll begins. Before `run`, or twice, it is harmless."""
        self._stopping = True
        self._alarm.ring()

    def _start_due(self) -> None:
        now = self._clock.monotonic()
        if now - self._reviewed >= REVIEW:
            self.refresh()
        if self._pacing.settle_now_and_then():
            self._hinting.review(self._membership.connections())
        self._hinting.start_due()
        while len(self._running) < self.pace.concurrency:
            key = self._pacing.pop(now, self._blocked)
            if key is None:
                return
            target = self._roster.target(*key)
            if target is None:
                self._leave([key])
                continue
            delay = self._membership.delay(key[0], key[1].kind)
            if delay > 0:
                self._blocked[key[0]] = now + min(delay, LONGEST_BLOCK)
                self._pacing.at(key, now)
                continue
            self._start(key, target)

    def _start(self, key: Key, target: Target) -> None:
        self._entries.setdefault(key, Entry()).started = self._clock.monotonic()
        task = asyncio.create_task(self._poll(key, target), name=f"poll {key[0]} {key[1]}")
        self._running[key] = task

    def _pause(self) -> float | None:
        """Seconds until there may be something to start; None: only the end of a poll can bring it."""
        if len(self._running) >= self.pace.concurrency:
            return None
        due = self._pacing.next_due(self._blocked)
        other = min(self._reviewed + REVIEW, self._hinting.next_due())
        return max(0.0, (other if due is None else min(due, other)) - self._clock.monotonic())

    async def _finish(self) -> None:
        await self._hinting.finish()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        for entry in self._entries.values():
            fail(entry.waiters, asyncio.CancelledError())

    # ── one poll ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _poll(self, key: Key, target: Target) -> None:
        entry = self._entries[key]
        waiters, entry.waiters = entry.waiters, []
        try:
            polled = await self._engine.poll(target)
        except asyncio.CancelledError:
            fail(waiters, asyncio.CancelledError())
            raise
        except Exception as error:
            fail(waiters, error)
            await self._failed(key, target, error)
        else:
            self._hinting.polled(target, entry.started, polled)
            self._succeeded(key, entry, polled)
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(polled)
        finally:
            self._running.pop(key, None)
            self._blocked.pop(key[0], None)
            self._alarm.ring()

    def _succeeded(self, key: Key, entry: Entry, polled: Polled) -> None:
        entry.failures = 0 if polled.problem is None else entry.failures + 1
        if polled.found or polled.dropped:
            self._follow(polled)
        retry_in = None
        if polled.problem is not None:
            retry_in = max(self._retry_in(entry, polled.problem), self.pace.nudge_interval.total_seconds())
        self._due_again(key, entry, retry_in)
        self._observer.polled(polled, self._clock.monotonic() - entry.started)

    async def _failed(self, key: Key, target: Target, error: Exception) -> None:
        entry = self._entries[key]
        entry.failures += 1
        if isinstance(error, Reauthorize):
            await self._observer.refused(key[0], error)
            # Somebody may have logged in meanwhile: the target leaves or goes on by what holds now.
            del self._running[key]
            self.refresh()
            return
        if isinstance(error, NotFound) and not key[1].is_root and entry.failures == 1:
            # The webinar itself is gone: a look at the webinars, though not one for each retry, will confirm and tell.
            self.nudge(key[0], root_of(key[1]))
        retry_in = self._retry_in(entry, error)
        if target.ends is not None and isinstance(error, NotFound | PermissionRefused):
            retry_in = self._appointments.after_refusal(target)
        self._due_again(key, entry, retry_in)
        self._observer.failed(target, error, retry_in)

    def _retry_in(self, entry: Entry, error: Exception) -> float:
        """Seconds; never longer than `max_interval` unless the other side said so."""
        cap = self.pace.max_interval.total_seconds()
        if isinstance(error, Wait | StateUnavailable):
            cap = min(cap, max(60.0, self.pace.interval.total_seconds()))
        pause = backoff(entry.failures, self._random, base=1.0, cap=cap)
        floor = (error.retry_after or 0.0) if isinstance(error, Wait) else 0.0
        entry.not_before = self._clock.monotonic() + floor
        return max(pause, floor)

    def _due_again(self, key: Key, entry: Entry, retry_in: float | None) -> None:
        """`retry_in`: seconds, where something else than the plan says when."""
        target = self._roster.target(*key)
        if key not in self._members or target is None:
            fail(self._entries.pop(key).waiters, NotPolled(f"{key[1]} of {key[0]} are not polled any more"))
            return
        nudged = entry.again or bool(entry.waiters)  # while this poll was running: even what is over is read once more
        entry.again = False
        if not nudged and self._is_over(target, self._clock.now().timestamp()):
            return
        now = self._clock.monotonic()
        if nudged:
            soonest = self._soonest(entry)
            self._pacing.at(key, soonest if retry_in is None else min(now + retry_in, soonest))
        elif retry_in is not None:
            self._pacing.at(key, now + retry_in)
        elif target.ends is None:
            self._pacing.again(key)
        else:
            # A look that did not get through the list is made up for, though not at once.
            floor = max(self.pace.interval, self.pace.nudge_interval).total_seconds()
            self._pacing.at(key, max(self._appointments.moment(target), entry.started + floor))

    def _soonest(self, entry: Entry) -> float:
        """When a nudge may take effect (monotonic)."""
        return max(entry.started + self.pace.nudge_interval.total_seconds(), entry.not_before)

    def _soonest_planned(self, key: Key) -> float:
        """When a poll that nobody asked for may begin (monotonic)."""
        entry = self._entries.get(key) or Entry()
        return max(entry.started + self.pace.interval.total_seconds(), entry.not_before, self._clock.monotonic())

    def _announced(self, target: Target) -> float:
        return self._hinting.share(target)

    # ── who is polled ────────────────────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Look again at who is to be polled: after anything was paused, resumed or set anew."""
        self._reviewed = self._clock.monotonic()
        wall = self._clock.now().timestamp()
        self._members = {(target.connection, target.scope) for target in self._wanted(wall)}
        self._pacing.review(_in_order(key for key in self._members if not self._appointments.keeps(key)))
        self._leave([key for key in (*self._pacing.keys(), *self._entries) if key not in self._members])
        self._join(self._members)
        self._hinting.review(self._membership.connections())

    def _follow(self, polled: Polled) -> None:
        """The same for what one poll found or dropped, and for nobody else: there may be very many others."""
        wall, active = self._clock.now().timestamp(), set(self._membership.connections())
        scopes = {target.scope for target in polled.found}.union(scope for _, scope in polled.dropped)
        scopes = {scope for scope in scopes if not scope.is_root}  # a connection's own lists stay, whatever was found
        held = [
            target
            for scope in scopes
            for name in self._roster.holders(scope)
            if (target := self._roster.target(name, scope))
        ]
        self._appointments.renew((target.connection, target.scope) for target in held)
        wanted = {
            (target.connection, target.scope)
            for target in held
            if root_of(target.scope) in self._membership.roots(target.connection)
            and self._is_poller(target, active, wall)
        }
        left = {*polled.dropped, *((target.connection, target.scope) for target in held)} - wanted
        self._members.difference_update(left)
        self._members.update(wanted)
        self._leave(left)
        self._join(wanted)

    def _join(self, keys: Iterable[Key]) -> None:
        keys = list(keys)
        self._pacing.join(key for key in keys if not self._appointments.keeps(key))
        self._pacing.settle()
        for key in _in_order(key for key in keys if key not in self._running):
            if self._appointments.keeps(key):
                self._date(key)
            elif key not in self._pacing:
                self._pacing.begin(key)
        self._alarm.ring()

    def _date(self, key: Key) -> None:
        """Give a timed target its date, unless it has an earlier one, or a second try has."""
        target, entry, due = self._roster.target(*key), self._entries.get(key), self._pacing.due(key)
        assert target is not None, "a member is in the roster"
        moment = self._appointments.moment(target)
        if due is None or (moment < due and not (entry and entry.failures)):
            self._pacing.at(key, moment)

    def _leave(self, keys: Iterable[Key]) -> None:
        keys = list(keys)
        self._pacing.leave(keys)
        for key in keys:
            if key in self._entries and key not in self._running:
                fail(self._entries.pop(key).waiters, NotPolled(f"{key[1]} of {key[0]} are not polled any more"))

    def _wanted(self, wall: float) -> Iterable[Target]:
        connections = list(self._membership.connections())
        active = set(connections)
        for name in connections:
            roots = self._membership.roots(name)
            yield from (self._roster.own_list(name, root) for root in roots)
            for one in list(self._roster.of(name)):
                if not one.scope.is_root and root_of(one.scope) in roots and self._is_poller(one, active, wall):
                    yield one

    def _is_over(self, target: Target, wall: float) -> bool:
        """Its settling period is, and it was polled once more since."""
        if target.ends is not None:
            return self._appointments.next(target) is None
        if target.ends_at is None or wall < target.ends_at:
            return False
        over = target.ends_at + self._membership.settle(target.connection)
        return wall >= over and self._roster.polled_at(target.scope) >= over

    def _is_poller(self, target: Target, active: set[str], wall: float) -> bool:
        """Of several connections that see one webinar or meeting, the first that may reads its lists for all."""
        held = (self._roster.target(name, target.scope) for name in self._roster.holders(target.scope))
        able = (one for one in held if one is not None and one.connection in active and self._is_live(one, wall))
        return next(able, None) is target

    def _is_live(self, target: Target, wall: float) -> bool:
        return not self._is_over(target, wall) and self._membership.wants(target)

    @property
    def intervals(self) -> Mapping[str, float]:
        """Seconds between two polls of a target, on average over a connection's targets, as things stand."""
        return {name: outlook.mean_interval for name, outlook in self.outlooks.items()}

    @property
    def outlooks(self) -> Mapping[str, Outlook]:
        """What polling comes to, by connection."""
        return {name: self._pacing.outlook(name) for name in self._pacing.connections()}

    @property
    def hints(self) -> dict[str, tuple[float, float]]:
        """By connection whose count hint is read: seconds between two readings, the share of the news it announces."""
        return self._hinting.in_use

    def interval(self, key: Key) -> float | None:
        """Seconds between two polls of one target; None if it is not polled."""
        return self._pacing.interval(key)

    def due(self, key: Key) -> float | None:
        """In how many seconds a target is due; None while it is being polled or not polled at all."""
        moment = self._pacing.due(key)
        return None if moment is None else max(0.0, moment - self._clock.monotonic())

    def next_due(self) -> float | None:
        """In how many seconds anything is due; None while nothing waits for its turn."""
        moment = self._pacing.next_due({})
        return None if moment is None else max(0.0, moment - self._clock.monotonic())

    # ── on demand ────────────────────────────────────────────────────────────────────────────────────────────────────

    def nudge(self, connection: str, scope: Scope) -> None:
        """Make a target due now: no sooner than `nudge_interval` after its last poll began, within the limits, and
        not within a pause that GoTo asked for."""
        key = (connection, scope)
        if key in self._running:
            self._entries[key].again = True
        elif key in self._pacing:
            entry = self._entries.setdefault(key, Entry())
            due = max(self._clock.monotonic(), self._soonest(entry))
            self._pacing.sooner(key, due)
            self._alarm.ring()

    def nudged(self, connection: str, scope: Scope) -> asyncio.Future[Polled]:
        """Nudge, and get the outcome of the next poll that begins from now on."""
        future: asyncio.Future[Polled] = asyncio.get_running_loop().create_future()
        key = (connection, scope)
        if key not in self._pacing and key not in self._running:
            future.set_exception(NotPolled(f"{scope} of {connection} are not polled"))
            return future
        self._entries.setdefault(key, Entry()).waiters.append(future)
        self.nudge(connection, scope)
        return future

    def polled_keys(self, connection: str | None = None, webinar: str | None = None) -> list[Key]:
        """The targets that are polled now, all or those one connection sees, or of one webinar; own lists first."""
        if self._reviewed == float("-inf"):
            self.refresh()
        chosen = [
            key
            for key in {*self._pacing.keys(), *self._running}
            if (connection is None or self._sees(connection, key))
            and (webinar is None or key[1].parent.partition("/")[0] == webinar)
        ]
        return sorted(chosen, key=lambda key: (not key[1].is_root, key))

    def worth_asking(self, connection: str | None = None, webinar: str | None = None) -> list[Key]:
        """Of these, what somebody who wants a check now means: of targets that are read around certain moments only
        those whose moment has come; of a webinar that is named, those too in which there may be something by now."""
        keys, dates = self.polled_keys(connection, webinar), self._appointments
        return [key for key in keys if dates.is_due(key) or (webinar is not None and dates.has_begun(key))]

    def _sees(self, connection: str, key: Key) -> bool:
        """A shared webinar is read by one connection for all that see it."""
        return key[0] == connection or (not key[1].is_root and connection in self._roster.holders(key[1]))

    async def once(self, connection: str | None = None, webinar: str | None = None) -> Pass:
        """Instead of `run`: one pass over all (or what is named), the registrants of webinars just found included."""
        self.refresh()
        done: set[Key] = set()
        result = Pass()
        while pending := [key for key in self.worth_asking(connection, webinar) if key not in done]:
            stage = [key for key in pending if key[1].is_root] or pending
            done.update(stage)
            targets = [target for key in stage if (target := self._roster.target(*key)) is not None]
            await poll_all(targets, self.pace.concurrency, self._engine, self._observer, self._clock, result)
            self.refresh()
        return result


def _in_order(keys: Iterable[Key]) -> list[Key]:
    """The order that the same keys always have: sets have another one in each process."""
    return sorted(keys, key=lambda key: (key[0], key[1].kind, key[1].parent))
