"""The sink `postgres`, against a real server; what it stored is read with psql."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from poller.errors import Refused, UsageError, Wait
from poller.fields import Secret
from poller.sinks.base import SinkContext
from poller.sinks.postgres import PostgresSettings, PostgresSink
from poller.testing.events import outgoing
from poller.testing.sinks import attempt, delivered
from tests.servers.authority import certificates
from tests.servers.postgres import DATABASE, USER, PostgresServer, postgres, sql

LIMIT = 60.0  # seconds for what takes a fraction of one
COLUMNS = (
    "id text primary key, sequence bigint, type text, source text, subject text, time timestamptz, partitionkey text"
)


@dataclass
class Table:
    where: str
    name: str

    def sink(self, **more: Any) -> PostgresSink:
        url = Secret(more.pop("url", f"postgresql://{USER}@{self.where}/{DATABASE}"))
        settings = PostgresSettings(**{"name": "db", "type": "postgres", "url": url, "table": self.name, **more})
        return PostgresSink(settings, SinkContext())

    async def make(self, columns: str) -> None:
        await self.sql(f"create table {self.name} ({columns})")

    async def sql(self, statement: str) -> list[str]:
        return await sql(self.where, statement)

    async def ids(self) -> list[str]:
        return await self.sql(f"select id from {self.name} order by ctid")


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with postgres(tmp_path) as where:
        made = Table(where, f"events_{uuid.uuid4().hex}")
        try:
            yield made
        finally:
            await made.sql(f"drop table if exists {made.name}")


@asynccontextmanager
async def connected(sink: PostgresSink) -> AsyncIterator[PostgresSink]:
    await sink.connect()
    try:
        yield sink
    finally:
        await sink.close()


# ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_row_has_the_event_and_its_attributes_in_columns(table: Table) -> None:
    event = outgoing(7, webinar="4255157664015486220")
    async with connected(table.sink()) as sink:
        assert list(await sink.send([event])) == [None]
    columns = "id, sequence, type, source, subject, extract(epoch from time)::bigint, partitionkey"
    assert await table.sql(f"select {columns} from {table.name}") == [
        f"{event.id}|7|com.goto.registrant.added|/organizers/5511973216410820613|{event.subject}|1772356542|{event.partition}"
    ]
    (stored,) = await table.sql(f"select event from {table.name}")
    assert json.loads(stored) == json.loads(event.body)
    assert await table.sql(f"select received_at > now() - interval '1 hour' from {table.name}") == ["t"]


async def test_what_would_be_sent_is_what_is_stored(table: Table) -> None:
    event = outgoing(7)
    async with connected(table.sink()) as sink:
        await sink.send([event])
        shown = sink.preview(event)
    assert shown.target == f'insert into "{table.name}"'
    assert shown.content_type.startswith("application/cloudevents+json")
    (stored,) = await table.sql(f"select event from {table.name}")
    assert json.loads(stored) == json.loads(shown.body)
    for column in ("id", "sequence", "type", "source", "subject", "partitionkey"):
        assert await table.sql(f"select {column} from {table.name}") == [shown.headers[column]]
    assert await table.sql(f"select time = '{shown.headers['time']}' from {table.name}") == ["t"]
    assert set(shown.headers) == {"id", "sequence", "type", "source", "subject", "time", "partitionkey"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"format": "data"}, json.loads(outgoing(1).body)["data"]),
        ({"format": "template", "template": '{"who": "{{ data.firstName }}"}'}, {"who": "Zoë"}),
        ({"format": "template", "template": 'Hello "{{ data.firstName }}"'}, 'Hello "Zoë"'),
    ],
)
async def test_other_formats_lie_in_the_same_column_as_json(
    table: Table, more: dict[str, str], expected: object
) -> None:
    async with connected(table.sink(**more)) as sink:
        assert list(await sink.send([outgoing(1)])) == [None]
        assert json.loads(sink.preview(outgoing(1)).body) == expected
    (stored,) = await table.sql(f"select event from {table.name}")
    assert json.loads(stored) == expected


async def test_a_batch_is_one_transaction(table: Table) -> None:
    async with connected(table.sink()) as sink:
        assert list(await sink.send([outgoing(number) for number in range(1, 101)])) == [None] * 100
    assert await table.sql(f"select count(*), count(distinct xmin::text) from {table.name}") == ["100|1"]


async def test_one_batch_may_hold_an_event_twice(table: Table) -> None:
    first, second = outgoing(1), outgoing(2)
    async with connected(table.sink()) as sink:
        assert list(await sink.send([first, second, first])) == [None] * 3
    assert await table.ids() == [first.id, second.id]


async def test_names_are_taken_as_they_are_spelt(table: Table) -> None:
    schema = f"Sch_{uuid.uuid4().hex}"
    await table.sql(f'create schema "{schema}"')
    try:
        async with connected(table.sink(table=f"{schema}.Events")) as sink:
            await sink.send([outgoing(1)])
        assert await table.sql(f'select id from "{schema}"."Events"') == [outgoing(1).id]
    finally:
        await table.sql(f'drop schema "{schema}" cascade')


async def test_several_engines_may_make_the_table_at_once(table: Table) -> None:
    sinks = [table.sink() for _ in range(8)]
    await asyncio.gather(*(sink.connect() for sink in sinks))
    for number, sink in enumerate(sinks, 1):
        assert list(await sink.send([outgoing(number)])) == [None]
        await sink.close()
    assert len(await table.ids()) == 8


# ── notify ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_listeners_hear_the_id_of_every_new_row_once(table: Table) -> None:
    events = [outgoing(number) for number in range(1, 4)]
    command = ("psql", "-X", "-A", "-t", "-q", f"postgresql://{USER}@{table.where}/{DATABASE}")
    pipe = asyncio.subprocess.PIPE
    listener = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert listener.stdin is not None and listener.stdout is not None
    listener.stdin.write(f'listen "{table.name}";\nselect 1;\n'.encode())
    async with asyncio.timeout(LIMIT):
        assert await listener.stdout.readline() == b"1\n"
    async with connected(table.sink(notify=table.name)) as sink:
        assert list(await sink.send(events[:2])) == [None, None]
        assert list(await sink.send(events)) == [None] * 3
    out, _ = await asyncio.wait_for(listener.communicate(b"select 1;\n"), LIMIT)
    heard = [line.split('"')[3] for line in out.decode().splitlines() if line.startswith("Asynchronous notification")]
    assert heard == [event.id for event in events]


# ── events that cannot be stored ─────────────────────────────────────────────────────────────────────────────────────


async def test_json_that_postgresql_cannot_hold_is_refused_and_its_neighbours_arrive(table: Table) -> None:
    events = [outgoing(number, note="a\0b" if number in (3, 7) else r"a\u0000b") for number in range(1, 9)]
    async with connected(table.sink()) as sink:
        outcomes = await sink.send(events)
    refused = [number for number, outcome in enumerate(outcomes, 1) if outcome is not None]
    assert refused == [3, 7]
    assert isinstance(outcomes[2], Refused)
    assert str(outcomes[2]) == "its JSON holds a character that PostgreSQL cannot store (\\u0000)"
    assert await table.ids() == [event.id for number, event in enumerate(events, 1) if number not in refused]


async def test_a_template_that_fails_refuses_its_event_alone(table: Table) -> None:
    events = [outgoing(1, city="Oslo"), outgoing(2), outgoing(3, city="Rome")]
    async with connected(table.sink(format="template", template="{{ data.city }}")) as sink:
        outcomes = await sink.send(events)
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert await table.ids() == [events[0].id, events[2].id]


async def test_a_constraint_of_the_tables_owner_is_named(table: Table) -> None:
    await table.make(f"{COLUMNS}, event jsonb, constraint no_odd_ones check (sequence % 2 = 0)")
    async with connected(table.sink()) as sink:
        outcomes = await sink.send([outgoing(1), outgoing(2)])
    assert [type(outcome) for outcome in outcomes] == [Refused, type(None)]
    assert str(outcomes[0]) == "a check constraint of the table refuses it: no_odd_ones"


# ── tables that do not fit ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_table_of_ones_own_may_have_more_columns(table: Table) -> None:
    await table.make(f"number bigserial, {COLUMNS}, event json, seen boolean not null default false")
    async with connected(table.sink()) as sink:
        assert list(await sink.send([outgoing(1)])) == [None]
    assert await table.sql(f"select number, seen, event ->> 'id' from {table.name}") == [f"1|f|{outgoing(1).id}"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (COLUMNS, 'does not fit: column "event" of relation'),
        (f"{COLUMNS}, event integer", 'does not fit: column "event" is of type integer'),
        (
            f"{COLUMNS}, event jsonb".replace(" primary key", ""),
            "needs a primary key or a unique index on its column id",
        ),
        (f"{COLUMNS}, event jsonb, extra text not null", "wants its column extra filled"),
        (f"{COLUMNS}, event jsonb".replace("id text", "id varchar(3)"), "a text column of the table"),
        (f"{COLUMNS}, event jsonb".replace("bigint", "smallint"), "make it bigint"),
        (f"{COLUMNS}, event jsonb, primary key (id)) partition by hash (id", "has no partition for this event"),
    ],
)
async def test_a_table_that_does_not_fit_is_named_and_everything_waits(
    table: Table, columns: str, expected: str
) -> None:
    columns = columns.replace("text primary key, sequence", "text, sequence") if "(id)" in columns else columns
    await table.make(columns)
    sink = table.sink()
    failure = await attempt(sink, [outgoing(100_000)])
    assert isinstance(failure, Wait)
    assert expected in str(failure)
    assert f'the table "{table.name}"' in str(failure)
    assert "zoe@example.com" not in str(failure)
    await table.sql(f"drop table {table.name}")
    await delivered(sink, [outgoing(1)])
    await sink.close()


async def test_a_table_dropped_while_in_use_is_made_again(table: Table) -> None:
    async with connected(table.sink()) as sink:
        assert list(await sink.send([outgoing(1)])) == [None]
        await table.sql(f"drop table {table.name}")
        assert isinstance(await attempt(sink, [outgoing(2)]), Wait)
        assert await attempt(sink, [outgoing(2)]) is None
    assert await table.ids() == [outgoing(2).id]


async def test_a_user_without_rights_is_told_which(table: Table) -> None:
    await table.make(f"{COLUMNS}, event jsonb")
    user = f"user_{uuid.uuid4().hex}"
    await table.sql(f"create role {user} login")
    try:
        sink = table.sink(url=f"postgresql://{user}@{table.where}/{DATABASE}")
        with pytest.raises(Wait, match="grant it select and insert"):
            await sink.connect()
        await table.sql(f"grant select, insert on {table.name} to {user}")
        await delivered(sink, [outgoing(1)])
        await sink.close()
    finally:
        await table.sql(f"drop owned by {user}; drop role {user}")


async def test_a_database_that_is_not_there_is_named_as_the_reason(table: Table) -> None:
    with pytest.raises(Wait, match="the database is not there; create it"):
        await table.sink(url=f"postgresql://{USER}@{table.where}/nowhere").connect()


async def test_a_locked_table_costs_no_more_than_the_timeout_and_leaves_nothing_waiting(table: Table) -> None:
    name = f"poller_{uuid.uuid4().hex}"
    url = f"postgresql://{USER}@{table.where}/{DATABASE}?application_name={name}"
    sink = table.sink(timeout=timedelta(seconds=0.5), url=url)
    try:
        await delivered(sink, [outgoing(1)])
        locker = await asyncio.create_subprocess_exec(
            "psql", "-X", "-A", "-t", "-q", f"postgresql://{USER}@{table.where}/{DATABASE}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert locker.stdin is not None and locker.stdout is not None
        locker.stdin.write(f"begin; lock table {table.name};\nselect 1;\n".encode())
        assert await locker.stdout.readline() == b"1\n"
        async with asyncio.timeout(LIMIT):
            failure = await attempt(sink, [outgoing(2)])
            assert isinstance(failure, Wait), failure
            waiting = f"select 1 from pg_stat_activity where application_name = '{name}' and wait_event_type = 'Lock'"
            while await table.sql(waiting):
                pass
        await locker.communicate(b"rollback;\n")
        await delivered(sink, [outgoing(2)])
    finally:
        await sink.close()
    assert await table.ids() == [outgoing(1).id, outgoing(2).id]


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_rows_outlive_a_killed_server_and_the_sink_finds_the_next_one(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    async with server.running():
        table = Table(server.address, "events")
        sink = table.sink()
        await delivered(sink, [outgoing(1), outgoing(2)])
        await server.kill()
        assert isinstance(await attempt(sink, [outgoing(3)]), Wait)
        await server.start()
        await delivered(sink, [outgoing(2), outgoing(3)])
        assert await table.ids() == [outgoing(number).id for number in (1, 2, 3)]
        await sink.close()


async def test_tls_with_an_own_authority_and_a_password(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    made = certificates(server.folder)
    rules = server.folder / "pg_hba.conf"
    rules.write_text(
        f"host all {USER} 127.0.0.1/32 trust\nhostssl all reader 127.0.0.1/32 scram-sha-256\n", encoding="ascii"
    )
    for path in (made.key, made.cert, made.ca, rules):
        server.give(path)
    server.settings.update(ssl="on", ssl_cert_file=str(made.cert), ssl_key_file=str(made.key), hba_file=str(rules))
    async with server.running():
        await sql(
            server.address, "create role reader login password 'hunter2'; grant create on schema public to reader"
        )
        table = Table(server.address, "events")
        url = f"postgresql://reader:hunter2@{server.address}/{DATABASE}"
        await _tls_modes(table, url, made.ca)
        wrong = table.sink(url=url.replace("hunter2", "hunter3"), ca_file=made.ca)
        with pytest.raises(Wait, match="refuses this user and password") as raised:
            await wrong.connect()
        assert "hunter3" not in str(raised.value)


async def _tls_modes(table: Table, url: str, ca: Path) -> None:
    for number, (query, more) in enumerate(
        [
            ("", {"ca_file": ca}),
            ("?sslmode=verify-full", {"ca_file": ca}),
            ("?sslmode=verify-ca", {"ca_file": ca}),
            ("?sslmode=require", {}),
            ("?sslmode=verify-full", {"verify_tls": False}),
            ("", {}),
        ],
        1,
    ):
        # The server may take a while to notice that an earlier connection is closed.
        name = f"application_name=mode-{number}"
        async with connected(table.sink(url=f"{url}{query}{'&' if query else '?'}{name}", **more)) as sink:
            assert list(await sink.send([outgoing(number)])) == [None]
            assert await table.sql("select count(*) from pg_stat_ssl join pg_stat_activity using (pid)"
                                   f" where ssl and application_name = 'mode-{number}'") == ["1"]  # fmt: skip
    assert len(await table.ids()) == 6
    with pytest.raises(Wait, match=r"the TLS connection failed: .*certificate"):
        await table.sink(url=f"{url}?sslmode=verify-full").connect()
    with pytest.raises(Wait):  # the server takes this user with TLS only
        await table.sink(url=f"{url}?sslmode=disable").connect()


async def test_a_server_without_tls_is_told_apart_from_one_that_is_away(table: Table) -> None:
    if await table.sql("show ssl") == ["on"]:
        pytest.skip("this machine's server has TLS")
    url = f"postgresql://{USER}@{table.where}/{DATABASE}?sslmode=require"
    with pytest.raises(Wait, match="it offers no TLS; sslmode=disable"):
        await table.sink(url=url).connect()


async def test_check_names_server_and_table(table: Table) -> None:
    sink = table.sink()
    line = await sink.check()
    await sink.close()
    assert line.startswith(f'{table.where}: the table "{table.name}" can be written to (PostgreSQL ')
    assert await table.ids() == []


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    sink = Table("127.0.0.1:1", "events").sink()
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[postgres\]'"):
        await sink.connect()
    await sink.close()


@pytest.mark.parametrize(
    "name", ["", "a.b.c", "my table", 'events"; drop table x; --', "1events", "x" * 64, ".events", "events."]
)
def test_names_that_postgresql_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match='of sink "db"'):
        Table("127.0.0.1:1", name).sink()
    if name:
        with pytest.raises(ValidationError, match='of sink "db"'):
            Table("127.0.0.1:1", "events").sink(notify=name)


@pytest.mark.parametrize(
    ("url", "more", "expected"),
    [
        ("mysql://me:hunter2@db/x", {}, 'sink "db", url: takes postgresql://, postgres:// and a host'),
        ("postgresql://db/x?sslmode=always", {}, 'sink "db", url: sslmode takes disable, prefer, require'),
        ("postgresql://db/x?ssl=on", {}, 'sink "db", url: the parameter ssl is not known'),
        ("postgresql://db/x?sslmode=prefer", {"ca_file": "ca.pem"}, "sslmode=prefer uses no ca_file"),
        ("postgresql://db/x", {"ca_file": "nowhere.pem"}, 'sink "db", ca_file: '),
    ],
)
def test_an_address_that_cannot_work_is_told(url: str, more: dict[str, str], expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        Table("", "events").sink(url=url, **more)
    assert expected in str(raised.value)
    assert "hunter2" not in str(raised.value)
