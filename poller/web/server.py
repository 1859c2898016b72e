"""The server itself: routes of all modules put together, and what every request and every answer have in common.

Outermost to innermost: one log line · security headers · every failure a problem document · who may ask · the handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog
from aiohttp import web

from poller.web.gate import CALLER, Gate, path_of
from poller.web.handling import TOLD, Handler
from poller.web.problems import Problem, of_library
from poller.web.routes import STREAM
from poller.web.surface import BY_NAME
from poller.web.tail import Tail, run_until_closed
from state.errors import StateError, StateUnavailable

LARGEST_BODY: Final = 1_000_000  # bytes
IDLE: Final = 75.0  # seconds that a connection may be without a request, or take to send the head of one
SHUTDOWN: Final = 2.0  # seconds for answers under way

# An answer may have set its own.
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Content-Type": "application/octet-stream",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# What cannot be read as HTTP at all is answered by the library; that strangers send such things is no news.
_UNREADABLE: Final = logging.getLogger("poller.web.unreadable")
_UNREADABLE.addHandler(logging.NullHandler())
_UNREADABLE.propagate = False


class Server:
    """`start` opens the port; `stop` ends streams and long polls first, for good. Both may be called twice.

    `explain` answers a request that has failed.
    """

    def __init__(
        self,
        handlers: Iterable[tuple[str, Handler]],
        gate: Gate,
        tail: Tail,
        explain: Callable[[web.Request, Problem], web.StreamResponse] = lambda _, problem: problem.answer(),
    ) -> None:
        self._gate = gate
        self._answer = explain
        self._tail = tail
        self._log = structlog.get_logger("poller")
        self._application = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[self._tell, self._explain, self._admit]
        )
        by_name = dict(handlers)
        self.routes = [BY_NAME[name] for name in by_name]
        self._application.add_routes([_route(name, handler) for name, handler in by_name.items()])
        self._application.on_response_prepare.append(_add_headers)
        self._application.on_shutdown.append(self._end_streams)
        self._runner: web.AppRunner | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Raises OSError if the address cannot be had."""
        if self._runner is not None:
            return
        await self._tail.open()
        runner = web.AppRunner(
            self._application,
            access_log=None,
            keepalive_timeout=IDLE,
            shutdown_timeout=SHUTDOWN,
            logger=_UNREADABLE,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._following = asyncio.create_task(run_until_closed(self._tail), name="http tail")
        self._runner = runner

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await runner.cleanup()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that are listened on; None before the start."""
        if self._runner is None or not self._runner.addresses:
            return None
        host, port, *_ = self._runner.addresses[0]
        return str(host), int(port)

    async def _end_streams(self, _: web.Application) -> None:
        self._tail.close()

    # ── around every request ─────────────────────────────────────────────────────────────────────────────────────────

    @web.middleware
    async def _tell(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """One line for each: what changes something for whoever audits, the rest for whoever looks for a fault."""
        began = asyncio.get_running_loop().time()
        response = await handler(request)
        tell = self._log.info if request.method not in ("GET", "HEAD") else self._log.debug
        if response.status in (401, 403, 429):
            tell = self._log.warning
        tell(
            "http.request",
            method=request.method,
            path=path_of(request),
            **request.get(TOLD, {}),
            status=response.status,
            caller=request.get(CALLER, "nobody"),
            address=request.remote,
            seconds=round(asyncio.get_running_loop().time() - began, 3),
        )
        return response

    @web.middleware
    async def _explain(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as found:
            problem = found
        except web.HTTPException as error:
            if error.status < 400:
                raise
            problem = of_library(error)
        except StateUnavailable:
            problem = Problem(503, "the state cannot be read or written now", headers={"Retry-After": "5"})
        except StateError as error:
            self._log.error("http.failed", path=path_of(request), error=str(error))
            problem = Problem(503, "the state cannot be used; the log says why")
        except ConnectionError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this request was cancelled, but the poll that it waits for: the engine is ending.
            problem = Problem(503, "the engine is being stopped", headers={"Retry-After": "5"})
        except Exception:
            self._log.exception("http.failed", path=path_of(request))
            problem = Problem(500, "a defect; the log says more")
        return self._answer(request, problem)

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._gate.admit(request)
        return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "goto-poller"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _route(name: str, handler: Handler) -> web.RouteDef:
    """What is served is what is described: the path and the method of the description."""
    route = BY_NAME[name]
    if route.method == "GET":
        streams = any(answer.media == STREAM for answer in route.answers)  # they never get to their end
        return web.get(route.path, handler, allow_head=not streams)
    return web.route(route.method, route.path, handler)
