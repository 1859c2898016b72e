"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from aiohttp import web

from poller.web.routes import STREAM

RECONNECT: Final = 3000  # milliseconds until a client that lost its stream comes back
STALLED: Final = 30.0  # seconds that a client may leave its stream unread
BEAT: Final = b":\n\n"  # a comment, which says no more than that somebody is there

Write = Callable[[bytes], Awaitable[None]]


async def streamed(
    request: web.Request, headers: Mapping[str, str], serve: Callable[[Write], Awaitable[None]]
) -> web.StreamResponse:
    """Answer with a stream that lasts as long as `serve` writes to it and the client reads it."""
    response = web.StreamResponse(headers=headers)
    response.headers["Content-Type"] = STREAM
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
    await response.prepare(request)

    async def write(data: bytes) -> None:
        async with asyncio.timeout(STALLED):
            await response.write(data)

    with suppress(ConnectionError):
        try:
            await write(b"retry: %d\n\n" % RECONNECT)
            await serve(write)
        except TimeoutError:  # it has left its stream unread; a polite end would wait for it, too
            if request.transport is not None:
                request.transport.abort()
    return response
