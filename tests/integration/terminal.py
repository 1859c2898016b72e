"""A person at a terminal: one folder, one settings file, commands run in this process or in one of their own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner

from poller.app import App
from poller.cli import frame
from poller.cli.root import app as commands
from poller.control import request, socket_path
from poller.service import serve
from poller.settings import Settings
from poller.simulator import Simulator
from tests.signals import send_signal

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for whatever takes one or two

GOTO = """
[goto]
api_url = "{url}"
auth_url = "{url}"
client_id = "simulator"
client_secret = "simulator-secret"
redirect_uri = "{redirect}"
"""


@dataclass(frozen=True)
class Said:
    """What a command left on the screen."""

    code: int
    out: str
    err: str


@dataclass
class Terminal:
    folder: Path
    url: str = "http://127.0.0.1:9"  # of GoTo; nobody listens at port 9
    redirect: str = "http://127.0.0.1:8471/callback"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "poller.toml"

    @property
    def state(self) -> Path:
        return self.folder / "poller.db"

    def write(self, *tables: str, engine: str = 'interval = "200ms"') -> None:
        """The settings: [goto] as it is, then these tables."""
        goto = GOTO.format(url=self.url, redirect=self.redirect)
        self.config.write_text("\n".join([f"[engine]\n{engine}", goto, *tables]))

    def log_in_by_pat(self, sim: Simulator, *tables: str, name: str = "acme", more: str = "", **how: Any) -> None:
        """Settings with one connection whose token stands in them."""
        pat = sim.world.organizers[0].pat
        self.write(f'[[connections]]\nname = "{name}"\npat = "{pat}"\n{more}', *tables, **how)

    async def run(self, *arguments: str, answer: str = "") -> Said:
        """A command in this process, `answer` on its standard input. Not for what listens to signals."""
        return await asyncio.wait_for(asyncio.to_thread(self._invoke, arguments, answer), PATIENCE)

    def _invoke(self, arguments: tuple[str, ...], answer: str) -> Said:
        with _restored():
            line = ["--config", str(self.config), "--log-level", "error", *arguments]
            result = CliRunner().invoke(commands, line, input=answer, env=self.environment)
        trace = result.exception
        if trace is not None and not isinstance(trace, SystemExit):
            raise trace
        return Said(result.exit_code, result.stdout, result.stderr)

    @contextlib.asynccontextmanager
    async def process(self, *arguments: str, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command in a process of its own; it does not outlive the block. `more` as create_subprocess_exec has it."""
        streams = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        own = {name: value for name, value in os.environ.items() if not name.startswith("POLLER_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poller", "--config", str(self.config), *arguments),
            cwd=ROOT,
            env={**own, **self.environment},
            stdin=asyncio.subprocess.DEVNULL,
            **{**streams, **more},
        )
        try:
            yield process
        finally:
            send_signal(process, signal.SIGKILL)
            await process.communicate()

    async def ended(self, process: asyncio.subprocess.Process, number: signal.Signals | None = None) -> Said:
        """The rest of what a process says, after this signal if one is given."""
        if number is not None:
            send_signal(process, number)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return Said(process.returncode, (out or b"").decode(), (err or b"").decode())

    async def ask(self, command: str, **arguments: Any) -> Any:
        """A request through the control socket of whatever engine runs here."""
        return await asyncio.wait_for(request(socket_path(self.state), command, arguments), PATIENCE)

    @contextlib.asynccontextmanager
    async def engine(self) -> AsyncIterator[App]:
        """A running engine in this process, reached by commands through its control socket."""
        _say_nothing()
        app = await App.open(Settings.load(self.config))
        running = asyncio.create_task(serve(app, lambda: Settings.load(self.config)))
        try:
            while not socket_path(self.state).exists():
                await asyncio.sleep(0.001)
            yield app
        finally:
            app.stop()
            try:
                await asyncio.wait_for(running, PATIENCE)
            finally:
                await app.close()
                structlog.reset_defaults()

    def contents(self) -> dict[str, bytes]:
        """Every file of the folder, but for what an owner of the state leaves in the lock file."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.endswith((".lock", ".key"))
        }


async def line_of(stream: asyncio.StreamReader | None, words: str) -> str:
    """The next line with these words in it."""
    assert stream is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await stream.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the process ended without a word of {words!r}")


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """A command sets what belongs to the whole process; another test must not find it."""
    before, log = frame.Options(), structlog.get_config()
    level = logging.root.level
    try:
        yield
    finally:
        logging.root.setLevel(level)
        frame.options.config, frame.options.log_format = before.config, before.log_format
        frame.options.log_level = before.log_level
        structlog.configure(**log)
        _quiet_logging()


def _say_nothing() -> None:
    """An engine of this process must not write between the lines of a command."""

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])


def _quiet_logging() -> None:
    for handler in list(logging.root.handlers):
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, io.TextIOWrapper):
            logging.root.removeHandler(handler)
