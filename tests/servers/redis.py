"""Redis: the machine's own where it answers at the usual port, else one of the test's."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.authority import Certificates
from tests.servers.base import HOST, OwnServer, answers

USUAL_PORT = 6379


class RedisServer(OwnServer):
    program = "redis-server"

    def __init__(self, folder: Path, *options: str) -> None:
        """`options` come after ours, as on the server's command line."""
        super().__init__(folder)
        self._options = options

    def command(self) -> Sequence[str]:
        own = ("--bind", HOST, "--port", str(self.port), "--dir", str(self.folder), "--save", "")
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        return [self.find(), *own, *durable, *self._options]

    async def ready(self) -> bool:
        return answers(self.port) and _talks(self.port)


class TlsRedisServer(RedisServer):
    """Speaks TLS only, and asks nobody for a certificate."""

    def __init__(self, folder: Path, files: Certificates) -> None:
        super().__init__(folder)
        own = ("--tls-cert-file", str(files.cert), "--tls-key-file", str(files.key))
        ca = ("--tls-ca-cert-file", str(files.ca), "--tls-auth-clients", "no")
        self._options = ("--port", "0", "--tls-port", str(self.port), *own, *ca)

    async def ready(self) -> bool:
        return answers(self.port)


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Host and port of a server that keeps nothing of others' from us: keys are the tests' to name and to remove."""
    if answers(USUAL_PORT) and _is_open(USUAL_PORT):
        yield HOST, USUAL_PORT
        return
    async with RedisServer(folder).running() as server:
        yield HOST, server.port


def _answer(port: int) -> bytes:
    try:
        with socket.create_connection((HOST, port), timeout=1) as talk:
            talk.sendall(b"PING\r\n")
            return talk.recv(64)
    except OSError:
        return b""


def _talks(port: int) -> bool:
    """Whether it has read its data; it may ask for a login."""
    return _answer(port).startswith((b"+PONG", b"-NOAUTH"))


def _is_open(port: int) -> bool:
    return _answer(port).startswith(b"+PONG")
