"""A cluster of Kafka's protocol without Kafka: the one that librdkafka brings for its own tests.

It takes records and gives them back, with keys, headers and partitions; it checks no login, makes every topic it is
asked for, keeps all in memory, and is a new one at a new port after `kill` and `start`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import struct
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from poller.testing.relay import Relay
from tests.servers.base import HOST, OwnServer, answers, lacking

_CHILD = """
import sys, threading
from pathlib import Path
import confluent_kafka

cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
(broker,) = cluster.list_topics(timeout=30).brokers.values()
there = Path(sys.argv[1])
there.with_suffix(".new").write_text(str(broker.port))
there.with_suffix(".new").replace(there)
threading.Event().wait()
"""


class KafkaServer(OwnServer):
    program = "confluent-kafka"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._told = folder / "port"

    @classmethod
    def find(cls) -> str:
        if importlib.util.find_spec("confluent_kafka") is None:
            lacking("confluent-kafka is not installed")
        return sys.executable

    def command(self) -> Sequence[str]:
        self._told.unlink(missing_ok=True)
        return [self.find(), "-c", _CHILD, str(self._told)]

    async def ready(self) -> bool:
        if not self._told.exists():
            return False
        self.port = int(self._told.read_text())
        return answers(self.port)


class KafkaRelay(Relay):
    """Clients go where brokers tell them to: what the cluster says of its address becomes the relay's own.

    `changed` may change an answer as a whole, from its correlation id on.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self._cluster = port
        self.told_port = 0  # where clients are sent to, if not here
        self.changed: Callable[[bytes], bytes] = lambda answer: answer

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: bool) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                await self._open.wait()
                if not counts:
                    frame = self._as_ours(self.changed(frame))
                self.carried += len(frame) if counts else 0
                writer.write(len(frame).to_bytes(4, "big") + frame)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _as_ours(self, answer: bytes) -> bytes:
        name = HOST.encode()
        for length in (struct.pack(">h", len(name)), bytes([len(name) + 1])):  # the two forms that text has
            told = length + name
            answer = answer.replace(
                told + struct.pack(">i", self._cluster), told + struct.pack(">i", self.told_port or self.port)
            )
        return answer


@asynccontextmanager
async def kafka(folder: Path) -> AsyncIterator[tuple[str, int]]:
    async with KafkaServer(folder).running() as server:
        yield HOST, server.port
