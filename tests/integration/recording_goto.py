"""A GoTo on loopback that answers what a test prepares, and remembers exactly what was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from poller.clock import SystemClock
from poller.goto import (
    Authenticator,
    Credentials,
    GotoClient,
    Identity,
    Limiter,
    Limits,
    TokenEndpoint,
    TokenSet,
    Transport,
)
from poller.goto.operations import Operations

OWN = Identity("55", "77")
CUT = object()  # the connection ends without an answer


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class RecordingGoto:
    """`say` what comes next; the last answer stays. An answer is JSON, (status, JSON or bytes, headers), or CUT."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: deque[Any] = field(default_factory=lambda: deque([{}]))
    silent: bool = False  # never answers

    def say(self, *answers: Any) -> None:
        self.answers = deque(answers)

    @property
    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/oauth/token":
            return web.json_response({"access_token": "A1", "expires_in": 3600})
        if request.path == "/admin/rest/v1/me":
            return web.json_response({"key": OWN.organizer_key, "accountKey": OWN.account_key})
        asked = Asked(
            request.method,
            request.raw_path.partition("?")[0],
            dict(request.query),
            dict(request.headers),
            await request.read(),
        )
        self.asked.append(asked)
        if self.silent:
            await asyncio.Event().wait()
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(asked)
        return self._respond(request, answer)

    def _respond(self, request: web.Request, answer: Any) -> web.StreamResponse:
        if answer is CUT:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, body, headers = (*answer, {})[:3] if isinstance(answer, tuple) else (200, answer, {})
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)


@contextlib.asynccontextmanager
async def recording() -> AsyncIterator[RecordingGoto]:
    goto = RecordingGoto()
    app = web.Application(client_max_size=100_000_000)
    app.router.add_route("*", "/{path:.*}", goto.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    goto.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield goto
    finally:
        await runner.cleanup()


class _Tokens:
    async def load(self, connection: str) -> TokenSet:
        return TokenSet("A0", "R0", datetime.now(UTC) + timedelta(hours=1))

    async def save(self, connection: str, tokens: TokenSet) -> None: ...


@contextlib.asynccontextmanager
async def client_of(url: str) -> AsyncIterator[GotoClient]:
    """The client library alone, without limits, before this GoTo."""
    clock = SystemClock()
    async with Transport() as transport:
        endpoint = TokenEndpoint(url, Credentials("id", "secret"), transport, clock)
        yield GotoClient(
            "acme",
            api_url=url,
            room_url=url,
            transport=transport,
            authenticator=Authenticator("acme", endpoint=endpoint, store=_Tokens(), clock=clock),
            limiter=Limiter(Limits(0, 0, 0, 0), clock=clock, rng=random.Random(1)),
            clock=clock,
        )


@contextlib.asynccontextmanager
async def operating(note: Callable[[str], None]) -> AsyncIterator[tuple[RecordingGoto, Operations]]:
    async with recording() as goto, client_of(goto.url) as client:
        yield goto, Operations(client, OWN, note=note)
