"""How modules hand their handlers to the server: each under the name of the route that it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from aiohttp import web

# What a handler adds to the log's line about its request.
TOLD: Final = web.RequestKey("told", Mapping[str, str])

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Handlers = Iterator[tuple[str, Handler]]
