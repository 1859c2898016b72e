"""Mosquitto, a broker for MQTT: the machine's own where it answers at the usual port, else one of the test's."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.base import HOST, OwnServer, answers

USUAL_PORT = 1883


class MosquittoServer(OwnServer):
    """It writes its state down after every change; only messages for clients that are away are kept at all."""

    program = "mosquitto"

    def __init__(self, folder: Path, settings: str = "", users: dict[str, str] | None = None) -> None:
        """`settings`: lines for its file besides ours. `users`: names and passwords; without any, everybody may."""
        super().__init__(folder)
        self._settings = settings
        self._users = users or {}

    async def prepare(self) -> None:
        lines = [f"listener {self.port} {HOST}", self._settings, f"persistence_location {self.folder}/"]
        lines += ["persistence true", "autosave_on_changes true", "autosave_interval 1", "user root"]
        if self._users:
            passwords = self.folder / "passwords"
            passwords.touch(mode=0o600)
            for name, password in self._users.items():
                subprocess.run(["mosquitto_passwd", "-b", str(passwords), name, password], check=True, timeout=30)
            lines.append(f"password_file {passwords}")
        lines.append(f"allow_anonymous {'false' if self._users else 'true'}")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> Sequence[str]:
        return [self.find(), "-c", str(self.folder / "mosquitto.conf")]


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Host and port of a broker that asks nobody who they are; topics are the tests' to name."""
    if answers(USUAL_PORT) and _takes_anybody(USUAL_PORT):
        yield HOST, USUAL_PORT
        return
    async with MosquittoServer(folder).running() as server:
        yield HOST, server.port


def _takes_anybody(port: int) -> bool:
    """A CONNECT of MQTT 5 without a name, and whether it is welcome."""
    hello = bytes([0x10, 13, 0, 4, *b"MQTT", 5, 2, 0, 10, 0, 0, 0])
    try:
        with socket.create_connection((HOST, port), timeout=1) as talk:
            talk.sendall(hello)
            answer = talk.recv(64)
    except OSError:
        return False
    return len(answer) > 3 and answer[0] == 0x20 and answer[3] == 0
