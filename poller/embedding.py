"""The engine inside another program: `async with Poller(settings) as engine`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from poller.admin import Admin
from poller.app import App
from poller.consumers import Consumer
from poller.errors import UsageError
from poller.inbox import Inbox
from poller.settings import Settings
from poller.sinks.base import SinkContext
from poller.sinks.function import FunctionSettings, FunctionSink

Coroutine = TypeVar("Coroutine", bound=Callable[[dict[str, Any]], Awaitable[object]])


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
        self._app = await App.open(self._settings)
        for name, pattern, call in self._handlers:
            await self._add_handler(name, pattern, call)
        for name, types in (await self._app.store.consumers()).items():
            if name not in self._app.outlets.consumers:  # owed to from the first poll on, even before its loop begins
                await self._add_inbox(name, types)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._app is not None
        try:
            self._app.stop()
            if self._running is not None:
                await self._running
        finally:
            await self._app.close()
            self._app, self._running = None, None

    def on(self, pattern: str, *, name: str) -> Callable[[Coroutine], Coroutine]:
        """Register a coroutine for events of a type (`registrant.*`); to be used before entering.

        It is retried like any sink when it raises; poller.errors.Refused makes an event a dead letter at once.
        """

        def register(call: Coroutine) -> Coroutine:
            if self._app is not None:
                raise UsageError(f'handler "{name}": register handlers before `async with`')
            if name in {known for known, _, _ in self._handlers}:
                raise UsageError(f'handler "{name}": the name is taken; it is the handler\'s identity across restarts')
            self._handlers.append((name, pattern, call))
            return call

        return register

    async def _add_handler(self, name: str, pattern: str, call: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        app = self._opened()
        settings = FunctionSettings(name=name, type="function", call=f"{call.__module__}:{call.__name__}")
        sink = FunctionSink(settings, SinkContext(clock=app.clock, random=app.random, base=Path.cwd()), call)
        await app.outlets.add_consumer(Consumer(sink, (pattern,)))

    async def events(self, name: str, types: Sequence[str] = ("*",)) -> AsyncIterator[dict[str, Any]]:
        """CloudEvents for the durable consumer `name`; each is acknowledged when the loop comes back for the next."""
        known = self._opened().outlets.consumers.get(name)
        if known is None or known.types != tuple(types):
            await self._add_inbox(name, types)
        inbox = self._inboxes[name]
        self.start()
        assert self._running is not None
        async for event in _until_done(inbox.events(), self._running):
            yield event

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
        """Check now; returns after the commit with counts."""
        self.start()
        admin = Admin(self._opened(), lambda: self._settings, running=True)
        result: dict[str, Any] = await admin.sync(connection, webinar, wait=True)
        return result

    def _opened(self) -> App:
        if self._app is None:
            raise UsageError("the engine is not open: use it inside `async with Poller(settings) as engine`")
        return self._app


async def _until_done(
    source: AsyncIterator[dict[str, Any]], running: asyncio.Task[None]
) -> AsyncIterator[dict[str, Any]]:
    """Pass events on; when the engine ends, end too, with its error if it failed."""
    while True:
        following = asyncio.ensure_future(anext(source))
        await asyncio.wait({following, running}, return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await running
            return
        yield following.result()
