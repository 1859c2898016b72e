"""The Redis sink: what an entry holds, how a server's troubles read, logins and TLS, and what newer servers add."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from poller.errors import Refused, UsageError, Wait
from poller.sinks.base import SinkContext
from poller.sinks.redis import RedisSettings, RedisSink
from poller.testing.events import DATA, outgoing
from poller.testing.sinks import delivered
from tests.integration.redis_stand_in import StandIn
from tests.servers.authority import certificates
from tests.servers.base import HOST, lacking
from tests.servers.redis import RedisServer, TlsRedisServer, redis_server


def redis_sink(url: str, **options: Any) -> RedisSink:
    return RedisSink(RedisSettings(name="queue", type="redis", url=url, **options), SinkContext())


@asynccontextmanager
async def sink_to(url: str, **options: Any) -> AsyncIterator[RedisSink]:
    sink = redis_sink(url, **options)
    try:
        await sink.connect()
        yield sink
    finally:
        await sink.close()


async def failure_at(url: str, **options: Any) -> Exception:
    """Of connecting, or of the one event that is sent then."""
    try:
        async with sink_to(url, **options) as sink:
            (outcome,) = await sink.send([outgoing()])
            assert outcome is not None
            return outcome
    except (Wait, UsageError) as err:
        return err


async def cli(port: int, *command: str) -> Any:
    """The answer of Redis's own client."""
    program = shutil.which("redis-cli")
    if program is None:
        lacking("redis-cli is not installed")
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(port), "--json", *command, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return json.loads(out)


async def entries(port: int, stream: str, *more: str) -> list[dict[str, str]]:
    found = await cli(port, *more, "XRANGE", stream, "-", "+")
    return [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in found]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with redis_server(tmp_path) as (_, port):
        yield port


@pytest.fixture
async def stream(port: int) -> AsyncIterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    await cli(port, "DEL", name)


# ── what an entry holds ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_entry_has_the_event_and_what_readers_choose_by(port: int, stream: str) -> None:
    event = outgoing()
    async with sink_to(f"redis://{HOST}:{port}", stream=stream) as sink:
        assert await sink.send([event]) == [None]
        shown = sink.preview(event)
    (entry,) = await entries(port, stream)
    assert entry == {
        "id": event.id,
        "type": "com.goto.registrant.added",
        "subject": "webinars/w1/registrants/1",
        "partitionkey": "w1",
        "contenttype": "application/cloudevents+json; charset=UTF-8",
        "body": event.body.decode(),
    }
    assert {**shown.headers, "body": shown.body.decode()} == entry
    assert shown.content_type == entry["contenttype"]
    assert shown.target == f"XADD {stream}"


@pytest.mark.parametrize(
    ("options", "content_type", "body"),
    [
        ({"format": "data"}, "application/json", DATA),
        ({"format": "template", "template": "{{ data.firstName }}!"}, "text/plain; charset=utf-8", "Zoë!"),
    ],
    ids=["data", "template"],
)
async def test_the_body_is_what_format_says(
    port: int, stream: str, options: dict[str, Any], content_type: str, body: Any
) -> None:
    async with sink_to(f"redis://{HOST}:{port}", stream=stream, **options) as sink:
        assert await sink.send([outgoing(1), outgoing(2)]) == [None, None]
    for entry in await entries(port, stream):
        assert entry["contenttype"] == content_type
        assert (json.loads(entry["body"]) if isinstance(body, dict) else entry["body"]) == body


async def test_of_a_batch_what_cannot_be_rendered_is_refused_and_the_rest_arrives(port: int, stream: str) -> None:
    options = {"format": "template", "template": "{{ data.note }}"}
    batch = [outgoing(1, note="a"), outgoing(2), outgoing(3, note="c")]
    async with sink_to(f"redis://{HOST}:{port}", stream=stream, **options) as sink:
        outcomes = await sink.send(batch)
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert [entry["body"] for entry in await entries(port, stream)] == ["a", "c"]


async def test_a_stream_keeps_about_maxlen_entries_the_newest(port: int, stream: str) -> None:
    async with sink_to(f"redis://{HOST}:{port}", stream=stream, maxlen=100) as sink:
        for hundred in range(10):
            await sink.send([outgoing(hundred * 100 + number) for number in range(100)])
    there = await entries(port, stream)
    assert 100 <= len(there) <= 250  # whole nodes are cut off, of a hundred entries each
    assert there[-1]["id"] == outgoing(999).id


async def test_a_maxlen_of_0_keeps_all(port: int, stream: str) -> None:
    async with sink_to(f"redis://{HOST}:{port}", stream=stream, maxlen=0) as sink:
        await sink.send([outgoing(number) for number in range(300)])
    assert await cli(port, "XLEN", stream) == 300


async def test_the_path_is_the_database(port: int, stream: str) -> None:
    async with sink_to(f"redis://{HOST}:{port}/3", stream=stream) as sink:
        await sink.send([outgoing()])
    assert not await entries(port, stream)
    assert [entry["id"] for entry in await entries(port, stream, "-n", "3")] == [outgoing().id]
    await cli(port, "-n", "3", "DEL", stream)
    assert "has no database 4711" in str(await failure_at(f"redis://{HOST}:{port}/4711"))


# ── a server's troubles ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_that_is_no_stream_waits_until_it_is_gone(port: int, stream: str) -> None:
    await cli(port, "SET", stream, "a text")
    batch = [outgoing(1), outgoing(2)]
    async with sink_to(f"redis://{HOST}:{port}", stream=stream) as sink:
        for outcome in await sink.send(batch):
            assert isinstance(outcome, Wait)
            assert f'WRONGTYPE: the key "{stream}" is there and is no stream' in str(outcome)
        with pytest.raises(Wait, match="WRONGTYPE"):
            await sink.check()
        await cli(port, "DEL", stream)
        assert await sink.send(batch) == [None, None]
        assert "has 2 entries" in await sink.check()


async def test_a_full_memory_waits_and_takes_nothing_of_the_batch(tmp_path: Path) -> None:
    async with RedisServer(tmp_path).running() as server, sink_to(f"redis://{HOST}:{server.port}") as sink:
        await cli(server.port, "CONFIG", "SET", "maxmemory", "1")
        batch = [outgoing(number) for number in range(3)]
        for outcome in await sink.send(batch):
            assert isinstance(outcome, Wait)
            assert "OOM: its memory is full" in str(outcome)
        await cli(server.port, "CONFIG", "SET", "maxmemory", "0")
        assert await cli(server.port, "XLEN", "goto") == 0
        assert await sink.send(batch) == [None] * 3


async def test_a_replica_waits(tmp_path: Path) -> None:
    async with RedisServer(tmp_path).running() as server, sink_to(f"redis://{HOST}:{server.port}") as sink:
        await cli(server.port, "REPLICAOF", HOST, "1")
        (outcome,) = await sink.send([outgoing()])
        assert isinstance(outcome, Wait)
        assert "give the URL of the primary" in str(outcome)
        await cli(server.port, "REPLICAOF", "NO", "ONE")
        assert await sink.send([outgoing()]) == [None]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("LOADING Redis is loading the dataset in memory", "still reading its data"),
        ("MISCONF Errors writing to the AOF file", "cannot save to its disk"),
        ("NOREPLICAS Not enough good replicas to write", "too few replicas"),
        ("MOVED 3999 127.0.0.1:6381", "another node of its cluster"),
        ("CLUSTERDOWN The cluster is down", "its cluster cannot serve"),
        ("ERR unknown command 'XADD', with args beginning with: 'zoe@example.com'", "Redis 5"),
        ("-zoe@example.com", "answered an error"),
    ],
)
async def test_an_error_of_the_server_waits_in_words_that_repeat_no_event(error: str, told: str) -> None:
    async with StandIn(error=error).serve() as server, sink_to(f"redis://{HOST}:{server.port}") as sink:
        for batch in ([outgoing()], [outgoing(1), outgoing(2)]):
            try:
                failures = list(await sink.send(batch))
            except Wait as err:
                failures = [err] * len(batch)
            for failure in failures:
                assert isinstance(failure, Wait)
                assert told in str(failure)
                assert "zoe" not in str(failure)


async def test_what_was_acknowledged_survives_the_death_of_a_server_that_writes_every_entry(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    async with server.running(), sink_to(f"redis://{HOST}:{server.port}") as sink:
        assert await sink.send([outgoing(1), outgoing(2)]) == [None, None]
        await server.kill()
        with pytest.raises(Wait):
            await sink.send([outgoing(3)])
        await server.start()
        await delivered(sink, [outgoing(3)])
        assert [entry["id"] for entry in await entries(server.port, "goto")] == [outgoing(n).id for n in (1, 2, 3)]


# ── who we are ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_logins(tmp_path: Path) -> None:
    users = (
        "--user default off --user writer on >s3cret ~* +@all --user adder on >s3cret ~goto +xadd"
        " --user reader on >s3cret ~* +@read"
    )
    async with RedisServer(tmp_path, *users.split()).running() as server:
        where = f"{HOST}:{server.port}"
        for url, options in (
            (f"redis://writer:s3cret@{where}", {}),
            (f"redis://{where}", {"username": "writer", "password": "s3cret"}),
            (f"redis://adder:s3cret@{where}", {}),
        ):
            async with sink_to(url, **options) as sink:
                assert await sink.send([outgoing()]) == [None]
                assert where in await sink.check()
        for url, told in (
            (f"redis://writer:wr0ng@{where}", "WRONGPASS"),
            (f"redis://{where}", "NOAUTH"),
            (f"redis://reader:s3cret@{where}", 'NOPERM: this user may not write; allow XADD .* on "goto"'),
        ):
            failure = await failure_at(url)
            assert isinstance(failure, Wait)
            assert re.search(told, str(failure))
            assert "wr0ng" not in str(failure)


async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    async with TlsRedisServer(tmp_path, made).running() as server:
        url = f"rediss://{HOST}:{server.port}"
        failure = await failure_at(url)
        assert isinstance(failure, Wait)
        assert "TLS" in str(failure)
        for options in ({"ca_file": made.ca}, {"verify_tls": False}):
            async with sink_to(url, **options) as sink:
                assert await sink.send([outgoing()]) == [None]
                assert await sink.check()


# ── a server that adds an id once ────────────────────────────────────────────────────────────────────────────────────


async def test_a_repeat_adds_nothing_where_the_server_can_tell() -> None:
    async with StandIn().serve() as server:
        batches = ([outgoing(1)], [outgoing(1), outgoing(2), outgoing(1, webinar="w2")], [outgoing(2)])
        for batch in batches:
            async with sink_to(f"redis://{HOST}:{server.port}") as sink:
                assert await sink.send(batch) == [None] * len(batch)
    ids = [entry[b"id"].decode() for entry in server.entries]
    assert ids == [outgoing(1).id, outgoing(2).id, outgoing(1, webinar="w2").id]
    added = [command for command in server.commands if command[0] == b"XADD"]
    assert {tuple(command[2:4]) for command in added} == {(b"IDMP", b"w1"), (b"IDMP", b"w2")}


async def test_an_older_server_is_not_asked_for_what_it_does_not_know() -> None:
    async with StandIn(idempotent=False).serve() as server, sink_to(f"redis://{HOST}:{server.port}") as sink:
        assert await sink.send([outgoing(1), outgoing(2)]) == [None, None]
    assert len(server.entries) == 2
    assert all(b"IDMP" not in command for command in server.commands)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[redis\]'"):
        await redis_sink("redis://127.0.0.1").connect()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1", "redis://, rediss://"),
        ("redis://", "and a host"),
        ("redis://:s3cret@127.0.0.1:x", "is no address"),
        ("redis://:s3cret@127.0.0.1/events", "its path is the number of the database"),
        ("redis://:s3cret@127.0.0.1/0?ssl_cert_reqs=none", "takes no parameters"),
    ],
)
def test_a_url_that_cannot_work_names_sink_and_setting(url: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        redis_sink(url)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"maxlen": -1}, {"stream": ""}, {"batch": 0}, {"key_file": "a.pem"}])
def test_settings_that_mean_nothing_are_refused_at_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RedisSettings(name="queue", type="redis", **options)
