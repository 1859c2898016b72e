"""The Store protocol: whole transactions that the loops may ask for. No cursor, connection or SQL crosses it.

Every coroutine that writes returns once its effect is durable; those named `note_…` are buffered for a moment and may
be lost by a crash (nothing that was promised depends on them). Writers are serialised; a cancelled caller does not
cancel its transaction. Failures: `StateUnavailable` means that nothing of the call was written and that it may be
repeated.

**One poll, one commit**: `commit_poll` is the only place where "seen" and "owed" change, and they change together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from state.delivery import Delivery, Settlement, SinkState
from state.events import Draft
from state.records import ConnectionState, Known, Phase, RecordRow, Scope, Target


class Route(NamedTuple):
    """One matching sink of an event. `held_by` names the trigger that keeps the delivery back, if one does."""

    sink: str
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    kind: str  # connection | organizer | trigger | sink
    name: str
    since: float
    reason: str


class PollRow(NamedTuple):
    """One poll, as the journal tells it."""

    connection: str
    scope: Scope
    started_at: float  # POSIX seconds
    seconds: float
    outcome: str  # changed | unchanged | incomplete | failed | skipped
    calls: int = 0
    records: int = 0
    set_aside: int = 0  # records that could not be read
    added: int = 0
    changed: int = 0
    removed: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class PollCommit:
    """Everything one poll (or one batch of a very large one) teaches and obliges us to."""

    scope: Scope
    records: Sequence[RecordRow] = ()
    missing: Sequence[str] = ()  # keys a complete walk did not have
    returned: Sequence[str] = ()  # missing keys that are there after all
    drafts: Sequence[tuple[Draft, Sequence[Route]]] = ()  # events in the order in which they are to be told
    targets: Sequence[Target] = ()  # found (or known ones whose title or end changed)
    dropped: Sequence[tuple[str, Scope]] = ()  # (connection, scope) no longer held
    phase: Phase | None = None  # new phase of the scope
    polled: Target | None = None  # the target whose complete walk this is: polled_at, digest and size are taken
    connection: ConnectionState | None = None
    pauses: Sequence[Pause] = ()  # triggers whose flood guard struck in this poll
    journal: PollRow | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    first_sequence: int = 0  # 0 when no event was new
    events: int = 0  # new ones; an event that another finder told before is not counted
    sinks: frozenset[str] = frozenset()  # that were given something to deliver


@dataclass(frozen=True, slots=True)
class StoredEvent:
    sequence: int
    id: str
    type: str
    subject: str
    connection: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One delivery as `poller deliveries`, `dead list` and `explain` show it."""

    sink: str
    sequence: int
    id: str
    type: str
    subject: str
    state: str  # pending | delivered | dead | held
    attempts: int
    due_at: float
    updated_at: float
    error: str
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much one sink is owed."""

    pending: int = 0
    held: int = 0
    dead: int = 0
    delivered: int = 0
    oldest: float | None = None  # since when the oldest pending one is owed, POSIX seconds


@dataclass(frozen=True, slots=True)
class Select:
    """A selection of stored events or deliveries; every condition that is given must hold."""

    sink: str | None = None
    types: Sequence[str] = ()  # full types
    since: float | None = None  # observed at or after, POSIX seconds
    until: float | None = None
    ids: Sequence[str] = ()
    partition: str | None = None
    after: int = 0  # sequence
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about one key or event."""

    records: Sequence[tuple[Scope, RecordRow]] = ()
    targets: Sequence[Target] = ()
    events: Sequence[StoredEvent] = ()
    deliveries: Sequence[DeliveryView] = ()
    attempts: Sequence[Mapping[str, Any]] = ()  # failed ones: sink, sequence, at, error
    polls: Sequence[PollRow] = ()


@dataclass(frozen=True, slots=True)
class Info:
    path: str
    epoch: str  # names this life of the state; a restored backup starts another
    schema: int
    size: int  # bytes on disk, write-ahead log included
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the event log reaches, for those who keep their place in it. Every number is a sequence, 0 for none."""

    epoch: str
    last: int  # of the newest event there ever was, pruned or not
    pruned: int = 0  # the highest that retention has taken
    began: int = 0  # the last one before this epoch
    shared: Mapping[str, int] = field(default_factory=dict)  # earlier epochs → the last one that was the same in them


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook sink made at run time. Several may lead to one sink; what they are is sealed elsewhere."""

    id: str
    sink: str
    sealed: bytes
    created_at: float  # POSIX seconds


class Ledger(Protocol):
    """The durable record of calls, for windows that must outlive a process."""

    async def reserve(self, client: str, connection: str, calls: int) -> int: ...
    async def settle(self, block: int, used: int) -> None: ...
    async def recent(self, client: str) -> list[tuple[str, int, float]]: ...
    async def keep_pause(self, client: str, seconds: float) -> None: ...
    async def pause_left(self, client: str) -> float: ...


class Store(Protocol):
    """See the module's docstring for what all of these have in common."""

    # what we know
    async def connections(self) -> list[ConnectionState]: ...
    async def save_connection(self, connection: ConnectionState) -> None: ...
    async def targets(self, connection: str | None = None) -> list[Target]:
        """Webinar-bound targets of one connection or of all; the phase is the scope's."""
        ...

    async def known(self, scope: Scope, keys: Collection[str] | None = None) -> Known: ...
    async def rows(self, scope: Scope, keys: Collection[str]) -> dict[str, RecordRow]: ...
    async def unannounced(self, scope: Scope) -> list[RecordRow]:
        """Present records whose creation nobody was told of (a silent baseline)."""
        ...

    async def commit_poll(self, commit: PollCommit) -> Committed: ...
    def note_poll(self, row: PollRow, polled: Target | None = None) -> None:
        """Buffered: the journal row of a poll that taught nothing, and the target's `polled_at` and digest."""
        ...

    async def adopt(self, partition: str, routes: Sequence[tuple[int, Sequence[Route]]]) -> Committed:
        """Add the deliveries that are missing for events told before (a second finder of the same webinar)."""
        ...

    # what we owe
    async def register_sinks(self, names: Collection[str]) -> None: ...
    async def lease(
        self,
        sink: str,
        limit: int,
        now: float,
        *,
        ordered: bool,
        skip: Collection[str],
        busy: Collection[int],
    ) -> list[Delivery]:
        """Due deliveries of `sink`, lowest sequence first, without writing anything.

        `ordered`: only deliveries whose partition is not in `skip` (partitions in flight or waiting), and none whose
        partition has an earlier one that is still pending and not due. `busy`: sequences in flight.
        """
        ...

    async def settle_deliveries(self, settlements: Sequence[Settlement]) -> None: ...
    async def waiting(self, sink: str, now: float) -> dict[str, float]:
        """Partitions of `sink` whose first pending delivery is not due yet → when it is."""
        ...

    async def release_waiting(self, sink: str, now: float) -> None:
        """The sink is back: everything of it that waits for a later attempt is due now."""
        ...

    async def sink_states(self) -> list[SinkState]: ...
    async def save_sink(self, sink: SinkState) -> None: ...
    async def backlog(self, *, delivered: bool = True) -> dict[str, Backlog]:
        """Of every sink. Counting what is delivered takes the longer the more history is kept; it may be left out."""
        ...

    async def next_due(self, sink: str) -> float | None: ...
    async def deliveries(self, select: Select, states: Collection[str]) -> list[DeliveryView]: ...
    async def revive(self, select: Select) -> int:
        """Dead letters become pending again; returns how many."""
        ...

    async def drop_dead(self, select: Select) -> int: ...
    async def owe(self, sink: str, sequences: Sequence[int], now: float) -> int:
        """Owe stored events to `sink` (again): replay. Returns how many deliveries are pending because of it."""
        ...

    async def release(self, trigger: str) -> int:
        """Deliveries held by `trigger` become pending; returns how many."""
        ...

    async def consumers(self) -> dict[str, list[str]]:
        """Sinks that only exist in a program of the user's own, by name, with the event types they asked for."""
        ...

    async def save_consumer(self, name: str, types: Sequence[str]) -> None: ...
    async def move_sink(self, old: str, new: str) -> int: ...
    async def drop_sink(self, name: str) -> int: ...

    async def subscriptions(self) -> list[Subscription]:
        """In the order in which they were made."""
        ...

    async def save_subscription(self, subscription: Subscription) -> None: ...
    async def drop_subscription(self, id_: str) -> bool:
        """Forget it, and with the last one of a sink the sink and whatever is owed to it. False if there was none."""
        ...

    # switches
    async def pauses(self) -> list[Pause]: ...
    async def pause(self, pause: Pause) -> None: ...
    async def resume(self, kind: str, name: str) -> bool: ...

    # reading back
    async def events(self, select: Select) -> list[StoredEvent]: ...
    async def last_sequence(self) -> int:
        """Of the newest event there ever was, pruned or not; 0 before the first."""
        ...

    async def event(self, id_: str) -> StoredEvent | None: ...
    async def latest(self, before: int | None, limit: int, type_: str | None = None) -> list[StoredEvent]:
        """The newest events, newest first, those from before that sequence and of that full type where one is given."""
        ...

    async def extent(self) -> Extent: ...
    async def explain(self, key: str) -> Explanation: ...
    async def polls(self, limit: int, connection: str | None = None, key: str | None = None) -> list[PollRow]: ...
    async def emit(self, drafts: Sequence[tuple[Draft, Sequence[Route]]]) -> Committed:
        """Operational events, which no poll implies."""
        ...

    # what the loops have learnt, opaque to the state
    async def memory(self, name: str) -> str | None: ...
    async def remember(self, name: str, text: str) -> None: ...

    # tokens, opaque to the state
    async def load_token(self, connection: str) -> bytes | None: ...
    async def save_token(self, connection: str, sealed: bytes) -> None: ...
    async def drop_token(self, connection: str) -> None: ...

    # people
    async def forget(self, person: bytes, email: str) -> Mapping[str, int]:
        """Erase a person; `person` (a keyed hash) stays. Returns what was erased, by kind."""
        ...

    async def forgotten(self) -> frozenset[bytes]: ...

    # calls
    @property
    def ledger(self) -> Ledger: ...

    async def calls_by_hour(self, client: str) -> list[float]:
        """Calls in each of the last 24 hours, the oldest first."""
        ...

    # the file itself
    async def prune(self, before: float) -> Mapping[str, int]: ...
    async def checkpoint(self) -> None: ...
    async def backup(self, path: Path) -> None: ...
    async def info(self) -> Info: ...
    async def close(self) -> None: ...


def walk_events(store: Store, select: Select) -> AsyncIterator[StoredEvent]:
    """All events of a selection, page after page, however many there are."""

    async def pages() -> AsyncIterator[StoredEvent]:
        after = select.after
        while True:
            page = await store.events(replace(select, after=after))
            for event in page:
                yield event
            if len(page) < select.limit:
                return
            after = page[-1].sequence

    return pages()
