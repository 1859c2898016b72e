"""Pure: what attempts teach about one sink, what may be sent to it now, and what becomes of each delivery.

A failure may be the sink's (it is down) or the event's (a receiver that chokes on one of them). One failed attempt is
a suspicion; so are more of them while they all concern the same webinar. A suspicion lets a webinar through that has
not been tried yet, so that one poisonous event never holds up the others. When that fails as well it is an outage: one
attempt at a time, at the pauses of the schedule, until one succeeds; then everything that waits is due at once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from poller.errors import Gone, Refused, Wait
from poller.fields import format_duration
from state.delivery import RETRY_SCHEDULE, Delivery, DeliveryState, Settlement, SinkState, retry_delay

# Nothing waits longer than the schedule's last pause (seconds), whatever a Retry-After or a jumping clock says.
LONGEST_WAIT = RETRY_SCHEDULE[-1]
_ERROR_LENGTH = 500
_SAME_MOMENT = 1.0  # seconds: so exactly is it known when a sink last took something
_BEFORE_RESTART = "\0"  # stands for whatever failed in an earlier process


class Pace(Enum):
    FREE = auto()  # whatever is due
    PROBE = auto()  # one event: that with the fewest attempts
    FRESH = auto()  # one event, of a webinar that waits for its first attempt
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one sink. Moments are POSIX seconds of the Timeline."""

    state: SinkState
    suspects: frozenset[str] = frozenset()  # what the failures in a row concern: webinars (events, if unordered)
    floor: float = 0.0  # the receiver asked for no attempt before this moment
    learned: int = 0  # failures that became known in this process
    at_once: bool = False  # a restart may look for itself, once
    returning: bool = False  # a person ended an outage or a ban, no success has confirmed it yet


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed for a reason of the sink's."""

    learned: int  # what Health.learned was when the attempt began
    suspects: Collection[str]
    error: str
    retry_after: float | None = None  # seconds


def remembered(state: SinkState, now: float) -> Health:
    """The health a restart begins with: nothing is forgotten, one attempt may be made without waiting."""
    if not state.failures:
        return Health(state)
    # A longer pause than the schedule's was the receiver's wish.
    wished = state.retry_at - (state.failed_at or now) > retry_delay(state.failures) + 1
    floor = min(state.retry_at, now + LONGEST_WAIT) if wished else 0.0
    return Health(state, frozenset({_BEFORE_RESTART}), floor, at_once=True)


def pace(health: Health, now: float) -> Pace:
    state = health.state
    if state.disabled or now < health.floor:
        return Pace.NOTHING
    if not state.failures:
        return Pace.FREE
    if health.at_once or now >= state.retry_at:
        return Pace.PROBE
    return Pace.FRESH if _is_suspicion(health) else Pace.NOTHING


def _is_suspicion(health: Health) -> bool:
    return health.state.failures == 1 or len(health.suspects) == 1


def next_moment(health: Health, now: float) -> float | None:
    """When the pace may change by itself."""
    if health.state.disabled:
        return None
    moments = [health.floor, health.state.retry_at if health.state.failures else 0.0]
    return min((moment for moment in moments if moment > now), default=None)


def is_outage(health: Health) -> bool:
    return health.state.failures >= 2 or health.returning


def after_failure(health: Health, failure: Failure, now: float, wall: float) -> Health:
    """Attempts that were under way when a failure became known, and fail too, are the same failure."""
    state = health.state
    floor = max(health.floor, now + capped(failure.retry_after))
    if failure.learned == health.learned:
        failures = state.failures + 1
        retry_at = now + retry_delay(failures)
        state = replace(state, failures=failures, retry_at=retry_at, error=failure.error, failed_at=wall)
        health = replace(health, learned=health.learned + 1)
    if not state.failures:  # one that came later succeeded in the meantime
        return replace(health, floor=floor)
    state = replace(state, retry_at=max(state.retry_at, floor))
    return replace(health, state=state, floor=floor, suspects=health.suspects.union(failure.suspects))


def after_answer(health: Health, wall: float, *, taken: bool) -> Health:
    """It took something (`taken`), or refused all of it, which is an answer too: the sink is there."""
    before = health.state.delivered_at
    if _is_well(health) and (not taken or 0 <= wall - (before or 0.0) < _SAME_MOMENT):
        return health  # thousands of times a second
    state = replace(health.state, failures=0, retry_at=0.0, error="", delivered_at=wall if taken else before)
    if health.state.disabled:
        state = replace(state, error=health.state.error)
    return replace(health, state=state, suspects=frozenset(), at_once=False, returning=False)


def _is_well(health: Health) -> bool:
    state = health.state
    trouble = state.failures or state.retry_at or state.error or state.disabled
    return not (trouble or health.suspects or health.at_once or health.returning)


def after_gone(health: Health, reason: str, wall: float) -> Health:
    return replace(health, state=replace(health.state, disabled=reason, error=reason, failed_at=wall))


def looking(health: Health) -> Health:
    """An attempt begins."""
    return replace(health, at_once=False) if health.at_once else health


def forgiven(health: Health) -> Health:
    """A person says: try again."""
    state = SinkState(health.state.name, delivered_at=health.state.delivered_at)
    returning = bool(health.state.disabled) or is_outage(health)
    return Health(state, learned=health.learned, returning=returning)


def capped(retry_after: float | None) -> float:
    return min(max(retry_after or 0.0, 0.0), LONGEST_WAIT)


def retry_after_of(outcome: Exception | None) -> float | None:
    return outcome.retry_after if isinstance(outcome, Wait) else None


def reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_ERROR_LENGTH]


def judge(
    delivery: Delivery, outcome: Exception | None, *, now: float, wall: float, age: float, max_age: timedelta
) -> Settlement:
    """What becomes of one delivery. `now` is the Timeline's, `wall` is for people, `age` in seconds."""
    attempts = delivery.attempts + 1
    if outcome is None:
        return _settlement(delivery, DeliveryState.DELIVERED, wall, attempts)
    error = reason(outcome)
    if isinstance(outcome, Refused):
        return _settlement(delivery, DeliveryState.DEAD, wall, attempts, error)
    if isinstance(outcome, Gone):
        return _settlement(delivery, DeliveryState.PENDING, wall, attempts, error)
    if age > max_age.total_seconds():
        error = f"older than max_age ({format_duration(max_age)}): {error}"
        return _settlement(delivery, DeliveryState.DEAD, wall, attempts, error)
    due_at = now + retry_delay(attempts, capped(retry_after_of(outcome)))
    return _settlement(delivery, DeliveryState.PENDING, wall, attempts, error, due_at)


def _settlement(
    delivery: Delivery, state: DeliveryState, wall: float, attempts: int, error: str = "", due_at: float = 0.0
) -> Settlement:
    return Settlement(delivery.sink, delivery.sequence, state, wall, attempts, due_at, error)
