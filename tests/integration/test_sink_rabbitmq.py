"""The RabbitMQ sink: what a message holds, where it goes, what keeps the order, and how a server's troubles read."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from pydantic import ValidationError

from poller.errors import Refused, UsageError, Wait
from poller.sinks.base import SinkContext
from poller.sinks.rabbitmq import RabbitmqSettings, RabbitmqSink
from poller.testing.events import DATA, outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import attempt, delivered, failure_of
from tests.integration.amqp_reader import Read, read_all
from tests.servers.authority import certificates
from tests.servers.rabbitmq import RabbitServer, TlsRabbitServer, rabbit_server


def rabbit_sink(url: str, **options: Any) -> RabbitmqSink:
    return RabbitmqSink(RabbitmqSettings(name="broker", type="rabbitmq", url=url, **options), SinkContext())


@asynccontextmanager
async def sink_to(url: str, **options: Any) -> AsyncIterator[RabbitmqSink]:
    sink = rabbit_sink(url, **options)
    try:
        await sink.connect()
        yield sink
    finally:
        await sink.close()


async def failure_at(url: str, **options: Any) -> str:
    """Of connecting."""
    sink = rabbit_sink(url, **options)
    with pytest.raises(Wait) as caught:
        await sink.connect()
    await sink.close()
    return str(caught.value)


class Place:
    """Names of this test's own on the server, and what an operator can do there."""

    def __init__(self, host: str, port: int, connection: Any) -> None:
        self.host, self.port = host, port
        self.url = f"amqp://{host}:{port}"
        self.name = f"test-{uuid.uuid4().hex}"
        self.more: list[str] = []  # further queues to remove
        self._connection = connection

    async def do(self, verb: str, *values: Any, **options: Any) -> Any:
        """One method of a channel of its own."""
        async with self._connection.channel() as channel:
            return await getattr(channel, verb)(*values, **options)

    async def bind(self, queue: str, key: str) -> None:
        async with self._connection.channel() as channel:
            await (await channel.get_queue(queue)).bind(self.name, key)

    def read(self, queue: str = "") -> list[Read]:
        return read_all(self.host, self.port, queue or self.name)

    def ids(self, queue: str = "") -> list[str]:
        return [read.message_id for read in self.read(queue)]

    async def remove(self) -> None:
        for queue in (self.name, *self.more):
            await self.do("queue_delete", queue)
        await self.do("exchange_delete", self.name)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with rabbit_server(tmp_path) as (host, port), await aio_pika.connect(host=host, port=port) as connection:
        place = Place(host, port, connection)
        yield place
        await place.remove()


# ── what a message holds ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_the_event_persistent_and_named_by_its_id(place: Place) -> None:
    event = outgoing()
    async with sink_to(place.url, exchange=place.name, queue=place.name) as sink:
        assert await sink.send([event]) == [None]
        shown = sink.preview(event)
    (read,) = place.read()
    assert read.body == event.body == shown.body
    assert read.content_type == "application/cloudevents+json; charset=UTF-8" == shown.content_type
    assert read.message_id == event.id
    assert read.routing_key == "registrant.added"
    assert read.delivery_mode == 2
    assert read.headers == {}
    assert shown.headers == {"message_id": event.id}
    assert shown.target == f'exchange "{place.name}", routing key "registrant.added"'


async def test_in_binary_mode_the_attributes_are_headers_and_the_data_is_the_body(place: Place) -> None:
    event = outgoing(backfill=True)
    async with sink_to(place.url, exchange=place.name, queue=place.name, content_mode="binary") as sink:
        assert await sink.send([event]) == [None]
        shown = sink.preview(event)
    (read,) = place.read()
    assert json.loads(read.body) == DATA
    assert read.body == shown.body
    assert read.content_type == "application/json" == shown.content_type
    assert read.headers == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": event.id,
        "cloudEvents_type": "com.goto.registrant.added",
        "cloudEvents_source": "/organizers/5511973216410820613",
        "cloudEvents_subject": "webinars/w1/registrants/1",
        "cloudEvents_time": "2026-03-01T09:15:42Z",
        "cloudEvents_observedtime": event.event["observedtime"],
        "cloudEvents_connection": "acme",
        "cloudEvents_sequence": event.event["sequence"],
        "cloudEvents_partitionkey": "w1",
        "cloudEvents_backfill": "true",
    }
    assert {"message_id": read.message_id, **read.headers} == shown.headers


async def test_the_routing_key_is_a_template_and_one_that_is_too_long_is_refused(place: Place) -> None:
    batch = [outgoing(1, note="a"), outgoing(2, note="ä" * 128), outgoing(3), outgoing(4, note="d")]
    options = {"exchange": place.name, "queue": place.name, "routing_key": "goto.{{ data.note }}"}
    async with sink_to(place.url, **options) as sink:
        outcomes = await sink.send(batch)
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, Refused, type(None)]
    assert "261 bytes; AMQP takes 255" in str(outcomes[1])
    assert [read.routing_key for read in place.read()] == ["goto.a", "goto.d"]


# ── where it goes ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_exchange_that_is_not_there_is_made_durable_by_topic_and_the_queue_a_quorum_queue(
    place: Place,
) -> None:
    async with sink_to(place.url, exchange=place.name, queue=place.name):
        await place.do("declare_exchange", place.name, "topic", durable=True)  # fails if it is anything else
        await place.do("declare_queue", place.name, durable=True, arguments={"x-queue-type": "quorum"})


@pytest.mark.parametrize("kind", ["direct", "fanout", "headers"])
async def test_an_exchange_and_a_queue_that_are_there_are_used_as_they_are(place: Place, kind: str) -> None:
    await place.do("declare_exchange", place.name, kind, auto_delete=True)
    await place.do("declare_queue", place.name, arguments={"x-max-length": 2})
    options = {"exchange": place.name, "queue": place.name, "routing_key": "all"}
    async with sink_to(place.url, **options) as sink:
        assert await sink.send([outgoing(n) for n in (1, 2, 3)]) == [None] * 3
    assert place.ids() == [outgoing(2).id, outgoing(3).id]


async def test_the_default_exchange_leads_to_a_queue_by_its_name(place: Place) -> None:
    async with sink_to(place.url, exchange="", queue=place.name, routing_key=place.name) as sink:
        assert await sink.send([outgoing()]) == [None]
    assert place.ids() == [outgoing().id]


async def test_a_key_that_leads_nowhere_waits_and_says_which_until_a_queue_is_bound(place: Place) -> None:
    async with sink_to(place.url, exchange=place.name) as sink:
        (outcome,) = await sink.send([outgoing()])
        assert isinstance(outcome, Wait)
        assert f'exchange "{place.name}" leads the routing key "registrant.added" to no queue' in str(outcome)
        await place.do("declare_queue", place.name, durable=True)
        await place.bind(place.name, "registrant.*")
        await sink.connect()
        assert await sink.send([outgoing()]) == [None]
    assert place.ids() == [outgoing().id]


async def test_what_an_operator_deletes_is_made_again(place: Place) -> None:
    async with sink_to(place.url, exchange=place.name, queue=place.name) as sink:
        assert await sink.send([outgoing(1)]) == [None]
        await place.do("queue_delete", place.name)
        (outcome,) = await sink.send([outgoing(2)])
        assert isinstance(outcome, Wait)
        await sink.connect()
        assert await sink.send([outgoing(2)]) == [None]
        await place.do("exchange_delete", place.name)
        (outcome,) = await sink.send([outgoing(3)])
        assert isinstance(outcome, Wait)
        assert f'"{place.name}"' in str(outcome)
        await sink.connect()
        assert await sink.send([outgoing(3)]) == [None]
    assert place.ids() == [outgoing(2).id, outgoing(3).id]


async def test_check_tells_what_is_there(place: Place) -> None:
    async with sink_to(place.url, exchange=place.name, queue=place.name) as sink:
        await sink.send([outgoing(1), outgoing(2)])
        line = await sink.check()
    assert f'the exchange "{place.name}" is there; the queue "{place.name}" holds 2 messages' in line


# ── what keeps the order ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_a_webinar_nothing_overtakes_an_event_whose_key_leads_nowhere(place: Place) -> None:
    """The keys lead nowhere for the second event of w1 only; other webinars do not wait for it."""
    batch = [
        outgoing(1, note="yes"),
        outgoing(2, note="no"),
        outgoing(3, note="yes"),
        outgoing(4, webinar="w2", note="yes"),
    ]
    async with sink_to(place.url, exchange=place.name, routing_key="{{ data.note }}") as sink:
        await place.do("declare_queue", place.name, durable=True)
        await place.bind(place.name, "yes")
        outcomes = await sink.send(batch)
        assert [type(outcome) for outcome in outcomes] == [type(None), Wait, Wait, type(None)]
        await place.bind(place.name, "no")
        assert await sink.send(batch[1:3]) == [None, None]
    assert sorted(place.ids()[:2]) == sorted([batch[0].id, batch[3].id])
    assert not place.ids()


async def test_a_queue_that_is_full_waits_and_of_a_webinar_the_order_is_kept(place: Place) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await place.do("declare_queue", place.name, durable=True, arguments=full)
    async with sink_to(place.url, exchange=place.name, queue=place.name) as sink:
        assert await sink.send([outgoing(1)]) == [None]
        (outcome,) = await sink.send([outgoing(2)])
        assert isinstance(outcome, Wait)
        assert "nack" in str(outcome)
        batch = [outgoing(number) for number in range(2, 5)]
        assert [type(outcome) for outcome in await sink.send(batch)] == [Wait] * 3
        assert place.ids() == [outgoing(1).id]
        assert [type(outcome) for outcome in await sink.send(batch)] == [type(None), Wait, Wait]
    assert place.ids() == [outgoing(2).id]


# ── a server's troubles, and who we are ──────────────────────────────────────────────────────────────────────────────


async def test_of_a_batch_only_the_message_that_is_too_large_is_refused(tmp_path: Path) -> None:
    server = RabbitServer(tmp_path, "max_message_size = 100000")
    batch = [outgoing(1), outgoing(2, webinar="w2", note="x" * 100_000), outgoing(3)]
    async with server.running(), sink_to(f"amqp://127.0.0.1:{server.port}", queue="q") as sink:
        outcomes = await sink.send(batch)
        assert isinstance(outcomes[1], Refused)
        assert "takes 100000 (max_message_size)" in str(outcomes[1])
        assert all(outcome is None or isinstance(outcome, Wait) for outcome in (outcomes[0], outcomes[2]))
        await sink.connect()
        assert [type(outcome) for outcome in await sink.send(batch)] == [type(None), Refused, type(None)]


async def test_what_was_confirmed_survives_the_death_of_the_server(tmp_path: Path) -> None:
    server = RabbitServer(tmp_path)
    async with server.running():
        url = f"amqp://127.0.0.1:{server.port}"
        async with await aio_pika.connect(url) as operator:
            await (await operator.channel()).declare_queue("q", durable=True)
        async with sink_to(url, queue="q") as sink:
            assert await sink.send([outgoing(1), outgoing(2)]) == [None, None]
            await server.kill()
            assert isinstance(await attempt(sink, [outgoing(3)]), Wait)
            await server.start()
            await delivered(sink, [outgoing(3)])
        there = [read.message_id for read in read_all("127.0.0.1", server.port, "q")]
    assert there == [outgoing(number).id for number in (1, 2, 3)]


async def test_batches_under_way_together_all_wait_when_one_finds_the_server_silent(place: Place) -> None:
    async with Relay(place.host, place.port).serve() as relay:
        options = {"exchange": place.name, "queue": place.name}
        async with sink_to(f"amqp://{relay.host}:{relay.port}", **options) as sink:
            await relay.stall()
            patient, sink.timeout = sink.timeout, timedelta(seconds=0.5)
            events = [outgoing(number, webinar=f"w{number}") for number in range(4)]
            told = await asyncio.gather(*(sink.send([event]) for event in events), return_exceptions=True)
            assert all(isinstance(failure_of(each), Wait) for each in told)
            with pytest.raises(Wait, match="the connection was lost"):
                await sink.send([outgoing(9)])
            await relay.mend()
            sink.timeout = patient
            for event in events:
                await delivered(sink, [event])
    assert {event.id for event in events} <= set(place.ids())


async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    server = TlsRabbitServer(tmp_path, made)
    async with server.running():
        url = f"amqps://127.0.0.1:{server.tls_port}"
        assert "the TLS connection failed" in await failure_at(url)
        for number, options in enumerate(({"ca_file": made.ca}, {"verify_tls": False})):
            async with sink_to(url, queue="q", **options) as sink:
                assert await sink.send([outgoing(number)]) == [None]
        assert len(read_all("127.0.0.1", server.port, "q")) == 2


async def test_the_login_may_stand_in_the_settings_and_the_virtual_host_in_the_path(place: Place) -> None:
    options = {"exchange": place.name, "queue": place.name}
    for more in ("/", "/%2F", ""):
        async with sink_to(place.url + more, username="guest", password="guest", **options) as sink:
            assert await sink.send([outgoing()]) == [None]
    told = await failure_at(f"{place.url}/nowhere", **options)
    assert 'has no virtual host "nowhere"' in told
    told = await failure_at(f"amqp://guest:tr0ub4dor@{place.host}:{place.port}", **options)
    assert "refused the login" in told
    assert "tr0ub4dor" not in told


async def test_nothing_is_logged_that_is_told_anyway(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    await failure_at(f"amqp://guest:tr0ub4dor@{place.host}:{place.port}")
    await failure_at("amqp://127.0.0.1:1")
    assert not caplog.records


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiormq", None)
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[rabbitmq\]'"):
        await rabbit_sink("amqp://127.0.0.1").connect()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1", "amqp://, amqps://"),
        ("amqp://", "and a host"),
        ("amqp://:s3cret@127.0.0.1:x", "is no address"),
        ("amqp://:s3cret@127.0.0.1/?heartbeat=5", "takes no parameters"),
    ],
)
def test_a_url_that_cannot_work_names_sink_and_setting(url: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        rabbit_sink(url)
    assert 'sink "broker", url' in str(caught.value)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"routing_key": "{{ nope }}"}, {"routing_key": "{{"}, {"batch": 0}])
def test_settings_that_mean_nothing_are_refused_at_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RabbitmqSettings(name="broker", type="rabbitmq", **options)
