"""Reads count hints where they help, and makes due what they announce."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from poller.counting import Counts
from poller.errors import NotFound, PermissionRefused, PollerError, Refused, Wait
from poller.pacing import Pacing
from poller.poll import Polled
from poller.pools import Key
from poller.ports import Clock, CountHint
from poller.roster import WEBINARS, Roster
from state.records import Scope, Target

# A hint about fewer webinars than this saves no calls worth speaking of.
LEAST_WEBINARS = 3

COST = 1.0  # calls of one reading

# After a failure a reading waits so long (seconds); after three in a row, or a refusal, the hint is let alone for an
# hour, then for two, at last for a day; for a day at once where it has lied.
RETRY = 60.0
FAILURES = 3
FIRST_PAUSE, LONGEST_PAUSE = 3600.0, 86_400.0


class HintObserver(Protocol):
    def hint_changed(self, connection: str, state: str, reason: str) -> None:
        """A connection's count hint is now "on" or "off"."""
        ...


@dataclass(frozen=True, slots=True)
class Polls:
    """What the scheduler does for a hint."""

    soonest: Callable[[Key], float]  # when (monotonic) a target may be polled next
    nudge: Callable[[str, Scope], None]
    ring: Callable[[], None]  # something may be due


@dataclass(slots=True)
class _Hint:
    counts: Counts = field(default_factory=Counts)
    is_on: bool = False
    due: float = math.inf  # monotonic
    not_before: float = -math.inf
    pause: float = FIRST_PAUSE / 2
    failures: int = 0
    strangers: set[str] = field(default_factory=set)  # listed there, and not (yet) by the list of webinars


class Hinting:
    """`share` and `in_use` say how good hints are and how often they are read; the rest is the scheduler's to call."""

    def __init__(
        self,
        roster: Roster,
        pacing: Pacing,
        hint_of: Callable[[str], CountHint | None],
        clock: Clock,
        polls: Polls,
        observer: HintObserver,
    ) -> None:
        self._roster = roster
        self._pacing = pacing
        self._hint_of = hint_of
        self._clock = clock
        self._polls = polls
        self._hints: dict[str, _Hint] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._observer = observer

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def share(self, target: Target) -> float:
        """The share of a target's news that a hint announces; 0 without one."""
        hint = self._hints.get(target.connection)
        if hint is None or not hint.is_on or not hint.counts.covers(target.scope.parent):
            return 0.0
        return hint.counts.share

    @property
    def in_use(self) -> dict[str, tuple[float, float]]:
        """By connection: seconds between two readings, and the share of the news that is announced."""
        intervals = ((name, hint, self._pacing.hint_interval(name)) for name, hint in self._hints.items() if hint.is_on)
        return {name: (interval, hint.counts.share) for name, hint, interval in intervals if math.isfinite(interval)}

    # ── who is read ──────────────────────────────────────────────────────────────────────────────────────────────────

    def review(self, connections: Iterable[str]) -> None:
        """Begin where polls alone are too few, end where they are not; call it whenever the plan has settled."""
        now = self._clock.monotonic()
        wanted = {name for name in connections if name in self._pacing.crowded and self._hint_of(name) is not None}
        for name in wanted - self._hints.keys():
            self._hints[name] = _Hint()
        for name, hint in self._hints.items():
            if hint.is_on and name not in wanted:
                self._turn_off(name, hint, "")
            elif not hint.is_on and name in wanted and now >= hint.not_before and self._is_worth_it(name):
                hint.is_on, hint.due, hint.counts = True, now, Counts()

    def _is_worth_it(self, name: str) -> bool:
        wall = self._clock.now().timestamp()
        lists = (target for target in self._roster.of(name) if target.scope.kind == "registrant")
        ahead = (target for target in lists if target.ends_at is not None and target.ends_at > wall)
        return sum(1 for _ in zip(range(LEAST_WEBINARS), ahead, strict=False)) == LEAST_WEBINARS

    def _turn_off(self, name: str, hint: _Hint, reason: str) -> None:
        hint.is_on, hint.due = False, math.inf
        self._pacing.hint(name, 0.0)
        self._pacing.reweigh(self._keys(name))
        self._pacing.settle()
        self._observer.hint_changed(name, "off", reason)

    def _keys(self, name: str) -> list[Key]:
        return [(name, target.scope) for target in self._roster.of(name)]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_due(self) -> float:
        """The next moment (monotonic) at which `start_due` has something to do; infinite: none."""
        return min((hint.due for name, hint in self._hints.items() if name not in self._reading), default=math.inf)

    def start_due(self) -> None:
        now = self._clock.monotonic()
        for name, hint in self._hints.items():
            if hint.due <= now and name not in self._reading:
                self._reading[name] = asyncio.create_task(self._read(name, hint), name=f"count hint {name}")

    async def finish(self) -> None:
        """No reading goes on."""
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    async def _read(self, name: str, hint: _Hint) -> None:
        source = self._hint_of(name)
        began = self._clock.monotonic()
        try:
            if source is None:
                self._turn_off(name, hint, "")
            else:
                self._take(name, hint, await source.counts())
                hint.failures = 0
                if hint.is_on:
                    hint.due = began + max(self._pacing.hint_interval(name), 1e-3)
        except PollerError as error:
            self._failed(name, hint, error)
        finally:
            self._reading.pop(name, None)
            self._polls.ring()

    def _failed(self, name: str, hint: _Hint, error: PollerError) -> None:
        hint.failures += 1
        is_refusal = isinstance(error, NotFound | PermissionRefused | Refused)
        if is_refusal or hint.failures >= FAILURES:
            self._let_alone(name, hint, str(error))
            return
        asked = error.retry_after if isinstance(error, Wait) else None
        hint.due = self._clock.monotonic() + max(RETRY, asked or 0.0)

    def _let_alone(self, name: str, hint: _Hint, reason: str) -> None:
        hint.pause = min(2 * hint.pause, LONGEST_PAUSE)
        hint.not_before = self._clock.monotonic() + hint.pause
        hint.failures = 0
        self._turn_off(name, hint, reason)

    def _take(self, name: str, hint: _Hint, counts: Mapping[str, int]) -> None:
        now = self._clock.monotonic()
        targets = {key: self._roster.target(name, Scope("registrant", key)) for key in counts}
        known = {key: target for key, target in targets.items() if target is not None}
        sizes = {key: target.size for key, target in known.items() if target.polled_at is not None}
        before = {key for _, scope in self._keys(name) if hint.counts.covers(key := scope.parent)}
        waiting = hint.counts.read({key: counts[key] for key in known}, sizes, now)
        self._cover(name, before, known.keys())
        self._meet(name, hint, targets.keys() - known.keys(), before - counts.keys())
        for key, (pieces, seconds) in sorted(waiting.items(), key=lambda found: -found[1][0]):
            at = (name, Scope("registrant", key))
            self._pacing.announce(at, pieces, seconds, self._polls.soonest(at))
        if not hint.counts.is_useful:
            hint.pause = LONGEST_PAUSE
            self._let_alone(name, hint, "its counts do not say where news are")

    def _cover(self, name: str, before: set[str], after: Iterable[str]) -> None:
        """Polls of what a hint watches become rarer, those of what it has let go more frequent."""
        changed = before.symmetric_difference(after)
        if not changed:
            return
        if not before:
            self._pacing.hint(name, COST)
            self._observer.hint_changed(name, "on", "")
        self._pacing.reweigh((name, Scope("registrant", key)) for key in changed)
        self._pacing.settle()

    def _meet(self, name: str, hint: _Hint, strangers: set[str], lost: set[str]) -> None:
        """A webinar that came or went there is worth a look at the list of webinars, once."""
        wall = self._clock.now().timestamp()
        held = (self._roster.target(name, Scope("registrant", key)) for key in lost)
        vanished = any(target is not None and (target.ends_at or 0.0) > wall for target in held)
        if vanished or strangers - hint.strangers:
            self._polls.nudge(name, WEBINARS)
        hint.strangers |= strangers

    # ── what polls show ──────────────────────────────────────────────────────────────────────────────────────────────

    def polled(self, before: Target, started: float, polled: Polled) -> None:
        """A complete poll that began at a moment (monotonic); `before`: the target as it was then."""
        hint = self._hints.get(before.connection)
        if hint is None or not hint.is_on or polled.problem is not None or before.scope.kind != "registrant":
            return
        key, size = before.scope.parent, polled.target.size
        if before.polled_at is None:
            hint.counts.first_polled(key, size)
        else:
            hint.counts.polled(key, started, size - before.size, polled.added, polled.changed)
