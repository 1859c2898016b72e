"""What a bare driver does with the same bytes, at the same guarantee, as many at once: the floors of the drain.

Nothing is read from a state, nothing is written down, nothing is tried again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from poller.ports import Outgoing

Events = Sequence[Outgoing]
Publish = Callable[[Events], Awaitable[None]]
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


@dataclass(frozen=True)
class Load:
    """One sink's settings, and the work: `events` in groups of `batch`, `concurrency` groups at once."""

    settings: dict[str, Any]
    folder: Path
    batch: int
    concurrency: int

    def groups(self, events: Events) -> Iterator[Events]:
        for first in range(0, len(events), self.batch):
            yield events[first : first + self.batch]


async def spread(load: Load, events: Events, publish: Publish) -> None:
    groups = load.groups(events)

    async def worker() -> None:
        for group in groups:
            await publish(group)

    await asyncio.gather(*(worker() for _ in range(load.concurrency)))


@asynccontextmanager
async def file(load: Load) -> AsyncIterator[Publish]:
    with (load.folder / "bare.jsonl").open("ab", buffering=0) as out:

        def write(group: Events) -> None:
            out.write(b"".join(event.body + b"\n" for event in group))
            os.fsync(out.fileno())

        async def publish(group: Events) -> None:
            await asyncio.to_thread(write, group)

        yield publish


@asynccontextmanager
async def webhook(load: Load) -> AsyncIterator[Publish]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def publish(group: Events) -> None:
            for event in group:
                headers = {"Content-Type": CONTENT_TYPE, "webhook-id": event.id}
                async with session.post(load.settings["url"], data=event.body, headers=headers) as response:
                    await response.read()
                    assert response.status < 300

        yield publish


@asynccontextmanager
async def redis(load: Load) -> AsyncIterator[Publish]:
    from redis.asyncio import Redis

    async with Redis.from_url(load.settings["url"]) as client:

        async def publish(group: Events) -> None:
            async with client.pipeline(transaction=False) as pipe:
                for event in group:
                    fields = {
                        "id": event.id,
                        "type": event.type,
                        "subject": event.subject,
                        "partitionkey": event.partition,
                        "contenttype": CONTENT_TYPE,
                        "body": event.body,
                    }
                    pipe.xadd(load.settings["stream"], fields, maxlen=1_000_000, approximate=True)  # type: ignore[arg-type]
                await pipe.execute()

        yield publish


@asynccontextmanager
async def rabbitmq(load: Load) -> AsyncIterator[Publish]:
    import aio_pika

    async with await aio_pika.connect(load.settings["url"]) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.declare_exchange(load.settings["exchange"], "topic", durable=True)
        kind = {"x-queue-type": "quorum"}
        queue = await channel.declare_queue(load.settings["queue"], durable=True, arguments=kind)
        await queue.bind(exchange, load.settings["routing_key"])

        async def send(event: Outgoing) -> None:
            lasting = aio_pika.DeliveryMode.PERSISTENT
            message = aio_pika.Message(
                event.body, message_id=event.id, content_type=CONTENT_TYPE, delivery_mode=lasting
            )
            await exchange.publish(message, load.settings["routing_key"], mandatory=True)

        async def publish(group: Events) -> None:
            await asyncio.gather(*map(send, group))

        yield publish


@asynccontextmanager
async def nats(load: Load) -> AsyncIterator[Publish]:
    import nats as driver

    client = await driver.connect(load.settings["url"])
    try:
        stream = client.jetstream(publish_async_max_pending=10_000)
        await stream.add_stream(name=load.settings["stream"], subjects=[load.settings["subject"]])

        async def publish(group: Events) -> None:
            waiting = [
                await stream.publish_async(
                    load.settings["subject"],
                    event.body,
                    headers={"Nats-Msg-Id": event.id, "content-type": CONTENT_TYPE},
                )
                for event in group
            ]
            await asyncio.gather(*waiting)

        yield publish
    finally:
        await client.close()


@asynccontextmanager
async def kafka(load: Load) -> AsyncIterator[Publish]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=load.settings["bootstrap_servers"], enable_idempotence=True)
    await producer.start()
    try:

        async def publish(group: Events) -> None:
            waiting = [
                await producer.send(load.settings["topic"], event.body, key=event.partition.encode()) for event in group
            ]
            await asyncio.gather(*waiting)

        yield publish
    finally:
        await producer.stop()


@asynccontextmanager
async def mqtt(load: Load) -> AsyncIterator[Publish]:
    import aiomqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    client = aiomqtt.Client("127.0.0.1", protocol=aiomqtt.ProtocolVersion.V5, max_inflight_messages=load.concurrency)
    async with client:
        client.pending_calls_threshold = 10_000  # it warns of what we do on purpose

        async def publish(group: Events) -> None:
            for event in group:
                properties = Properties(PacketTypes.PUBLISH)
                properties.ContentType = CONTENT_TYPE
                properties.UserProperty = [("id", event.id)]
                await client.publish(load.settings["topic"], event.body, qos=1, properties=properties)

        yield publish


@asynccontextmanager
async def postgres(load: Load) -> AsyncIterator[Publish]:
    import asyncpg

    table = load.settings["table"]
    pool = await asyncpg.create_pool(load.settings["url"], min_size=load.concurrency, max_size=load.concurrency)
    await pool.execute(
        f"CREATE TABLE {table} (id text PRIMARY KEY, sequence bigint, type text, source text, subject text,"
        " time timestamptz, partitionkey text, event jsonb)"
    )
    insert = (
        f"INSERT INTO {table} SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[],"
        " $6::timestamptz[], $7::text[], $8::jsonb[]) ON CONFLICT (id) DO NOTHING"
    )
    source, seen = "/organizers/5511973216410820613", datetime.fromisoformat("2026-03-01T09:15:42Z")

    def row(event: Outgoing) -> tuple[Any, ...]:
        body = event.body.decode()
        return event.id, event.sequence, event.type, source, event.subject, seen, event.partition, body

    try:

        async def publish(group: Events) -> None:
            await pool.execute(insert, *map(list, zip(*map(row, group), strict=True)))

        yield publish
    finally:
        await pool.execute(f"DROP TABLE {table}")
        await pool.close()


@asynccontextmanager
async def sqs(load: Load) -> AsyncIterator[Publish]:
    from aiobotocore.session import get_session

    options = {name: load.settings[name] for name in ("endpoint_url",)}
    async with get_session().create_client(
        "sqs", region_name=load.settings["region"], aws_access_key_id="x", aws_secret_access_key="x", **options
    ) as client:

        async def publish(group: Events) -> None:
            entries = [{"Id": str(number), "MessageBody": event.body.decode()} for number, event in enumerate(group)]
            answer = await client.send_message_batch(QueueUrl=load.settings["queue_url"], Entries=entries)
            assert not answer.get("Failed")

        yield publish


DRIVERS: dict[str, Callable[[Load], Any]] = {
    "file": file,
    "webhook": webhook,
    "redis": redis,
    "rabbitmq": rabbitmq,
    "nats": nats,
    "kafka": kafka,
    "mqtt": mqtt,
    "postgres": postgres,
    "sqs": sqs,
}
