"""Webhook receivers that log what they got and what they answered, and misbehave as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web

HUGE = 3_000_000  # bytes of an answer that nobody should read to its end
TRICKLE_SECONDS = 8.0  # how long the body of a trickling answer takes

# What a receiver has done with an event before it misbehaves. "Taken" is what its answer or its silence means to
# itself: an answer that is lost on the way was given.
TAKEN = frozenset({"ok", "latency", "trickle", "huge", "lost"})
MISCHIEF = ("500", "503", "timeout", "reset", "trickle", "latency", "huge", "redirect", "lost")


@dataclass(frozen=True)
class Receipt:
    """One request as it arrived. `at` is a monotonic time, `answer` the behaviour that was chosen."""

    at: float
    wall: float
    headers: Mapping[str, str]
    body: bytes
    answer: str

    @property
    def taken(self) -> bool:
        return self.answer in TAKEN

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """One URL. `script` answers the next requests, then `chances` decide, then all is well."""

    name: str
    random: Random
    chances: dict[str, float] = field(default_factory=dict)
    script: deque[str] = field(default_factory=deque)
    hold_seconds: float = 3.0
    latency_seconds: float = 0.3
    headers: dict[str, str] = field(default_factory=dict)  # of answers with a status
    receipts: list[Receipt] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0
    url: str = ""
    listeners: list[asyncio.Event] = field(default_factory=list)

    def heal(self) -> None:
        self.chances.clear()
        self.script.clear()

    def choose(self) -> str:
        if self.script:
            return self.script.popleft()
        point = self.random.random()
        for name, chance in self.chances.items():
            point -= chance
            if point < 0:
                return name
        return "ok"

    @property
    def taken(self) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.taken]

    @property
    def ids(self) -> set[str]:
        """Of the events it has taken."""
        return {receipt.id for receipt in self.taken}

    async def until(self, fact: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until `fact()`; looked at again after each request."""
        listener = asyncio.Event()
        self.listeners.append(listener)
        try:
            async with asyncio.timeout(seconds):
                while not fact():
                    await listener.wait()
                    listener.clear()
        finally:
            self.listeners.remove(listener)


class Receivers:
    """All receivers of one test, on one port. `trapped` counts redirects that somebody followed."""

    def __init__(self, names: Sequence[str], random: Random) -> None:
        self.by_name = {name: Receiver(name, random) for name in names}
        self.trapped = 0
        self._closing = asyncio.Event()
        self._acts: dict[str, Callable[[web.Request, Receiver], Awaitable[web.StreamResponse]]] = {
            "timeout": self._hold,
            "reset": self._cut,
            "lost": self._cut,
            "trickle": self._trickle,
            "latency": self._late,
            "huge": self._huge,
            "redirect": self._redirect,
        }

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Receivers]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/hook/{name}", self._receive)
        app.router.add_route("*", "/trap", self._trap)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            for name, receiver in self.by_name.items():
                receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/{name}"
            yield self
        finally:
            self._closing.set()
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        receiver = self.by_name[request.match_info["name"]]
        body = await request.read()
        answer = receiver.choose()
        receiver.struck[answer] += 1
        receiver.receipts.append(Receipt(time.monotonic(), time.time(), dict(request.headers), body, answer))
        for listener in receiver.listeners:
            listener.set()
        receiver.under_way += 1
        receiver.most_under_way = max(receiver.most_under_way, receiver.under_way)
        try:
            if answer in self._acts:
                return await self._acts[answer](request, receiver)
            return web.Response(status=204 if answer == "ok" else int(answer), headers=receiver.headers)
        finally:
            receiver.under_way -= 1

    async def _hold(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        await self._pause(receiver.hold_seconds)
        return await self._cut(request, receiver)

    async def _cut(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _late(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        await self._pause(receiver.latency_seconds)
        return web.Response(status=204)

    async def _trickle(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 1000
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                await response.write(b"x")
                if await self._pause(TRICKLE_SECONDS / 20):
                    break
        return await self._cut(request, receiver)

    async def _huge(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = HUGE
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(HUGE // 100_000):
                await response.write(b"x" * 100_000)
        return response

    async def _redirect(self, request: web.Request, receiver: Receiver) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/trap"})

    async def _trap(self, request: web.Request) -> web.StreamResponse:
        self.trapped += 1
        return web.Response(status=204)

    async def _pause(self, seconds: float) -> bool:
        """True when everything is about to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()
