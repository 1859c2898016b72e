"""The contract of sinks, kept by the Kafka sink before the cluster that librdkafka tests itself with."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import confluent_kafka
import pytest

from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.kafka import KafkaSettings, KafkaSink
from poller.testing.events import outgoing
from poller.testing.sinks import PATIENCE, Bench, RelayedBench, SinkContract
from tests.servers.kafka import KafkaRelay, kafka


def records_of(port: int, topic: str) -> list[confluent_kafka.Message]:
    """All there is, read by another library; of each partition in its order, and by time between them."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": "reader",
            "log_level": 0,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
        partitions = [confluent_kafka.TopicPartition(topic, number, 0) for number in found]
        left = sum(consumer.get_watermark_offsets(partition, timeout=PATIENCE)[1] for partition in partitions)
        consumer.assign(partitions)
        records: list[confluent_kafka.Message] = []
        while len(records) < left:
            record = consumer.poll(PATIENCE)
            assert record is not None and record.error() is None, record
            records.append(record)
        return records
    finally:
        consumer.close()


class KafkaBench(RelayedBench):
    def __init__(self, relay: KafkaRelay, port: int) -> None:
        super().__init__(relay)
        self._port = port
        self._sinks: list[KafkaSink] = []
        self.topic = f"test-{uuid.uuid4().hex}"

    def sink(self) -> Sink:
        servers = f"{self._relay.host}:{self._relay.port}"
        settings = KafkaSettings(name="q", type="kafka", bootstrap_servers=servers, topic=self.topic)
        self._sinks.append(KafkaSink(settings, SinkContext()))
        return self._sinks[-1]

    async def cut(self) -> None:
        """The driver tries to reach a broker it has lost until the time is over: then, and only then, it is short."""
        await super().cut()
        self._allow(2.0)

    async def mend(self) -> None:
        await super().mend()
        self._allow(PATIENCE / 2)

    def _allow(self, seconds: float) -> None:
        for sink in self._sinks:
            sink.timeout = timedelta(seconds=seconds)

    async def close(self) -> None:
        """A test that is skipped midway leaves its sink open, about which the driver complains."""
        for sink in self._sinks:
            await sink.close()

    async def received(self) -> list[str]:
        records = await asyncio.to_thread(records_of, self._port, self.topic)
        return [dict(record.headers() or [])["id"].decode() for record in records]

    def too_large(self) -> Outgoing:
        return outgoing(1, note="x" * 2**20)


class TestKafka(SinkContract):
    """Skipped: this cluster asks for no login and makes topics by itself; it keeps repeats of a new producer."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with kafka(tmp_path) as (host, port), KafkaRelay(host, port).serve() as relay:
            assert isinstance(relay, KafkaRelay)
            bench = KafkaBench(relay, port)
            yield bench
            await bench.close()
