"""The values of one poll: what the engine is told about a connection, what it gathers, what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from poller.admission import Start
from poller.errors import PollerError
from poller.ports import CountHint, Details, Source, Walk
from state.events import Draft
from state.records import RecordRow, Scope, Target
from state.store import PollRow


@dataclass(frozen=True, slots=True)
class Link:
    """What the engine must know of one connection's settings."""

    name: str
    sources: Mapping[str, Source]  # by kind of record
    start: Start = field(default_factory=Start)
    past: timedelta = timedelta(days=1)
    future: timedelta = timedelta(days=730)
    skips: Callable[[str], bool] = lambda _: False  # organizers that are paused or excluded
    count_hint: CountHint | None = None
    enrich: bool = False  # ask for each new registrant's details
    details: Mapping[str, Details] = field(default_factory=dict)  # by kind of record
    login: object = None  # what its calls are made with; another one after every login


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll came to."""

    target: Target
    outcome: str  # as in PollRow
    added: int = 0
    changed: int = 0
    removed: int = 0
    calls: int = 0
    problem: PollerError | None = None
    found: Sequence[Target] = ()
    dropped: Sequence[tuple[str, Scope]] = ()
    events: int = 0  # new ones
    held: Sequence[str] = ()  # triggers that its flood of news has paused


class Item(NamedTuple):
    """One row to write, and what follows from it."""

    row: RecordRow
    draft: Draft | None = None
    targets: Sequence[Target] = ()
    title: str = ""


@dataclass(slots=True)
class Poll:
    """One poll under way: its circumstances, and what it has gathered for the commit."""

    link: Link
    target: Target
    source: Source
    started: datetime
    began: float  # monotonic
    since: datetime
    until: datetime
    is_baseline: bool  # a walk of one of the connection's own lists before its baseline is taken
    backfill: Start | None = None  # set: tell history from here on
    items: list[Item] = field(default_factory=list)
    unsettled: bool = False  # something is open: look again even if the bytes stay the same
    calls: int = 0
    set_aside: int = 0
    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    news: int = 0  # would-be events, history apart: what flood guards count
    asked: int = 0  # own GETs spent so far
    events: int = 0
    found: list[Target] = field(default_factory=list)
    dropped: list[tuple[str, Scope]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    @property
    def of_root(self) -> bool:
        """Of a connection's own list, whose records are those of all connections."""
        return self.target.scope.is_root

    def row(self, outcome: str, seconds: float, note: str = "") -> PollRow:
        """This poll as the journal tells it."""
        return PollRow(
            self.link.name,
            self.target.scope,
            self.started.timestamp(),
            seconds,
            outcome,
            self.calls,
            self.seen,
            self.set_aside,
            self.added,
            self.changed,
            self.removed,
            note,
        )

    def report(self, outcome: str, target: Target, problem: PollerError | None = None) -> Polled:
        return Polled(
            target,
            outcome,
            self.added,
            self.changed,
            self.removed,
            self.calls,
            problem,
            self.found,
            self.dropped,
            self.events,
            self.held,
        )


def why_incomplete(walk: Walk) -> str:
    """For the journal; empty for a complete walk."""
    if walk.complete:
        return ""
    if walk.problem is not None:
        return str(walk.problem)
    return f"{walk.set_aside} records could not be read" if walk.set_aside else "the list moved while it was read"
