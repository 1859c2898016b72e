"""Servers of other people's that an engine delivers to, each with a way to harm it and an independent reader."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from poller.testing import Relay
from tests.acceptance.verdict import Delivered
from tests.servers.base import OwnServer
from tests.servers.nats import NatsServer
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer

QUEUE = "goto_drill"
END = "goto/drill/end"  # a topic of nobody's event


class Place(ABC):
    """One sink's other side. `harm` may come at any time after `running` has begun; it leaves the server usable."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.harmed = 0

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Of the sink, without its name."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Place]:
        self.folder.mkdir(parents=True)
        async with self.serve():
            yield self

    @abstractmethod
    def serve(self) -> contextlib.AbstractAsyncContextManager[Any]: ...

    @abstractmethod
    async def harm(self, random: Random) -> None: ...

    @abstractmethod
    async def read(self) -> list[Delivered]:
        """Whatever is there, in its order."""


class Killed(Place):
    """A server of this test's own, killed with SIGKILL and started again: what it acknowledged is still there."""

    kind: type[OwnServer]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = self.kind(self.folder)

    def serve(self) -> contextlib.AbstractAsyncContextManager[Any]:
        return self.server.running()

    async def harm(self, random: Random) -> None:
        await self.server.kill()
        self.harmed += 1
        await asyncio.sleep(random.uniform(0.0, 3.0))
        await self.server.start()


class Redis(Killed):
    name = "redis"
    kind = RedisServer

    def settings(self) -> dict[str, Any]:
        return {"type": "redis", "url": f"redis://127.0.0.1:{self.server.port}", "maxlen": 0}

    async def read(self) -> list[Delivered]:
        from redis.asyncio import Redis as Client

        async with Client(port=self.server.port) as client:
            return [Delivered(fields[b"body"]) for _, fields in await client.xrange("goto")]


class Postgres(Killed):
    name = "postgres"
    kind = PostgresServer

    def settings(self) -> dict[str, Any]:
        from tests.servers.postgres import DATABASE, USER

        return {"type": "postgres", "url": f"postgresql://{USER}@127.0.0.1:{self.server.port}/{DATABASE}"}

    async def read(self) -> list[Delivered]:
        from tests.servers.postgres import sql

        # Rows of one statement became visible together; those of a later one were sent after it was confirmed.
        order = "select event from goto_events order by received_at, sequence"
        rows = await sql(f"127.0.0.1:{self.server.port}", order)
        return [Delivered(row.encode()) for row in rows]


class Nats(Killed):
    name = "nats"
    kind = NatsServer

    def settings(self) -> dict[str, Any]:
        return {"type": "nats", "url": f"nats://127.0.0.1:{self.server.port}"}

    async def read(self) -> list[Delivered]:
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{self.server.port}")
        try:
            stream = client.jetstream()
            waiting = (await stream.stream_info("GOTO")).state.messages
            reader = await stream.subscribe("goto.>", ordered_consumer=True)
            messages = [await reader.next_msg(timeout=30) for _ in range(waiting)]
            return [Delivered(message.data) for message in messages]
        finally:
            await client.close()


class Rabbit(Killed):
    name = "rabbitmq"
    kind = RabbitServer

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.server.port}"

    def settings(self) -> dict[str, Any]:
        return {"type": "rabbitmq", "url": self.url, "queue": QUEUE}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """With a classic durable queue: a quorum queue killed within seconds of being made stays without a leader."""
        import aio_pika

        async with self.server.running():
            async with await aio_pika.connect(self.url) as connection:
                await (await connection.channel()).declare_queue(QUEUE, durable=True)
            yield

    async def read(self) -> list[Delivered]:
        import aio_pika

        found = []
        async with await aio_pika.connect(self.url) as connection:
            queue = await (await connection.channel()).get_queue(QUEUE)
            while (message := await queue.get(fail=False, timeout=30)) is not None:
                await message.ack()
                found.append(Delivered(message.body))
        return found


class Mosquitto(Place):
    """Stopped with SIGTERM: what it has acknowledged and not passed on yet is written down only then."""

    name = "mqtt"

    def __init__(self, folder: Path) -> None:
        from tests.servers.mosquitto import MosquittoServer

        super().__init__(folder)
        self.server = MosquittoServer(self.folder)
        self._got: list[Delivered] = []
        self._ended = asyncio.Event()

    def settings(self) -> dict[str, Any]:
        return {"type": "mqtt", "url": f"mqtt://127.0.0.1:{self.server.port}"}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        async with self.server.running():
            ready = asyncio.Event()
            reading = asyncio.create_task(self._subscribe(ready))
            await ready.wait()
            try:
                yield
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def harm(self, random: Random) -> None:
        await self.server.stop()
        self.harmed += 1
        await asyncio.sleep(random.uniform(0.0, 3.0))
        await self.server.start()

    async def read(self) -> list[Delivered]:
        """The subscriber may be behind; it has everything once it got what is published now."""
        import aiomqtt

        async with aiomqtt.Client("127.0.0.1", self.server.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(END, b"", qos=1)
        async with asyncio.timeout(60):
            await self._ended.wait()
        return self._got

    async def _subscribe(self, ready: asyncio.Event) -> None:
        """One session that the server remembers, so that nothing is missed between two connections."""
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        forever = Properties(PacketTypes.CONNECT)
        forever.SessionExpiryInterval = 0xFFFFFFFF
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self.server.port,
                    identifier="drill",
                    protocol=aiomqtt.ProtocolVersion.V5,
                    clean_start=False,
                    properties=forever,
                ) as client:
                    await client.subscribe("goto/#", qos=1)
                    ready.set()
                    async for message in client.messages:
                        if message.topic.value == END:
                            self._ended.set()
                            return
                        self._got.append(Delivered(bytes(message.payload)))  # type: ignore[arg-type]
            await asyncio.sleep(0.1)


class Kafka(Place):
    """A stand-in that keeps everything in memory: what breaks is the way to it."""

    name = "kafka"

    def settings(self) -> dict[str, Any]:
        return {"type": "kafka", "bootstrap_servers": f"127.0.0.1:{self._relay.port}"}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        from tests.servers.kafka import KafkaRelay, KafkaServer

        self._server = KafkaServer(self.folder)
        async with self._server.running(), AsyncExitStack() as stack:
            # Its port is known once it runs.
            self._relay = await stack.enter_async_context(KafkaRelay("127.0.0.1", self._server.port).serve())
            yield

    async def harm(self, random: Random) -> None:
        await self._relay.cut()
        self.harmed += 1
        await asyncio.sleep(random.uniform(0.0, 3.0))
        await self._relay.mend()

    async def read(self) -> list[Delivered]:
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[Delivered]:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{self._server.port}", "group.id": "drill"})
        try:
            numbers = consumer.list_topics("goto", timeout=30).topics["goto"].partitions
            partitions = [TopicPartition("goto", number, OFFSET_BEGINNING) for number in numbers]
            ends = [consumer.get_watermark_offsets(partition, timeout=30)[1] for partition in partitions]
            consumer.assign(partitions)
            found = []
            while len(found) < sum(ends):
                message = consumer.poll(30.0)
                assert message is not None and message.error() is None, message
                found.append(Delivered(message.value()))
            return found
        finally:
            consumer.close()


class Sqs(Place):
    """A stand-in that keeps everything in memory: what breaks is the way to it."""

    name = "sqs"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._queue = ""

    def settings(self) -> dict[str, Any]:
        from tests.servers.moto import REGION

        return {
            "type": "sqs",
            "queue_url": self._queue,
            "endpoint_url": f"http://127.0.0.1:{self._relay.port}",
            "region": REGION,
            "access_key_id": "test",
            "secret_access_key": "test",
        }

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        from tests.servers.moto import moto, sqs_call

        async with moto(self.folder) as self._server, Relay("127.0.0.1", self._server.port).serve() as self._relay:
            wanted = {"QueueName": "drill.fifo", "Attributes": {"FifoQueue": "true"}}
            self._queue = (await sqs_call(self._server.url, "CreateQueue", wanted))["QueueUrl"]
            yield

    async def harm(self, random: Random) -> None:
        await self._relay.cut()
        self.harmed += 1
        await asyncio.sleep(random.uniform(0.0, 3.0))
        await self._relay.mend()

    async def read(self) -> list[Delivered]:
        from tests.servers.moto import sqs_call

        found = []
        wanted = {"QueueUrl": self._queue, "MaxNumberOfMessages": 10}
        while messages := (await sqs_call(self._server.url, "ReceiveMessage", wanted)).get("Messages"):
            for message in messages:
                found.append(Delivered(message["Body"].encode()))
                gone = {"QueueUrl": self._queue, "ReceiptHandle": message["ReceiptHandle"]}
                await sqs_call(self._server.url, "DeleteMessage", gone)
        return found


ALL = (Redis, Postgres, Nats, Rabbit, Mosquitto, Kafka, Sqs)
