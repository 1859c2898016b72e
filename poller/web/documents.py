"""What the surface says about itself, for programs: its description, the Power Automate connector, and the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from poller.errors import UsageError
from poller.web import connector, openapi
from poller.web.handling import Handlers
from poller.web.problems import Problem
from poller.web.pull import answer
from poller.web.routes import Route


class Documents:
    """`routes` are those that are served. `metrics` gives the text of Prometheus with its media type, and raises
    UsageError where there is none."""

    def __init__(
        self,
        version: str,
        routes: Callable[[], Sequence[Route]],
        base_url: Callable[[web.Request], str],
        metrics: Callable[[], Awaitable[tuple[bytes, str]]],
    ) -> None:
        self._version = version
        self._routes = routes
        self._base_url = base_url
        self._metrics = metrics

    def handlers(self) -> Handlers:
        yield "getOpenApi", self.description
        yield "getConnectorDefinition", self.definition
        yield "getConnectorProperties", self.properties
        yield "getMetrics", self.metrics

    async def description(self, request: web.Request) -> web.Response:
        return answer(openapi.document(self._base_url(request), self._version, self._routes()))

    async def definition(self, request: web.Request) -> web.Response:
        return answer(connector.definition(self._base_url(request), self._version))

    async def properties(self, request: web.Request) -> web.Response:
        return answer(connector.properties())

    async def metrics(self, request: web.Request) -> web.Response:
        try:
            body, media = await self._metrics()
        except UsageError as error:
            raise Problem(404, str(error)) from error
        return web.Response(body=body, headers={"Content-Type": media})
