"""The contract of sinks, kept by `notify` with a service that takes JSON over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from poller.fields import Secret
from poller.ports import Sink
from poller.sinks.base import SinkContext
from poller.sinks.notify import NotifySettings, NotifySink
from poller.testing.relay import Relay
from poller.testing.sinks import PATIENCE, Bench, SinkContract
from tests.integration.receiver import receiver

# While apprise loads its plugins, one of them imports a module that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class NotifyBench(Bench):
    check_notices = False  # only a message would show it

    def __init__(self) -> None:
        self.relay: Relay
        self.made: list[Sink] = []
        self._got: list[str] = []

    def sink(self, path: str = "hook") -> Sink:
        url = Secret(f"json://{self.relay.host}:{self.relay.port}/{path}")
        settings = NotifySettings(name="people", type="notify", urls=(url,), body="{{ id }}")
        self.made.append(NotifySink(settings, SinkContext()))
        return self.made[-1]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path != "/hook":
            return web.Response(status=404)
        self._got.append(json.loads(await request.read())["message"])
        return web.Response()

    async def received(self) -> list[str]:
        return self._got

    async def cut(self) -> None:
        await self.relay.cut()

    async def mend(self) -> None:
        await self.relay.mend()

    async def stall(self) -> None:
        await self.relay.stall()

    async def unstall(self) -> None:
        """What was held back is thrown away: passed on late, it would be a message of a send that is long over."""
        await self.relay.cut()
        await self.relay.mend()

    def stranger(self) -> tuple[Sink, str]:
        pytest.skip("a check shows nothing of a service; wrong credentials are in the integration tests")

    def astray(self) -> Sink:
        return self.sink("nowhere")

    async def refuse(self, id_: str) -> None:
        pytest.skip("the answer of apprise is yes or no: a refusal is a failure that may pass")


async def ended(thread_name: str) -> None:
    """Wait for threads that still make a call of a sink that is closed by now: they end after it."""
    for thread in threading.enumerate():
        if thread.name == thread_name:
            await asyncio.to_thread(thread.join, PATIENCE)
            assert not thread.is_alive()


class TestNotify(SinkContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = NotifyBench()
        async with receiver(bench.answer) as service:
            port = int(service.url.split(":")[2].partition("/")[0])
            async with Relay("127.0.0.1", port).serve() as bench.relay:
                yield bench
                for sink in bench.made:
                    await sink.close()
                await ended("sink people")
