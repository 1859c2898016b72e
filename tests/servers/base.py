"""Programs of other people's, started on free ports, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

HOST = "127.0.0.1"
_STARTS = 10
_FIRST, _LAST = 15_000, 30_000  # below the ports that the system gives to connections and to who asks for any port
PATIENCE = 60.0  # seconds for a server to come up: RabbitMQ takes ten on a busy machine


def lacking(reason: str) -> None:
    """Skip this test, or fail it where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI nothing may be missing")
    pytest.skip(reason)


_given: set[int] = set()


def free_port() -> int:
    """One that nobody takes before it is listened at, nor while a server is down: every test worker has ports of its
    own, and gives each of them once."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    chance = random.SystemRandom()  # a seed that a test sets must not lead two of them to one port
    for _ in range(1000):
        port = chance.randrange(_FIRST + worker, _LAST, workers)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError("no port is free")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


class OwnServer(ABC):
    """A server of this test's own. What it has acknowledged survives `kill` and `start`."""

    program: str  # what has to be installed

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def find(cls) -> str:
        """Where the program is; skips (in CI: fails) without it."""
        found = shutil.which(cls.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found is None:
            lacking(f"{cls.program} is not installed")
        assert found is not None
        return found

    @abstractmethod
    def command(self) -> Sequence[str]: ...

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    async def prepare(self) -> None:
        """Whatever comes before the first start."""
        self.folder.mkdir(parents=True, exist_ok=True)

    async def ready(self) -> bool:
        """Whether it serves; asked again until it does."""
        return answers(self.port)

    async def start(self) -> None:
        """Until it serves. What a killed one has left, its port or shared memory, may need a moment to go."""
        async with asyncio.timeout(PATIENCE):
            for _ in range(_STARTS):
                if await self._started():
                    return
                await asyncio.sleep(0.5)
        raise AssertionError(f"{self.program} ends as soon as it is started")

    async def _started(self) -> bool:
        process = self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            cwd=self.folder,
            env=self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        while not await self.ready():
            if process.returncode is not None:
                return False
            await asyncio.sleep(0.05)
        return True

    async def stop(self) -> None:
        """SIGTERM; returns when it has ended by itself."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            async with asyncio.timeout(PATIENCE):
                await process.wait()

    async def kill(self) -> None:
        """SIGKILL to it and its children; returns when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OwnServer]:
        self.find()
        await self.prepare()
        try:
            await self.start()
            yield self
        finally:
            await self.kill()
