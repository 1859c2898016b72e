"""Events as rows of a PostgreSQL table: one row per id, and one statement, hence one transaction, per batch."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from pydantic import AfterValidator, Field, ValidationInfo

from poller.errors import PollerError, Refused, UsageError, Wait
from poller.fields import FieldError
from poller.formats import TEXT
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, Preview, SinkContext
from poller.sinks.server import ServerSettings, address, driver, tls_context, unreachable

_PORTS: Final = {"postgresql": 5432, "postgres": 5432}
_LONGEST_NAME: Final = 63  # bytes; the server cuts longer names off, and takes none for a channel
_NAME: Final = re.compile(r"[^\W\d][\w$]*")
_CLOSING: Final = 2.0  # seconds for the other side to take leave

# The modes of libpq, which name in one word whether TLS is asked for and what of the certificate is checked.
# https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION
_SSL_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
_PARAMETERS: Final = ("application_name", "sslmode")

_COLUMNS: Final = {
    "id": "text primary key",
    "sequence": "bigint not null",
    "type": "text not null",
    "source": "text not null",
    "subject": "text not null",
    "time": "timestamptz not null",
    "partitionkey": "text not null",
    "event": "jsonb not null",
}
_DEFINITION: Final = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
_RECEIVED: Final = "received_at timestamptz not null default now()"

# What the server's SQLSTATE says about one event, whatever the table: another time it would say the same.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSALS: Final = {
    "22P05": "its JSON holds a character that PostgreSQL cannot store (\\u0000)",
    "22P02": "its JSON is not such as PostgreSQL can store",
    "22021": "it holds a character that PostgreSQL cannot store (NUL)",
    "22007": "its time cannot be read",
    "22008": "its time lies outside the calendar",
    "23505": "a unique constraint of the table refuses it",
    "23514": "a check constraint of the table refuses it",
    "23P01": "an exclusion constraint of the table refuses it",
    "44000": "the check option of the view refuses it",
    "54000": "it is too large for PostgreSQL",
    "54001": "it is nested too deeply for PostgreSQL",
}

# What it says about the server or the table, and how that is mended. `{table}` is the table's name.
_OBSTACLES: Final = {
    "28000": "it refuses this user; correct username and password, or its pg_hba.conf",
    "28P01": "it refuses this user and password; correct them",
    "3D000": "the database is not there; create it, or name another one in the url",
    "3F000": "the schema of the table {table} is not there; create it, or name another one",
    "42501": "this user may not write to the table {table}; grant it select and insert there (and create on the"
    " schema, if the table is to be made)",
    "42P01": "the table {table} was not there any more; it is made again",
    "42P10": "the table {table} needs a primary key or a unique index on its column id",
    "22001": "a text column of the table {table} is too short for an event; make it text",
    "22003": "the column sequence of the table {table} is too small for an event; make it bigint",
    "25006": "it is read-only; name the primary in the url",
    "26000": "a pooler stands before it that mixes up prepared statements; use one in session mode",
    "42P05": "a pooler stands before it that mixes up prepared statements; use one in session mode",
    "53100": "its disk is full",
    "53300": "it has no connection left",
    "57014": "it gave the statement up; something may hold the table {table} locked",
    "57P01": "it is shutting down",
    "57P03": "it is starting up or shutting down",
}


def _named(text: str, info: ValidationInfo) -> str:
    if any(not _NAME.fullmatch(part) or len(part.encode()) > _LONGEST_NAME for part in text.split(".")):
        raise FieldError(f'of sink "{info.data.get("name", "?")}" is no name that PostgreSQL takes: "{text}"')
    return text


def _table(text: str, info: ValidationInfo) -> str:
    if text.count(".") > 1:
        raise FieldError(f'of sink "{info.data.get("name", "?")}" takes a table or schema.table, not "{text}"')
    return _named(text, info)


def _channel(text: str, info: ValidationInfo) -> str:
    if "." in text:
        raise FieldError(f'of sink "{info.data.get("name", "?")}" takes a channel, which has no dots: not "{text}"')
    return _named(text, info) if text else text


class PostgresSettings(ServerSettings, BatchSettings):
    table: Annotated[str, AfterValidator(_table)] = Field(
        default="goto_events", description="table or schema.table, spelt as it is; made when it is not there"
    )
    notify: Annotated[str, AfterValidator(_channel)] = Field(
        default="", description="a channel that is told each new row's id (NOTIFY); empty = off"
    )


class _Row(NamedTuple):
    """In the order of `_COLUMNS`."""

    id: str
    sequence: int
    type: str
    source: str
    subject: str
    time: str
    partitionkey: str
    event: str


class _Head(msgspec.Struct):
    """The attributes that only the event itself knows."""

    source: str
    time: str


class PostgresSink(BaseSink):
    """A connection carries one statement at a time and is dropped with whatever interrupts it.

    There are never more of them than sends under way, so `concurrency` bounds them.
    """

    settings_type = PostgresSettings

    def __init__(self, settings: PostgresSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._address = address(settings, _PORTS, {})
        self._table = ".".join(f'"{part}"' for part in settings.table.split("."))
        self._statement = _statement(self._table, settings.notify)
        self._options = _options(settings, self._address.query)
        self._seconds = self.timeout.total_seconds()
        self._asyncpg: Any = None
        self._fits = False  # whether the table has been found to take our rows
        self._idle: list[Any] = []
        self._lent: set[Any] = set()

    async def connect(self) -> None:
        self._asyncpg = driver("asyncpg", "postgres")
        if self._fits and any(not connection.is_closed() for connection in (*self._idle, *self._lent)):
            return
        async with self._explaining(), self._connection() as connection:
            await self._rehearse(connection)

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        assert self._asyncpg is not None, "connect comes first"
        rows: list[_Row] = []
        refused: dict[int, Refused] = {}
        for place, outgoing in enumerate(batch):
            try:
                rows.append(self._row(outgoing)[0])
            except Refused as err:
                refused[place] = err
        async with self._explaining():
            outcomes = iter(await self._insert(rows) if rows else ())
        return [refused[place] if place in refused else next(outcomes) for place in range(len(batch))]

    async def check(self) -> str:
        await self.connect()
        async with self._explaining(), self._connection() as connection:
            await self._rehearse(connection)
            version = await connection.fetchval("show server_version")
        return f"{self._address}: the table {self._table} can be written to (PostgreSQL {version})"

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in self._lent:
            connection.terminate()
        self._lent.clear()
        with suppress(OSError, PollerError):  # asyncpg aborts a connection whose end is not answered
            await asyncio.gather(*(connection.close(timeout=_CLOSING) for connection in idle), return_exceptions=True)

    def preview(self, outgoing: Outgoing) -> Preview:
        row, content_type = self._row(outgoing)
        columns = {name: str(value) for name, value in row._asdict().items() if name != "event"}
        return Preview(row.event.encode(), content_type, f"insert into {self._table}", columns)

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _row(self, outgoing: Outgoing) -> tuple[_Row, str]:
        """The row and the media type of its `event`. A template's text that is no JSON becomes a JSON string."""
        body, content_type = self.format.encode(outgoing)
        event = msgspec.json.encode(body.decode()) if content_type == TEXT else body
        try:
            head = msgspec.json.decode(outgoing.body, type=_Head)
        except msgspec.DecodeError as err:
            raise Refused(f"the event has no source or time: {err}") from err
        row = _Row(
            outgoing.id,
            outgoing.sequence,
            outgoing.type,
            head.source,
            outgoing.subject,
            head.time,
            outgoing.partition,
            event.decode(),
        )
        return row, "application/json" if content_type == TEXT else content_type

    async def _insert(self, rows: Sequence[_Row]) -> list[Outcome]:
        """All in one statement. If the server objects to one of them, halves find it, and its neighbours arrive."""
        try:
            async with self._connection() as connection:
                await self._execute(connection, rows)
        except self._asyncpg.PostgresError as err:
            refusal = _refusal(err)
            if refusal is None:
                raise
            if len(rows) == 1:
                return [refusal]
            half = len(rows) // 2
            return [*await self._insert(rows[:half]), *await self._insert(rows[half:])]
        return [None] * len(rows)

    async def _execute(self, connection: Any, rows: Sequence[_Row]) -> None:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_COLUMNS)
        await connection.execute(self._statement, *columns)

    async def _rehearse(self, connection: Any) -> None:
        """Insert no rows: the server then says all the same whether the table is there, ours to write to, and fits."""
        try:
            await self._execute(connection, ())
        except self._asyncpg.UndefinedTableError:
            # Another engine may make it at the same moment.
            with suppress(self._asyncpg.DuplicateTableError, self._asyncpg.UniqueViolationError):
                await connection.execute(f"create table if not exists {self._table} ({_DEFINITION}, {_RECEIVED})")
            await self._execute(connection, ())
        self._fits = True

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._taken()
        self._lent.add(connection)
        try:
            yield connection
        except self._asyncpg.PostgresError:  # an answer: the statement is over, the connection goes on
            self._put_back(connection)
            raise
        except BaseException:
            self._lent.discard(connection)
            connection.terminate()
            raise
        self._put_back(connection)

    async def _taken(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._opened()

    async def _opened(self) -> Any:
        connection = await self._asyncpg.connect(
            host=self._address.host,
            port=self._address.port,
            user=self._address.username or None,
            password=self._address.password or None,
            database=self._address.path or None,
            timeout=self._seconds,
            **self._options,
        )
        try:
            # A statement whose caller has given up must not wait for a lock for ever. Not among the options of the
            # connection, because poolers refuse those that they do not know.
            await connection.execute(f"set statement_timeout = {max(1, int(self._seconds * 1000))}")
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _put_back(self, connection: Any) -> None:
        if connection not in self._lent:  # closed meanwhile
            connection.terminate()
            return
        self._lent.discard(connection)
        if not connection.is_closed():
            self._idle.append(connection)

    # ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _explaining(self) -> AsyncIterator[None]:
        """Bounds what it surrounds by `timeout`; failures come out in words of our own."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except self._asyncpg.PostgresError as err:
            self._fits = False
            raise Wait(f"{self._address}: {_obstacle(err, self._table)}") from err
        except (OSError, self._asyncpg.InterfaceError, self._asyncpg.InternalClientError) as err:
            if isinstance(err, ConnectionError) and "SSL" in str(err):
                raise Wait(f"{self._address}: it offers no TLS; sslmode=disable in the url goes without") from err
            raise unreachable(self._address, err, self._seconds) from err


def _statement(table: str, channel: str) -> str:
    names = ", ".join(_COLUMNS)
    # The server reads the time: its calendar is the one that counts.
    values = ", ".join(f"{name}::timestamptz" if name == "time" else name for name in _COLUMNS)
    arrays = ", ".join(f"${place}::{_array(name)}" for place, name in enumerate(_COLUMNS, 1))
    insert = (
        f"insert into {table} ({names}) select {values}"  # noqa: S608 - both are names that have been looked at
        f" from unnest({arrays}) with ordinality as given ({names}, place) order by place on conflict (id) do nothing"
    )
    if not channel:
        return insert
    # In the same transaction: whoever hears of a row finds it, and nobody misses one that is there.
    return (
        f"with new as ({insert} returning id, sequence)"  # noqa: S608 - as above
        f" select pg_notify('{channel}', id) from new order by sequence"
    )


def _array(column: str) -> str:
    return {"sequence": "bigint[]", "event": "jsonb[]"}.get(column, "text[]")


def _options(settings: PostgresSettings, query: Mapping[str, str]) -> dict[str, Any]:
    """For `asyncpg.connect`. Raises UsageError for what the url asks for and we cannot do."""
    key = f'sink "{settings.name}", url'
    if unknown := sorted(set(query) - set(_PARAMETERS)):
        raise UsageError(f"{key}: the parameter {unknown[0]} is not known; it takes {' and '.join(_PARAMETERS)}")
    own_files = settings.ca_file is not None or settings.cert_file is not None
    mode = query.get("sslmode", "verify-full" if own_files else "prefer")
    if mode not in _SSL_MODES:
        raise UsageError(f"{key}: sslmode takes {', '.join(_SSL_MODES)}")
    if own_files and mode in ("disable", "prefer"):
        raise UsageError(f"{key}: sslmode={mode} uses no ca_file and no cert_file; take sslmode=verify-full")
    return {
        "ssl": _tls(settings, mode),
        "server_settings": {"application_name": query.get("application_name", "goto-poller")},
    }


def _tls(settings: PostgresSettings, mode: str) -> ssl.SSLContext | str | bool:
    if mode in ("disable", "prefer"):
        return "prefer" if mode == "prefer" else False
    context = tls_context(settings)
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require" and settings.ca_file is None:  # as libpq does: encrypted, whoever it is
        context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(err: Any) -> Refused | None:
    """Why this very event cannot be stored; None if something else stands in the way."""
    reason = _REFUSALS.get(err.sqlstate or "")
    if reason is None or (err.sqlstate == "23514" and not err.constraint_name):  # that is a partition that is missing
        return None
    return Refused(f"{reason}: {err.constraint_name}" if err.constraint_name else reason)


def _obstacle(err: Any, table: str) -> str:
    """Never with the server's detail, which repeats values. Its messages about columns hold names only."""
    state = err.sqlstate or ""
    if state in _OBSTACLES:
        return _OBSTACLES[state].format(table=table)
    if state == "23502":
        return f"the table {table} wants its column {err.column_name} filled, which no event does; give it a default"
    if state == "23514":
        return f"the table {table} has no partition for this event; add one"
    if state.startswith("42"):
        return f"the table {table} does not fit: {err.args[0]}; it needs {_DEFINITION}"
    return f"it answered {type(err).__name__} (SQLSTATE {state})"
