"""Where the benchmarks drain to: the tests' servers, each with a stream, queue or table of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

SKIPPED = pytest.skip.Exception  # what a server that cannot be had raises


@asynccontextmanager
async def redis(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    from redis.asyncio import Redis

    from tests.servers.redis import redis_server

    async with redis_server(folder) as (host, port):
        yield {"url": f"redis://{host}:{port}", "stream": name, "maxlen": 1_000_000}
        async with Redis(host=host, port=port) as client:
            await client.delete(name)


@asynccontextmanager
async def rabbitmq(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    import aio_pika

    from tests.servers.rabbitmq import rabbit_server

    async with rabbit_server(folder) as (host, port):
        url = f"amqp://guest:guest@{host}:{port}"
        yield {"url": url, "exchange": name, "queue": name, "routing_key": "bench"}
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(name)
            await channel.exchange_delete(name)


@asynccontextmanager
async def nats(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    import nats as driver

    from tests.servers.nats import nats as server

    async with server(folder) as (host, port):
        url = f"nats://{host}:{port}"
        yield {"url": url, "stream": name, "subject": f"{name}.events"}
        client = await driver.connect(url)
        with contextlib.suppress(driver.js.errors.NotFoundError):  # a child that failed made none
            await client.jetstream().delete_stream(name)
        await client.close()


@asynccontextmanager
async def kafka(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    from tests.servers.kafka import kafka as server

    async with server(folder) as (host, port):
        yield {"bootstrap_servers": f"{host}:{port}", "topic": name}


@asynccontextmanager
async def mqtt(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    from tests.servers.mosquitto import mosquitto

    async with mosquitto(folder) as (host, port):
        yield {"url": f"mqtt://{host}:{port}", "topic": name}


@asynccontextmanager
async def postgres(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    from tests.servers.postgres import DATABASE, USER, sql
    from tests.servers.postgres import postgres as server

    async with server(folder) as where:
        yield {"url": f"postgresql://{USER}@{where}/{DATABASE}", "table": name}
        await sql(where, f"drop table if exists {name}")


@asynccontextmanager
async def sqs(name: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    from tests.servers.moto import REGION, moto, sqs_call

    async with moto(folder) as server:
        queue = (await sqs_call(server.url, "CreateQueue", {"QueueName": name}))["QueueUrl"]
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        yield {"queue_url": queue, "endpoint_url": server.url, "region": REGION, **keys}


async def is_there(sink: str, folder: Path) -> bool:
    """Whether its server can be had here."""
    try:
        async with globals()[sink]("probe", folder):
            return True
    except SKIPPED:
        return False
