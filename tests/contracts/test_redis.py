"""The contract of sinks, kept by the Redis sink before a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.redis import RedisSettings, RedisSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import Bench, RelayedBench, SinkContract
from tests.servers.redis import RedisServer, redis_server


class RedisBench(RelayedBench):
    # What Redis 8.6 and newer can: tests/integration/test_sink_redis.py has it, before a stand-in.
    drops_repeats = False

    def __init__(self, relay: Relay, client: Any) -> None:
        super().__init__(relay)
        self._client = client
        self.stream = f"test-{uuid.uuid4().hex}"
        self._sinks: list[Sink] = []

    def sink(self, login: str = "", stream: str = "") -> Sink:
        url = f"redis://{login}{self._relay.host}:{self._relay.port}"
        settings = RedisSettings(name="queue", type="redis", url=url, stream=stream or self.stream)
        self._sinks.append(RedisSink(settings, SinkContext()))
        return self._sinks[-1]

    async def received(self) -> list[str]:
        return [fields[b"id"].decode() for _, fields in await self._client.xrange(self.stream)]

    def stranger(self) -> tuple[Sink, str]:
        return self.sink(login="nobody-knows-me:tr0ub4dor@"), "tr0ub4dor"

    async def remove(self) -> None:
        for sink in self._sinks:  # a test that is skipped halfway leaves its own open
            await sink.close()
        await self._client.delete(self.stream)


class SmallBench(RedisBench):
    """Before a server that takes a megabyte in one piece, the least that can be set."""

    def too_large(self) -> Outgoing:
        return outgoing(1, note="x" * 2**20)


@asynccontextmanager
async def bench_at(kind: type[RedisBench], host: str, port: int) -> AsyncIterator[RedisBench]:
    async with redis.asyncio.Redis(host=host, port=port) as client, Relay(host, port).serve() as relay:
        bench = kind(relay, client)
        yield bench
        await bench.remove()


class TestRedis(SinkContract):
    """Skipped: a stream that is absent is made, so that a target cannot be; and 512 MB would be too large."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with redis_server(tmp_path) as there, bench_at(RedisBench, *there) as bench:
            yield bench


class TestRedisOfLittleRoom:
    async def test_an_event_too_large_is_refused_and_the_next_one_arrives(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path, "--proto-max-bulk-len", "1mb")
        async with server.running(), bench_at(SmallBench, "127.0.0.1", server.port) as bench:
            contract = SinkContract()
            await contract.test_an_event_too_large_for_the_other_side_is_refused_and_the_next_one_arrives(bench)
