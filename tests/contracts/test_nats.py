"""The contract of sinks, kept by the NATS sink before a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats as driver
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.nats import NatsSettings, NatsSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import PATIENCE, Bench, RelayedBench, SinkContract
from tests.servers.nats import NatsServer

LOGIN = "poller:correct-horse@"


class NatsBench(RelayedBench):
    drops_repeats = True

    def __init__(self, relay: Relay, reader: Any) -> None:
        super().__init__(relay)
        self._reader = reader
        self.name = f"test-{uuid.uuid4().hex}"

    def sink(self, login: str = LOGIN, **options: Any) -> Sink:
        url = f"nats://{login}{self._relay.host}:{self._relay.port}"
        options = {"stream": self.name, "subject": f"{self.name}.{{{{ short_type }}}}"} | options
        return NatsSink(NatsSettings(name="queue", type="nats", url=url, **options), SinkContext())

    async def received(self) -> list[str]:
        stream = self._reader.jetstream()
        try:
            count = (await stream.stream_info(self.name)).state.messages
        except NotFoundError:
            return []
        first = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        messages = await stream.subscribe(f"{self.name}.>", stream=self.name, ordered_consumer=True, config=first)
        ids = [(await messages.next_msg(timeout=PATIENCE)).headers["Nats-Msg-Id"] for _ in range(count)]
        await messages.unsubscribe()
        return ids

    def stranger(self) -> tuple[Sink, str]:
        return self.sink(login="poller:tr0ub4dor@"), "tr0ub4dor"

    def astray(self) -> Sink:
        return self.sink(create=False)

    def too_large(self) -> Outgoing:
        return outgoing(1, note="x" * 2**20)

    async def remove(self) -> None:
        with suppress(NotFoundError):
            await self._reader.jetstream().delete_stream(self.name)


class TestNats(SinkContract):
    """Before a server of its own, which asks who we are. Skipped: it refuses no single event but one too large."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        users = 'authorization { user: poller, password: "correct-horse", timeout: 60 }'
        async with NatsServer(tmp_path, users).running() as server, Relay("127.0.0.1", server.port).serve() as relay:
            reader = await driver.connect(f"nats://{LOGIN}127.0.0.1:{server.port}")
            bench = NatsBench(relay, reader)
            yield bench
            await bench.remove()
            await reader.close()
