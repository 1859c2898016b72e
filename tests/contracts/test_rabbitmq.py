"""The contract of sinks, kept by the RabbitMQ sink before a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.rabbitmq import RabbitmqSettings, RabbitmqSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import Bench, RelayedBench, SinkContract
from tests.servers.rabbitmq import RabbitServer, rabbit_server


class RabbitBench(RelayedBench):
    drops_repeats = False  # its readers drop them, by message_id

    def __init__(self, relay: Relay, channel: Any) -> None:
        super().__init__(relay)
        self._channel = channel
        self.name = f"test-{uuid.uuid4().hex}"
        self._got: list[str] = []
        self._sinks: list[Sink] = []

    def sink(self, login: str = "", queue: bool = True) -> Sink:
        settings = RabbitmqSettings(
            name="queue",
            type="rabbitmq",
            url=f"amqp://{login}{self._relay.host}:{self._relay.port}",
            exchange=self.name,
            queue=self.name if queue else "",
        )
        self._sinks.append(RabbitmqSink(settings, SinkContext()))
        return self._sinks[-1]

    async def received(self) -> list[str]:
        queue = await self._channel.get_queue(self.name)
        while message := await queue.get(no_ack=True, fail=False):
            self._got.append(message.message_id)
        return self._got

    def stranger(self) -> tuple[Sink, str]:
        return self.sink(login="nobody-knows-me:tr0ub4dor@"), "tr0ub4dor"

    def astray(self) -> Sink:
        return self.sink(queue=False)  # an exchange that leads nowhere

    async def remove(self) -> None:
        for sink in self._sinks:  # a test that is skipped halfway leaves its own open
            await sink.close()
        await self._channel.queue_delete(self.name)
        await self._channel.exchange_delete(self.name)


class SmallBench(RabbitBench):
    """Before a server that takes messages of 200 kB."""

    def too_large(self) -> Outgoing:
        return outgoing(1, note="x" * 200_000)


@asynccontextmanager
async def bench_at(kind: type[RabbitBench], host: str, port: int) -> AsyncIterator[RabbitBench]:
    async with await aio_pika.connect(host=host, port=port) as connection, Relay(host, port).serve() as relay:
        bench = kind(relay, await connection.channel())
        yield bench
        await bench.remove()


class TestRabbitmq(SinkContract):
    """Skipped: 128 MB would be too large, and the server refuses nothing for good."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with rabbit_server(tmp_path) as there, bench_at(RabbitBench, *there) as bench:
            yield bench


class TestRabbitmqOfLittleRoom:
    async def test_an_event_too_large_is_refused_and_the_others_arrive(self, tmp_path: Path) -> None:
        server = RabbitServer(tmp_path, "max_message_size = 200000")
        async with server.running(), bench_at(SmallBench, "127.0.0.1", server.port) as bench:
            contract = SinkContract()
            await contract.test_an_event_too_large_for_the_other_side_is_refused_and_the_next_one_arrives(bench)
