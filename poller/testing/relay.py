"""A TCP relay before a server, with which a test cuts the way to it, or lets it fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class Relay:
    """Listens on a free port of this machine and passes everything on, until told otherwise.

    `cut`: connections break and new ones are refused at once. `stall`: connections stay, new ones are accepted, and
    nothing that comes in goes out. Both last until `mend`; what a stall held back is passed on then.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._there = (host, port)
        self._listening: socket.socket | None = None
        self._cuts = 0  # so far
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.carried = 0  # bytes towards the server

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Relay]:
        with self._bound() as place:  # keeps the port ours while nobody listens at it
            self.port = place.getsockname()[1]
            await self.mend()
            try:
                yield self
            finally:
                await self.cut()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        self._cuts += 1
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._open.set()
        # The ends of the connections are told to both sides before anything new begins.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stall(self) -> None:
        self._open.clear()

    async def mend(self) -> None:
        self._open.set()
        if self._listening is None:
            self._listening = self._bound()
            self._listening.setblocking(False)
            self._listening.listen()
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def _bound(self) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((self.host, self.port))
        return made

    def _accept(self, listening: socket.socket) -> None:
        """Not by a server of asyncio's: what it has accepted, but told nobody of yet, would outlive a cut."""
        with contextlib.suppress(OSError):  # whoever called has hung up
            caller, _ = listening.accept()
            caller.setblocking(False)
            self._begin(self._serve(caller, self._cuts))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, caller: socket.socket, cuts: int) -> None:
        reader, writer = await asyncio.open_connection(sock=caller)
        self._writers.add(writer)
        try:
            onward_reader, onward = await asyncio.open_connection(*self._there)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        if cuts != self._cuts:  # cut meanwhile
            self._writers.discard(writer)
            writer.transport.abort()
            onward.transport.abort()
            return
        self._writers.add(onward)
        for source, sink, counts in ((reader, onward, True), (onward_reader, writer, False)):
            self._begin(self._pass_on(source, sink, counts))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                self.carried += len(data) if counts else 0
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
