"""The composition root: settings become a running engine. The only place where everything meets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import structlog

from poller.announcing import Announcer
from poller.callback import Callback
from poller.clock import SystemClock
from poller.connecting import (
    Connected,
    Limiters,
    SealedTokens,
    connect,
    limits_of,
    oauth_client,
    transport_settings,
    wiring_of,
)
from poller.dispatcher import Dispatcher
from poller.engine import Engine
from poller.errors import PermissionRefused, Reauthorize, UsageError
from poller.goto import Transport
from poller.guard import Guard, Polling
from poller.heartbeat import pinger
from poller.logins import Logins, Wiring
from poller.maintenance import Maintenance, cancelled, notify
from poller.membership import Membership
from poller.outlets import Outlets
from poller.overview import overview
from poller.passes import Pass
from poller.ports import Clock, Sink
from poller.rates import Experience
from poller.roster import WEBINARS, Roster, hold_of
from poller.rotation import pace_of, quota_of, roots_of
from poller.routing import Routing
from poller.samples import misfits
from poller.scheduler import Scheduler
from poller.settings import Settings, changed, restart_required
from poller.settings.event_types import BY_NAME, FACTS
from poller.sinks.base import SinkContext
from poller.sinks.registry import build_sink
from poller.sources import OPERATION_OF, calls_of
from poller.switches import Switches
from poller.vault import Forgotten, Vault, open_vault
from poller.watch import Watch
from poller.web.bell import Bell
from state.failpoints import hit
from state.records import Target
from state.sqlite import MEMORY, SqliteStore


class App:
    """Everything that lives, wired. `open`, then `run` (or `once`), then `close`."""

    def __init__(
        self,
        settings: Settings,
        store: SqliteStore,
        vault: Vault,
        clock: Clock,
        random: Random,
        context: SinkContext,
        *,
        key_lost: bool = False,
    ) -> None:
        self.settings = settings
        self.store = store
        self.vault = vault
        self.clock = clock
        self.random = random
        self.context = context
        self.log = structlog.get_logger("poller")
        self.roster = Roster()
        self.connected: dict[str, Connected] = {}
        self.watch = Watch(
            lambda *refusal: self.logins.refuse(*refusal), self._sink_changed, self._in_maintenance, self._denied
        )
        self.transport = Transport(transport_settings(settings), self.watch.called)
        self.tokens = SealedTokens(store, vault, key_lost=key_lost)
        self.limiters = Limiters(store, clock, random)
        self.bell = Bell()
        self.forgotten = Forgotten(vault)
        self.dispatcher = Dispatcher(store, self._build_sinks(settings), clock, random, self.watch.observe)
        self.outlets = Outlets(store, vault, context, self.dispatcher, lambda: self.settings, self._reroute)
        self.routing = Routing(self.outlets.triggers(settings, self.warn_of_condition))
        self.experience = Experience()
        self.engine = Engine(
            store, self.roster, self.routing, clock, self.experience, wake=self.committed, forgotten=self.forgotten
        )
        self.scheduler = Scheduler(
            self.engine,
            self.roster,
            self.membership(self.roster),
            clock,
            random,
            self.watch,
            pace_of(settings),
            self.experience,
        )
        self.callback = Callback(store, vault, lambda: self.settings)
        self.announcer = Announcer(store, self.routing, clock, lambda: self.connected.keys(), self.committed)
        self.guard = Guard(store, clock, self.experience, self._polling(), self.announcer.announce)
        self.switches = Switches(store, self.roster, self.routing, self.engine.links, clock, self._switched)
        self.logins = Logins(store, self.roster, self.engine, self.tokens, clock, self._wiring())
        self.maintenance = Maintenance(
            store, clock, settings.engine.retention, self._is_well, pinger(settings.engine.heartbeat_url)
        )
        self._hopeless = False  # nothing has worked since the start, and nothing can without a login
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._retired: list[Transport] = []

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        state: Path | str | None = None,
        context: SinkContext | None = None,
        key_lost: bool = False,
    ) -> App:
        """Own the state and wire everything; nothing runs yet. Raises UsageError and the StateErrors.

        `key_lost`: logins that the key does not open count as none, instead of being refused.
        """
        clock, random = clock or SystemClock(), random or Random()  # noqa: S311 - jitter, no secret
        folder = settings.path.parent if settings.path is not None else Path.cwd()
        context = context or SinkContext(clock=clock, random=random, base=folder)
        path = state or settings.engine.state
        store = await SqliteStore.open(path, now=lambda: clock.now().timestamp())
        app: App | None = None
        try:
            key = settings.engine.key.reveal() if settings.engine.key is not None else None
            vault = open_vault(key, None if str(path) == MEMORY else Path(path))
            app = cls(settings, store, vault, clock, random, context, key_lost=key_lost)
            await app._load()
        except BaseException:
            if app is not None:
                await app.transport.close()
            await store.close()
            raise
        return app

    async def _load(self) -> None:
        """What the state knows becomes what the process knows."""
        for state in await self.store.connections():
            self.roster.put_connection(state)
        for target in await self.store.targets():
            self.roster.put(target)
        self.forgotten.people = await self.store.forgotten()
        await self.switches.load()
        await self.guard.recall()
        await self.callback.load()
        self._use(await self._made(self.settings, self.transport))
        await self.outlets.load()
        for connected in self.connected.values():
            await self.tokens.load(connected.name)  # a wrong key must be said now, not at the first poll

    async def _made(self, settings: Settings, transport: Transport, anew: str = "") -> dict[str, Connected]:
        """The active connections, wired. Those that nothing has changed for stay as they are, except `anew`."""
        made = {}
        active = [connection for connection in settings.connections if connection.active]
        clients = [oauth_client(settings, connection).client_id for connection in active]  # refuse before any change
        for connection, client_id in zip(active, clients, strict=True):
            limiter = await self.limiters.get(client_id, limits_of(settings))
            known = self.connected.get(connection.name)
            if known is not None and connection.name != anew:
                if known.wiring == wiring_of(settings, connection, transport, limiter):
                    made[connection.name] = known
                    continue
                # A refresh under way may bring a token that works only once: the successor has to find it stored.
                await known.authenticator.close()
            made[connection.name] = await connect(
                settings, connection, transport=transport, limiter=limiter, tokens=self.tokens, clock=self.clock
            )
        return made

    def _wiring(self) -> Wiring:
        return Wiring(
            connected=lambda: self.connected,
            link=self._link,
            rewire=self._rewire,
            changed=self.scheduler.refresh,
            announce=self.announcer.announce,
            spawn=self.spawn,
            refused=self.watch.refused,
            hopeless=self._nothing_works,
        )

    async def _rewire(self, name: str) -> None:
        self._use(await self._made(self.settings, self.transport, anew=name))

    def _use(self, connected: dict[str, Connected]) -> None:
        self.connected = connected
        self._link()

    def _link(self) -> None:
        """Hand the engine a link for every connection whose keys are known."""
        now = self.clock.now()
        for name, connected in self.connected.items():
            state = self.roster.connection(name)
            if not state.organizer_key and connected.settings.organizer_key and not connected.settings.account:
                state = replace(state, organizer_key=connected.settings.organizer_key)
                self.roster.put_connection(state)
            if state.organizer_key:
                self.engine.links[name] = connected.link(state, now, partial(self.switches.is_paused, "organizer"))
        for name in self.engine.links.keys() - self.connected.keys():
            del self.engine.links[name]

    def _reroute(self) -> None:
        """Consumers or subscriptions came or went: events go to other sinks, and other webinars may be worth polls."""
        self.routing.triggers = self.outlets.triggers(self.settings, self.warn_of_condition)
        self.scheduler.refresh()

    def committed(self, sinks: Collection[str]) -> None:
        """Let everybody know who may have something to do now: these sinks, and those who follow the log."""
        self.dispatcher.wake(sinks)
        self.bell.ring()

    def warn_of_condition(self, trigger: str, reason: str) -> None:
        self.log.warning("trigger.condition_failed", trigger=trigger, reason=reason)

    def _build_sinks(self, settings: Settings) -> list[Sink]:
        return [build_sink(sink, self.context) for sink in settings.sinks]

    def membership(self, roster: Roster) -> Membership:
        """Who of `roster` is polled, by the settings, triggers and pauses in force."""
        return Membership(
            connections=lambda: self._pollable(roster),
            roots=lambda name: self.routing.wanted(name, roots_of(self.connected[name].settings)),
            wants=lambda target: self._wants(roster, target),
            client_of=lambda name: self.connected[name].client_id,
            quota_of=lambda client: quota_of(self.settings),
            spent=lambda client: self.limiters[client].spent_by_hour(),
            cost=lambda target: calls_of(target, self.connected[target.connection].settings.page_above),
            delay=lambda name, kind: self.limiters[self.connected[name].client_id].delay(OPERATION_OF[kind], name),
            settle=lambda name: self.connected[name].settings.settle.total_seconds(),
            count_hint=lambda name: link.count_hint if (link := self.engine.links.get(name)) else None,
            in_maintenance=self._in_maintenance,
        )

    def _pollable(self, roster: Roster) -> Iterable[str]:
        return [
            name
            for name, connected in self.connected.items()
            if connected.settings.active
            and name in self.engine.links
            and roster.connection(name).status == "active"
            and self.pause_of(name, roster) is None
        ]

    def pause_of(self, name: str, roster: Roster) -> tuple[str, str] | None:
        """The kind and name of what keeps a connection at rest: itself, or the one organizer whose connection it is."""
        if self.switches.is_paused("connection", name):
            return "connection", name
        own, is_account = roster.connection(name).organizer_key, self.connected[name].settings.account
        return None if is_account or not self.switches.is_paused("organizer", own) else ("organizer", own)

    def _wants(self, roster: Roster, target: Target) -> bool:
        if self.switches.is_paused("organizer", target.organizer_key):
            return False
        if not self.connected[target.connection].may_read(target.scope.kind):
            return False
        return self.routing.wants(target, roster.holders(hold_of(target.scope)))

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Poll and deliver until `stop`; then let what is under way finish within the grace period.

        Raises Reauthorize if nothing has worked since the start and nothing can without a login.
        """
        self.spawn(self.logins.introduce_all(), "introductions")
        polling = self.spawn(self.scheduler.run(), "scheduler")
        delivering = self.spawn(self.dispatcher.run(), "dispatcher")
        keeping = self.spawn(self.maintenance.run(), "maintenance")
        guarding = self.spawn(self.guard.run(), "guard")
        notify("READY=1")
        self.log.info("engine.started", connections=len(self.connected), sinks=len(self.settings.sinks))
        for sink in self.dispatcher.sinks:
            for line in misfits(sink, self.routing.triggers.sends):
                self.log.warning("sink.misfit", sink=sink.name, reason=line)
        loops = (polling, delivering, keeping, guarding)
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({stopping, *loops}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancelled(stopping)
            await self._shut_down(*loops)
        for task in loops:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if self._hopeless:
            raise Reauthorize("no connection can work without a login; run `poller login NAME`")

    async def _shut_down(self, polling: asyncio.Task[None], *others: asyncio.Task[None]) -> None:
        notify("STOPPING=1")
        self.scheduler.stop()
        grace = self.settings.engine.grace.total_seconds()
        await self.dispatcher.drain(grace)
        await asyncio.wait({polling}, timeout=grace)
        for task in (*self._tasks, polling, *others):
            await cancelled(task)
        hit("shutdown")
        backlog = await self.store.backlog()
        self.log.info(
            "engine.stopped", pending={name: found.pending for name, found in backlog.items() if found.pending}
        )

    def stop(self) -> None:
        """Ask `run` to end. Before it, or twice, is harmless."""
        self.stopping.set()

    def spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        """Start a task that this app owns: it is kept, and ended with the app."""
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def once(self) -> Pass:
        """One pass over everything, then one attempt for every due delivery."""
        result = await self.poll_once()
        await self.dispatcher.once()
        return result

    async def poll_once(self, connection: str | None = None, webinar: str | None = None) -> Pass:
        """Poll what is named (or everything) once, without the loops."""
        errors = await self.introduce(connection)
        result = await self.scheduler.once(connection, webinar)
        result.errors[:0] = errors
        return result

    async def introduce(self, connection: str | None = None) -> list[Exception]:
        """Learn whose credentials this connection, or each, has; returns what keeps connections from working."""
        names = [connection] if connection is not None else list(self.connected)
        return [error for name in names if (error := await self.logins.introduce(name)) is not None]

    async def close(self) -> None:
        """Give everything back. Twice is harmless."""
        for task in list(self._tasks):
            await cancelled(task)
        await self.dispatcher.drain(0)
        for connected in self.connected.values():
            await connected.authenticator.close()
        with contextlib.suppress(Exception):  # the ledger may be unwritable now; open blocks then count as spent
            await self.limiters.close()
        for transport in (self.transport, *self._retired):
            await transport.close()
        await self.store.close()

    def _in_maintenance(self) -> bool:
        now = self.clock.now()
        return any(window.contains(now) for window in self.settings.limits.maintenance)

    def _is_well(self) -> bool:
        polled = len(self.scheduler.worth_asking())
        return polled == 0 or self.watch.failing < polled

    def _nothing_works(self) -> None:
        """If nothing has since the start, there is nothing to wait for.

        A stored access token may look good until its first use, so a poll may be what finds out. Once something has
        worked the engine stays: what is pending is delivered, what others pull is served, and a login resumes it.
        """
        if not self.watch.counts.completed:
            self._hopeless = True
            self.stop()

    # ── operational events ───────────────────────────────────────────────────────────────────────────────────────────

    async def notes(self) -> list[tuple[str, str]]:
        """What is worth knowing about how often each connection can be polled: its name, and a line."""
        shares = {name: share for name, (_, share) in self.scheduler.hints.items()}
        return (await overview(self.settings, self.store, self.clock, self.scheduler.outlooks, shares)).notes

    def _polling(self) -> Polling:
        return Polling(
            completed=self.watch.counts.completed,
            outlooks=lambda: self.scheduler.outlooks,
            listeners=lambda names: self.routing.triggers.listeners((*FACTS, *BY_NAME), names),
            in_maintenance=self._in_maintenance,
            notes=self.notes,
        )

    def _denied(self, target: Target, error: PermissionRefused | None) -> None:
        if target.scope == WEBINARS:
            self.logins.denied(target.connection, error)

    def _sink_changed(self, event: str, fields: dict[str, Any]) -> None:
        if event in ("sink.disabled", "sink.recovered"):
            name = str(fields["sink"])
            data = {key: value for key, value in fields.items() if key in ("sink", "reason", "failures")}
            self.spawn(self.announcer.announce(f"poller.{event}", f"sinks/{name}", "", data), event)

    # ── changing settings, switches and people while running ─────────────────────────────────────────────────────────

    async def reload(self, settings: Settings) -> list[str]:
        """Take changed settings; returns what changed. Nothing is sent again. Raises UsageError, and keeps the old
        ones, for what needs a restart."""
        fixed = restart_required(self.settings, settings)
        if fixed:
            raise UsageError(f"{', '.join(fixed)}: cannot change while the engine runs; restart it, or change it back")
        parts = changed(self.settings, settings)
        # All that can be refused is made before anything of the old is touched.
        sinks = self._build_sinks(settings)
        same = transport_settings(self.settings) == transport_settings(settings)
        transport = self.transport if same else Transport(transport_settings(settings), self.watch.called)
        connected = await self._made(settings, transport)
        before, self.settings = self.settings, settings
        self.routing.triggers = self.outlets.triggers(settings, self.warn_of_condition)
        await self.outlets.exchange(before, settings, sinks)
        if not same:
            self._retired.append(self.transport)
            self.transport = transport
        self._use(connected)
        self.scheduler.pace = pace_of(settings)
        self.maintenance.retention = settings.engine.retention
        self.spawn(self.logins.introduce_all(), "introductions")
        self.scheduler.refresh()
        self.log.info("settings.reloaded", changed=parts)
        return parts

    def _switched(self, kind: str, name: str, paused: bool) -> None:
        if kind == "sink":
            (self.dispatcher.pause if paused else self.dispatcher.resume)(name)
        self.scheduler.refresh()
        self.dispatcher.wake([sink.name for sink in self.dispatcher.sinks])

    async def forget(self, email: str) -> Mapping[str, int]:
        """Erase a person, and remember not to bring them back."""
        erased = await self.store.forget(self.vault.person(email), email)
        self.forgotten.people = await self.store.forgotten()
        self.bell.erase()
        return erased
