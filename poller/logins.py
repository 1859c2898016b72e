"""Whose credentials each connection has, whether they work, and what happens when they no longer do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from poller.announcing import Announce
from poller.connecting import Connected, SealedTokens, introduced
from poller.engine import Engine
from poller.errors import PermissionRefused, PollerError, Reauthorize, UsageError
from poller.goto import TokenSet
from poller.ports import Clock
from poller.roster import ROOTS, WEBINARS, Roster
from state.errors import StateUnavailable
from state.records import ConnectionState
from state.store import PollCommit, Store

# Between two tries to learn whose credentials a connection has, in seconds; doubles up to the longest.
FIRST_RETRY = 5.0
LONGEST_RETRY = 300.0

# So many refusals of the list of webinars, one after the other, stop a connection. From then on a look at it every so
# many seconds is all that it costs, until permission is given again or somebody logs in.
DENIALS = 3
PROBE_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the logins need of whoever wires the connections."""

    connected: Callable[[], Mapping[str, Connected]]
    link: Callable[[], None]  # hand the engine a link for every connection whose keys are known
    rewire: Callable[[str], Awaitable[None]]  # build this connection anew from its stored token
    changed: Callable[[], None]  # who may be polled has changed
    announce: Announce
    spawn: Callable[[Coroutine[Any, Any, None], str], object]  # a task of the process
    refused: Callable[[str, Reauthorize], Awaitable[None]]  # report it, once for all who find out
    hopeless: Callable[[], None]  # no connection can work without a login any more


class Logins:
    def __init__(
        self, store: Store, roster: Roster, engine: Engine, tokens: SealedTokens, clock: Clock, wiring: Wiring
    ) -> None:
        self._store = store
        self._roster = roster
        self._engine = engine
        self._tokens = tokens
        self._clock = clock
        self._wiring = wiring
        self._denials: Counter[str] = Counter()
        self._probing: set[str] = set()
        self._refusing = 0  # refusals that are being written down and told of
        self._introducing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._log = structlog.get_logger("poller")

    def refused(self) -> list[str]:
        """Connections that only a login can help."""
        return [name for name in self._wiring.connected() if self._roster.connection(name).status == "unauthorized"]

    def hopeless(self) -> bool:
        """Whether no connection can work without a login."""
        names = {name for name, connected in self._wiring.connected().items() if connected.settings.active}
        return bool(names) and names <= set(self.refused())

    # ── who is it? ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def introduce_all(self) -> None:
        """Until it is known of every connection whose it is, or that it is refused."""
        async with asyncio.TaskGroup() as group:
            for name in list(self._wiring.connected()):
                group.create_task(self._introduce_patiently(name))

    async def _introduce_patiently(self, name: str) -> None:
        pause = FIRST_RETRY
        while name in self._wiring.connected() and await self.introduce(name) is not None:
            if self._roster.connection(name).status != "active":
                return
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY)

    async def introduce(self, name: str, *, keep: bool = True, ask: bool = False) -> Exception | None:
        """What keeps the connection from working, if anything. `keep=False` writes nothing but tokens.

        Whose credentials they are is asked once, and whenever the connection did not work; `ask`: now in any case.
        """
        async with self._introducing[name]:  # whoever comes second finds the first one's answer
            return await self._introduce(name, keep=keep, ask=ask)

    async def _introduce(self, name: str, *, keep: bool, ask: bool) -> Exception | None:
        connected = self._wiring.connected()[name]
        state = self._roster.connection(name)
        knows = bool(state.organizer_key) and (bool(state.account_key) or not connected.settings.account)
        if not connected.settings.active:
            return None
        try:
            if knows and state.status == "active" and not ask:
                await connected.authenticator.access_token()
            else:
                await self._learn(name, keep=keep)
        except Reauthorize as error:
            await self._wiring.refused(name, error)
            return error
        except (PollerError, StateUnavailable) as error:
            self._log.warning("connection.unknown", connection=name, error=str(error))
            if isinstance(error, UsageError):
                await self._set_status(name, "forbidden", str(error))
            return error
        return None

    async def require(self, name: str) -> None:
        """Raises what keeps the connection from working."""
        error = await self.introduce(name)
        if error is not None:
            raise error

    async def _learn(self, name: str, *, replace_it: bool = False, keep: bool = True) -> str:
        """Ask GoTo; the connection is active afterwards. Returns the organizer's key."""
        connected, before = self._wiring.connected()[name], self._roster.connection(name)
        identity = await connected.client.who_am_i()
        state = introduced(before, identity, connected.settings, replace_it=replace_it)
        if before.organizer_key not in ("", state.organizer_key) and keep:
            await self._begin_anew(state)
        self._roster.put_connection(state)
        self._wiring.link()
        if not keep:
            return state.organizer_key
        await self._store.save_connection(state)
        if before.status != "active":
            await self._wiring.announce("poller.connection.recovered", f"connections/{name}", name, {})
            self._log.info("connection.recovered", connection=name)
        self._wiring.changed()
        return state.organizer_key

    async def _begin_anew(self, state: ConnectionState) -> None:
        """Another organizer under a known name: the webinars of the former one are not this one's to miss."""
        async with contextlib.AsyncExitStack() as turns:
            for root in ROOTS:  # a walk of the former one would end as this one's baseline
                await turns.enter_async_context(self._engine.turn(state.name, root))
            held = [(state.name, target.scope) for target in self._roster.of(state.name)]
            await self._store.commit_poll(PollCommit(WEBINARS, dropped=held, connection=state))
            for name, scope in held:
                self._roster.drop(name, scope)
            self._roster.put_connection(state)
            self._wiring.link()

    # ── logging in, and being refused ────────────────────────────────────────────────────────────────────────────────

    async def log_in(self, name: str, login: TokenSet | str, *, replace_it: bool = False) -> str:
        """Use fresh tokens, or a personal access token, from now on; returns the organizer's key.

        What is refused, or belongs to another organizer (UsageError unless `replace_it`), is not kept.
        """
        async with self._introducing[name]:  # the former credentials are not refused after these were taken
            before = await self._store.load_token(name)
            try:
                await (self._tokens.save_pat(name, login) if isinstance(login, str) else self._tokens.save(name, login))
                await self._wiring.rewire(name)
                return await self._learn(name, replace_it=replace_it)
            except (PollerError, StateUnavailable):
                await (self._store.drop_token(name) if before is None else self._store.save_token(name, before))
                await self._wiring.rewire(name)
                raise

    async def refuse(self, name: str, error: Reauthorize) -> None:
        """Stop this connection, and only this one, until somebody logs in."""
        self._refusing += 1
        try:
            if self._roster.connection(name).status != "unauthorized":
                await self._set_status(name, "unauthorized", str(error))
                data = {"connection": name, "reason": str(error)}
                await self._wiring.announce("poller.connection.unauthorized", f"connections/{name}", name, data)
        finally:
            self._refusing -= 1
            if not self._refusing and self.hopeless():  # and all of them have been told of
                self._wiring.hopeless()

    # ── permission ───────────────────────────────────────────────────────────────────────────────────────────────────

    def denied(self, name: str, error: PermissionRefused | None) -> None:
        """The login works, and may not list webinars. Said again and again, it stops this connection. None: it may."""
        if error is None:
            self._denials.pop(name, None)
            return
        self._denials[name] += 1
        if self._denials[name] >= DENIALS and name not in self._probing:
            self._probing.add(name)
            self._wiring.spawn(self._forbid(name, error), f"probe {name}")

    async def _forbid(self, name: str, error: PermissionRefused) -> None:
        """Stop it; look now and then whether it may again."""
        try:
            await self._set_status(name, "forbidden", str(error))
            self._log.error("connection.forbidden", connection=name, error=str(error))
            self._wiring.changed()
            data = {"connection": name, "reason": str(error)}
            await self._wiring.announce("poller.connection.unauthorized", f"connections/{name}", name, data)
            while self._roster.connection(name).status == "forbidden" and name in self._wiring.connected():
                await self._clock.sleep(PROBE_EVERY)
                await self._probe(name)
        finally:
            self._probing.discard(name)
            self._denials.pop(name, None)

    async def _probe(self, name: str) -> None:
        connected = self._wiring.connected().get(name)
        if connected is None or self._roster.connection(name).status != "forbidden":
            return
        try:
            await connected.look(self._roster.connection(name), self._clock.now())
        except (PollerError, StateUnavailable) as error:
            self._log.info("connection.still_forbidden", connection=name, error=str(error))
        else:
            await self.introduce(name)

    async def _set_status(self, name: str, status: str, reason: str) -> None:
        state = replace(self._roster.connection(name), status=status, reason=reason)
        self._roster.put_connection(state)
        try:
            await self._store.save_connection(state)
        except StateUnavailable as error:  # the next start finds out by itself
            self._log.warning("connection.unsaved", connection=name, error=str(error))
