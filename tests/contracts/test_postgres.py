"""The contract of sinks, kept by `postgres` with a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from poller.fields import Secret
from poller.ports import Outgoing, Sink
from poller.sinks.base import SinkContext
from poller.sinks.postgres import PostgresSettings, PostgresSink
from poller.testing.events import outgoing
from poller.testing.relay import Relay
from poller.testing.sinks import Bench, RelayedBench, SinkContract
from tests.servers.postgres import DATABASE, USER, postgres, sql

_LARGE = 1_000_000  # characters


class PostgresBench(RelayedBench):
    drops_repeats = True

    def __init__(self, where: str, relay: Relay) -> None:
        self._where = where
        super().__init__(relay)
        self.table = f"events_{uuid.uuid4().hex}"

    def sink(self, *, user: str = USER, password: str = "", table: str = "") -> Sink:
        credentials: dict[str, Any] = {"password": Secret(password)} if password else {}
        settings = PostgresSettings(
            name="db",
            type="postgres",
            url=Secret(f"postgresql://{self._relay.host}:{self._relay.port}/{DATABASE}"),
            username=user,
            table=table or self.table,
            **credentials,
        )
        return PostgresSink(settings, SinkContext())

    async def received(self) -> list[str]:
        """In the order of arrival; rows of one transaction in the order in which they lie in the table."""
        if not await sql(self._where, f"select 1 where to_regclass('{self.table}') is not null"):
            return []
        return await sql(self._where, f"select id from {self.table} order by received_at, ctid")

    async def refuse(self, id_: str) -> None:
        await sql(self._where, f"alter table {self.table} add check (id <> '{id_}')")

    def stranger(self) -> tuple[Sink, str]:
        return self.sink(user="nobody_we_know", password="hunter2"), "hunter2"

    def astray(self) -> Sink:
        return self.sink(table=f"nowhere.{self.table}")

    def too_large(self) -> Outgoing:
        """The limit is one that the table's owner has set: the server's own is a quarter of a gigabyte."""
        return outgoing(1, filler="x" * (_LARGE + 1))

    async def prepare(self) -> None:
        limit = f"check (octet_length(event::text) <= {_LARGE})"
        await sql(
            self._where,
            f"create table {self.table} (id text primary key, sequence bigint, type text, source text, subject text,"
            f" time timestamptz, partitionkey text, event jsonb {limit}, received_at timestamptz default now())",
        )

    async def clean(self) -> None:
        await sql(self._where, f"drop table if exists {self.table}")


class TestPostgres(SinkContract):
    @pytest.fixture
    async def bench(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
        async with postgres(tmp_path) as where:
            host, _, port = where.rpartition(":")
            async with Relay(host, int(port)).serve() as relay:
                bench = PostgresBench(where, relay)
                if "too_large" in request.node.name:
                    await bench.prepare()
                try:
                    yield bench
                finally:
                    await bench.clean()
