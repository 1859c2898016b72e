"""The engine inside another program: `async with Poller(settings) as engine`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from poller.admin import Admin
from poller.app import App
from poller.consumers import Consumer
from poller.errors import UsageError
from poller.fields import FieldError
from poller.inbox import Inbox, Reading
from poller.log import quiet
from poller.settings import Settings
from poller.settings.event_types import pattern as short_pattern
from poller.sinks.base import SinkContext
from poller.sinks.function import FunctionSettings, FunctionSink, is_coroutine

Handler = TypeVar("Handler", bound=Callable[[dict[str, Any]], Awaitable[object]])
Value = TypeVar("Value")


class Poller:
    """Owns the state from entering to leaving; polls from the moment somebody listens or `run` is called.

    Consumers are durable by their name: what appears while the program is down reaches them after its next start,
    provided they had been registered once. Entering raises UsageError and the StateErrors.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: App | None = None
        self._running: asyncio.Task[None] | None = None
        self._handlers: list[tuple[str, str, Callable[[dict[str, Any]], Awaitable[object]]]] = []
        self._inboxes: dict[str, Inbox] = {}

    async def __aenter__(self) -> Self:
        if self._app is not None:
            raise UsageError("the engine is open already: enter it once, and share what `async with` gives")
        quiet()
        self._inboxes = {}  # those of an earlier time may belong to a loop of asyncio's that is closed
        self._app = await App.open(self._settings)
        try:
            for name, pattern, call in self._handlers:
                await self._add_handler(name, pattern, call)
            for name, types in (await self._app.store.consumers()).items():
                if name not in self._app.outlets.consumers:  # its loop may begin at any time
                    await self._add_inbox(name, types)
        except BaseException:
            await self._app.close()
            self._app = None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._app is not None
        try:
            if self._running is not None:
                await asyncio.sleep(0)  # loops that were left just now say so in the next turn
                for name, inbox in self._inboxes.items():
                    if not inbox.readings:  # what it was offered nobody will take: no grace is worth it
                        await self._app.dispatcher.remove(name, 0.0)
            self._app.stop()
            if self._running is not None:
                await self._running
        finally:
            await self._app.close()
            self._app, self._running = None, None

    def on(self, pattern: str, *, name: str) -> Callable[[Handler], Handler]:
        """Register a coroutine for events of a type (`registrant.*`); to be used before entering.

        It is retried like any sink when it raises; poller.errors.Refused makes an event a dead letter at once.
        """

        (wanted,) = _patterns(f'handler "{name}"', pattern)
        if not name:
            raise UsageError("a handler needs a name, which is its identity across restarts")

        def register(call: Handler) -> Handler:
            if not is_coroutine(call):
                raise UsageError(f'handler "{name}": {_name_of(call)} is not a coroutine function (async def)')
            if self._app is not None:
                raise UsageError(f'handler "{name}": register handlers before `async with`')
            if name in {known for known, _, _ in self._handlers}:
                raise UsageError(f'handler "{name}": the name is taken; it is the handler\'s identity across restarts')
            self._handlers.append((name, wanted, call))
            return call

        return register

    async def _add_handler(self, name: str, pattern: str, call: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        app = self._opened()
        settings = FunctionSettings(name=name, type="function", call=_name_of(call))
        sink = FunctionSink(settings, SinkContext(clock=app.clock, random=app.random, base=Path.cwd()), call)
        await app.outlets.add_consumer(Consumer(sink, (pattern,)))

    def events(self, name: str, types: Sequence[str] = ("*",)) -> Events:
        """CloudEvents for the durable consumer `name`; each is acknowledged when the loop comes back for the next.

        The first step raises UsageError for a name or a type that cannot be, and any step what ended the engine.
        """
        return Events(self, name, types)

    async def read(self, name: str, types: Sequence[str]) -> tuple[Reading, asyncio.Task[None]]:
        """What a loop goes by: the events of a consumer, and the engine that has to run for them to come."""
        known, wanted = self._opened().outlets.consumers.get(name), _patterns(f'consumer "{name}"', types)
        if not name:
            raise UsageError("a consumer needs a name, which is its identity across restarts")
        if known is not None and name not in self._inboxes:
            raise UsageError(f'consumer "{name}": a handler has that name; give the consumer another one')
        if known is None or known.types != wanted:
            await self._add_inbox(name, wanted)
        self.start()
        assert self._running is not None
        return Reading(self._inboxes[name]), self._running

    async def _add_inbox(self, name: str, types: Sequence[str]) -> None:
        inbox = self._inboxes.setdefault(name, Inbox(name))
        await self._opened().outlets.add_consumer(Consumer(inbox, tuple(types)))

    def start(self) -> None:
        """Begin to poll and deliver; harmless when already begun."""
        if self._running is None:
            self._running = asyncio.create_task(self._opened().run(), name="goto-poller")

    async def run(self) -> None:
        """Poll and deliver until cancelled: for programs that only have handlers and sinks."""
        self.start()
        assert self._running is not None
        await asyncio.shield(self._running)

    async def sync(self, connection: str | None = None, webinar: str | None = None) -> dict[str, Any]:
        """Check now; returns after the commit with counts. Raises what ended the engine before."""
        self.start()
        assert self._running is not None
        admin = Admin(self._opened(), lambda: self._settings, running=True)
        checked = await _ended(admin.sync(connection, webinar, wait=True), self._running)
        if checked.cancelled():
            raise UsageError("the engine was left while it checked")
        result: dict[str, Any] = checked.result()
        return result

    def _opened(self) -> App:
        if self._app is None:
            raise UsageError("the engine is not open: use it inside `async with Poller(settings) as engine`")
        return self._app


async def _ended(work: Coroutine[Any, Any, Value], running: asyncio.Task[None]) -> asyncio.Future[Value]:
    """What only a running engine can bring to its end: done, or cancelled where the engine was left before.

    Raises what else ended the engine.
    """
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.wait({doing, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not doing.done():  # left behind it would take the next event, for nobody
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
    if doing.cancelled():
        await asyncio.shield(running)
    return doing


def _patterns(whose: str, types: str | Sequence[str]) -> tuple[str, ...]:
    """Short patterns. Raises UsageError for what no event could ever match: nothing would come, for ever."""
    try:
        return tuple(map(short_pattern, [types] if isinstance(types, str) else types))
    except FieldError as error:
        raise UsageError(f"{whose}: {error}") from error


def _name_of(call: Callable[..., object]) -> str:
    """As the setting `call` has it; partial functions and objects that can be called have no name of their own."""
    named = call if hasattr(call, "__name__") else type(call)
    return f"{named.__module__}:{re.sub(r'[^.0-9A-Za-z_]', '_', named.__name__)}"


class Events:
    """A loop over a consumer's events. No generator: a loop that was left by `break` is noticed at once.

    A new loop over the same object begins with the event that the one before was left at.
    """

    def __init__(self, engine: Poller, name: str, types: Sequence[str]) -> None:
        self._engine, self._name, self._types = engine, name, types
        self._reading: Reading | None = None
        self._running: asyncio.Task[None] | None = None

    def __aiter__(self) -> Self:
        self._leave()
        return self

    async def __anext__(self) -> dict[str, Any]:
        if self._reading is None or self._running is None:
            self._reading, self._running = await self._engine.read(self._name, self._types)
        self._reading.acknowledge()
        try:
            following = await _ended(self._reading.next(), self._running)
        except asyncio.CancelledError:
            self._leave()  # an event that has come at this very moment was seen by nobody
            raise
        if following.cancelled():
            raise StopAsyncIteration
        return following.result()

    async def aclose(self) -> None:
        """Give the event in hand back now, as `contextlib.aclosing` does it."""
        self._leave()

    def _leave(self) -> None:
        if self._reading is not None:
            self._reading.leave()
            self._reading = None
