"""An app as a long-running process: with its control socket, HTTP surface and SIGHUP; and a rehearsal of one pass."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable
from pathlib import Path

from poller.admin import Admin
from poller.app import App
from poller.control import ControlServer, socket_path
from poller.dry import rehearsal
from poller.errors import PollerError
from poller.listening import Surface
from poller.scheduler import Scheduler
from poller.settings import Settings
from state.errors import StateError
from state.store import Select, StoredEvent, walk_events


async def serve(app: App, load: Callable[[], Settings], seconds: float | None = None) -> None:
    """Run the app until it is stopped, or for so many seconds. Raises Reauthorize when no connection can work."""
    _spare_the_collector()
    admin = Admin(app, load, running=True)
    control, surface = ControlServer(socket_path(Path(app.store.path)), admin), Surface(app, admin)
    timer = closing = None
    try:
        await surface.start()
        await control.start()
        closing = asyncio.create_task(_stop_with(app, surface))
        with contextlib.suppress(RuntimeError):  # only the main thread may have signal handlers
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, lambda: app.spawn(_reload(app, load), "reload"))
        timer = asyncio.create_task(_stop_after(app, seconds)) if seconds is not None else None
        await app.run()
    finally:
        if timer is not None:
            timer.cancel()
        await control.stop()
        app.stop()  # if something else than that has ended it
        await (closing or surface.stop())


async def _stop_with(app: App, surface: Surface) -> None:
    """Beside the deliveries that are under way then, so that the one grace holds for whoever reads slowly, too."""
    await app.stopping.wait()
    await surface.stop()


def _spare_the_collector() -> None:
    """The process is ours. What was imported and set up stays for good, and a poll's rows live until its commit only:
    looking through both for cycles again and again is a tenth of a first sync."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


async def _reload(app: App, load: Callable[[], Settings]) -> None:
    """A bad file is refused, and the old settings stay."""
    try:
        await app.reload(load())
    except (PollerError, StateError) as error:
        app.log.error("settings.refused", error=str(error))


async def _stop_after(app: App, seconds: float) -> None:
    until = app.clock.monotonic() + seconds
    while (left := until - app.clock.monotonic()) > 0:
        await app.clock.sleep(left)
    app.stop()


async def rehearse(app: App, tell: Callable[[StoredEvent], None]) -> list[Exception]:
    """One pass whose events are told to `tell` and to nobody else; only tokens and spent calls are kept."""
    errors = [error for name in app.connected if (error := await app.logins.introduce(name, keep=False)) is not None]
    async with rehearsal(app.store, app.roster, app.engine.links, app.routing, app.clock) as stage:
        scheduler = Scheduler(
            stage.engine,
            stage.roster,
            app.membership(stage.roster),
            app.clock,
            app.random,
            app.watch,
            app.scheduler.pace,
        )
        result = await scheduler.once()
        async for event in walk_events(stage.store, Select(after=stage.after)):
            tell(event)
    return [*errors, *result.errors]
