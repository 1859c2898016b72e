"""RabbitMQ: the machine's own where it answers at the usual port, else a node of the test's."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.authority import Certificates
from tests.servers.base import HOST, OwnServer, answers, free_port

USUAL_PORT = 5672

# Debian's rabbitmq-server becomes another user, who has no access to a test's folder. This is what it calls then.
_PLAIN_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitServer(OwnServer):
    """A node by itself, without plugins; guest may do everything. Works for root and for anybody else.

    RabbitMQ 3.10 forgets the vote of a quorum queue that is killed within some five seconds of being made: it is there
    again, and without a leader for good. Whoever kills early declares a classic durable queue first.
    """

    program = "rabbitmq-server"

    def __init__(self, folder: Path, *config: str) -> None:
        """`config`: lines of rabbitmq.conf."""
        super().__init__(folder)
        self._config = config
        self._distribution = free_port()

    @classmethod
    def find(cls) -> str:
        return str(_PLAIN_SCRIPT) if _PLAIN_SCRIPT.is_file() else super().find()

    def command(self) -> Sequence[str]:
        return [self.find()]

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **super().environment(),
            "HOME": folder,  # where the node's cookie is made
            "RABBITMQ_NODENAME": f"poller-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/config",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",  # the machine's own would count otherwise
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/none.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    async def prepare(self) -> None:
        lines = ("handshake_timeout = 60000", "ssl_handshake_timeout = 60000", *self._config)  # milliseconds
        (self.folder / "rabbitmq.conf").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (self.folder / "plugins").write_text("[].\n", encoding="utf-8")

    async def ready(self) -> bool:
        return _speaks_amqp(self.port)


class TlsRabbitServer(RabbitServer):
    """Listens for TLS at `tls_port` too, and asks nobody for a certificate."""

    def __init__(self, folder: Path, files: Certificates) -> None:
        self.tls_port = free_port()
        super().__init__(
            folder,
            f"listeners.ssl.1 = {HOST}:{self.tls_port}",
            f"ssl_options.cacertfile = {files.ca}",
            f"ssl_options.certfile = {files.cert}",
            f"ssl_options.keyfile = {files.key}",
            "ssl_options.verify = verify_none",
            "ssl_options.fail_if_no_peer_cert = false",
        )

    async def ready(self) -> bool:
        return answers(self.tls_port) and await super().ready()


@asynccontextmanager
async def rabbit_server(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Host and port of a server on which guest may do everything: exchanges and queues are the tests' to name and to
    remove."""
    if _speaks_amqp(USUAL_PORT):
        yield HOST, USUAL_PORT
        return
    async with RabbitServer(folder).running() as server:
        yield HOST, server.port


def _speaks_amqp(port: int) -> bool:
    """Whether it answers the protocol's first word with a method frame (Connection.Start)."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as talk:
            talk.sendall(b"AMQP\x00\x00\x09\x01")
            return talk.recv(1) == b"\x01"
    except OSError:
        return False
