"""What a sink sees of a Redis that this machine may not have: one that is newer, or one in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Command = list[bytes]


class StandIn:
    """Keeps the entries of one stream. As of Redis 8.6, XADD … IDMP producer id adds an id of a producer once.

    https://redis.io/docs/latest/commands/xadd/
    """

    def __init__(self, *, idempotent: bool = True, error: str = "") -> None:
        self.entries: list[dict[bytes, bytes]] = []
        self.commands: list[Command] = []
        self.port = 0
        self._idempotent = idempotent
        self._error = error
        self._known: dict[tuple[bytes, bytes], bytes] = {}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[StandIn]:
        writers: list[asyncio.StreamWriter] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            queue: list[Command] | None = None
            while command := await _command(reader):
                name = command[0].upper()
                if name == b"MULTI":
                    queue = []
                    writer.write(b"+OK\r\n")
                elif name == b"EXEC":
                    replies = [self._answer(queued) for queued in queue or []]
                    writer.write(b"*%d\r\n" % len(replies) + b"".join(replies))
                    queue = None
                elif queue is not None:
                    queue.append(command)
                    writer.write(b"+QUEUED\r\n")
                else:
                    writer.write(self._answer(command))
                await writer.drain()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    def _answer(self, command: Command) -> bytes:
        self.commands.append(command)
        match command[0].upper():
            case b"COMMAND":
                return b"*1\r\n*1\r\n$7\r\nxcfgset\r\n" if self._idempotent else b"*1\r\n*-1\r\n"
            case b"XADD":
                return f"-{self._error}\r\n".encode() if self._error else self._added(command)
            case b"CLIENT":
                return b"+OK\r\n"
        return b"-ERR unknown command\r\n"

    def _added(self, command: Command) -> bytes:
        star = command.index(b"*")
        options, pairs = command[2:star], command[star + 1 :]
        if b"IDMP" not in options:
            return self._new(pairs)
        at = options.index(b"IDMP")
        once = (options[at + 1], options[at + 2])
        if once not in self._known:
            self._known[once] = self._new(pairs)
        return self._known[once]

    def _new(self, pairs: Command) -> bytes:
        self.entries.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))
        return b"$3\r\n%d-0\r\n" % (len(self.entries) % 10)


async def _command(reader: asyncio.StreamReader) -> Command:
    """An array of bulk strings; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n")
        parts = []
        for _ in range(int(head[1:])):
            length = int((await reader.readuntil(b"\r\n"))[1:])
            parts.append((await reader.readexactly(length + 2))[:-2])
        return parts
    except (asyncio.IncompleteReadError, OSError):
        return []
