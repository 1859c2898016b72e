"""What a person may do to an engine, running or not: the commands that change something, and the live part of `status`.

The running process serves these over its control socket; without one, a command opens the state itself and calls them
directly. Arguments and results are plain JSON values. Raises UsageError for what does not exist or makes no sense.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from poller.app import App
from poller.backfill import Backfill, Progress
from poller.calling import call_operation, operation_named, placed, walk_operation
from poller.checking import Row, check_connections, check_sinks
from poller.dry import rehearsal
from poller.engine import Engine
from poller.enrolling import Row as Enrolled
from poller.enrolling import look, subscribe, unsubscribe
from poller.errors import PermissionRefused, PollerError, Reauthorize, UsageError
from poller.goto import TokenSet
from poller.goto.operations.raw import File, Raw, Retry
from poller.poll import Polled
from poller.registering import register_people
from poller.requesting import send_raw
from poller.roster import STARTS, Roster
from poller.scheduler import NotPolled
from poller.settings import Settings, changed
from poller.settings.nearest import suggestion
from state.errors import NothingThere
from state.events import full_type
from state.store import Backlog, Select, walk_events

Result = Any

# As many dead letters as a command looks at when some are named by their ids.
MANY = 1_000_000

# How much of an answer goes through the control socket at a time: items of a list, bytes of a body.
SLICE = 200
CHUNK = 500_000


def _silent(_: Mapping[str, Any]) -> None: ...


class Admin:
    """`load` reads the settings again, for `reload`."""

    def __init__(self, app: App, load: Callable[[], Settings], *, running: bool) -> None:
        self._app = app
        self._load = load
        self._running = running

    # ── polls on demand ──────────────────────────────────────────────────────────────────────────────────────────────

    async def sync(
        self,
        connection: str | None = None,
        webinar: str | None = None,
        wait: bool = False,
        progress: Progress = _silent,
    ) -> Result:
        """Check now. With `wait`, and always without a running engine, the answer comes after the commit, counted."""
        if connection is not None:
            self._polled(connection)
        if not self._running:
            found = await self._app.poll_once(connection, webinar)
            if webinar is not None and not found.polls and not found.errors:
                raise _not_polled(webinar)
            return self._tallied(found.polls, [str(error) for error in found.errors])
        # An engine that has just started may not know yet whose its connections are.
        kept = await self._app.introduce(connection) if wait else []
        keys = self._app.scheduler.worth_asking(connection, webinar)
        if webinar is not None and not keys:
            raise _not_polled(webinar)
        if not wait:
            self._require_a_login(keys, [])
            for key in keys:
                self._app.scheduler.nudge(*key)
            return {"nudged": len(keys)}
        return await self._wait_for(connection, webinar, [str(error) for error in kept], progress)

    async def _wait_for(
        self, connection: str | None, webinar: str | None, problems: list[str], progress: Progress
    ) -> Result:
        """The connections' own lists first, then what is in them, lists that were just found included."""
        done: set[Any] = set()
        polls: list[Polled] = []
        answered = 0
        while pending := [key for key in self._app.scheduler.worth_asking(connection, webinar) if key not in done]:
            stage = [key for key in pending if key[1].is_root] or pending
            done.update(stage)
            for future in [self._app.scheduler.nudged(*key) for key in stage]:
                try:
                    polls.append(await future)
                except NotPolled:
                    pass  # whoever reads it now is found by the next look at the keys
                except PollerError as error:
                    problems.append(str(error))
                answered += 1
                progress({"done": answered, "of": len(done)})
        return self._tallied(polls, problems)

    def _tallied(self, polls: Sequence[Polled], problems: list[str]) -> Result:
        self._require_a_login(polls, problems)
        return {**_counts(polls), "problems": problems}

    def _require_a_login(self, done: Sequence[object], problems: Sequence[str]) -> None:
        """Raises Reauthorize if nothing was done because nothing can be."""
        if not done and self._app.logins.hopeless():
            raise Reauthorize("; ".join([*problems, "no connection can work without a login; run `poller login NAME`"]))

    async def backfill(
        self, connection: str, since: str, dry_run: bool = False, progress: Progress = _silent
    ) -> Result:
        """Tell history from `since` (ISO 8601, with zone) on."""
        self._polled(connection)
        await self._app.logins.require(connection)
        moment = datetime.fromisoformat(since)
        app = self._app
        if not dry_run:
            return (await self._backfill(app.engine, app.roster, connection, moment).run(progress)).as_dict()
        async with rehearsal(app.store, app.roster, app.engine.links, app.routing, app.clock) as stage:
            tally = await self._backfill(stage.engine, stage.roster, connection, moment).run(progress)
        return {**tally.as_dict(), "dry_run": True}

    def _backfill(self, engine: Engine, roster: Roster, connection: str, since: datetime) -> Backfill:
        member = self._app.membership(roster)
        roots = [root for root in member.roots(connection) if root not in STARTS]  # what is running now is no history
        clock = self._app.clock
        return Backfill(engine, roster, clock, connection, since, roots=roots, wants=member.wants)

    # ── switches ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def pause(self, kind: str, name: str, reason: str = "") -> Result:
        self._known(kind, name, self._names(kind))
        await self._app.switches.pause(kind, name, reason)
        return {"paused": name, "known": kind != "organizer" or self._app.switches.sees(name)}

    async def resume(self, kind: str, name: str) -> Result:
        """Of a trigger, `released` deliveries were held. What the settings no longer name can still be resumed."""
        paused = self._app.switches.is_paused(kind, name)
        if not paused:
            self._known(kind, name, self._names(kind))
        return {"resumed": name, "was_paused": paused, "released": await self._app.switches.resume(kind, name)}

    def _names(self, kind: str) -> Iterable[str] | None:
        """What may be named; None where the settings do not list it."""
        settings = self._app.settings
        names: dict[str, Iterable[str] | None] = {
            "connection": [connection.name for connection in settings.connections],
            "trigger": [trigger.name for trigger in settings.effective_triggers()],
            "sink": self._app.outlets.names,
            "organizer": None,
        }
        if kind not in names:
            raise UsageError(f"there is nothing of the kind {kind!r} to pause")
        return names[kind]

    def _known(self, kind: str, name: str, names: Iterable[str] | None) -> None:
        if names is None or name in (listed := list(names)):
            return
        hint = suggestion(name, listed)
        if not hint and self._running:
            hint = "; if it is new in the file, `poller reload` comes first"
        raise UsageError(f'there is no {kind} "{name}" in the settings{hint}')

    def _active(self, connection: str) -> None:
        self._known("connection", connection, self._names("connection"))
        if connection not in self._app.connected:
            raise UsageError(f'connection "{connection}" has active = false in the settings; change that first')

    def _polled(self, connection: str) -> None:
        """What appears during a pause is told on resume and as news: nothing may take it in before."""
        self._active(connection)
        if (pause := self._app.pause_of(connection, self._app.roster)) is not None:
            kind, name = pause
            raise UsageError(f'{kind} "{name}" is paused; `poller {kind}s resume {name}` comes first')

    async def reload(self) -> Result:
        return {"changed": await self._app.reload(self._load())}

    async def login(
        self, connection: str, tokens: Mapping[str, Any] | None = None, pat: str | None = None, replace: bool = False
    ) -> Result:
        """Keep the tokens of a login that a person has just made, or a personal access token; learn whose it is."""
        self._active(connection)
        login: TokenSet | str = pat or ""
        if tokens is not None:
            login = TokenSet(**{**tokens, "expires_at": datetime.fromtimestamp(tokens["expires_at"], UTC)})
        try:
            return {"organizer_key": await self._app.logins.log_in(connection, login, replace_it=replace)}
        except PermissionRefused as error:
            raise Reauthorize(f"{error}; log in with what is missing") from error

    async def check(self) -> Result:
        """Rows about every connection and sink; see poller.checking."""
        rows = [*await check_connections(self._app), *await check_sinks(self._app)]
        if self._running and (differing := changed(self._app.settings, self._load())):
            note = f"the file differs from what the engine runs with ({', '.join(differing)}); `poller reload`"
            rows.insert(0, Row("settings", "", "ok", note))
        return [row.as_dict() for row in rows]

    # ── GoTo's operations ────────────────────────────────────────────────────────────────────────────────────────────

    async def call(
        self,
        operation: str,
        connection: str | None = None,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        every: bool = False,
        page: int | None = None,
        size: int | None = None,
        yes: bool = False,
        progress: Progress = _silent,
    ) -> Result:
        """Lists come as progress, `{"items": […]}` at a time, all else as `value`. `every`: all pages of a list."""
        given, notes = dict(params or {}), list[str]()
        if every:
            if page is not None:
                raise UsageError("all pages are asked for, and one of them, too; leave one of the two out")
            paging = operation_named(operation).paging
            sized = {paging.size: size} if paging is not None else {}
            walk = walk_operation(self._app, operation, connection, {**given, **sized}, body, note=notes.append)
            async for items in walk:
                progress({"items": items})
            return {"list": True, "notes": notes}
        given = placed(operation_named(operation), given, page, size)
        outcome = await call_operation(self._app, operation, connection, given, body, yes=yes)
        if not isinstance(outcome.value, list):
            return {"list": False, "value": outcome.value, "notes": outcome.notes}
        for begin in range(0, len(outcome.value), SLICE):
            progress({"items": outcome.value[begin : begin + SLICE]})
        return {"list": True, "notes": outcome.notes}

    async def request(
        self,
        raw: Mapping[str, Any],
        connection: str | None = None,
        retry: Mapping[str, Any] | None = None,
        yes: bool = False,
        debug: bool = False,
        progress: Progress = _silent,
    ) -> Result:
        """A raw request. Its body comes as progress, `{"chunk": base64}` at a time, after lines of `{"debug": …}`."""
        files = [File(file["field"], file["name"], b64decode(file["content"])) for file in raw.get("files", ())]
        show = (lambda line: progress({"debug": line})) if debug else None
        pairs = {name: [(key, value) for key, value in raw.get(name, ())] for name in ("query", "headers", "form")}
        asked = Raw(**{**raw, **pairs, "files": files})
        answer = await send_raw(self._app, asked, connection, retry=Retry(**(retry or {})), yes=yes, debug=show)
        for begin in range(0, len(answer.body), CHUNK):
            progress({"chunk": b64encode(answer.body[begin : begin + CHUNK]).decode()})
        return {"status": answer.status}

    async def register(
        self,
        webinar: str,
        people: Sequence[Mapping[str, Any]],
        connection: str | None = None,
        progress: Progress = _silent,
    ) -> Result:
        """Register these people one after another; each comes as progress, `{"person": …}`, in their order."""
        async for person in register_people(self._app, webinar, people, connection):
            progress({"person": person})
        return {}

    # ── GoTo's webhooks ──────────────────────────────────────────────────────────────────────────────────────────────

    async def webhooks_subscribe(
        self, events: Sequence[str] = (), connection: str | None = None, new_key: bool = False
    ) -> Result:
        """Rows, one for each event of each connection; see poller.enrolling."""
        if not self._running:
            raise UsageError("GoTo looks at the address before it takes it: start the engine first (`poller run`)")
        return self._enrolled(await subscribe(self._app, events, connection, new_key=new_key))

    async def webhooks_list(self, connection: str | None = None) -> Result:
        return self._enrolled(await look(self._app, connection))

    async def webhooks_unsubscribe(self, connection: str | None = None, delete_webhooks: bool = False) -> Result:
        return self._enrolled(await unsubscribe(self._app, connection, delete_webhooks=delete_webhooks))

    def _enrolled(self, rows: Iterable[Enrolled]) -> Result:
        found = [row.as_dict() for row in rows]
        problems = [row["problem"] for row in found if row["problem"]]
        self._require_a_login([row for row in found if not row["problem"]], problems)
        return found

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def dead_retry(self, sink: str | None = None, types: Sequence[str] = (), ids: Sequence[str] = ()) -> Result:
        count = await self._app.store.revive(await self._dead(sink, types, ids))
        self._wake(sink)
        return {"retried": count}

    async def dead_drop(self, sink: str | None = None, types: Sequence[str] = (), ids: Sequence[str] = ()) -> Result:
        return {"dropped": await self._app.store.drop_dead(await self._dead(sink, types, ids))}

    async def _dead(self, sink: str | None, types: Sequence[str], ids: Sequence[str]) -> Select:
        """The selection, once it is clear that sink and ids are there: a misspelt one must not pass for done."""
        if sink is not None:
            self._known("sink", sink, {*self._app.outlets.names, *await self._app.store.backlog()})
        select = Select(sink=sink, types=_full(types), ids=ids, limit=MANY)
        if ids:
            found = {view.id for view in await self._app.store.deliveries(select, ["dead"])}
            if absent := [id_ for id_ in ids if id_ not in found]:
                raise NothingThere(f"no dead letter {', '.join(absent)} here; `poller dead list` shows all")
        return select

    async def replay(
        self, sink: str, since: float | None = None, until: float | None = None, types: Sequence[str] = ()
    ) -> Result:
        """Stored events again, with their ids: those that the triggers of now send to this sink."""
        self._known("sink", sink, self._names("sink"))
        store, chosen = self._app.store, []
        titles = {target.scope.parent: target.title for target in self._app.roster}
        async for event in walk_events(store, Select(types=_full(types), since=since, until=until)):
            title = titles.get(event.subject.split("/")[1] if "/" in event.subject else "", "")
            if any(route.sink == sink for route in self._app.routing.routes_of(event, title)):
                chosen.append(event.sequence)
        count = await store.owe(sink, chosen, self._app.clock.now().timestamp()) if chosen else 0
        self._wake(sink)
        return {"replayed": count}

    async def sinks_move(self, old: str, new: str) -> Result:
        """`had`: what both were owed or `new` was sent before, which it does not get a second time."""
        self._known("sink", new, self._names("sink"))
        if old == new:
            raise UsageError(f'"{old}" stands for both sinks; name another one to move to')
        owed = (await self._app.store.backlog()).get(old, Backlog())
        moved = await self._app.store.move_sink(old, new)
        self._app.dispatcher.wake([old, new])
        return {"moved": moved, "had": max(0, owed.pending + owed.held + owed.dead - moved)}

    async def sinks_drop(self, name: str) -> Result:
        if name in self._app.outlets.subscriptions.sinks:
            raise UsageError(f'sink "{name}" belongs to a subscription; DELETE /v1/subscriptions/ID takes it away')
        if name in (self._names("sink") or ()):
            raise UsageError(f'sink "{name}" still stands in the settings; remove it there first, then reload')
        dropped = await self._app.store.drop_sink(name)
        self._app.outlets.forget(name)
        return {"dropped": dropped}

    def _wake(self, sink: str | None) -> None:
        names = [known.name for known in self._app.dispatcher.sinks] if sink is None else [sink]
        self._app.dispatcher.wake(names)

    # ── people and the file ──────────────────────────────────────────────────────────────────────────────────────────

    async def forget(self, email: str) -> Result:
        if "@" not in email:
            raise UsageError("forget takes an e-mail address")
        erased = await self._app.forget(email)
        self._wake(None)  # nothing of it that was read ahead goes out any more
        return dict(erased)

    async def prune(self) -> Result:
        before = self._app.clock.now().timestamp() - self._app.settings.engine.retention.total_seconds()
        return dict(await self._app.store.prune(before))

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def live(self) -> Result:
        """What only the running process knows: pace, due times, windows of the limits, counters."""
        app = self._app
        return {
            "connections": sorted(app.connected),
            "outlooks": {name: asdict(outlook) for name, outlook in app.scheduler.outlooks.items()},
            "count_hints": app.scheduler.hints,
            "due": {
                f"{connection} {scope.kind} {scope.parent}".strip(): app.scheduler.due((connection, scope))
                for connection, scope in app.scheduler.polled_keys()[:500]
            },
            "limits": {
                client: [
                    {"window": view.name, "limit": view.limit, "used": view.used}
                    for view in app.limiters[client].peek()
                ]
                for client in {connected.client_id for connected in app.connected.values()}
            },
            "polls": dict(app.watch.counts.polls),
            "calls": app.watch.counts.calls,
            "deliveries": dict(app.watch.counts.deliveries),
            "webhooks": dict(app.watch.counts.webhooks),
            "failing": app.watch.failing,
        }

    COMMANDS = (
        "sync",
        "backfill",
        "pause",
        "resume",
        "reload",
        "login",
        "check",
        "call",
        "request",
        "register",
        "webhooks_subscribe",
        "webhooks_list",
        "webhooks_unsubscribe",
        "dead_retry",
        "dead_drop",
        "replay",
        "sinks_move",
        "sinks_drop",
        "forget",
        "prune",
        "live",
    )
    PROGRESSING = ("sync", "backfill", "call", "request", "register")

    async def perform(self, command: str, arguments: Mapping[str, Any], progress: Progress = _silent) -> Result:
        """Run a command by its name, as the control socket gets it."""
        if command not in self.COMMANDS:
            raise UsageError(f"the engine has no command {command!r}; it may be of another version: restart it")
        if command in self.PROGRESSING:
            arguments = {**arguments, "progress": progress}
        try:
            return await getattr(self, command)(**arguments)
        except TypeError as error:
            raise UsageError(f"{command}: wrong arguments ({error})") from error


def _not_polled(webinar: str) -> UsageError:
    return UsageError(f"webinar {webinar} is not being polled; `poller explain {webinar}` says what is known of it")


def _full(types: Iterable[str]) -> list[str]:
    """Event types may be written with or without `com.goto.`."""
    return [full_type(name) for name in types]


def _counts(polls: Iterable[Polled]) -> dict[str, int]:
    found = list(polls)
    return {
        "polls": len(found),
        "calls": sum(polled.calls for polled in found),
        "added": sum(polled.added for polled in found),
        "changed": sum(polled.changed for polled in found),
        "removed": sum(polled.removed for polled in found),
        "events": sum(polled.events for polled in found),
    }
