"""The contract of sinks, kept by those that need no server of someone else's."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from poller.errors import Refused
from poller.ports import Sink
from poller.sinks.base import SinkContext
from poller.sinks.file import FileSettings, FileSink
from poller.sinks.function import FunctionSettings, FunctionSink
from poller.sinks.stdout import StdoutSettings, StdoutSink
from poller.sinks.webhook import WebhookSettings, WebhookSink
from poller.testing.sinks import Bench, SinkContract
from tests.integration.receiver import Receiver, receiver


class FileBench(Bench):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self._aside = folder / "aside"

    def sink(self) -> Sink:
        return FileSink(FileSettings(name="log", type="file", path=self.path), SinkContext())

    async def received(self) -> list[str]:
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        return [json.loads(line)["id"] for line in lines]

    async def cut(self) -> None:
        if self.path.exists():
            self.path.rename(self._aside)
        self.path.mkdir()

    async def mend(self) -> None:
        self.path.rmdir()
        if self._aside.exists():
            self._aside.rename(self.path)


class TestFile(SinkContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        return FileBench(tmp_path)


class _Pipe(io.BytesIO):
    broken = False

    def flush(self) -> None:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")

    def write(self, data: Any) -> int:
        return 0 if self.broken else super().write(data)


class StdoutBench(Bench):
    def __init__(self) -> None:
        self.pipe = _Pipe()

    def sink(self) -> Sink:
        return StdoutSink(StdoutSettings(name="out", type="stdout"), SinkContext(stdout=self.pipe))

    async def received(self) -> list[str]:
        return [json.loads(line)["id"] for line in self.pipe.getvalue().splitlines()]

    async def cut(self) -> None:
        self.pipe.broken = True

    async def mend(self) -> None:
        self.pipe.broken = False


class TestStdout(SinkContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return StdoutBench()


class FunctionBench(Bench):
    check_notices = False

    def __init__(self) -> None:
        self.got: list[str] = []
        self.refused: set[str] = set()
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    def sink(self) -> Sink:
        return FunctionSink(FunctionSettings(name="f", type="function", call="bench:take"), SinkContext(), self.take)

    async def take(self, event: dict[str, Any]) -> None:
        await self.gate.wait()
        if self.down:
            raise ConnectionError
        if event["id"] in self.refused:
            raise Refused("not this one")
        self.got.append(event["id"])

    async def received(self) -> list[str]:
        return self.got

    async def cut(self) -> None:
        self.down = True

    async def mend(self) -> None:
        self.down = False

    async def stall(self) -> None:
        self.gate.clear()

    async def unstall(self) -> None:
        self.gate.set()

    async def refuse(self, id_: str) -> None:
        self.refused.add(id_)


class TestFunction(SinkContract):
    @pytest.fixture
    async def bench(self) -> Bench:
        return FunctionBench()


class WebhookBench(Bench):
    check_notices = False  # any answer will do
    server: Receiver

    def __init__(self) -> None:
        self.got: list[str] = []
        self.refused: set[str] = set()
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()

    def sink(self) -> Sink:
        settings = WebhookSettings(name="crm", type="webhook", url=self.server.url, allow_private=True)
        return WebhookSink(settings, SinkContext())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        id_ = request.headers.get("webhook-id", "")
        await self.gate.wait()
        status = 422 if id_ in self.refused else self.status
        if id_ and status == 200:
            self.got.append(id_)
        return web.Response(status=status)

    async def received(self) -> list[str]:
        return self.got

    async def cut(self) -> None:
        self.status = 503

    async def mend(self) -> None:
        self.status = 200

    async def stall(self) -> None:
        self.gate.clear()

    async def unstall(self) -> None:
        self.gate.set()

    async def refuse(self, id_: str) -> None:
        self.refused.add(id_)


class TestWebhook(SinkContract):
    @pytest.fixture
    async def bench(self) -> AsyncIterator[Bench]:
        bench = WebhookBench()
        async with receiver(bench.answer) as bench.server:
            yield bench
