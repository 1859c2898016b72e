"""Events as entries of a Redis stream.

CloudEvents has no binding for Redis: the event (or what `format` makes of it) is the field `body`, and what readers
choose by stands in fields of its own beside it.
https://redis.io/docs/latest/commands/xadd/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Final

from pydantic import Field

from poller.errors import Refused, UsageError, Wait
from poller.fields import Secret
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, Preview, SinkContext
from poller.sinks.server import ServerSettings, address, driver, tls_context, unreachable

_CLOSING = 2.0  # seconds for a goodbye
_BULK = 512 * 1024 * 1024  # bytes: what a server takes in one piece, unless it says otherwise (proto-max-bulk-len)

# What the first word of an error means, and how to mend it. A server's own text may repeat what was sent, so none of
# it is shown.
_MEND: Final = {
    "WRONGTYPE": 'WRONGTYPE: the key "{stream}" is there and is no stream; name another stream, or rename that key',
    "OOM": "OOM: its memory is full; raise maxmemory, lower maxlen, or let it evict other keys",
    "READONLY": "READONLY: it is a replica; give the URL of the primary",
    "LOADING": "LOADING: it is still reading its data",
    "MISCONF": "MISCONF: it cannot save to its disk and so takes no writes; its log says why",
    "NOREPLICAS": "NOREPLICAS: too few replicas are connected (min-replicas-to-write)",
    "NOPERM": 'NOPERM: this user may not write; allow XADD (with batch above 1 also MULTI and EXEC) on "{stream}"',
    "NOAUTH": "NOAUTH: it asks for a login; set username and password",
    "WRONGPASS": "WRONGPASS: it refused the login; check username and password",
    "MOVED": 'MOVED: another node of its cluster holds "{stream}"; give that node\'s URL',
    "ASK": 'ASK: its cluster is moving "{stream}" to another node',
    "CLUSTERDOWN": "CLUSTERDOWN: its cluster cannot serve now",
    "MASTERDOWN": "MASTERDOWN: it is a replica that has lost its primary; give the URL of the primary",
    "TRYAGAIN": "TRYAGAIN: its cluster is moving keys",
    "BUSY": "BUSY: a script blocks it",
    "DENIED": "DENIED: it serves its own machine only (protected mode); give it a password, and its URL that",
}
# The driver takes the first word away from errors that it has classes for; the most particular class comes first.
_CLASSES: Final = (
    ("MasterDownError", "MASTERDOWN"),
    ("ClusterDownError", "CLUSTERDOWN"),
    ("TryAgainError", "TRYAGAIN"),
    ("MovedError", "MOVED"),
    ("AskError", "ASK"),
    ("OutOfMemoryError", "OOM"),
    ("ReadOnlyError", "READONLY"),
    ("NoPermissionError", "NOPERM"),
    ("BusyLoadingError", "LOADING"),
    ("AuthenticationWrongNumberOfArgsError", "WRONGPASS"),
    ("AuthenticationError", "WRONGPASS"),
)


class RedisSettings(ServerSettings, BatchSettings):
    url: Secret = Field(
        default=Secret("redis://127.0.0.1:6379"),
        description="redis:// or, with TLS, rediss://; its path is the number of the database",
    )
    stream: str = Field(default="goto", min_length=1, description="the key of the stream; made if it is not there")
    maxlen: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=100_000, description="about so many entries stay, the newest; 0 = all"
    )


class RedisSink(BaseSink):
    """A batch is one transaction: its events are added together, or none of them is.

    An entry that was acknowledged is on the server's disk only if that is set to `appendonly yes` and
    `appendfsync always`.
    """

    settings_type = RedisSettings

    def __init__(self, settings: RedisSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._address = address(settings, {"redis": 6379}, {"rediss": 6379})
        self._database = _database(settings.name, self._address.path)
        if self._address.query:
            raise UsageError(
                f'sink "{self.name}", url: takes no parameters after "?"; every option is a key of the sink'
            )
        self._trim = ("MAXLEN", "~", settings.maxlen) if settings.maxlen else ()
        self._pool: Any = None
        self._errors: Any = None  # the driver's module of exceptions
        self._idempotent = False
        self._largest = _BULK

    async def connect(self) -> None:
        """Asks the server what it can do: another one may be there after a failure."""
        if self._pool is None:
            self._pool = self._new_pool()
        knows, limit = await self._ask(("COMMAND", "INFO", "XCFGSET"), ("CONFIG", "GET", "proto-max-bulk-len"))
        # XADD learnt IDMP in the release that brought XCFGSET, Redis 8.6.
        # https://redis.io/docs/latest/develop/data-types/streams/idempotency
        self._idempotent = isinstance(knows, list) and any(knows)
        self._largest = int(limit[1]) if isinstance(limit, list) and len(limit) == 2 else _BULK

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = [None] * len(batch)
        commands: list[tuple[Any, ...]] = []
        places: list[int] = []
        for place, outgoing in enumerate(batch):
            try:
                commands.append(self._command(outgoing))
                places.append(place)
            except Refused as err:
                outcomes[place] = err
        if commands:
            for place, reply in zip(places, await self._added(commands), strict=True):
                outcomes[place] = self._failure(reply) if isinstance(reply, Exception) else None
        return outcomes

    async def check(self) -> str:
        await self.connect()
        (length,) = await self._ask(("XLEN", self._settings.stream))
        if isinstance(length, self._errors.NoPermissionError):  # a user who may only add cannot look, and need not
            return f"{self._address} answers"
        if isinstance(length, Exception):
            raise self._failure(length)
        return f'{self._address} answers; the stream "{self._settings.stream}" has {length} entries'

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            with suppress(Exception):
                async with asyncio.timeout(_CLOSING):
                    await pool.disconnect()

    def preview(self, outgoing: Outgoing) -> Preview:
        fields = self._fields(outgoing)
        body = fields.pop("body")
        assert isinstance(body, bytes)
        shown = {name: str(value) for name, value in fields.items()}
        return Preview(body, shown["contenttype"], f"XADD {self._settings.stream}", shown)

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _fields(self, outgoing: Outgoing) -> dict[str, str | bytes]:
        body, content_type = self.format.encode(outgoing)
        return {
            "id": outgoing.id,
            "type": outgoing.type,
            "subject": outgoing.subject,
            "partitionkey": outgoing.partition,
            "contenttype": content_type,
            "body": body,
        }

    def _command(self, outgoing: Outgoing) -> tuple[Any, ...]:
        fields = self._fields(outgoing)
        if len(fields["body"]) > self._largest:
            raise Refused(
                f"the event has {len(fields['body'])} bytes; {self._address} takes {self._largest} (proto-max-bulk-len)"
            )
        # A server remembers the last hundred ids of a producer, unless XCFGSET says more. As many as that may be under
        # way for one partition, and all partitions together may have more: so each is a producer of its own.
        once = ("IDMP", outgoing.partition or self.name, outgoing.id) if self._idempotent else ()
        pairs = (part for pair in fields.items() for part in pair)
        return ("XADD", self._settings.stream, *once, *self._trim, "*", *pairs)

    async def _added(self, commands: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The reply to each command. More than one make a transaction: an event that the server cannot take just then
        must not be overtaken by a later one."""
        if len(commands) == 1:
            return await self._ask(*commands)
        replies = await self._ask(("MULTI",), *commands, ("EXEC",))
        if isinstance(replies[-1], list):
            return replies[-1]
        refusal = next(reply for reply in replies if isinstance(reply, Exception))  # what made EXEC fail
        return [refusal] * len(commands)

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Send all, then read the answers; those that are errors are returned. Raises Wait if there is no answer."""
        try:
            async with asyncio.timeout(self.timeout.total_seconds()), self._connection() as connection:
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await self._reply(connection) for _ in commands]
        except (self._errors.RedisError, OSError) as err:  # asyncio's TimeoutError is an OSError
            raise self._failure(err) from err

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        assert self._pool is not None, "connect comes first"
        pool = self._pool
        connection = await pool.get_connection()
        try:
            yield connection
        except BaseException:  # answers to this may come yet; nobody else may read them
            _abort(connection)
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _reply(self, connection: Any) -> Any:
        try:
            return await connection.read_response(disable_decoding=True)
        except self._errors.ResponseError as err:
            return err

    def _new_pool(self) -> Any:
        """Connections that are made when they are needed, and never again by themselves: that is the caller's."""
        redis = driver("redis.asyncio", "redis")
        self._errors = driver("redis.exceptions", "redis")
        seconds = self.timeout.total_seconds()
        options: dict[str, Any] = {}
        if self._address.tls:
            options = {"connection_class": _tls_class(redis.SSLConnection), "context": tls_context(self._settings)}
        return redis.ConnectionPool(
            host=self._address.host,
            port=self._address.port,
            db=self._database,
            username=self._address.username or None,
            password=self._address.password or None,
            socket_timeout=None,  # `timeout` is for all of it
            socket_connect_timeout=seconds,
            retry=driver("redis.asyncio.retry", "redis").Retry(driver("redis.backoff", "redis").NoBackoff(), 0),
            protocol=2,
            max_connections=self.concurrency + 1,  # one for `check`
            **options,
        )

    def _failure(self, err: Exception) -> Wait:
        """In words of our own: the text of a reply may repeat a password or an event."""
        code = next((code for name, code in _CLASSES if isinstance(err, getattr(self._errors, name, ()))), "")
        text = str(err)
        code = code or text.partition(" ")[0]
        if code == "WRONGPASS" and not self._address.password:
            code = "NOAUTH"  # the driver has one class for both
        if code in _MEND:
            return Wait(f"{self._address}: {_MEND[code].format(stream=self._settings.stream)}")
        if "DB index" in text:
            return Wait(f"{self._address} has no database {self._database}; the path of the url is its number")
        if "max number of clients" in text:
            return Wait(f"{self._address} has as many clients as it takes (maxclients)")
        if isinstance(err, self._errors.ResponseError):
            known = code if code.isalpha() and code.isupper() else "an error"
            return Wait(f"{self._address} answered {known}; is it Redis 5 or newer, which brought streams?")
        cause = _os_error(err)
        return unreachable(self._address, cause or err, self.timeout.total_seconds())


def _database(sink: str, path: str) -> int:
    if path and not (path.isascii() and path.isdigit()):
        raise UsageError(f'sink "{sink}", url: its path is the number of the database, such as redis://host:6379/0')
    return int(path or 0)


def _tls_class(base: Any) -> Any:
    """The driver makes a context of its own from file names, and it would trust the system's certificates as well."""

    class TlsConnection(base):  # type: ignore[misc]
        def __init__(self, *, context: Any, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context.context = context

    return TlsConnection


def _abort(connection: Any) -> None:
    """A closed transport would stay until what is in its buffer is sent, which may be never."""
    writer = getattr(connection, "_writer", None)
    if writer is not None:
        writer.transport.abort()


def _os_error(err: BaseException) -> OSError | None:
    """What the driver's error was made of."""
    seen: BaseException | None = err
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
