"""The Kafka sink, read back by librdkafka; and before answers that only a broker in trouble gives."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import struct
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from pydantic import ValidationError

from poller.errors import PollerError, Refused, UsageError, Wait
from poller.sinks.base import SinkContext
from poller.sinks.kafka import KafkaSettings, KafkaSink
from poller.testing.events import DATA, outgoing
from poller.testing.sinks import PATIENCE
from tests.contracts.test_kafka import records_of
from tests.integration.receiver import self_signed
from tests.servers.kafka import HOST, KafkaRelay, KafkaServer, kafka

TOO_LARGE, UNKNOWN_TOPIC, NOT_ALLOWED = 10, 3, 29  # https://kafka.apache.org/protocol#protocol_error_codes


class Place:
    def __init__(self, relay: KafkaRelay, port: int) -> None:
        self.relay = relay
        self.port = port
        self.topic = f"test-{uuid.uuid4().hex}"
        self.open_sinks: list[KafkaSink] = []

    def unconnected(self, **options: Any) -> KafkaSink:
        options = {"bootstrap_servers": f"{HOST}:{self.relay.port}", "topic": self.topic} | options
        self.open_sinks.append(KafkaSink(KafkaSettings(name="queue", type="kafka", **options), SinkContext()))
        return self.open_sinks[-1]

    async def sink(self, **options: Any) -> KafkaSink:
        sink = self.unconnected(**options)
        await sink.connect()
        return sink

    async def records(self, topic: str = "") -> list[confluent_kafka.Message]:
        return await asyncio.to_thread(records_of, self.port, topic or self.topic)

    async def bodies(self) -> list[bytes]:
        return [record.value() for record in await self.records()]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with kafka(tmp_path) as (host, port), KafkaRelay(host, port).serve() as relay:
        assert isinstance(relay, KafkaRelay)
        place = Place(relay, port)
        yield place
        for sink in place.open_sinks:
            await sink.close()


def headers_of(record: confluent_kafka.Message) -> dict[str, str]:
    pairs = record.headers() or []
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name: value.decode() for name, value in pairs}


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_structured_event_is_the_value_with_its_webinar_as_the_key(place: Place) -> None:
    sink = await place.sink()
    event = outgoing(1, webinar="4255157664015486220")
    assert list(await sink.send([event])) == [None]
    (record,) = await place.records()
    assert (record.key(), record.value()) == (b"4255157664015486220", event.body)
    assert headers_of(record) == {"content-type": "application/cloudevents+json; charset=UTF-8", "id": event.id}


async def test_a_binary_event_has_its_attributes_in_headers_and_its_data_as_the_value(place: Place) -> None:
    sink = await place.sink(content_mode="binary")
    event = outgoing(1, webinar="Zoë", backfill=True)
    assert list(await sink.send([event])) == [None]
    (record,) = await place.records()
    headers = headers_of(record)
    assert json.loads(record.value()) == DATA
    assert record.key() == "Zoë".encode()
    expected = {f"ce_{name}": value for name, value in event.event.items() if name not in ("data", "datacontenttype")}
    own = {"content-type": "application/json", "id": event.id, "ce_backfill": "true"}
    assert headers == expected | own
    assert headers["ce_partitionkey"] == "Zoë"


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_what_is_shown_beforehand_is_what_is_sent(place: Place, mode: str) -> None:
    sink = await place.sink(content_mode=mode)
    shown = sink.preview(outgoing(1))
    await sink.send([outgoing(1)])
    (record,) = await place.records()
    assert shown.target == f"{record.topic()}, key {record.key().decode()}"
    assert (shown.body, dict(shown.headers)) == (record.value(), headers_of(record))
    assert shown.content_type == headers_of(record)["content-type"]


async def test_topic_and_value_are_made_by_templates(place: Place) -> None:
    sink = await place.sink(topic=f"{place.topic}.{{{{ short_type }}}}", format="template", template="{{ data.email }}")
    assert list(await sink.send([outgoing(1)])) == [None]
    (record,) = await place.records(f"{place.topic}.registrant.added")
    assert record.value() == b"zoe@example.com"
    assert headers_of(record)["content-type"] == "text/plain; charset=utf-8"


async def test_events_of_one_webinar_share_a_partition_in_their_order(place: Place) -> None:
    sink = await place.sink()
    batch = [outgoing(number, webinar=f"w{number % 7}") for number in range(1, 141)]
    for start in range(0, 140, 20):
        assert list(await sink.send(batch[start : start + 20])) == [None] * 20
    records = await place.records()
    assert len({record.partition() for record in records}) > 1
    for number in range(7):
        key = f"w{number}"
        there = [record for record in records if record.key() == key.encode()]
        assert len({record.partition() for record in there}) == 1
        assert [record.value() for record in there] == [event.body for event in batch if event.partition == key]


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 250, "a/b"])
async def test_an_event_that_makes_no_topic_is_refused_and_the_others_arrive(place: Place, name: str) -> None:
    sink = await place.sink(topic="{{ data.nickname }}")
    batch = [outgoing(1, nickname=place.topic), outgoing(2, nickname=name), outgoing(3, nickname=place.topic)]
    outcomes = await sink.send(batch)
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert await place.bodies() == [batch[0].body, batch[2].body]


# ── brokers in trouble ───────────────────────────────────────────────────────────────────────────────────────────────


def answering_produce(topic: str, code: int, times: int) -> Callable[[bytes], bytes]:
    """Changes the error code in the first answers to requests that write to one partition of this topic."""
    left = times

    def change(answer: bytes) -> bytes:
        nonlocal left
        start = struct.pack(">ih", 1, len(topic)) + topic.encode() + struct.pack(">i", 1)
        if not left or answer[4 : 4 + len(start)] != start:
            return answer
        left -= 1
        at = 4 + len(start) + 4  # behind the number of the partition
        return answer[:at] + struct.pack(">h", code) + answer[at + 2 :]

    return change


async def test_what_the_broker_finds_too_large_is_refused(place: Place) -> None:
    sink = await place.sink()
    place.relay.changed = answering_produce(place.topic, TOO_LARGE, 1)
    assert [type(outcome) for outcome in await sink.send([outgoing(1, note="x" * 20_000)])] == [Refused]
    await sink.connect()
    assert list(await sink.send([outgoing(2)])) == [None]


async def test_events_that_are_too_large_together_are_tried_alone_and_none_is_lost(place: Place) -> None:
    """The limit is on what goes together; an event must not die because of its neighbours."""
    sink = await place.sink()
    batch = [outgoing(number) for number in range(1, 4)]
    place.relay.changed = answering_produce(place.topic, TOO_LARGE, 1)
    outcomes = await sink.send(batch)
    assert all(isinstance(outcome, Wait) for outcome in outcomes)
    before = len(await place.records())  # this cluster has stored what it is made to refuse
    await sink.connect()
    assert list(await sink.send(batch)) == [None] * 3
    assert [record.value() for record in (await place.records())[before:]] == [event.body for event in batch]
    place.relay.changed = answering_produce(place.topic, TOO_LARGE, 1)
    outcomes = await sink.send(batch)
    assert isinstance(outcomes[0], Refused)


async def test_a_trouble_that_passes_within_the_time_is_the_drivers_own_to_overcome(place: Place) -> None:
    sink = await place.sink()
    place.relay.changed = answering_produce(place.topic, UNKNOWN_TOPIC, 2)
    assert list(await sink.send([outgoing(1)])) == [None]


async def test_a_trouble_that_does_not_pass_waits_and_is_not_repeated_behind_our_back(place: Place) -> None:
    sink = await place.sink()
    sink.timeout = timedelta(seconds=0.5)
    place.relay.changed = answering_produce(place.topic, UNKNOWN_TOPIC, 10**6)
    outcomes = await sink.send([outgoing(1), outgoing(2)])
    assert all(isinstance(outcome, Wait) for outcome in outcomes)
    await sink.close()
    carried = place.relay.carried
    other = await place.sink(topic=f"{place.topic}-other")
    assert list(await other.send([outgoing(3)])) == [None]
    sent = place.relay.carried - carried
    await other.send([outgoing(4)])
    assert place.relay.carried - carried < 3 * sent  # what the second sink sent, and nothing of the first one's


async def test_a_topic_that_is_not_allowed_waits(place: Place) -> None:
    sink = await place.sink()
    place.relay.changed = answering_produce(place.topic, NOT_ALLOWED, 1)
    (outcome,) = await sink.send([outgoing(1)])
    assert isinstance(outcome, Wait)
    assert "not allowed to write to the topic" in str(outcome)


async def test_a_send_that_is_given_up_does_not_overtake_what_follows(place: Place) -> None:
    """The driver would keep it, and send it when the way is free again: behind what was sent meanwhile."""
    sink = await place.sink()
    assert list(await sink.send([outgoing(1)])) == [None]
    await place.relay.stall()
    sending = asyncio.create_task(sink.send([outgoing(number) for number in range(2, 302)]))
    await asyncio.wait([sending], timeout=0.1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await place.relay.cut()
    await place.relay.mend()
    await sink.connect()
    again = [outgoing(number) for number in range(2, 302)]
    assert list(await sink.send(again)) == [None] * 300
    last = list(dict.fromkeys(reversed(await place.bodies())))
    assert last[::-1] == [outgoing(1).body, *(event.body for event in again)]


async def test_other_sends_on_a_connection_that_is_given_up_hear_of_it_at_once(place: Place) -> None:
    sink = await place.sink(timeout="1h")
    assert list(await sink.send([outgoing(1)])) == [None]
    await place.relay.stall()
    first, second = (asyncio.create_task(sink.send([outgoing(number)])) for number in (2, 3))
    await asyncio.wait([first, second], timeout=0.1)
    first.cancel()
    async with asyncio.timeout(PATIENCE / 2):
        (outcome,) = await second
    assert isinstance(outcome, Wait)


async def test_a_cluster_that_dies_and_another_that_takes_its_place(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path)
    async with server.running():
        url = f"{HOST}:{server.port}"
        sink = KafkaSink(KafkaSettings(name="q", type="kafka", bootstrap_servers=url), SinkContext())
        await sink.connect()
        assert list(await sink.send([outgoing(1)])) == [None]
        await server.kill()
        patient, sink.timeout = sink.timeout, timedelta(seconds=1)
        assert [type(outcome) for outcome in await sink.send([outgoing(2)])] == [Wait]
        sink.timeout = patient
        with pytest.raises(Wait, match=f"{url}: Connect"):
            await sink.connect()
        await sink.close()


# ── TLS and logins ───────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def tls_before(relay: KafkaRelay, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port where the relay can be reached by TLS only, and that is told to clients."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward = await asyncio.open_connection(relay.host, relay.port)
        for pair in ((reader, onward), (onward_reader, writer)):
            task = asyncio.create_task(carry(*pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    relay.told_port = server.sockets[0].getsockname()[1]
    try:
        yield relay.told_port
    finally:
        server.close()
        while tasks:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_tls_with_a_certificate_of_our_own(place: Place, tmp_path: Path) -> None:
    async with tls_before(place.relay, self_signed(tmp_path)) as port:
        servers = {"bootstrap_servers": f"{HOST}:{port}"}
        sink = await place.sink(**servers, ca_file=tmp_path / "server.pem")
        assert list(await sink.send([outgoing(1)])) == [None]
        careless = await place.sink(**servers, tls=True, verify_tls=False)
        assert list(await careless.send([outgoing(2)])) == [None]
        with pytest.raises(Wait, match="the TLS connection failed"):
            await place.sink(**servers, tls=True)
        for sink in place.open_sinks:
            await sink.close()
    assert await place.bodies() == [outgoing(1).body, outgoing(2).body]


@asynccontextmanager
async def asking_for_a_login(code: int, seen: list[bytes], mechanisms: tuple[str, ...] = ("PLAIN",)) -> Any:
    """A broker that knows three requests and answers a login with this error code."""

    def text(value: str) -> bytes:
        return struct.pack(">h", len(value)) + value.encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                kind, _, number, client = struct.unpack(">hhih", frame[:10])
                body = frame[10 + client :]
                if kind == 18:
                    known = [(18, 0, 0), (17, 1, 1), (36, 0, 0), (3, 0, 5), (22, 0, 0), (0, 0, 7)]
                    answer = struct.pack(">hi", 0, len(known)) + b"".join(struct.pack(">hhh", *row) for row in known)
                elif kind == 17:
                    answer = struct.pack(">hi", 0, len(mechanisms)) + b"".join(map(text, mechanisms))
                else:
                    seen.append(body[4:])
                    answer = struct.pack(">h", code) + text("no") + struct.pack(">i", 0)
                writer.write(struct.pack(">ii", 4 + len(answer), number) + answer)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*(task for task in serving if task))  # clients have closed, or this would not end


async def test_wrong_credentials_are_a_failure_that_may_pass_and_are_not_repeated() -> None:
    seen: list[bytes] = []
    async with asking_for_a_login(58, seen) as servers:
        who = {"username": "poller", "password": "tr0ub4dor"}
        settings = KafkaSettings(name="q", type="kafka", bootstrap_servers=servers, **who)
        sink = KafkaSink(settings, SinkContext())
        with pytest.raises(Wait, match="refuses these credentials") as caught:
            await sink.connect()
        with pytest.raises(Wait):
            await sink.check()
        await sink.close()
    assert b"\0poller\0tr0ub4dor" in seen[0]
    assert "tr0ub4dor" not in f"{caught.value} {settings!r} {vars(sink)!r}"


async def test_a_mechanism_that_the_broker_does_not_take_is_named() -> None:
    async with asking_for_a_login(0, [], ("GSSAPI",)) as servers:
        who = {"username": "poller", "password": "x", "sasl_mechanism": "SCRAM-SHA-512"}
        settings = KafkaSettings(name="q", type="kafka", bootstrap_servers=servers, **who)
        sink = KafkaSink(settings, SinkContext())
        with pytest.raises(Wait, match="does not take this sasl_mechanism"):
            await sink.connect()
        await sink.close()


# ── health and settings ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_check_counts_the_brokers_and_makes_no_topic(place: Place) -> None:
    sink = await place.sink()
    assert "answers (1 broker)" in await sink.check()
    admin = await asyncio.to_thread(
        lambda: confluent_kafka.Producer({"bootstrap.servers": f"{HOST}:{place.port}"}).list_topics(timeout=PATIENCE)
    )
    assert place.topic not in admin.topics


async def test_the_driver_writes_no_log_of_its_own(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    sink = await place.sink()
    await place.relay.cut()
    sink.timeout = timedelta(seconds=0.3)
    with caplog.at_level(logging.DEBUG):
        await sink.send([outgoing(1)])
        with pytest.raises(PollerError):
            await sink.connect()
    assert [record for record in caplog.records if record.name.startswith("aiokafka")] == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bootstrap_servers": ""}, "takes a host and a port"),
        ({"bootstrap_servers": []}, "bootstrap_servers"),
        ({"bootstrap_servers": "host:0"}, "takes a host and a port"),
        ({"bootstrap_servers": "kafka://host:9092"}, "takes a host and a port"),
        ({"bootstrap_servers": ["a:9092", "me:pw@b:9092"]}, "a user has keys of its own"),
        ({"topic": "two words"}, "has a character that is none of"),
        ({"topic": ".."}, "is no name"),
        ({"topic": "goto-{{ nonsense }}"}, "names nonsense, which no event has"),
        ({"tls": False, "ca_file": "ca.pem"}, "leave one of them out"),
        ({"username": "me"}, "needs a username and a password"),
        ({"password": "x"}, "needs a username and a password"),
        ({"sasl_mechanism": "GSSAPI"}, "sasl_mechanism"),
    ],
)
def test_settings_that_cannot_work_are_told(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        KafkaSettings(name="queue", type="kafka", **({"bootstrap_servers": "host"} | options))


@pytest.mark.parametrize("servers", ["a, b:9093 ,[::1]:9092", ["a", "b:9093", "[::1]:9092"]])
def test_servers_are_text_or_a_list(servers: Any) -> None:
    settings = KafkaSettings(name="queue", type="kafka", bootstrap_servers=servers)
    assert settings.bootstrap_servers == ("a", "b:9093", "[::1]:9092")


async def test_a_file_that_is_no_certificate_is_told_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    sink = KafkaSink(KafkaSettings(name="queue", type="kafka", bootstrap_servers="h", ca_file=path), SinkContext())
    with pytest.raises(UsageError, match='sink "queue", ca_file: '):
        await sink.connect()


async def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    sink = KafkaSink(KafkaSettings(name="queue", type="kafka", bootstrap_servers="host"), SinkContext())
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[kafka\]'"):
        await sink.connect()
