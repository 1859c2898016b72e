"""What Prometheus is told of a running app, gathered at the moment it asks: nothing on the main path waits for it."""

from __future__ import annotations

from importlib.metadata import version

from poller.app import App
from poller.metrics import Metrics, Standing, WindowUse
from state.store import Select

# https://prometheus.io/docs/instrumenting/exposition_formats/
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Events that one answer reads from the log at most; after a large backfill the next answers catch up.
MOST_EVENTS = 10_000


class Exposition:
    """Make one with `begin` before the app runs; then `render` whenever somebody asks."""

    def __init__(self, app: App, metrics: Metrics, told: int) -> None:
        self._app = app
        self._metrics = metrics
        self._told = told  # sequence of the last event that was counted

    @classmethod
    async def begin(cls, app: App) -> Exposition:
        """Count from now on. Raises UsageError if the extra `metrics` is not installed."""
        metrics = Metrics(version("goto-poller"))
        app.watch.hearers.append(metrics)
        return cls(app, metrics, await app.store.last_sequence())

    async def render(self) -> bytes:
        """The text format, of `CONTENT_TYPE`. Raises StateUnavailable while the state cannot be read."""
        await self._count_events()
        self._metrics.show(await self._standing())
        return self._metrics.render()

    async def _count_events(self) -> None:
        page = Select(after=self._told, limit=MOST_EVENTS)
        for event in await self._app.store.events(page):
            if event.sequence > self._told:  # two answers may be made side by side
                self._metrics.tell(event)
                self._told = event.sequence

    async def _standing(self) -> Standing:
        app = self._app
        return Standing(
            now=app.clock.now().timestamp(),
            outlooks=app.scheduler.outlooks,
            connections={name: app.roster.connection(name).status == "active" for name in app.connected},
            windows=[
                WindowUse(client, view.name, view.used, view.limit)
                for client in sorted({connected.client_id for connected in app.connected.values()})
                for view in app.limiters[client].peek()
            ],
            backlog=await app.store.backlog(delivered=False),
            sinks=app.dispatcher.states(),
            failing=app.watch.failing,
        )
