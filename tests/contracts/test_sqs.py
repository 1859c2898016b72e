"""The contract of sinks, kept by `sqs` with queues of both kinds, as moto plays them."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from poller.fields import Secret
from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.sqs import SqsSettings, SqsSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import Bench, RelayedBench, SinkContract
from tests.servers.base import HOST
from tests.servers.moto import REGION, MotoServer, ask_who_calls, moto, sqs_call

_QUEUE_BYTES = "262144"  # in one message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MotoServer]:
    async with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


class SqsBench(RelayedBench):
    def __init__(self, server: MotoServer, relay: Relay, *, fifo: bool) -> None:
        self._server = server
        super().__init__(relay)
        self._fifo = fifo
        self._name = f"goto-{uuid.uuid4().hex}{'.fifo' if fifo else ''}"
        self._got: list[str] = []
        self.drops_repeats = fifo

    def sink(self, *, secret: str = "anything", queue: str = "") -> Sink:
        settings = SqsSettings(
            name="queue",
            type="sqs",
            queue_url=f"http://{self._relay.host}:{self._relay.port}/123456789012/{queue or self._name}",
            region=REGION,
            access_key_id=Secret("AKIAIOSFODNN7EXAMPLE"),
            secret_access_key=Secret(secret),
        )
        return SqsSink(settings, SinkContext())

    async def received(self) -> list[str]:
        """What was read is deleted, so that those behind it in its group can be read, and remembered here."""
        arguments = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["id"], "WaitTimeSeconds": 0}
        while messages := (await self._call("ReceiveMessage", **arguments)).get("Messages"):
            for message in messages:
                self._got.append(message["MessageAttributes"]["id"]["StringValue"])
                await self._call("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
        return self._got

    async def refuse(self, id_: str) -> None:
        pytest.skip("moto refuses by size alone; the refusals of a scripted service are in the integration tests")

    def stranger(self) -> tuple[Sink, str]:
        """Of a server that asks who calls: see `bench`."""
        return self.sink(secret="wJalrXUtnFEMIexample"), "wJalrXUtnFEMIexample"

    def astray(self) -> Sink:
        return self.sink(queue="nowhere.fifo" if self._fifo else "nowhere")

    def too_large(self) -> Outgoing:
        return outgoing(1, filler="x" * int(_QUEUE_BYTES))

    async def prepare(self) -> None:
        attributes = {"MaximumMessageSize": _QUEUE_BYTES, **({"FifoQueue": "true"} if self._fifo else {})}
        await sqs_call(self._server.url, "CreateQueue", {"QueueName": self._name, "Attributes": attributes})

    async def clean(self) -> None:
        await self._call("DeleteQueue")

    async def _call(self, action: str, **arguments: Any) -> Any:
        queue_url = f"{self._server.url}/123456789012/{self._name}"
        return await sqs_call(self._server.url, action, {"QueueUrl": queue_url, **arguments})


class TestSqs(SinkContract):
    fifo = False

    @pytest.fixture
    async def bench(self, server: MotoServer, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
        async with Relay(HOST, server.port).serve() as relay:
            bench = SqsBench(server, relay, fifo=self.fifo)
            await bench.prepare()
            asks = "credentials" in request.node.name
            try:
                await ask_who_calls(server.url, 0 if asks else math.inf)
                yield bench
            finally:
                await ask_who_calls(server.url, math.inf)
                await bench.clean()


class TestSqsFifo(TestSqs):
    fifo = True
