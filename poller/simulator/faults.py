"""The fault plan: which faults are armed, when one strikes, how often each did.

A fault is armed with a probability or for the next n calls, for one operation or for all it can strike. At most one
fault strikes a call. A fault that found nothing to spoil (an item missing from an empty list) neither counts nor
uses up its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

from poller.errors import UsageError

Stage = Literal["transport", "list", "body", "answer", "access", "token", "world", "arrival", "old-list"]

DEFAULT_PROBABILITY = 0.05
TRUE_LISTS = frozenset({"getWebinars", "getAllAccountWebinars", "getAllRegistrantsForWebinar"})
UPCOMING_MEETINGS = frozenset({"getUpcomingMeetings", "getUpcomingMeetingsByOrganizer", "getUpcomingMeetingsByGroup"})
MEETING_LISTS = UPCOMING_MEETINGS | {
    "getHistoricalMeetings",
    "getHistoricalMeetingsByMeetingId",
    "getHistoricalMeetingsByOrganizer",
    "getHistoricalMeetingsByGroup",
    "getAttendeesByMeeting",
    "getAttendeesByOrganizer",
    "getAttendeesByGroup",
}
BARE_LISTS = MEETING_LISTS | {"getWebinarSession", "getAttendees"}
LISTS = TRUE_LISTS | {"getOrganizerSessions", "getAllSessions", "getAttendeesForAllWebinarSessions"} | BARE_LISTS
OLD_LIST = "getUpcomingWebinars"  # the v1 list with counts
# "arrival" is no call: it stands for what happens by itself
ARRIVAL, TOKEN, AUTHORIZE = "arrival", "token", "authorize"

FAULTS: dict[str, tuple[Stage, str]] = {
    "429": ("transport", "429 without Retry-After"),
    "429-seconds": ("transport", "429 with Retry-After in seconds"),
    "429-date": ("transport", "429 with Retry-After as an HTTP date"),
    "429-absurd": ("transport", "429 with a Retry-After that makes no sense"),
    "500": ("transport", "500 with an HTML or empty body"),
    "502": ("transport", "502 with an HTML or empty body"),
    "503": ("transport", "503 with an HTML or empty body"),
    "reset": ("transport", "the connection is cut before any answer"),
    "hang": ("transport", "no answer for a long time, then the connection is cut"),
    "latency": ("transport", "the answer comes late"),
    "answer-lost": ("answer", "the call is carried out, then the connection is cut"),
    "truncated": ("body", "status 200 with JSON cut in its middle"),
    "html": ("body", "status 200 with an HTML page"),
    "wrong-types": ("body", "an object where a list belongs, numbers where strings belong"),
    "null-keys": ("body", "one item has null for its keys"),
    "unknown-fields": ("body", "every item has fields nobody heard of"),
    "huge-page": ("body", "ten megabytes more than the page needs"),
    "deep-nesting": ("body", "a value nested a hundred thousand levels deep"),
    "mixed-keys": ("body", "keys as numbers here and strings there"),
    "unknown-enum": ("world", "from now on one item has an enum value nobody heard of"),
    "moved-items": ("list", "items move between pages while somebody walks them"),
    "repeated-items": ("list", "a page repeats an item"),
    "short-page": ("list", "a page has fewer items than it should"),
    "total-lies": ("list", "the total is wrong"),
    "missing-item": ("list", "one item is missing from the whole list"),
    "empty-list": ("list", "the list is empty"),
    "stale": ("list", "the list as it was some time ago"),
    "counts-stale": ("old-list", "the counts of the old list upcomingWebinars as they were minutes ago"),
    "counts-frozen": ("old-list", "the counts of the old list stay as they were when the fault first struck"),
    "old-list-403": ("old-list", "the old list is refused"),
    "old-list-404": ("old-list", "the old list is no longer there"),
    "old-list-410": ("old-list", "the old list is gone for good"),
    "late-visibility": ("arrival", "a registration, a meeting or its history shows up to ten minutes late"),
    "token-rejected": ("access", "a good access token is refused, from now on"),
    "early-expiry": ("token", "an access token that lives a tenth of what was said"),
    "revoked": ("token", "the login is revoked: invalid_grant from now on"),
}


def may_strike(name: str, operation: str) -> bool:
    """Whether an unfiltered fault strikes this operation.

    Answers of the token endpoint are spoilt only on demand (by naming the operation): with rotating refresh
    tokens one lost answer ends the connection for good.
    """
    stage = FAULTS[name][0]
    if operation == ARRIVAL:
        return stage == "arrival"
    if operation == TOKEN:
        return stage in ("token", "transport")
    if operation == AUTHORIZE or stage in ("token", "arrival"):
        return False
    if stage == "world":
        return operation in TRUE_LISTS | UPCOMING_MEETINGS
    if stage == "old-list":
        return operation == OLD_LIST
    if name == "total-lies" and operation in BARE_LISTS:
        return False  # a bare array says nothing of a total
    return stage != "list" or operation in LISTS


@dataclass(slots=True)
class Armed:
    """One armed fault. `times` is how many strikes remain, None for no end."""

    name: str
    probability: float = 1.0
    times: int | None = None
    operation: str | None = None

    @property
    def stage(self) -> Stage:
        return FAULTS[self.name][0]

    def fits(self, operation: str) -> bool:
        if self.times == 0:
            return False
        if self.operation is not None:
            return self.operation == operation
        return may_strike(self.name, operation)


class FaultPlan:
    """Armed faults and their counters. Durations are seconds of the simulator's clock."""

    def __init__(
        self,
        *,
        seed: int = 1,
        latency_seconds: float = 2.0,
        hang_seconds: float = 120.0,
        stale_seconds: float = 30.0,
        counts_seconds: float = 300.0,
        retry_after_seconds: float = 5.0,
        late_seconds: float = 600.0,
    ) -> None:
        self.rng = Random(f"{seed}:faults")
        self.latency_seconds = latency_seconds
        self.hang_seconds = hang_seconds
        self.stale_seconds = stale_seconds
        self.counts_seconds = counts_seconds  # the age of stale counts
        self.retry_after_seconds = retry_after_seconds
        self.late_seconds = late_seconds
        self.struck: Counter[str] = Counter()
        self._armed: list[Armed] = []

    @classmethod
    def of(cls, texts: Iterable[str], *, seed: int = 1) -> FaultPlan:
        """From `NAME` or `NAME=probability`, as on the command line. Raises UsageError."""
        plan = cls(seed=seed)
        for text in texts:
            name, _, probability = text.partition("=")
            plan.arm(name.strip(), probability=_probability(name, probability))
        return plan

    @property
    def armed(self) -> tuple[Armed, ...]:
        """What is armed now; spent ones are not."""
        return tuple(fault for fault in self._armed if fault.times != 0)

    def arm(
        self,
        name: str,
        *,
        probability: float | None = None,
        times: int | None = None,
        operation: str | None = None,
    ) -> None:
        """Arm one fault for every call, or with a probability, or for the next `times` calls it fits."""
        if name not in FAULTS:
            raise UsageError(f"fault: {name!r} is unknown; there are {', '.join(FAULTS)}")
        if probability is not None and not 0 < probability <= 1:
            raise UsageError(f"fault {name}: the probability must be above 0 and at most 1")
        chance = 1.0 if probability is None else probability
        self._armed.append(Armed(name, chance, times, operation))

    def clear(self, name: str | None = None) -> None:
        """Disarm this fault, or all; the counters stay."""
        self._armed = [fault for fault in self._armed if name is not None and fault.name != name]

    def draw(self, operation: str) -> Armed | None:
        """The fault for this call, if any. Whoever carries it out says so with `strike`."""
        for fault in self._armed:
            if fault.fits(operation) and (fault.probability >= 1 or self.rng.random() < fault.probability):
                return fault
        return None

    def strike(self, fault: Armed) -> None:
        self.struck[fault.name] += 1
        if fault.times is not None:
            fault.times -= 1
            self._armed = list(self.armed)

    def lateness(self) -> timedelta:
        """How long what happens by itself now (a registration, a meeting made or held) stays unseen."""
        fault = self.draw(ARRIVAL)
        if fault is None:
            return timedelta(0)
        self.strike(fault)
        return timedelta(seconds=self.rng.uniform(1.0, self.late_seconds))


def _probability(name: str, text: str) -> float:
    try:
        return float(text) if text else DEFAULT_PROBABILITY
    except ValueError:
        raise UsageError(f"fault {name}: {text!r} is no probability; write for example {name}=0.05") from None
