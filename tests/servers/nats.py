"""NATS with JetStream: the machine's own where it answers at the usual port, else one of the test's."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.base import HOST, OwnServer, answers

USUAL_PORT = 4222


class NatsServer(OwnServer):
    program = "nats-server"

    def __init__(self, folder: Path, settings: str = "") -> None:
        """`settings`: lines for its file besides ours, such as users or TLS."""
        super().__init__(folder)
        self._settings = settings

    async def prepare(self) -> None:
        # A stream without replicas hands a message to the kernel before it acknowledges it.
        text = f'jetstream {{ store_dir: "{self.folder}/jetstream" }}\nmax_payload: 1048576\n{self._settings}\n'
        (self.folder / "nats.conf").write_text(text)

    def command(self) -> Sequence[str]:
        return [self.find(), "-a", HOST, "-p", str(self.port), "-c", str(self.folder / "nats.conf")]


@asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Host and port of a server that asks nobody who they are; streams are the tests' to name and to remove."""
    if answers(USUAL_PORT) and _is_open_to_all(USUAL_PORT):
        yield HOST, USUAL_PORT
        return
    async with NatsServer(folder).running() as server:
        yield HOST, server.port


def _is_open_to_all(port: int) -> bool:
    """Whether it has JetStream and wants neither a login nor TLS: it says so when it greets."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as talk:
            greeting = talk.makefile("rb").readline()
    except OSError:
        return False
    if not greeting.startswith(b"INFO "):
        return False
    told = json.loads(greeting.removeprefix(b"INFO "))
    return bool(told.get("jetstream")) and not (told.get("auth_required") or told.get("tls_required"))
