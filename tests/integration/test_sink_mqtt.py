"""The MQTT sink against a real broker, read back by mosquitto_sub; and against brokers that exist only here."""

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

import pytest
from pydantic import ValidationError

from poller.errors import PollerError, Refused, UsageError, Wait
from poller.sinks.base import SinkContext
from poller.sinks.mqtt import MqttSettings, MqttSink
from poller.testing.events import DATA, outgoing
from poller.testing.sinks import PATIENCE
from tests.integration.receiver import self_signed
from tests.servers.base import lacking
from tests.servers.mosquitto import MosquittoServer, mosquitto

HOST = "127.0.0.1"


class Subscriber:
    """mosquitto_sub, each message as an object: topic, qos, properties, and the payload in hexadecimal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        topic, qos, content_type, properties, payload = line.decode().rstrip("\n").split("\t")
        pairs = [pair.split(":", 1) for pair in properties.split(" ")] if properties else []
        return {
            "topic": topic,
            "qos": int(qos),
            "content_type": content_type,
            "properties": dict(pairs),
            "body": bytes.fromhex(payload),
        }


@asynccontextmanager
async def subscriber(port: int, prefix: str, *options: str) -> AsyncIterator[Subscriber]:
    """Listens to all below `prefix` when it is yielded: it has got a message kept there for whoever subscribes."""
    there = ["-h", HOST, "-p", str(port), "-V", "5", *options]
    kept = ["-t", f"{prefix}/kept", "-r", "-q", "1"]
    await _run("mosquitto_pub", *there, *kept, "-m", "kept")
    listening = [*there, "-q", "2", "-t", f"{prefix}/#", "-F", "%t\t%q\t%C\t%P\t%x"]
    process = await asyncio.create_subprocess_exec("mosquitto_sub", *listening, stdout=asyncio.subprocess.PIPE)
    try:
        reader = Subscriber(process)
        assert (await reader.next())["body"] == b"kept"
        yield reader
    finally:
        process.kill()
        await process.communicate()
        await _run("mosquitto_pub", *there, *kept, "-n")


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except FileNotFoundError:
        lacking(f"{command[0]} is not installed")
        raise
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


@asynccontextmanager
async def sink_to(url: str, **options: Any) -> AsyncIterator[MqttSink]:
    sink = MqttSink(MqttSettings(name="queue", type="mqtt", url=url, **options), SinkContext())
    try:
        yield sink
    finally:
        await sink.close()


async def outcome_of(url: str, *, event: Any = None, **options: Any) -> PollerError | None:
    async with sink_to(url, **options) as sink:
        try:
            await sink.connect()
            return (await sink.send([event or outgoing(1)]))[0]
        except PollerError as err:
            return err


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[int]:
    async with mosquitto(tmp_path) as (_, port):
        yield port


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}"


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_structured_event_is_the_body_and_its_id_a_property(broker: int, prefix: str, qos: int) -> None:
    topic = f"{prefix}/{{{{ short_type }}}}"
    async with subscriber(broker, prefix) as reader:
        assert await outcome_of(f"mqtt://{HOST}:{broker}", topic=topic, qos=qos) is None
        assert await reader.next() == {
            "topic": f"{prefix}/registrant.added",
            "qos": qos,
            "content_type": "application/cloudevents+json; charset=UTF-8",
            "properties": {"id": outgoing(1).id},
            "body": outgoing(1).body,
        }


async def test_a_binary_event_has_its_attributes_as_properties_and_its_data_as_the_body(
    broker: int, prefix: str
) -> None:
    event = outgoing(1, webinar="Zoë%1", backfill=True)
    async with subscriber(broker, prefix) as reader:
        options = {"topic": f"{prefix}/x", "content_mode": "binary"}
        assert await outcome_of(f"mqtt://{HOST}:{broker}", event=event, **options) is None
        message = await reader.next()
    assert json.loads(message["body"]) == DATA
    assert message["content_type"] == "application/json"
    expected = {name: value for name, value in event.event.items() if name not in ("data", "datacontenttype")}
    assert message["properties"] == expected | {"backfill": "true"}
    assert message["properties"]["partitionkey"] == "Zoë%1"


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_what_is_shown_beforehand_is_what_is_sent(broker: int, prefix: str, mode: str) -> None:
    async with subscriber(broker, prefix) as reader:
        options = {"topic": f"{prefix}/{{{{ data.webinarKey }}}}", "content_mode": mode}
        async with sink_to(f"mqtt://{HOST}:{broker}", **options) as sink:
            shown = sink.preview(outgoing(1))
            await sink.connect()
            assert list(await sink.send([outgoing(1)])) == [None]
        message = await reader.next()
    assert (
        (shown.target, shown.content_type, dict(shown.headers), shown.body)
        == (
            f"{prefix}/{DATA['webinarKey']}",
            message["content_type"],
            message["properties"],
            message["body"],
        )
        == (message["topic"], message["content_type"], message["properties"], message["body"])
    )


async def test_the_body_may_be_a_template(broker: int, prefix: str) -> None:
    async with subscriber(broker, prefix) as reader:
        options = {"topic": f"{prefix}/x", "format": "template", "template": "{{ data.email }}"}
        assert await outcome_of(f"mqtt://{HOST}:{broker}", **options) is None
        message = await reader.next()
    assert (message["body"], message["content_type"]) == (b"zoe@example.com", "text/plain; charset=utf-8")


async def test_nobody_has_to_listen(broker: int, prefix: str) -> None:
    """The broker says so in its acknowledgement (reason code 0x10), which is a yes."""
    assert await outcome_of(f"mqtt://{HOST}:{broker}", topic=f"{prefix}/x") is None


@pytest.mark.parametrize("name", ["a+b", "a#", "a\tb", "x" * 70_000])
async def test_an_event_that_makes_no_topic_is_refused(broker: int, prefix: str, name: str) -> None:
    topic = f"{prefix}/{{{{ data.nickname }}}}"
    failure = await outcome_of(f"mqtt://{HOST}:{broker}", topic=topic, event=outgoing(1, nickname=name))
    assert isinstance(failure, Refused)
    assert name not in str(failure)


async def test_an_attribute_that_is_no_text_of_mqtt_is_refused(broker: int, prefix: str) -> None:
    for webinar in ("a\0b", "x" * 70_000):
        event = outgoing(1, webinar=webinar)
        options = {"topic": f"{prefix}/x", "content_mode": "binary"}
        failure = await outcome_of(f"mqtt://{HOST}:{broker}", event=event, **options)
        assert isinstance(failure, Refused)


# ── what the broker refuses ──────────────────────────────────────────────────────────────────────────────────────────

USERS = {"poller": "correct-horse"}


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_topic_that_is_not_allowed_waits_and_is_not_taken_for_delivered(tmp_path: Path, qos: int) -> None:
    rules = tmp_path / "rules"
    rules.write_text("user poller\ntopic write allowed/#\n")
    async with MosquittoServer(tmp_path, f"acl_file {rules}", USERS).running() as server:
        url = f"mqtt://poller:correct-horse@{HOST}:{server.port}"
        assert await outcome_of(url, topic="allowed/x", qos=qos) is None
        failure = await outcome_of(url, topic="denied/x", qos=qos)
        assert isinstance(failure, Wait)
        assert "not authorized to publish to denied/x" in str(failure)


async def test_what_the_broker_finds_too_large_is_refused_and_the_connection_stays(tmp_path: Path) -> None:
    """Not announced beforehand: the acknowledgement says it."""
    server = MosquittoServer(tmp_path, "message_size_limit 2000")
    async with server.running(), sink_to(f"mqtt://{HOST}:{server.port}") as sink:
        await sink.connect()
        (failure,) = await sink.send([outgoing(1, note="x" * 3000)])
        assert isinstance(failure, Refused)
        assert "too large" in str(failure)
        assert list(await sink.send([outgoing(2)])) == [None]


async def test_the_largest_packet_that_is_announced_goes_through_and_one_byte_more_does_not(tmp_path: Path) -> None:
    async with MosquittoServer(tmp_path, "max_packet_size 20000").running() as server:
        url = f"mqtt://{HOST}:{server.port}"
        too_much = await outcome_of(url, event=outgoing(1, note="x" * 20_000))
        assert isinstance(too_much, Refused)
        overhead = int(str(too_much).split(" bytes")[0]) - 20_000
        room = 20_000 - overhead
        assert await outcome_of(url, event=outgoing(1, note="x" * room)) is None
        assert isinstance(await outcome_of(url, event=outgoing(1, note="x" * (room + 1))), Refused)


async def test_a_broker_that_takes_a_lower_qos_only_is_told_with_the_setting(tmp_path: Path) -> None:
    async with MosquittoServer(tmp_path, "max_qos 1").running() as server:
        failure = await outcome_of(f"mqtt://{HOST}:{server.port}", qos=2)
        assert isinstance(failure, Wait)
        assert "takes QoS 1 at most; set qos = 1" in str(failure)


# ── brokers that answer otherwise ────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def pretended(*answers: bytes) -> AsyncIterator[str]:
    """A broker that answers the first packets so, and no others; then it is silent."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        for answer in answers:
            if not await reader.read(65_536):
                break
            writer.write(answer)
        await over.wait()
        writer.close()

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"mqtt://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
        await asyncio.gather(*(task for task in serving if task))


WELCOME = bytes([0x20, 3, 0, 0, 0])


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(0x97, Wait, "a quota is used up"), (0x99, Refused, "format"), (0x95, Refused, "large"), (0x80, Wait, "0x80")],
)
async def test_reason_codes_of_acknowledgements(code: int, kind: type[Exception], words: str) -> None:
    async with pretended(WELCOME, bytes([0x40, 4, 0, 1, code, 0])) as url:
        failure = await outcome_of(url)
        assert isinstance(failure, kind)
        assert words in str(failure)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (bytes([0x20, 2, 0, 1]), "does not speak MQTT 5"),
        (bytes([0x20, 3, 0, 0x84, 0]), "does not speak MQTT 5"),
        (bytes([0x20, 3, 0, 0x87, 0]), "does not let us in"),
        (bytes([0x20, 3, 0, 0x88, 0]), "reason code 0x88"),
        (b"\xff\xff\xff\xff\xff\xff", "the connection was lost"),
    ],
)
async def test_a_broker_that_does_not_welcome_us(answer: bytes, words: str) -> None:
    async with pretended(answer) as url:
        failure = await outcome_of(url)
        assert isinstance(failure, Wait)
        assert words in str(failure)


async def test_the_reason_of_a_broker_that_ends_the_connection_is_told() -> None:
    async with pretended(WELCOME, bytes([0xE0, 2, 0x8E, 0])) as url:
        failure = await outcome_of(url)
        assert isinstance(failure, Wait)
        assert "the connection was lost: somebody else connected with this client_id" in str(failure)


async def test_no_more_is_under_way_than_the_broker_wants() -> None:
    """Its greeting says one; the second event is not sent before the first one is acknowledged."""
    welcome = bytes([0x20, 6, 0, 0, 3, 0x21, 0, 1])
    async with pretended(welcome, bytes([0x40, 2, 0, 1]), bytes([0x40, 2, 0, 2])) as url, sink_to(url) as sink:
        await sink.connect()
        answers = await asyncio.gather(*(sink.send([outgoing(number)]) for number in (1, 2)))
        assert [list(answer) for answer in answers] == [[None], [None]]


async def test_a_broker_that_never_answers_is_given_up_in_time() -> None:
    for answers in ((), (WELCOME,)):
        async with pretended(*answers) as url:
            failure = await outcome_of(url, timeout="200ms")
            assert isinstance(failure, Wait)
            assert "did not answer within 0.2 s" in str(failure)


# ── TLS, health, settings ────────────────────────────────────────────────────────────────────────────────────────────


async def test_tls_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    self_signed(tmp_path)
    pem = tmp_path / "server.pem"
    server = MosquittoServer(tmp_path, f"certfile {pem}\nkeyfile {pem}", USERS)
    async with server.running():
        url = f"mqtts://poller:correct-horse@{HOST}:{server.port}"
        async with subscriber(
            server.port, "tls", "--cafile", str(pem), "-u", "poller", "-P", "correct-horse"
        ) as reader:
            assert await outcome_of(url, ca_file=pem, topic="tls/x") is None
            assert (await reader.next())["body"] == outgoing(1).body
        assert await outcome_of(url, verify_tls=False) is None
        failure = await outcome_of(url)
        assert isinstance(failure, Wait)
        assert "the TLS connection failed" in str(failure)


async def test_tls_where_there_is_none_ends_in_time(broker: int) -> None:
    failure = await outcome_of(f"mqtts://{HOST}:{broker}")
    assert isinstance(failure, Wait)


async def test_check_tells_about_the_broker_before_and_after_sending(broker: int, prefix: str) -> None:
    async with sink_to(f"mqtt://{HOST}:{broker}", topic=f"{prefix}/x") as sink:
        assert "answers (MQTT 5, QoS 2 at most)" in await sink.check()
        await sink.send([outgoing(1)])
        assert "answers" in await sink.check()


async def test_check_does_not_trust_a_connection_that_has_fallen_silent() -> None:
    async with pretended(WELCOME) as url, sink_to(url) as sink:
        await sink.connect()
        sink.timeout = timedelta(seconds=0.2)
        with pytest.raises(Wait, match="did not answer within"):
            await sink.check()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"topic": "goto/#"}, 'of sink "queue" has a wildcard'),
        ({"topic": "goto/+/{{ short_type }}"}, "has a wildcard"),
        ({"topic": ""}, "is empty"),
        ({"topic": "$SYS/x"}, "begins with [$]"),
        ({"topic": "goto/{{ nonsense }}"}, "names nonsense, which no event has"),
        ({"qos": 3}, "qos"),
        ({"batch": 10}, "batch"),
    ],
)
def test_settings_that_cannot_work_are_told(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        MqttSettings(name="queue", type="mqtt", **options)


def test_an_expression_may_multiply_and_add() -> None:
    assert MqttSettings(name="queue", type="mqtt", topic="goto/{{ 1 + 2 }}{# a # #}").topic


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(UsageError, match='sink "queue", url: takes mqtt://, mqtts:// and a host'):
        MqttSink(MqttSettings(name="queue", type="mqtt", url="amqp://me:s3cret@host"), SinkContext())


async def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    async with sink_to(f"mqtt://{HOST}:1") as sink:
        with pytest.raises(UsageError, match=r"pip install 'goto-poller\[mqtt\]'"):
            await sink.connect()
