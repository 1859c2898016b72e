"""A dashboard with a little of everything on it, served from a thread of its own: a browser's driver blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from poller.admin import Admin
from poller.app import App
from poller.clock import ScaledClock
from poller.listening import Surface
from poller.settings import Settings
from poller.testing.events import draft
from tests.integration.looked_at import CRM_SECRET, SPEED, Known, fill

T = TypeVar("T")


class World:
    def __init__(self, app: App, surface: Surface, known: Known, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.url = surface.url
        self.known = known
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """In the thread of the engine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def tell(self, number: int, **data: Any) -> str:
        """Commit an event as a poll does; returns its id."""
        one = draft(number, **data)
        committed = await self.app.store.emit([(one, self.app.routing.routes(one, ["acme"]))])
        self.app.committed(committed.sinks)
        return one.id


@contextmanager
def dashboard_world(folder: Path, patch: pytest.MonkeyPatch, **http: Any) -> Iterator[World]:
    """`http`: settings of that table."""
    started: threading.Event = threading.Event()
    found: list[World] = []
    ended: list[asyncio.Event] = []

    async def serve() -> None:
        ended.append(asyncio.Event())
        known = await fill(folder, patch)
        for name in ("TEST_CLIENT_SECRET", "TEST_ACME_PAT", "TEST_BETA_PAT", "TEST_CRM_KEY"):
            patch.setenv(name, "secret")
        patch.setenv("TEST_CRM_SECRET", CRM_SECRET)
        settings = Settings.load(known.config)
        settings = settings.model_copy(update={"http": settings.http.model_copy(update={"listen": "127.0.0.1:0"})})
        keys = Settings.parse({"http": http}, folder).http
        settings = settings.model_copy(update={"http": keys.model_copy(update={"listen": "127.0.0.1:0"})})
        app = await App.open(settings, clock=ScaledClock(SPEED))
        surface = Surface(app, Admin(app, lambda: settings, running=True))
        try:
            await surface.start()
            found.append(World(app, surface, known, asyncio.get_running_loop()))
            started.set()
            await ended[0].wait()
        finally:
            started.set()
            await surface.stop()
            await app.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="dashboard")
    thread.start()
    try:
        assert started.wait(100) and found, "the engine did not start"
        yield found[0]
    finally:
        if found:
            found[0].run(_set(ended[0]))
        thread.join(30)


async def _set(event: asyncio.Event) -> None:
    event.set()
