"""The NATS sink against real servers: what arrives in a stream, read back word by word of the protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from poller.errors import PollerError, Refused, UsageError, Wait
from poller.ports import Outgoing
from poller.sinks.base import SinkContext
from poller.sinks.nats import NatsSettings, NatsSink
from poller.testing.events import DATA, outgoing
from tests.integration.receiver import self_signed
from tests.servers.nats import NatsServer, nats

HOST = "127.0.0.1"


class Talk:
    """The protocol by hand, so that no driver reads what a driver wrote."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._sids = 0

    async def greet(self, **who: str) -> None:
        await self._reader.readline()
        hello = {"verbose": False, "headers": True, "no_responders": True, "protocol": 1, **who}
        self._writer.write(b"CONNECT " + json.dumps(hello).encode() + b"\r\nPING\r\n")
        assert await self._reader.readline() == b"PONG\r\n"

    async def ask(self, subject: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the answer decoded."""
        self._sids += 1
        payload = json.dumps(body).encode() if body is not None else b""
        inbox = f"_INBOX.{uuid.uuid4().hex}"
        self._writer.write(f"SUB {inbox} {self._sids}\r\nUNSUB {self._sids} 1\r\n".encode())
        self._writer.write(f"PUB {subject} {inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
        return json.loads((await self._message())[2])

    async def stored(self, stream: str, sequence: int) -> tuple[str, list[str], bytes]:
        """Subject, header lines and body of one message of a stream."""
        found = (await self.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": sequence}))["message"]
        lines = base64.b64decode(found.get("hdrs", "")).decode().split("\r\n")
        return found["subject"], [line for line in lines[1:] if line], base64.b64decode(found["data"])

    async def _message(self) -> tuple[str, bytes, bytes]:
        line = (await self._reader.readline()).decode().split()
        while line[0] in ("PING", "INFO", "PONG"):
            if line[0] == "PING":
                self._writer.write(b"PONG\r\n")
            line = (await self._reader.readline()).decode().split()
        header = int(line[-2]) if line[0] == "HMSG" else 0
        data = await self._reader.readexactly(int(line[-1]) + 2)
        return line[1], data[:header], data[header:-2]


@asynccontextmanager
async def talk_to(host: str, port: int, **who: str) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        talk = Talk(reader, writer)
        await talk.greet(**who)
        yield talk
    finally:
        writer.close()
        await writer.wait_closed()


class Place:
    """A stream of the test's own, and sinks that lead to it."""

    def __init__(self, host: str, port: int, talk: Talk) -> None:
        self.name = f"test-{uuid.uuid4().hex}"
        self.url = f"nats://{host}:{port}"
        self.talk = talk
        self.open_sinks: list[NatsSink] = []

    async def sink(self, **options: Any) -> NatsSink:
        sink = self.unconnected(**options)
        await sink.connect()
        return sink

    def unconnected(self, **options: Any) -> NatsSink:
        options = {"stream": self.name, "subject": f"{self.name}.{{{{ short_type }}}}", "url": self.url} | options
        sink = NatsSink(NatsSettings(name="queue", type="nats", **options), SinkContext())
        self.open_sinks.append(sink)
        return sink

    async def make(self, *subjects: str, **config: Any) -> None:
        config = {"name": self.name, "subjects": list(subjects), "storage": "file", **config}
        answer = await self.talk.ask(f"$JS.API.STREAM.CREATE.{self.name}", config)
        assert "error" not in answer, answer

    async def info(self) -> Any:
        return await self.talk.ask(f"$JS.API.STREAM.INFO.{self.name}")

    async def messages(self) -> list[tuple[str, list[str], bytes]]:
        count = (await self.info())["state"]["messages"]
        return [await self.talk.stored(self.name, sequence) for sequence in range(1, count + 1)]


@asynccontextmanager
async def place_at(host: str, port: int, **who: str) -> AsyncIterator[Place]:
    async with talk_to(host, port, **who) as talk:
        place = Place(host, port, talk)
        try:
            yield place
        finally:
            for sink in place.open_sinks:
                await sink.close()
            await talk.ask(f"$JS.API.STREAM.DELETE.{place.name}")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with nats(tmp_path) as there, place_at(*there) as place:
        yield place


def header_of(lines: list[str]) -> dict[str, str]:
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_structured_event_is_the_body_with_its_id_and_media_type_beside_it(place: Place) -> None:
    sink = await place.sink()
    event = outgoing(1)
    assert list(await sink.send([event])) == [None]
    ((subject, lines, body),) = await place.messages()
    assert subject == f"{place.name}.registrant.added"
    assert body == event.body
    assert header_of(lines) == {
        "Nats-Msg-Id": event.id,
        "Nats-Expected-Stream": place.name,
        "content-type": "application/cloudevents+json; charset=UTF-8",
    }


async def test_a_binary_event_has_its_attributes_in_headers_and_its_data_in_the_body(place: Place) -> None:
    sink = await place.sink(content_mode="binary")
    event = outgoing(1, webinar="Zoë & 100%")
    assert list(await sink.send([event])) == [None]
    ((_, lines, body),) = await place.messages()
    header = header_of(lines)
    assert json.loads(body) == DATA
    assert header["Nats-Msg-Id"] == header["ce-id"] == event.id
    assert header["ce-specversion"] == "1.0"
    assert header["ce-type"] == "com.goto.registrant.added"
    assert header["ce-partitionkey"] == "Zo%C3%AB%20&%20100%25"
    assert header["ce-datacontenttype"] == header["content-type"] == "application/json"
    assert "ce-data" not in header
    names = {f"ce-{name}" for name in event.event if name != "data"}
    assert names == {name for name in header if name.startswith("ce-")}


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_what_is_shown_beforehand_is_what_is_sent(place: Place, mode: str) -> None:
    event = outgoing(1)
    shown = place.unconnected(content_mode=mode).preview(event)
    sink = await place.sink(content_mode=mode)
    await sink.send([event])
    ((subject, lines, body),) = await place.messages()
    assert (shown.target, dict(shown.headers), shown.body) == (subject, header_of(lines), body)
    assert shown.content_type == header_of(lines)["content-type"]


async def test_subject_and_body_are_made_by_templates(place: Place) -> None:
    sink = await place.sink(
        subject=f"{place.name}.{{{{ data.webinarKey }}}}.{{{{ type.split('.')[-1] }}}}",
        format="template",
        template="{{ data.email }}",
    )
    await sink.send([outgoing(1)])
    ((subject, lines, body),) = await place.messages()
    assert (subject, body) == (f"{place.name}.{DATA['webinarKey']}.added", b"zoe@example.com")
    assert header_of(lines)["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["Zoë Müller", "a..b", "a.*", "a.>", "x" * 3000])
async def test_an_event_that_makes_no_subject_is_refused_and_the_others_arrive(place: Place, name: str) -> None:
    sink = await place.sink(subject=f"{place.name}.{{{{ data.nickname }}}}")
    outcomes = await sink.send([outgoing(1, nickname="zoe"), outgoing(2, nickname=name), outgoing(3, nickname="y")])
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert "zoe" not in str(outcomes[1]).lower()
    assert [body for _, _, body in await place.messages()] == [
        outgoing(1, nickname="zoe").body,
        outgoing(3, nickname="y").body,
    ]


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_stream_takes_all_subjects_of_the_template_and_drops_repeats_for_as_long_as_there_may_be_any(
    place: Place,
) -> None:
    await place.sink(max_age="5h")
    config = (await place.info())["config"]
    assert config["subjects"] == [f"{place.name}.>"]
    assert config["duplicate_window"] == 5 * 3600 * 10**9
    assert config["storage"] == "file"


@pytest.mark.parametrize(("max_age", "seconds"), [("0s", 120), ("1y", 7 * 86400)])
async def test_the_window_for_repeats_is_neither_useless_nor_endless(place: Place, max_age: str, seconds: int) -> None:
    await place.sink(max_age=max_age)
    assert (await place.info())["config"]["duplicate_window"] == seconds * 10**9


async def test_a_stream_that_exists_is_left_as_it_is(place: Place) -> None:
    await place.make(f"{place.name}.>", "elsewhere." + place.name, max_msgs=1000, duplicate_window=10**11)
    before = (await place.info())["config"]
    sink = await place.sink()
    assert list(await sink.send([outgoing(1)])) == [None]
    assert (await place.info())["config"] == before


async def test_a_subject_that_no_stream_listens_to_waits_and_so_does_what_follows_it_in_its_webinar(
    place: Place,
) -> None:
    await place.make(f"{place.name}.heard")
    sink = await place.sink(subject=f"{place.name}.{{{{ data.where }}}}")
    batch = [
        outgoing(1, webinar="a", where="unheard"),
        outgoing(2, webinar="a", where="heard"),
        outgoing(3, webinar="b", where="heard"),
    ]
    outcomes = await sink.send(batch)
    assert [type(outcome) for outcome in outcomes] == [Wait, Wait, type(None)]
    assert f"no stream listens to {place.name}.unheard" in str(outcomes[0])
    assert [body for _, _, body in await place.messages()] == [batch[2].body]


async def test_another_streams_subject_is_not_taken_for_ours(place: Place) -> None:
    other = f"{place.name}-other"
    made = await place.talk.ask(
        f"$JS.API.STREAM.CREATE.{other}", {"name": other, "subjects": [f"{other}.>"], "storage": "file"}
    )
    assert "error" not in made
    try:
        sink = await place.sink(subject=f"{other}.events", create=False, stream=other)
        assert list(await sink.send([outgoing(1)])) == [None]
        await place.make(f"{place.name}.>")
        sink = await place.sink(subject=f"{other}.events")
        (outcome,) = await sink.send([outgoing(2)])
        assert isinstance(outcome, Wait)
        assert "another stream listens to" in str(outcome)
    finally:
        await place.talk.ask(f"$JS.API.STREAM.DELETE.{other}")


async def test_a_stream_that_vanishes_is_made_again_by_the_next_attempt(place: Place) -> None:
    sink = await place.sink()
    assert list(await sink.send([outgoing(1)])) == [None]
    await place.talk.ask(f"$JS.API.STREAM.DELETE.{place.name}")
    (outcome,) = await sink.send([outgoing(2)])
    assert isinstance(outcome, Wait)
    await sink.connect()
    assert list(await sink.send([outgoing(2)])) == [None]
    assert [body for _, _, body in await place.messages()] == [outgoing(2).body]


async def test_a_stream_that_takes_smaller_messages_refuses_a_larger_one_for_good(place: Place) -> None:
    await place.make(f"{place.name}.>", max_msg_size=2000)
    sink = await place.sink()
    outcomes = await sink.send([outgoing(1), outgoing(2, note="x" * 3000), outgoing(3)])
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]


async def test_headers_count_when_an_event_is_measured(place: Place) -> None:
    """The server counts them, and would break the connection."""
    sink = await place.sink()
    room = 1_048_576 - len(outgoing(1, note="").body)
    assert [type(outcome) for outcome in await sink.send([outgoing(1, note="x" * (room - 50))])] == [Refused]
    assert list(await sink.send([outgoing(1, note="x" * (room - 400))])) == [None]


async def test_a_full_stream_makes_its_events_wait_in_their_order(place: Place) -> None:
    """A large event does not fit, a smaller one would: it must not overtake."""
    await place.make(f"{place.name}.>", max_bytes=6000, discard="new")
    sink = await place.sink()
    assert list(await sink.send([outgoing(1)])) == [None]
    batch = [outgoing(2, note="x" * 6000), outgoing(3), outgoing(4, webinar="w2")]
    outcomes = await sink.send(batch)
    assert [type(outcome) for outcome in outcomes] == [Wait, Wait, type(None)]
    assert [body for _, _, body in await place.messages()] == [outgoing(1).body, batch[2].body]


async def test_a_batch_of_one_webinar_is_under_way_together_once_its_subject_is_known(place: Place) -> None:
    sink = await place.sink()
    for start in (1, 201):
        batch = [outgoing(number) for number in range(start, start + 200)]
        assert list(await sink.send(batch)) == [None] * 200
    assert [json.loads(body)["sequence"] for _, _, body in await place.messages()] == [
        f"{number:020}" for number in range(1, 401)
    ]


# ── health, and what goes wrong ──────────────────────────────────────────────────────────────────────────────────────


async def test_check_tells_about_the_stream(place: Place) -> None:
    sink = await place.sink()
    await sink.send([outgoing(1)])
    line = await sink.check()
    assert f"has the stream {place.name} with 1 messages" in line


async def test_without_create_an_absent_stream_is_named(place: Place) -> None:
    with pytest.raises(Wait, match=f"has no stream {place.name}; make it, or set create = true"):
        await place.sink(create=False)


async def test_a_server_without_jetstream_is_a_failure_that_says_so(tmp_path: Path) -> None:
    class Plain(NatsServer):
        async def prepare(self) -> None:
            (self.folder / "nats.conf").write_text("max_payload: 1048576\n")

    async with Plain(tmp_path).running() as server:
        sink = NatsSink(NatsSettings(name="q", type="nats", url=f"nats://{HOST}:{server.port}"), SinkContext())
        with pytest.raises(Wait, match="JetStream is not switched on there"):
            await sink.connect()
        await sink.close()


async def test_what_was_acknowledged_survives_the_death_of_the_server(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    settings = NatsSettings(name="queue", type="nats", url=f"nats://{HOST}:{server.port}", batch=50)
    sink = NatsSink(settings, SinkContext())
    batch = [outgoing(number) for number in range(1, 51)]
    async with server.running():
        await sink.connect()
        assert list(await sink.send(batch)) == [None] * 50
        await server.kill()
        with pytest.raises(PollerError):
            for outcome in await sink.send([outgoing(51)]):
                raise outcome or AssertionError("delivered to a dead server")
        await server.start()
        await sink.connect()
        assert list(await sink.send([batch[-1], outgoing(51)])) == [None, None]
        async with talk_to(HOST, server.port) as talk:
            there = [(await talk.stored("GOTO", sequence))[2] for sequence in range(1, 52)]
            assert there == [event.body for event in [*batch, outgoing(51)]]
            assert (await talk.ask("$JS.API.STREAM.INFO.GOTO"))["state"]["messages"] == 51
        await sink.close()


USERS = """authorization {{ timeout: 60, users: [
  {{ user: all, password: all-password }},
  {{ user: narrow, password: narrow-password,
     permissions: {{ publish: ["{subject}"], subscribe: ["_INBOX.>"] }} }},
  {{ user: deaf, password: deaf-password, permissions: {{ subscribe: ["nothing"] }} }}
] }}"""


async def test_rights_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, USERS.format(subject="allowed.>"))
    async with server.running(), place_at(HOST, server.port, user="all", **{"pass": "all-password"}) as place:
        await place.make("allowed.>", "denied.>")
        url = f"nats://narrow:narrow-password@{HOST}:{server.port}"
        sink = await place.sink(url=url, subject="{{ data.where }}.x", create=False)
        batch = [outgoing(1, webinar="a", where="denied"), outgoing(2, webinar="b", where="allowed")]
        outcomes = await sink.send(batch)
        assert [str(outcome) for outcome in outcomes] == [
            f"{HOST}:{server.port}: not allowed to publish to denied.x",
            "None",
        ]
        assert "does not tell us about its stream" in await sink.check()
        with pytest.raises(Wait, match=r"not allowed to publish to \$JS\.API\.STREAM\.INFO"):
            await place.sink(url=url, subject="allowed.x")
        with pytest.raises(Wait, match="not allowed to subscribe"):
            await place.sink(url=f"nats://deaf:deaf-password@{HOST}:{server.port}")


async def test_a_token_is_a_user_without_a_password(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, 'authorization { token: "let-me-in", timeout: 60 }')
    async with server.running(), place_at(HOST, server.port, auth_token="let-me-in") as place:
        sink = await place.sink(url=f"nats://let-me-in@{HOST}:{server.port}")
        assert list(await sink.send([outgoing(1)])) == [None]
        with pytest.raises(Wait, match="refuses these credentials") as caught:
            await place.sink(url=f"nats://wrong-token@{HOST}:{server.port}")
        assert "wrong-token" not in str(caught.value)


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tls_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    self_signed(tmp_path)
    pem = tmp_path / "server.pem"
    tls = f'tls {{ cert_file: "{pem}", key_file: "{pem}", timeout: 60 }}'
    async with NatsServer(tmp_path, tls).running() as server:

        async def outcome_of(**options: Any) -> Any:
            settings = NatsSettings(
                name="q", type="nats", url=f"tls://{HOST}:{server.port}", subject="tls.events", **options
            )
            sink = NatsSink(settings, SinkContext())
            try:
                await sink.connect()
                return list(await sink.send([outgoing(1)]))
            except PollerError as err:
                return str(err)
            finally:
                await sink.close()

        assert await outcome_of(ca_file=pem) == [None]
        assert await outcome_of(verify_tls=False) == [None]
        assert "the TLS connection failed" in await outcome_of()


async def test_a_password_does_not_go_to_a_server_that_does_not_offer_the_tls_we_asked_for(place: Place) -> None:
    heard = b""
    over = asyncio.Event()

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(b'INFO {"server_id":"X","version":"2.9.10","headers":true,"max_payload":1048576}\r\n')
        heard += await reader.read(1000)
        writer.close()
        over.set()

    server = await asyncio.start_server(pretend, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    sink = place.unconnected(url=f"tls://me:s3cret@{HOST}:{port}")
    with pytest.raises(Wait, match="does not offer TLS"):
        await sink.connect()
    await over.wait()
    server.close()
    assert heard == b""


async def test_without_credentials_nothing_is_sent_either_where_tls_is_missing(place: Place) -> None:
    sink = place.unconnected(url=place.url.replace("nats://", "tls://"))
    with pytest.raises(Wait, match="does not offer TLS"):
        await sink.connect()
    assert "error" in await place.info()


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"stream": "my.stream"}, 'of sink "queue" is empty, or has a space'),
        ({"stream": ""}, 'of sink "queue" is empty'),
        ({"subject": "goto.*"}, 'of sink "queue" has a wildcard'),
        ({"subject": "goto.{{ short_type }}.>"}, "has a wildcard"),
        ({"subject": "goto..x"}, "has an empty part between dots"),
        ({"subject": "two words"}, "has a space"),
        ({"subject": "$JS.API.x"}, "begins with [$]"),
        ({"subject": "goto.{{ nonsense }}"}, "names nonsense, which no event has"),
        ({"subject": "{{ short_type }}"}, "begins with a word and a dot"),
        ({"subject": "goto{{ short_type }}"}, "begins with a word and a dot"),
    ],
)
def test_settings_that_cannot_work_are_told(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        NatsSettings(name="queue", type="nats", **options)


def test_a_subject_without_a_beginning_is_fine_for_a_stream_of_ones_own() -> None:
    assert NatsSettings(name="queue", type="nats", subject="{{ short_type }}", create=False).subject


@pytest.mark.parametrize("url", ["http://example.com", "nats://", "nats://a b", "nats://host:port"])
def test_an_address_that_is_none_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match='sink "queue", url: ') as caught:
        NatsSink(NatsSettings(name="queue", type="nats", url=url), SinkContext())
    assert "nats://host:4222" in str(caught.value)


async def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    sink = NatsSink(NatsSettings(name="queue", type="nats"), SinkContext())
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[nats\]'"):
        await sink.connect()


def test_no_password_is_ever_shown() -> None:
    settings = NatsSettings(name="queue", type="nats", url="nats://me:s3cret@host")
    sink = NatsSink(settings, SinkContext())
    event: Outgoing = outgoing(1)
    assert "s3cret" not in f"{settings!r} {sink.preview(event)!r} {vars(sink)!r}"
