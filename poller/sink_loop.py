"""One sink's loop: lease → send → delivered | waiting | dead. What to do is decided in `sink_health`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from poller import sink_health
from poller.alarm import Alarm
from poller.backoff import backoff
from poller.courier import Courier
from poller.errors import Gone, Refused
from poller.ports import Clock, Sink
from poller.shelf import Shelf, lane
from poller.sink_health import Failure, Health, Pace
from poller.timeline import Timeline
from state.delivery import Delivery, DeliveryState, Settlement, SinkState
from state.errors import NothingThere
from state.failpoints import hit
from state.store import Pause

_LOOK = 64  # due deliveries that one look at the state takes in
_LOOKS = 8  # how often it looks further for a probe
_SHELF_LIFE = 1.0  # seconds: so long something dropped or erased from the state may still be sent
_EARLY = 0.001  # seconds: what is due by then is due now; clocks and floats do not agree on less
_DELIVERED_AT_EVERY = 60.0  # seconds between two notes of the last success while all is well
_STORE_CAP = 30.0  # seconds between two tries while the state cannot be used
_STORE_TRIES = 5  # for a single pass, which must come to an end: it repeats itself with the same ids


class DeliveryStore(Protocol):
    """The part of `state.store.Store` that sending needs."""

    async def lease(
        self, sink: str, limit: int, now: float, *, ordered: bool, skip: Collection[str], busy: Collection[int]
    ) -> list[Delivery]: ...
    async def settle_deliveries(self, settlements: Sequence[Settlement]) -> None: ...
    async def waiting(self, sink: str, now: float) -> dict[str, float]: ...
    async def release_waiting(self, sink: str, now: float) -> None: ...
    async def next_due(self, sink: str) -> float | None: ...
    async def sink_states(self) -> list[SinkState]: ...
    async def save_sink(self, sink: SinkState) -> None: ...
    async def pauses(self) -> list[Pause]: ...


class Observe(Protocol):
    """Hears what happens: a name and its fields (see Dispatcher). Called on the loop; must be quick and not raise."""

    def __call__(self, event: str, /, **fields: Any) -> None: ...


@dataclass(eq=False, slots=True)
class _Attempt:
    batch: Sequence[Delivery]
    learned: int
    probe: bool
    connecting: bool


class SinkLoop:
    """Sends what is owed to one sink. Failures of the sink or of the state slow it down; only `drain` ends it."""

    def __init__(
        self,
        store: DeliveryStore,
        sink: Sink,
        clock: Clock,
        timeline: Timeline,
        random: Random,
        observe: Observe,
        rested: Callable[[], None],
    ) -> None:
        self.sink = sink
        self._store = store
        self._clock = clock
        self._random = random
        self._observe = observe
        self._rested = rested
        self._courier = Courier(sink)
        self._timeline = timeline
        self._alarm = Alarm(clock)
        self._shelf = Shelf(sink.ordered)
        self._health: Health | None = None
        self._attempts: set[_Attempt] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._done = asyncio.Event()
        self._done.set()
        self._stopping = self._paused = self._forgive = self._unsaved = self._release = False
        self._saved_at = 0.0
        self._stalls = 0  # turns in a row that the state made impossible
        self._looked_at = 0.0  # the moment of the last look for due deliveries
        self._as_of: float | None = None  # `once`: what becomes due later is left for later
        self._resting_until: float | None = 0.0  # monotonic; None = until woken

    # ── what the owner calls ─────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until `drain`. Closes the sink at the end, however it comes."""
        self._done.clear()
        try:
            async with asyncio.TaskGroup() as workers:
                while not self._stopping:
                    await self._rest(await self._turn(workers))
            await self._write_down_at_last()
        finally:
            await self._courier.close()
            self._done.set()

    async def once(self) -> None:
        """One attempt for what is due now, as far as the health of the sink allows more than one."""
        self._as_of = self._now()
        async with asyncio.TaskGroup() as workers:
            await self._turn(workers)
            while self._attempts:
                await self._alarm.rest(None)
                await self._turn(workers)
        await self._write_down_at_last()
        self._as_of = None

    def wake(self) -> None:
        self._shelf.clear()
        self._alarm.ring()

    def pause(self) -> None:
        """What is under way is finished, nothing else is begun."""
        self._paused = True

    def resume(self) -> None:
        """A person says: try again, also if the receiver had asked never to be called."""
        self._paused = False
        self._forgive = True
        self._alarm.ring()

    async def drain(self, grace_seconds: float) -> None:
        """Begin nothing new, give what is under way `grace_seconds`, then cancel it. Twice is harmless."""
        self._stopping = True
        self._alarm.ring()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=grace_seconds)
            for task in late:
                task.cancel()
        await self._done.wait()
        await self._courier.close()

    @property
    def state(self) -> SinkState:
        return SinkState(self.sink.name) if self._health is None else self._health.state

    @property
    def idle(self) -> bool:
        """Nothing is under way and nothing can be done before the clock moves on or somebody wakes it."""
        if self._attempts or self._alarm.is_rung:
            return False
        return self._resting_until is None or self._clock.monotonic() < self._resting_until

    # ── one turn ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _turn(self, workers: asyncio.TaskGroup) -> float | None:
        """Start whatever may start now; returns the seconds until there may be more, None for "when woken"."""
        try:
            health = self._health or await self._load()
            if self._forgive:
                self._forgive, self._unsaved, self._release = False, True, True
                self._health = sink_health.forgiven(health)
            await self._write_down()
            while batch := await self._choose():
                self._launch(batch, workers)
            seconds = await self._time_to_rest()
        except Exception as err:  # the state cannot be used: nothing is lost, it is asked again later
            return self._stall(err)
        self._stalls = 0
        return seconds

    def _stall(self, err: Exception) -> float:
        self._stalls += 1
        self._observe("store.unavailable", sink=self.sink.name, error=sink_health.reason(err))
        return backoff(self._stalls, self._random, cap=_STORE_CAP)

    async def _load(self) -> Health:
        name = self.sink.name
        states = {state.name: state for state in await self._store.sink_states()}
        paused = any((pause.kind, pause.name) == ("sink", name) for pause in await self._store.pauses())
        self._paused = self._paused or paused
        self._health = sink_health.remembered(states.get(name, SinkState(name)), self._timeline.now())
        return self._health

    async def _write_down(self) -> None:
        """Bring the state up to what is known of the sink."""
        if self._unsaved:
            self._unsaved = False
            try:
                await self._store.save_sink(self.state)
            except BaseException:
                self._unsaved = True
                raise
            self._saved_at = self._clock.monotonic()
        if self._release:
            await self._store.release_waiting(self.sink.name, self._as_of or self._timeline.now())
            self._release = False
            self._shelf.clear()

    async def _write_down_at_last(self) -> None:
        try:
            await self._write_down()
        except Exception as err:  # the next start finds an older health, and asks the sink itself
            self._stall(err)

    async def _rest(self, seconds: float | None) -> None:
        self._resting_until = None if seconds is None else self._clock.monotonic() + seconds
        self._rested()
        await self._alarm.rest(seconds)
        if self._resting_until is not None and self._clock.monotonic() >= self._resting_until:
            self._shelf.clear()  # something has become due
        self._resting_until = 0.0

    async def _time_to_rest(self) -> float | None:
        health, now = self._known_health(), self._timeline.now()
        pace = self._pace()
        if pace in (Pace.FREE, Pace.PROBE):
            moment = await self._next_due()
        elif self._paused:
            moment = None
        else:
            moment = sink_health.next_moment(health, now)
        return None if moment is None else max(moment - now, 0.0)

    async def _next_due(self) -> float | None:
        """When something that waits becomes due."""
        if not self.sink.ordered:
            due = await self._store.next_due(self.sink.name)
            return due if due is not None and due > self._looked_at else None
        waiting = await self._store.waiting(self.sink.name, self._looked_at)
        if waiting and max(waiting.values()) > self._looked_at + sink_health.LONGEST_WAIT + 1:
            # Only a clock that was wrong before a restart makes anything wait this long.
            await self._store.release_waiting(self.sink.name, self._looked_at)
            self._shelf.clear()
            return self._looked_at
        return min(waiting.values(), default=None)

    # ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _choose(self) -> Sequence[Delivery]:
        while (pace := self._pace()) is not Pace.NOTHING:
            if pace is Pace.FREE:
                self._shelf.expire(self._clock.monotonic(), _SHELF_LIFE)
                batch = self._shelf.take(self.sink.batch if self._courier.connected else 1, self._busy_lanes())
                if batch or not self._shelf.may_lack(self._busy_lanes()):
                    return batch
                await self._look_ahead()
            else:
                self._shelf.clear()
                candidate = await self._least_tried()
                if self._pace() is pace:  # an attempt that ended during the look may have changed what is allowed
                    return () if candidate is None or (pace is Pace.FRESH and candidate.attempts) else (candidate,)
        return ()

    def _pace(self) -> Pace:
        if self._stopping or self._paused or len(self._attempts) >= self.sink.concurrency:
            return Pace.NOTHING
        pace = sink_health.pace(self._known_health(), self._now())
        if pace is not Pace.FREE and any(attempt.probe for attempt in self._attempts):
            return Pace.NOTHING
        if not self._courier.connected and any(attempt.connecting for attempt in self._attempts):
            return Pace.NOTHING
        return pace

    async def _look_ahead(self) -> None:
        limit = self.sink.batch if self.sink.batch > 1 else _LOOK
        skipped, edition = self._busy_lanes(), self._shelf.edition
        found = await self._lease(limit, (), self._shelf.sequences())
        self._shelf.put(found, limit, skipped, edition)

    async def _least_tried(self) -> Delivery | None:
        """Of what may go first in its webinar: fewest attempts, then lowest sequence."""
        heads: dict[str, Delivery] = {}
        for _ in range(_LOOKS):
            leased = await self._lease(_LOOK, heads, [head.sequence for head in heads.values()])
            for delivery in leased:
                heads.setdefault(self._lane(delivery), delivery)
            if len(leased) < _LOOK or not all(head.attempts for head in heads.values()):
                break
        return min(heads.values(), key=lambda head: (head.attempts, head.sequence), default=None)

    async def _lease(self, limit: int, lanes: Collection[str], sequences: Collection[int]) -> list[Delivery]:
        """Due deliveries outside of what is under way and of the given lanes and sequences."""
        self._looked_at = self._as_of or self._now()
        under_way = [delivery.sequence for attempt in self._attempts for delivery in attempt.batch]
        return await self._store.lease(
            self.sink.name,
            limit,
            self._looked_at,
            ordered=self.sink.ordered,
            skip=self._busy_lanes().union(lanes) if self.sink.ordered else (),
            busy={*under_way, *sequences},
        )

    def _busy_lanes(self) -> set[str]:
        return {self._lane(delivery) for attempt in self._attempts for delivery in attempt.batch}

    # ── one attempt ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _launch(self, batch: Sequence[Delivery], workers: asyncio.TaskGroup) -> None:
        health = self._known_health()
        probe = health.state.failures > 0
        attempt = _Attempt(batch, health.learned, probe, not self._courier.connected)
        self._health = sink_health.looking(health)
        self._attempts.add(attempt)
        task = workers.create_task(self._work(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, attempt: _Attempt) -> None:
        try:
            outcomes = await self._courier.deliver(attempt.batch, lambda: self._ready(attempt))
            settlements = self._learn(attempt, outcomes)
            await self._settle(settlements)
            self._tell(attempt.batch, settlements)
            hit("deliver.settled")
        except Exception as err:  # a defect, or an armed failpoint: this attempt is over, the loop goes on
            self._observe("delivery.unexpected", sink=self.sink.name, error=sink_health.reason(err))
        finally:
            self._attempts.discard(attempt)
            self._alarm.ring()

    def _ready(self, attempt: _Attempt) -> None:
        if attempt.connecting:
            attempt.connecting = False
            self._alarm.ring()  # others were waiting for the connection

    def _learn(self, attempt: _Attempt, outcomes: Sequence[Exception | None]) -> list[Settlement]:
        if any(outcome is not None for outcome in outcomes):
            self._shelf.clear()  # what follows a failure in its webinar has to wait now
        before = self._known_health()
        now, wall = self._timeline.now(), self._clock.now().timestamp()
        self._health = self._health_after(before, attempt, outcomes, now, wall)
        self._note_change(before, self._health)
        return [
            sink_health.judge(
                delivery,
                outcome,
                now=now,
                wall=wall,
                age=self._timeline.age(delivery.created_at),
                max_age=self.sink.max_age,
            )
            for delivery, outcome in zip(attempt.batch, outcomes, strict=True)
        ]

    def _health_after(
        self, health: Health, attempt: _Attempt, outcomes: Sequence[Exception | None], now: float, wall: float
    ) -> Health:
        gone = next((outcome for outcome in outcomes if isinstance(outcome, Gone)), None)
        if gone is not None:
            return sink_health.after_gone(health, sink_health.reason(gone), wall)
        taken = any(outcome is None for outcome in outcomes)
        if taken or any(isinstance(outcome, Refused) for outcome in outcomes):
            return sink_health.after_answer(health, wall, taken=taken)
        error = outcomes[0]
        assert error is not None
        suspects = {self._lane(delivery) for delivery in attempt.batch}
        retry_after = max((sink_health.retry_after_of(outcome) or 0.0 for outcome in outcomes), default=0.0)
        failure = Failure(attempt.learned, suspects, sink_health.reason(error), retry_after)
        return sink_health.after_failure(health, failure, now, wall)

    def _note_change(self, before: Health, after: Health) -> None:
        name, state = self.sink.name, after.state
        stale = self._clock.monotonic() - self._saved_at >= _DELIVERED_AT_EVERY
        if stale or (state.failures, state.retry_at, state.disabled, state.delivered_at is None) != (
            before.state.failures,
            before.state.retry_at,
            before.state.disabled,
            before.state.delivered_at is None,
        ):
            self._unsaved = True
        if state.disabled and not before.state.disabled:
            self._observe("sink.disabled", sink=name, reason=state.disabled)
        elif sink_health.is_outage(after) and not sink_health.is_outage(before):
            self._observe("sink.down", sink=name, error=state.error, failures=state.failures)
        elif sink_health.is_outage(before) and not sink_health.is_outage(after):
            self._release = True
            self._observe("sink.recovered", sink=name, failures=before.state.failures)

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        """Until it is durable: the webinar's next event does not go out before, and the slot stays taken."""
        tries = 0
        while True:
            try:
                await self._store.settle_deliveries(settlements)
                return
            except NothingThere:
                return  # dropped or moved away meanwhile
            except Exception as err:
                tries += 1
                if self._as_of is not None and tries == _STORE_TRIES:
                    self._stopping = True  # or the same event would go out again and again
                    raise
                self._observe("store.unavailable", sink=self.sink.name, error=sink_health.reason(err))
            await self._clock.sleep(backoff(tries, self._random, cap=_STORE_CAP))

    def _tell(self, batch: Sequence[Delivery], settlements: Sequence[Settlement]) -> None:
        for delivery, settlement in zip(batch, settlements, strict=True):
            fields = {"sink": delivery.sink, "sequence": delivery.sequence, "id": delivery.id, "type": delivery.type}
            if settlement.state is DeliveryState.DELIVERED:
                age = round(self._timeline.age(delivery.created_at), 3)
                self._observe("delivery.completed", **fields, attempts=settlement.attempts, seconds=age)
            elif settlement.state is DeliveryState.DEAD:
                self._observe("delivery.dead", **fields, attempts=settlement.attempts, error=settlement.error)
            else:
                self._observe(
                    "delivery.failed",
                    **fields,
                    attempts=settlement.attempts,
                    error=settlement.error,
                    due_at=settlement.due_at,
                )

    # ── small words ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _now(self) -> float:
        return self._timeline.now() + _EARLY

    def _known_health(self) -> Health:
        assert self._health is not None, "a turn begins with loading it"
        return self._health

    def _lane(self, delivery: Delivery) -> str:
        return lane(delivery, self.sink.ordered)
