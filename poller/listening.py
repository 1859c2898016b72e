"""The HTTP surface of an app: what the engine knows and does, handed to poller.web, and the port opened."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from poller.admin import Admin
from poller.app import App
from poller.calling import call_operation, client_of, operation_named, walk_operation
from poller.errors import PollerError, UsageError
from poller.exposition import CONTENT_TYPE, Exposition
from poller.nudging import Nudging, Reach
from poller.panel import Panel
from poller.roster import MEETINGS, ROOTS, WEBINARS, hold_of
from poller.settings.event_types import pattern
from poller.triggers import BUILT_IN, Everything, Trigger
from poller.web import catalogue
from poller.web.acting import Acting
from poller.web.dashboard import Dashboard
from poller.web.documents import Documents
from poller.web.feed import Feed
from poller.web.gate import Gate, Keys
from poller.web.handling import Handlers
from poller.web.health import Condition, Health
from poller.web.operating import Operating
from poller.web.participants import Participation
from poller.web.pull import Offer, Pull
from poller.web.reading import EventLog, Eyes
from poller.web.receiver import Receiver
from poller.web.server import Server
from poller.web.subscribing import Subscribing
from poller.web.tail import HEARTBEAT, Tail
from state.records import Scope

LONGEST_WAIT: Final = 20.0  # seconds that a call of GoTo over HTTP stands in line for the limits

_ANY_HOST: Final = ("0.0.0.0", "::")  # noqa: S104 - what a listener may be bound to, not what we bind to


class Surface:
    """`start` listens where the settings say, if they do; `stop` ends it. Each may be called twice."""

    def __init__(self, app: App, admin: Admin, heartbeat: float = HEARTBEAT) -> None:
        self._app = app
        self._tail = Tail(app.store, app.bell, heartbeat)
        self._own = {
            name: Trigger(Everything(name=name, on=types), app.warn_of_condition) for name, types in BUILT_IN.items()
        }
        self._exposition: Exposition | None = None
        self._unexposed = ""  # why there are no metrics
        gate = Gate(app.clock, self._keys, self._hosts)
        self._dashboard = Dashboard(
            Panel(app, self._condition),
            admin.perform,
            gate,
            self._tail,
            asks_for_keys=lambda: any(self._keys()),
            public_url=lambda: app.settings.http.public_url,
        )
        self._server = Server(self._handlers(admin), gate, self._tail, self._dashboard.explain)

    async def start(self) -> None:
        """Raises PollerError if somebody else has the port, UsageError if no such address can be listened on.

        An address that nobody has written is no reason to stop: the engine does its work without.
        """
        http = self._app.settings.http
        if http.address is None:
            return
        try:
            await self._server.start(*http.address)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            if "listen" not in http.model_fields_set:
                self._app.log.warning("http.not_listening", listen=http.listen, reason=reason)
                return
            text = f'[http] listen = "{http.listen}": cannot be listened on ({reason}); choose another, or "" for none'
            raise (PollerError if error.errno == errno.EADDRINUSE else UsageError)(text) from error
        try:
            self._exposition = await Exposition.begin(self._app)
        except UsageError as error:
            self._unexposed = str(error)
        self._app.log.info("http.listening", url=self.url)

    async def stop(self) -> None:
        await self._server.stop()

    @property
    def url(self) -> str:
        """Where it is reached on this machine; empty while nothing listens."""
        return "" if self._server.address is None else _url(*self._server.address)

    @property
    def followers(self) -> int:
        """How many wait for news: open streams and long polls."""
        return self._tail.followers

    # ── what the modules of poller.web are lent ──────────────────────────────────────────────────────────────────────

    def _handlers(self, admin: Admin) -> Handlers:
        app = self._app
        log = EventLog(app.store, self._tail, Eyes(self._finders, self._title))
        offer = Offer(
            app.store,
            log,
            trigger=self._trigger,
            catalogue=lambda: catalogue.entries(self._triggers().items()),
            is_paused=lambda name: name in app.routing.paused,
            next_poll=self._next_poll,
            base_url=self._base_url,
        )
        yield from Health(app.store, self._condition).handlers()
        yield from Pull(offer).handlers()
        yield from Feed(app.store, log, self._tail, pattern).handlers()
        yield from Subscribing(app.outlets.subscriptions, offer, pattern).handlers()
        yield from Participation(app.store, lambda: app.settings.engine.display_timezone).handlers()
        yield from Acting(admin.perform).handlers()
        yield from Receiver(self._nudging()).handlers()
        yield from self._dashboard.handlers()
        yield from Operating(
            operation_named,
            lambda name: client_of(app, name)[0],
            partial(call_operation, app, wait_at_most=LONGEST_WAIT),
            partial(walk_operation, app, wait_at_most=LONGEST_WAIT),
            app.clock.now,
        ).handlers()
        yield from Documents(
            version("goto-poller"), lambda: self._server.routes, self._base_url, self._metrics
        ).handlers()

    def _nudging(self) -> Nudging:
        app = self._app

        def sees(name: str, organizer_key: str, account_key: str) -> bool:
            return app.connected[name].sees(app.roster.connection(name), organizer_key, account_key)

        reach = Reach(
            connections=app.membership(app.roster).connections,
            sees=sees,
            nudge=app.scheduler.nudge,
            wake=app.committed,
            forgotten=app.forgotten,
            observe=app.watch.observe,
        )
        return Nudging(app.store, app.roster, app.routing, app.clock, app.callback.terms, reach)

    async def _metrics(self) -> tuple[bytes, str]:
        if self._exposition is None:
            raise UsageError(self._unexposed)
        return await self._exposition.render(), CONTENT_TYPE

    def _keys(self) -> Keys:
        http = self._app.settings.http
        return Keys([key.reveal() for key in http.api_keys], [key.reveal() for key in http.read_only_keys])

    def _hosts(self) -> Collection[str]:
        host = urlsplit(self._app.settings.http.public_url).hostname
        return () if host is None else (host,)

    def _base_url(self, request: web.Request) -> str:
        """A listener on every address is reached at the one that the connection came to."""
        settings = self._app.settings.http
        if settings.public_url:
            return settings.public_url
        host, port = self._server.address or ("127.0.0.1", 0)
        if host in _ANY_HOST and request.transport is not None:
            host = request.transport.get_extra_info("sockname", (host,))[0]
        return _url(host, port)

    def _trigger(self, name: str) -> Trigger | None:
        return self._triggers().get(name)

    def _triggers(self) -> dict[str, Trigger]:
        """Those of the settings as they are now, and the two that are always there; a name written down wins."""
        written = [trigger.name for trigger in self._app.settings.effective_triggers()]
        found = ((name, self._app.routing.triggers.named(name)) for name in written)
        return {**self._own, **{name: trigger for name, trigger in found if trigger is not None}}

    def _finders(self, event: Mapping[str, Any]) -> Collection[str]:
        if not event["connection"]:
            return list(self._app.connected) or [""]
        return {event["connection"], *self._app.roster.holders(_held_by(event))}

    def _title(self, event: Mapping[str, Any]) -> str:
        """Of the webinar or meeting: as it is now, else as it was told."""
        data = event.get("data") or {}
        known = self._app.roster.title(_held_by(event))
        return known or str(data.get("webinarSubject") or data.get("subject") or "")

    def _next_poll(self, trigger: Trigger, webinar: str) -> float:
        """Of the webinar's registrants; else of webinar lists, or of anything, by what the trigger is about."""
        scheduler, roster = self._app.scheduler, self._app.roster
        about_people = any(trigger.hears(f"registrant.{change}") for change in ("added", "changed", "removed"))
        if webinar and about_people:
            scope = Scope("registrant", webinar)
            waits = [scheduler.due((holder, scope)) for holder in roster.holders(scope)]
        elif about_people:
            waits = [scheduler.next_due()]
        else:
            waits = [scheduler.due((name, root)) for name in self._app.connected for root in ROOTS]
        usual = self._app.settings.interval.total_seconds()
        return max(1.0, min((wait for wait in waits if wait is not None), default=usual))

    # ── how the engine is ────────────────────────────────────────────────────────────────────────────────────────────

    def _condition(self) -> Condition:
        return Condition(self._stalled(), self._down())

    def _stalled(self) -> dict[str, str]:
        """Triggers none of whose connections can bring news, or whose polls have come to nothing for too long; what a
        person has paused or switched off is left out."""
        app = self._app
        found = {
            name: f"nothing was polled for {stall.seconds:.0f} s by {', '.join(stall.connections[:5])}"
            for name, stall in app.guard.stalled.items()
        }
        polled = [
            name
            for name, connected in app.connected.items()
            if connected.settings.active and not app.switches.is_paused("connection", name)
        ]
        troubles = self._troubles(polled)
        for name, trigger in self._triggers().items():
            its = [connection for connection in polled if trigger.covers(connection, "", "")]
            if its and name not in self._own and all(connection in troubles for connection in its):
                found[name] = "; ".join(troubles[connection] for connection in its[:5])
        return found

    def _troubles(self, connections: Iterable[str]) -> dict[str, str]:
        """By connection, why it brings no news."""
        app, found = self._app, {}
        keys = app.scheduler.worth_asking()  # what waits for its moment says nothing
        polled, works = {key[0] for key in keys}, {key[0] for key in keys if not app.watch.is_failing(*key)}
        for name in connections:
            status = app.roster.connection(name).status
            if status != "active":
                found[name] = f"connection {name} is {status}"
            elif name not in app.engine.links:
                found[name] = f"connection {name} has not logged in yet"
            elif name in polled - works:
                found[name] = f"no poll of connection {name} succeeds"
        return found

    def _down(self) -> dict[str, str]:
        states = self._app.dispatcher.states().items()
        disabled = {name: "disabled by its receiver" for name, state in states if state.disabled}
        failing = {name: "failing" for name, state in states if state.failures > 1}
        return {**failing, **disabled}


def _held_by(event: Mapping[str, Any]) -> Scope:
    """By what a connection holds the webinar or meeting that an event is about."""
    root = MEETINGS if str(event["subject"]).startswith("meetings/") else WEBINARS
    return hold_of(root, str(event["partitionkey"]))


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
