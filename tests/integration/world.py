"""An engine on a real state in front of a scripted GoTo, with a clock that stands: one poll at a time, by hand."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from poller.admission import Start
from poller.dispatcher import Dispatcher
from poller.engine import Engine
from poller.errors import Reauthorize
from poller.membership import Membership, Pace
from poller.planner import Quota
from poller.poll import Link, Polled
from poller.ports import Outcome, Outgoing
from poller.roster import ROOTS, WEBINARS, Roster, hold_of
from poller.routing import Routing
from poller.scheduler import Scheduler
from poller.sources import (
    Answers,
    MeetingAttendeeSource,
    MeetingSessionSource,
    MeetingSource,
    MeetingStartSource,
    ParticipantSource,
    Readers,
    RegistrantSource,
    SessionSource,
    WebinarSource,
    WebinarStartSource,
)
from poller.sources.registrants import GLANCES
from poller.testing import FakeClock
from poller.triggers import Triggers
from state.events import short_type
from state.records import ConnectionState, Scope, Target
from state.sqlite import MEMORY, SqliteStore
from state.store import Select, StoredEvent
from tests.integration.scripted_goto import Goto

Event = dict[str, Any]

PRODUCT = dict.fromkeys(("webinar", "registrant", "session", "participant", "webinar_start"), "webinar")
PRODUCT |= dict.fromkeys(("meeting", "meeting_session", "meeting_attendee", "meeting_start"), "meeting")


@dataclass(frozen=True)
class Trigger:
    """One `[[triggers]]` entry."""

    name: str = "all"
    on: Sequence[str] = ("*",)
    connections: Sequence[str] = ("*",)
    webinars: Sequence[str] = ("*",)
    when: str = ""
    sinks: Sequence[str] = ("crm",)
    flood: int = 0


@dataclass(frozen=True)
class Connection:
    """One `[[connections]]` entry; the organizer "account" walks the whole account."""

    name: str = "acme"
    organizer: str = "1"
    start: Start = field(default_factory=Start)
    past: timedelta = timedelta(days=1)
    future: timedelta = timedelta(days=730)
    products: Sequence[str] = ("webinar",)
    enrich: bool = False
    answers: bool = False


@dataclass
class Inbox:
    """A sink that keeps what it gets; `answer` may refuse."""

    name: str = "crm"
    answer: Callable[[Outgoing], Outcome] = lambda outgoing: None
    concurrency: int = 1
    batch: int = 1
    ordered: bool = True
    max_age: timedelta = timedelta(days=3)
    got: list[Outgoing] = field(default_factory=list)

    async def connect(self) -> None: ...

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        outcomes = [self.answer(outgoing) for outgoing in batch]
        self.got += [outgoing for outgoing, outcome in zip(batch, outcomes, strict=True) if outcome is None]
        return outcomes

    async def check(self) -> str:
        return "fine"

    async def close(self) -> None: ...

    @property
    def ids(self) -> list[str]:
        return [outgoing.id for outgoing in self.got]


class Listener:
    """The scheduler's observer: notes what it hears, and stops a connection whose login is over."""

    def __init__(self) -> None:
        self.polls: list[Polled] = []
        self.failures: list[tuple[Target, Exception, float]] = []
        self.refusals: list[str] = []

    def polled(self, polled: Polled, seconds: float) -> None:
        self.polls.append(polled)

    def failed(self, target: Target, error: Exception, retry_in: float) -> None:
        self.failures.append((target, error, retry_in))

    def hint_changed(self, connection: str, state: str, reason: str) -> None: ...

    async def refused(self, connection: str, error: Reauthorize) -> None:
        self.refusals.append(connection)


class House:
    """Everything between GoTo and the sinks, over one state."""

    def __init__(
        self,
        goto: Goto,
        clock: FakeClock,
        *connections: Connection,
        triggers: Iterable[Trigger] = (Trigger(),),
        path: Path | str = MEMORY,
        page_above: int = 20_000,
        settle: float = 86_400.0,
        pace: Pace | None = None,
        quota: Quota | None = None,
    ) -> None:
        self.goto, self.clock, self.path = goto, clock, path
        self.connections = {connection.name: connection for connection in connections or (Connection(),)}
        self.page_above = page_above
        self.settle = settle
        self.pace = pace or Pace()
        self.quota = quota or Quota()
        self.routing = Routing(Triggers(list(triggers), ["crm"]))
        self.paused: set[str] = set()  # connections
        self.paused_organizers: set[str] = set()
        self.forgotten: set[str] = set()
        self.delays: dict[str, float] = {}  # connection → seconds until its next call may be made
        self.listener = Listener()
        self.woken: set[str] = set()
        self.store: SqliteStore
        self.roster: Roster
        self.engine: Engine
        self.scheduler: Scheduler

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> House:
        self.store = await SqliteStore.open(self.path, now=lambda: self.clock.now().timestamp())
        self.roster = Roster(await self.store.connections(), await self.store.targets())
        self.routing.paused = {pause.name for pause in await self.store.pauses() if pause.kind == "trigger"}
        self.engine = Engine(
            self.store,
            self.roster,
            self.routing,
            self.clock,
            wake=self.woken.update,
            forgotten=self.forgotten.__contains__,
        )
        for connection in self.connections.values():
            self.introduce(connection)
        self.scheduler = Scheduler(
            self.engine, self.roster, self._membership(), self.clock, Random(7), self.listener, self.pace
        )
        return self

    async def close(self) -> None:
        await self.store.close()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    async def crash(self, into: Path) -> None:
        """Go on with the files as they lie there now, as after a power cut; nothing is closed before."""
        into.mkdir()
        here = Path(self.path)
        for file in here.parent.glob(here.name + "*"):
            if not file.is_socket() and not file.name.endswith("-shm"):
                shutil.copy(file, into / file.name)
        before, self.path = self.store, into / here.name
        await self.open()
        await before.close()

    def introduce(self, connection: Connection) -> None:
        """Add a connection, or give one other settings."""
        self.connections[connection.name] = connection
        name, client = connection.name, self.goto.client(connection.organizer)
        is_account = connection.organizer == "account"
        skips = (lambda key: key in self.paused_organizers) if is_account else (lambda key: False)
        webinars = WebinarSource(
            client,  # type: ignore[arg-type]
            organizer_key=connection.organizer,
            account_key="77" if is_account else "",
            admits=lambda key: not skips(key),
        )
        registrants = RegistrantSource(client, page_above=self.page_above)  # type: ignore[arg-type]
        sessions = SessionSource(client)  # type: ignore[arg-type]
        settle = timedelta(seconds=self.settle)
        participants = ParticipantSource(client, now=self.clock.now, settle=settle)  # type: ignore[arg-type]
        readers = Readers(
            client,  # type: ignore[arg-type]
            account=is_account,
            organizer_key="" if is_account else connection.organizer,
            now=self.clock.now,
            admits=lambda key: not skips(key),
        )
        meetings = [kind(client, readers) for kind in (MeetingSource, MeetingSessionSource)]  # type: ignore[arg-type]
        attendees = MeetingAttendeeSource(client)  # type: ignore[arg-type]
        starts = [kind(client, readers) for kind in (WebinarStartSource, MeetingStartSource)]  # type: ignore[arg-type]
        sources: list[Any] = [webinars, registrants, sessions, participants, *meetings, attendees, *starts]
        if not self.roster.connection(name).organizer_key:
            self.roster.put_connection(ConnectionState(name, organizer_key=connection.organizer))
        self.engine.links[name] = Link(
            name=name,
            sources={source.kind: source for source in sources if PRODUCT[source.kind] in connection.products},
            start=connection.start,
            past=connection.past,
            future=connection.future,
            skips=skips,
            enrich=connection.enrich,
            details={"participant": Answers(client)} if connection.answers else {},  # type: ignore[arg-type]
            login=object(),
        )

    def _membership(self) -> Membership:
        return Membership(
            connections=lambda: [
                name for name in self.connections if name not in self.paused and name not in self.listener.refusals
            ],
            roots=self._roots,
            wants=self._wants,
            client_of=lambda name: "client",
            quota_of=lambda client: self.quota,
            spent=lambda client: [],
            cost=lambda target: 1,
            delay=lambda name, kind: self.delays.get(name, 0.0),
            settle=lambda name: self.settle,
        )

    def _roots(self, name: str) -> list[Scope]:
        kinds = self.engine.links[name].sources
        return self.routing.wanted(name, [root for root in ROOTS if root.kind in kinds])

    def _wants(self, target: Target) -> bool:
        if target.organizer_key in self.paused_organizers:
            return False
        return self.routing.wants(target, self.roster.holders(hold_of(target.scope)))

    # ── polling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def walk(self, connection: str = "acme", **how: Any) -> Polled:
        """Poll the webinar list of one connection."""
        target = self.roster.target(connection, WEBINARS) or Target(connection, WEBINARS)
        self.roster.put(target)
        return await self.engine.poll(target, **how)

    async def look(self, webinar: str, connection: str = "acme", **how: Any) -> Polled:
        """Poll the registrants of one webinar."""
        return await self.engine.poll(self.target(webinar, connection), **how)

    async def sweep(self, times: int = 1) -> list[Exception]:
        """Poll everything that is to be polled, webinars first."""
        problems: list[Exception] = []
        for _ in range(times):
            problems += (await self.scheduler.once()).errors
        return problems

    async def settled(self) -> None:
        """Look as often as it takes until every doubt about something missing is settled, and a long list was read to
        its end."""
        for _ in range(GLANCES + 2):
            await self.sweep()
            await self.clock.advance(600)

    def target(self, webinar: str, connection: str = "acme") -> Target:
        target = self.roster.target(connection, Scope("registrant", webinar))
        assert target is not None, "the webinar has not been found by this connection"
        return target

    def holds(self, webinar: str, connection: str = "acme") -> bool:
        return self.roster.target(connection, Scope("registrant", webinar)) is not None

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    async def stored(self) -> list[StoredEvent]:
        return await self.store.events(Select(limit=1_000_000))

    async def events(self, *types: str) -> list[Event]:
        """All events, or those of some short types, in order."""
        found = [event for event in await self.stored() if not types or short_type(event.type) in types]
        return [msgspec.json.decode(event.body) for event in found]

    async def news(self) -> list[tuple[str, str]]:
        """Type and last key of the subject of every event, in order."""
        return [(short_type(e["type"]), e["subject"].rpartition("/")[2]) for e in await self.events()]

    async def owed(self, sink: str = "crm", states: Collection[str] = ("pending",)) -> list[str]:
        """The ids of a sink's deliveries in these states."""
        found = await self.store.deliveries(Select(sink=sink, limit=1_000_000), states)
        return [view.id for view in found]

    async def deliver(self, *inboxes: Inbox) -> None:
        """One attempt for everything that is due."""
        dispatcher = Dispatcher(self.store, inboxes, self.clock, Random(7))
        await dispatcher.once()
        await dispatcher.drain(0)


@asynccontextmanager
async def house(goto: Goto, clock: FakeClock, *connections: Connection, **options: Any) -> AsyncIterator[House]:
    made = await House(goto, clock, *connections, **options).open()
    try:
        yield made
    finally:
        await made.close()


async def begun(goto: Goto, clock: FakeClock, *connections: Connection, **options: Any) -> House:
    """A house whose baseline is taken."""
    made = await House(goto, clock, *connections, **options).open()
    problems = await made.sweep()
    assert not problems, problems
    return made


async def known(goto: Goto, home: House, people: int = 1, **fields: Any) -> tuple[str, list[str]]:
    """A webinar with registrants, all of it told before."""
    webinar = goto.webinar(**fields)
    keys = [goto.register(webinar) for _ in range(people)]
    await home.sweep()
    assert len(await home.events()) == 1 + people
    return webinar, keys


async def after(home: House) -> list[tuple[str, str]]:
    """What was told beside the first `created` and `added`."""
    return [(kind, key) for kind, key in await home.news() if not kind.endswith((".created", ".added"))]
