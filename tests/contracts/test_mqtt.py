"""The contract of sinks, kept by the MQTT sink before a real broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.mqtt import MqttSettings, MqttSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import PATIENCE, Bench, RelayedBench, SinkContract
from tests.servers.mosquitto import MosquittoServer

LOGIN = "poller:correct-horse@"


class MqttBench(RelayedBench):
    def __init__(self, relay: Relay, reader: aiomqtt.Client) -> None:
        super().__init__(relay)
        self._reader = reader
        self._got: list[str] = []
        self.prefix = f"test-{uuid.uuid4().hex}"

    def sink(self, login: str = LOGIN, **options: Any) -> Sink:
        url = f"mqtt://{login}{self._relay.host}:{self._relay.port}"
        topic = f"{self.prefix}/{{{{ short_type }}}}"
        return MqttSink(MqttSettings(name="q", type="mqtt", url=url, topic=topic, **options), SinkContext())

    async def received(self) -> list[str]:
        """What the broker passed on before a message of our own, published after all others."""
        last = uuid.uuid4().hex
        await self._reader.publish(f"{self.prefix}/last", last, qos=2)  # one of a lower QoS may overtake
        async with asyncio.timeout(PATIENCE):
            async for message in self._reader.messages:
                if message.payload == last.encode():
                    break
                if not message.topic.matches(f"{self.prefix}/last"):
                    self._got.append(dict(message.properties.UserProperty)["id"])  # type: ignore[union-attr]
        return self._got

    def stranger(self) -> tuple[Sink, str]:
        return self.sink(login="poller:tr0ub4dor@"), "tr0ub4dor"

    def too_large(self) -> Outgoing:
        return outgoing(1, note="x" * 100_000)


class QosTwoBench(MqttBench):
    def sink(self, login: str = LOGIN, **options: Any) -> Sink:
        return super().sink(login, qos=2, **options)


class _Contract(SinkContract):
    """Skipped: a topic needs not to be there before somebody publishes to it; a broker passes repeats on."""

    kind: type[MqttBench]

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        server = MosquittoServer(tmp_path, "max_packet_size 100000", {"poller": "correct-horse"})
        async with server.running(), Relay("127.0.0.1", server.port).serve() as relay:
            who = {"username": "poller", "password": "correct-horse", "protocol": aiomqtt.ProtocolVersion.V5}
            async with aiomqtt.Client("127.0.0.1", server.port, **who) as reader:  # type: ignore[arg-type]
                bench = self.kind(relay, reader)
                await reader.subscribe(f"{bench.prefix}/#", qos=2)
                yield bench


class TestMqtt(_Contract):
    kind = MqttBench


class TestMqttWithQosTwo(_Contract):
    kind = QosTwoBench
