"""The plugs: what a clock, a source and a sink must offer, and the values they pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from poller.admission import Judged
from poller.errors import PollerError
from state.records import Record, Scope, Target


class Clock(Protocol):
    """Time as a dependency. Whoever needs the time or a pause gets one of these passed in."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back. Only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause for at most `seconds`; may return early, so callers look at the time again."""
        ...


# ── sources ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Walk:
    """What one reading of a whole list brought. `complete` only if every page was valid and nothing can be missing.

    `read_through` says the same of the pages alone: single records of them may have been set aside.
    """

    records: Sequence[Record] = ()
    complete: bool = True
    read_through: bool = True
    unchanged: bool = False  # the same bytes as the last complete walk; `records` is empty then
    digest: bytes = b""
    set_aside: int = 0  # records that could not be read
    calls: int = 1
    problem: PollerError | None = None  # why it is not complete; what was read before it still counts


@dataclass(frozen=True, slots=True)
class Facts:
    """A record in the words of its events."""

    subject: str
    partition: str
    data: Mapping[str, Any]
    happened: datetime | None  # when it came into being, if the API says so
    moment: datetime | None  # what a start date is compared with: a webinar's last end, a registration's date
    order: tuple[str, str]  # the order of telling within one poll: oldest first
    person: str = ""  # the e-mail address of the person it is about
    organizer_key: str = ""
    title: str = ""
    starts_at: float | None = None  # the last start, POSIX seconds
    ends_at: float | None = None  # the last end
    ends: Sequence[float] = ()  # all of them
    type: str = ""  # of the event that tells it as new, where a source has several; empty: the source's `created`
    untold: bool = False  # only known for now: a later change of it may be told
    sequel_of: str = ""  # key of the record that it follows: where that one was known before, this one is news


@dataclass(frozen=True, slots=True)
class Change:
    """Meaningful fields that differ."""

    changed: Sequence[str]
    previous: Mapping[str, Any]
    anew: Mapping[str, Any] | None = None  # set: told as something new, with these fields in its data


class Source(Protocol):
    """Knows one kind of object on the wire. It reads and explains; it decides nothing and remembers nothing."""

    kind: str  # the kind of its records: "webinar"
    created: str  # short types of its events: "webinar.created"
    changed: str
    removed: str  # empty: nothing of it is ever gone, a list that lacks it says nothing
    judged: Judged
    timed: bool  # its lists are read around certain moments only
    recurs: bool  # several records bring the same list of it along, each with ends of its own
    overlap: timedelta  # so much of what was listed before is listed again, if `past` is not longer

    async def walk(self, target: Target, *, since: datetime, until: datetime) -> Walk:
        """Read the whole list of `target`. Raises what the client raises only if not one page could be read."""
        ...

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        """The scopes that a record of the list `target` brings along, the one it is held by first."""
        ...

    def may_be_gone(self, body: bytes, now: datetime) -> bool:
        """Whether it can mean a removal that a complete list does not have it any more."""
        ...

    async def confirm(self, target: Target, key: str) -> bytes | None:
        """The object's own GET: its body, or None for a 404. Other failures raise.

        `target` is the list's own, or for a webinar that of its registrants, which names the right organizer.
        """
        ...

    def merge(self, before: bytes, after: bytes, now: datetime) -> bytes:
        """The body to keep when `after` came from `confirm`: in the shape of lists, as far as `before` has it."""
        ...

    def keep(self, before: bytes, after: bytes) -> bytes:
        """The body to keep when a list shows `after`: with what was known of meaningful fields that it lacks."""
        ...

    def facts(self, target: Target, body: bytes) -> Facts:
        """Raises Malformed for a record whose key could be read and nothing else."""
        ...

    def moment(self, body: bytes) -> float | None:
        """When it came into being (POSIX seconds), if the API says so; at less cost than `facts`."""
        ...

    def person(self, body: bytes) -> str:
        """The e-mail address of `facts`, at less cost; empty where there is none."""
        ...

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        """The meaningful difference, or None. Raises Malformed."""
        ...


@dataclass(frozen=True, slots=True)
class Detailed:
    """Further fields for the data of events, by the keys of their records, and the calls they took."""

    data: Mapping[str, Mapping[str, Any]]
    calls: int = 0


class Details(Protocol):
    """Knows what the API tells of some kind of object beside what its lists show, at further calls."""

    async def add(self, target: Target, news: Mapping[str, str]) -> Detailed:
        """For what a poll of the list `target` is about to tell: short types of events, by key.

        Never raises for an answer that does not come: the events are told all the same, and their data say what it
        lacks.
        """
        ...


class CountHint(Protocol):
    """A list that says how many registrants each of many webinars has, in one call. It may lag, and it may lie."""

    async def counts(self) -> Mapping[str, int]:
        """By webinar key. Raises what the client raises; PermissionRefused, NotFound and Refused: there is none."""
        ...


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event on its way to one sink."""

    sequence: int
    id: str
    type: str
    subject: str
    partition: str
    body: bytes  # the CloudEvent's JSON: the same bytes at every attempt
    attempt: int = 1  # 1 = the first
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def event(self) -> dict[str, Any]:
        """The event as a mapping; decoded once. Not to be modified."""
        if "event" not in self._cache:
            self._cache["event"] = msgspec.json.decode(self.body)
        event: dict[str, Any] = self._cache["event"]
        return event


# What became of one event of a batch: None = the sink has it for good.
Outcome = PollerError | None


class Sink(Protocol):
    """Where events go. One instance serves one `[[sinks]]` entry; its dispatcher is its only caller.

    `connect` comes first and may come again after any failure, while sends are under way too. `send` is called from up
    to `concurrency` tasks at once with batches of up to `batch` events (1 unless the protocol has batches); within one
    batch the events are in order, and no event of a partition is sent while an earlier one of that partition is
    undecided. `close` may come at any time after that, twice too.

    A sink reports by raising, or per event in its answer:
      Refused         this event will never be accepted      → dead letter at once
      Gone            the receiver wants nothing any more    → the sink is disabled, its deliveries are kept
      Wait            not now (`retry_after` is a floor)     → the sink backs off
      anything else   as Wait, with the text as the reason
    An answer that got lost counts as a failure: the event is sent again with the same id.
    """

    name: str
    concurrency: int
    batch: int
    ordered: bool
    max_age: timedelta
    timeout: timedelta  # for one attempt, connecting included

    async def connect(self) -> None: ...
    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]: ...
    async def check(self) -> str:
        """Reach the other side without sending an event; returns one line about it, raises what `send` would."""
        ...

    async def close(self) -> None: ...
