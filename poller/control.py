"""The control socket: how a second command reaches the engine that owns the state.

A Unix socket (mode 0600) beside the state. One request per connection, a JSON object in a line:
`{"command": "sync", "arguments": {…}}`; the answer is lines of `{"progress": {…}}`, then one `{"result": …}` or
`{"error": "…", "exit": N}`. The first progress is empty and comes at once: an engine that is stopped or stuck can be
told from one that works on a long command.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from poller.errors import PollerError, exit_code
from poller.log import clean
from state.errors import StateError

# The kernel's limit on a socket's path (sun_path) on the systems we run on, less the ending zero.
LONGEST_PATH = 100

# A request holds at most the files of a raw request to GoTo, an answer a slice of what GoTo said (bytes).
LARGEST_LINE = 64_000_000

# How long (seconds) an engine may take to begin its answer.
PATIENCE = 10.0


class Performer(Protocol):
    async def perform(
        self, command: str, arguments: Mapping[str, Any], progress: Callable[[dict[str, Any]], None]
    ) -> Any: ...


class RemoteError(PollerError):
    """What the engine answered instead of a result; `exit` is the exit code it stands for."""

    def __init__(self, message: str, exit_: int) -> None:
        super().__init__(message)
        self.exit = exit_


def socket_path(state: Path) -> Path:
    """Beside the state; in the folder for temporary files where that path would be too long for a socket."""
    beside = state.with_name(state.name + ".sock")
    if len(os.fsencode(beside)) <= LONGEST_PATH:
        return beside
    name = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"goto-poller-{os.getuid()}-{name}.sock"


class ControlServer:
    """Serves one `Performer`. `start` and `stop` may be called twice."""

    def __init__(self, path: Path, performer: Performer) -> None:
        self._path = path
        self._performer = performer
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if self._server is not None:
            return
        self._path.unlink(missing_ok=True)  # whoever holds the state's lock is the only one to listen here
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LARGEST_LINE)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self._busy.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: dict[str, Any]) -> None:
            writer.write(json.dumps(line).encode() + b"\n")

        try:
            request = json.loads(await reader.readline())
            say({"progress": {}})
            result = await self._performer.perform(
                request["command"], request.get("arguments", {}), lambda progress: say({"progress": progress})
            )
            say({"result": result})
        except (PollerError, StateError) as error:
            say({"error": str(error), "exit": exit_code(error)})
        except Exception as error:
            say({"error": f"the engine failed at this: {type(error).__name__}: {clean(str(error))}", "exit": 1})
        await writer.drain()


async def request(
    path: Path,
    command: str,
    arguments: Mapping[str, Any],
    progress: Callable[[dict[str, Any]], None] = lambda _: None,
    patience: float = PATIENCE,
) -> Any:
    """Ask the engine that listens at `path`. Raises ConnectionError if none does, RemoteError for what it refuses."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LARGEST_LINE)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ConnectionError(f"{path}: no engine listens") from error
    except PermissionError as error:
        raise RemoteError(f"{path}: belongs to another user's engine; run the command as that user", 4) from error
    try:
        writer.write(json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n")
        async with asyncio.timeout(patience):
            first = await reader.readline()
        return await _answered(first, reader, progress)
    except TimeoutError as error:
        raise RemoteError(f"{path}: the engine does not answer; it is stopped or stuck", 1) from error
    except ConnectionError as error:
        raise RemoteError("the engine stopped before it answered", 1) from error
    finally:
        writer.close()


async def _answered(line: bytes, reader: asyncio.StreamReader, progress: Callable[[dict[str, Any]], None]) -> Any:
    while line:
        answer = json.loads(line)
        if "progress" in answer:
            progress(answer["progress"])
        elif "error" in answer:
            raise RemoteError(answer["error"], answer["exit"])
        else:
            return answer["result"]
        line = await reader.readline()
    raise RemoteError("the engine stopped before it answered", 1)
