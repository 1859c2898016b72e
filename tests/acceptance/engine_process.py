"""The engine as its users run it: a child process, its output kept in files, every wait bounded."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poller.control import request, socket_path
from poller.errors import PollerError
from tests.signals import send_signal

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for anything that takes one at most


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end."""

    code: int
    out: str
    err: str


@dataclass
class EngineProcess:
    """One settings file and the processes started on it, one after the other."""

    config: Path
    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    level: str = "debug"
    kills: int = 0
    starts: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def outputs(self) -> Path:
        folder = self.config.parent / "output"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self, *, failpoints: str = "") -> None:
        assert not self.running
        self.starts += 1
        self.process = await self._spawn("run", failpoints=failpoints)

    async def command(self, *arguments: str, failpoints: str = "", seconds: float = PATIENCE) -> Finished:
        """Run another `poller` command on the same settings, to its end."""
        before = self._next_number()
        process = await self._spawn(*arguments, failpoints=failpoints)
        code = await self._ended(process, seconds)
        out, err = (self.outputs / f"{before:03}.{kind}" for kind in ("out", "err"))
        return Finished(code, out.read_text(), err.read_text())

    async def kill(self) -> None:
        """SIGKILL; an engine that is gone already does not count."""
        if self.running:
            self.kills += 1
            self.signal(signal.SIGKILL)
        await self.ended()

    async def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(seconds)

    def signal(self, number: int) -> None:
        assert self.process is not None
        send_signal(self.process, number)

    async def ended(self, seconds: float = PATIENCE) -> int:
        """The exit code of the current process; negative: the signal that ended it."""
        assert self.process is not None
        return await self._ended(self.process, seconds)

    async def ask(self, command: str, *, seconds: float = PATIENCE, **arguments: Any) -> Any:
        """A request through the control socket, as the commands beside a running engine make it."""
        async with asyncio.timeout(seconds):
            return await request(socket_path(self.state), command, arguments)

    def limit_files(self, size: int | None) -> None:
        """No file of the running engine grows beyond `size` bytes: so a full disk looks. None: there is space."""
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (unlimited if size is None else size, unlimited))

    async def ready(self, seconds: float = PATIENCE) -> None:
        """Until the running engine answers at its control socket."""
        async with asyncio.timeout(seconds):
            while True:
                assert self.running, "it has ended"
                try:
                    await self.ask("live")
                except (PollerError, OSError):
                    await asyncio.sleep(0.03)
                else:
                    return

    async def discard(self) -> None:
        """Nothing of it outlives a test."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            await self.ended()

    def said(self) -> str:
        """All that any process of this settings file wrote to stdout and stderr."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.outputs.iterdir()))

    def _next_number(self) -> int:
        return len(list(self.outputs.glob("*.err")))

    async def _spawn(self, *arguments: str, failpoints: str = "") -> asyncio.subprocess.Process:
        number = self._next_number()
        command = [sys.executable, "-m", "poller", "--config", str(self.config), "--log-level", self.level, *arguments]
        paths = [self.outputs / f"{number:03}.{kind}" for kind in ("out", "err")]
        with paths[0].open("wb") as out, paths[1].open("wb") as err:
            return await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env=self._environment(failpoints),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def _environment(self, failpoints: str) -> Mapping[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("POLLER_")}
        return {**own, "PYTHONPATH": str(ROOT), "POLLER_FAILPOINTS": failpoints, **self.environment}

    async def _ended(self, process: asyncio.subprocess.Process, seconds: float) -> int:
        try:
            async with asyncio.timeout(seconds):
                return await process.wait()
        except TimeoutError:
            send_signal(process, signal.SIGKILL)
            await process.wait()
            raise
