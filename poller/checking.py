"""Whether everything that the settings name can be reached: the rows of `poller check`, with one real call for each.

Only what GoTo says for good (invalid_grant, a fresh token refused, an unknown organizer) stops a connection's polls;
timeouts and server errors are reported and change nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from poller.app import App
from poller.connecting import Connected
from poller.errors import NotFound, PermissionRefused, PollerError, Reauthorize, Refused, Wait
from poller.fields import format_duration
from poller.ports import Sink
from poller.samples import misfits
from poller.settings.sections import Connection
from poller.sinks.base import SinkContext, SinkSettings
from poller.sinks.registry import build_sink
from state.errors import StateUnavailable

T = TypeVar("T")

# How long a check waits for a free call, and beyond a sink's own timeout for its answer (seconds).
PATIENCE = 30.0
GRACE = 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. `login`: what failed needs a person who logs in, and nothing else."""

    what: str  # settings | connection | sink
    name: str
    result: str  # ok | failed | skipped
    detail: str
    login: bool = False

    def as_dict(self) -> dict[str, Any]:
        fields = {"what": self.what, "name": self.name, "result": self.result, "detail": self.detail}
        return {**fields, "login": self.login}


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def check_connections(app: App) -> list[Row]:
    """A row for each, and one for each thing that is worth knowing about how often it can be polled."""
    rows = list(await asyncio.gather(*(_connection(app, connection) for connection in app.settings.connections)))
    working = {row.name for row in rows if row.result == "ok"}
    notes = [(name, line) for name, line in await app.notes() if name in working]
    return [*rows, *(Row("plan", name, "ok", line) for name, line in notes)]


async def _connection(app: App, connection: Connection) -> Row:
    name = connection.name
    if not connection.active:
        return Row("connection", name, "skipped", "active = false")
    connected = app.connected[name]
    delay = app.limiters[connected.client_id].delay("getMe", name)
    if delay > PATIENCE:
        return Row("connection", name, "skipped", f"the limits allow no call for another {_length(delay)}")
    try:
        notes = await _identity(app, connected)
        await _one_page(app, connected)
    except Reauthorize as error:
        await app.watch.refused(name, error)
        return Row("connection", name, "failed", str(error), login=True)
    except (PollerError, StateUnavailable) as error:
        return Row("connection", name, "failed", str(error))
    notes += missing_scopes(connection, connected.authenticator.scope.split())
    return Row("connection", name, "failed" if notes else "ok", "; ".join([*notes, _pace(app, connected)]))


async def _identity(app: App, connected: Connected) -> list[str]:
    """Who-am-I, and what is worth saying about it. A login that may not ask is still good for polling."""
    error = await app.logins.introduce(connected.name, ask=True)
    if isinstance(error, PermissionRefused) and app.roster.connection(connected.name).organizer_key:
        return ["whose login it is cannot be asked: the scope identity:scim.me is missing"]
    if error is not None:
        raise error
    return []


async def _one_page(app: App, connected: Connected) -> None:
    """The cheapest look at the list that polling rests on."""
    if "webinar" not in connected.settings.products:
        return
    state = app.roster.connection(connected.name)
    try:
        await connected.look(state, app.clock.now(), PATIENCE)
    except PermissionRefused as error:
        raise PermissionRefused(
            f"webinars may not be listed, so nothing is polled ({error}): the scope collab:, the product GoTo Webinar"
            " or the organizer's role is missing"
        ) from error
    except NotFound as error:
        key = state.account_key if connected.settings.account else state.organizer_key
        raise Reauthorize(f"GoTo does not know the organizer or account {key} ({error})") from error


def missing_scopes(connection: Connection, granted: Collection[str]) -> list[str]:
    """What a login does not allow, and what that switches off. GoTo may not say what is granted: then nothing."""
    needed = []
    if "webinar" in connection.products:
        needed.append(("collab:", "webinars and registrants are not polled"))
    if connection.account:
        needed.append(("identity:", "the account's organizers cannot be listed"))
    if "meeting" in connection.products:
        needed.append(("identity:", "nobody learns who attended a meeting"))
    return [f"the scope {scope} is missing: {lost}" for scope, lost in needed if granted and scope not in granted]


def _pace(app: App, connected: Connected) -> str:
    state = app.roster.connection(connected.name)
    events = app.callback.made(connected.name).events
    told = f"organizer {state.organizer_key}" + (f", woken by webhooks ({', '.join(events)})" if events else "")
    if app.switches.is_paused("connection", connected.name):
        return f"{told}; paused, `poller connections resume {connected.name}` goes on"
    app.scheduler.refresh()
    outlook = app.scheduler.outlooks.get(connected.name)
    if outlook is None:
        return f"{told}; no trigger wants anything of it"
    pace = _length(outlook.mean_interval)
    if outlook.longest > outlook.shortest * 1.05:
        pace = f"{_length(outlook.shortest)} to {_length(outlook.longest)}, {pace} on average"
    floor = app.settings.interval.total_seconds()
    slow = outlook.mean_interval > floor * 1.05
    why = f" (the limits allow no more than that, the settings ask for {_length(floor)})" if slow else ""
    delay = _length(outlook.mean_delay)
    return f"{told}; polled every {pace}{why}, news is seen after {delay} on average"


def _length(seconds: float) -> str:
    digits = 0 if seconds >= 10 else 1
    return format_duration(timedelta(seconds=round(seconds, digits)))


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def check_sinks(app: App) -> list[Row]:
    used = {name for trigger in app.settings.effective_triggers() for name in trigger.sinks}
    known = {state.name: state.disabled for state in await app.store.sink_states()}
    disabled = {**known, **{name: state.disabled for name, state in app.dispatcher.states().items() if state.disabled}}
    rows = (_sink(app, sink, sink.name in used, disabled.get(sink.name, "")) for sink in app.settings.sinks)
    return list(await asyncio.gather(*rows))


async def _sink(app: App, settings: SinkSettings, used: bool, disabled: str) -> Row:
    if not used:
        return Row("sink", settings.name, "skipped", "no trigger sends to it")
    if disabled:
        how = f"`poller sinks resume {settings.name}` tries again"
        return Row("sink", settings.name, "failed", f"it asked never to be called again ({disabled}); {how}")

    async def look(sink: Sink) -> str:
        if wrong := misfits(sink, app.routing.triggers.sends):
            raise Refused("; ".join(wrong))
        return await sink.check()

    try:
        return Row("sink", settings.name, "ok", await reached(settings, app.context, look))
    except PollerError as error:
        return Row("sink", settings.name, "failed", str(error))


async def reached(settings: SinkSettings, context: SinkContext, use: Callable[[Sink], Awaitable[T]]) -> T:
    """Build the sink, connect, use it, close it. Raises PollerError whatever goes wrong in foreign code, too."""
    limit = settings.timeout.total_seconds() + GRACE
    try:
        async with asyncio.timeout(limit):
            sink = build_sink(settings, context)
            try:
                await sink.connect()
                return await use(sink)
            finally:
                await sink.close()
    except PollerError:
        raise
    except TimeoutError as error:
        raise Wait(str(error) or f"no answer within {limit:g} s") from error
    except Exception as error:
        raise Wait(f"{type(error).__name__}: {error}") from error
