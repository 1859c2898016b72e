"""A TCP relay before a server, with which a test cuts the way to it, or lets it fall silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Listens on a free port of this machine and passes everything on, until told otherwise.

    `cut`: connections break and new ones are refused at once. `stall`: connections stay, new ones are accepted, and
    nothing that comes in goes out. Both last until `mend`; what a stall held back is passed on then.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._there = (host, port)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.carried = 0  # bytes towards the server

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Relay]:
        await self.mend()
        try:
            yield self
        finally:
            await self.cut()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
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
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            onward_reader, onward = await asyncio.open_connection(*self._there)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        if writer.transport.is_closing():  # cut meanwhile
            onward.transport.abort()
            return
        self._writers.add(onward)
        for source, sink, counts in ((reader, onward, True), (onward_reader, writer, False)):
            task = asyncio.create_task(self._pass_on(source, sink, counts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                self.carried += len(data) if counts else 0
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
