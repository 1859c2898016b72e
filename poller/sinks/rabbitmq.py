"""Events as persistent messages to an exchange of RabbitMQ, each confirmed by the server.

CloudEvents over AMQP: in binary mode the attributes are headers that begin with `cloudEvents_`. RabbitMQ shows them to
clients of AMQP 1.0 as application properties, which is where the binding puts them.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md#3-amqp-message-mapping
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pydantic import Field
from yarl import URL

from poller.errors import Refused, UsageError, Wait
from poller.fields import Secret
from poller.formats import Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, Preview, SinkContext, TemplateText
from poller.sinks.binding import BindingSettings, bind
from poller.sinks.server import ServerSettings, address, driver, tls_context, unreachable

T = TypeVar("T")

_CLOSING = 1.0  # seconds for a goodbye, and again for what follows if it is not answered
_KEY = 255  # bytes of a routing key: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2.5.3
_PERSISTENT = 2
_TOO_LARGE = re.compile(r"message size \d+\D+(\d+)")
_NO_VHOST, _FORCED = 530, 320  # reply codes


class RabbitmqSettings(ServerSettings, BindingSettings, BatchSettings):
    url: Secret = Field(
        default=Secret("amqp://127.0.0.1"), description="amqp:// or, with TLS, amqps://; its path is the virtual host"
    )
    exchange: str = Field(
        default="goto",
        description='used as it is if it is there, else made as a durable topic exchange; "" = the default exchange',
    )
    routing_key: TemplateText = Field(default="{{ short_type }}", description="a template")
    queue: str = Field(
        default="", description="used as it is if it is there, else made, durable; bound to the exchange for all keys"
    )


class _Transport:
    """Makes the driver's connection, and keeps what ends it at once."""

    def __init__(self, host: str, port: int, context: Any) -> None:
        self._where = {"host": host, "port": port, "ssl": context}
        self._transport: asyncio.WriteTransport | None = None

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(**self._where)
        self._transport = writer.transport
        return reader, writer

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(eq=False)
class _Link:
    """One connection with the channel that all events take."""

    connection: Any
    transport: _Transport
    channel: Any = None
    placed: bool = False  # exchange and queue are there

    @property
    def is_usable(self) -> bool:
        return bool(self.connection.is_opened and self.channel is not None and not self.channel.is_closed)

    async def close(self) -> None:
        """Say goodbye for a moment; whatever is left of it then is ended."""
        try:
            async with asyncio.timeout(_CLOSING):
                await self.connection.close()
        except Exception:  # what it died of has been told
            await self.drop()

    async def drop(self) -> None:
        self.transport.abort()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSING):
                await self.connection.close()


class _Message(NamedTuple):
    place: int  # in the batch
    partition: str
    key: str
    body: bytes
    properties: Any


class RabbitmqSink(BaseSink):
    """Events of different partitions are published without waiting in between, and confirmed together.

    Of one partition the next waits until the one before is confirmed: a full queue may refuse one message and take
    the next, and a routing key may lose its queue at any moment.
    """

    settings_type = RabbitmqSettings

    def __init__(self, settings: RabbitmqSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._address = address(settings, {"amqp": 5672}, {"amqps": 5671})
        self._vhost = self._address.path or "/"
        if self._address.query:
            raise UsageError(
                f'sink "{self.name}", url: takes no parameters after "?"; every option is a key of the sink'
            )
        self._routing_key = Template(settings.routing_key)
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()
        self._amqp: Any = None  # the driver
        self._largest: int | None = None  # bytes; None until the server has said so

    async def connect(self) -> None:
        async with self._connecting:
            await self._bounded(self._connect())

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = [None] * len(batch)
        messages: list[_Message] = []
        for place, outgoing in enumerate(batch):
            try:
                messages.append(self._message(place, outgoing))
            except Refused as err:
                outcomes[place] = err
        link = self._link
        if link is None:  # dropped a moment ago, for another batch that was under way
            raise Wait(f"{self._address}: the connection was lost")
        await self._bounded(self._publish(link, messages, outcomes))
        return outcomes

    async def check(self) -> str:
        await self.connect()
        assert self._link is not None
        return await self._bounded(self._look(self._link))

    async def close(self) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        bound = bind(self.format, outgoing, self._settings.content_mode)
        target = f'exchange "{self._settings.exchange}", routing key "{self._key(outgoing)}"'
        headers = {f"cloudEvents_{name}": text for name, text in bound.attributes.items()}
        return Preview(bound.body, bound.content_type, target, {"message_id": outgoing.id, **headers})

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _key(self, outgoing: Outgoing) -> str:
        key = self._routing_key.render(outgoing)
        if len(key.encode()) > _KEY:
            raise Refused(f"its routing key has {len(key.encode())} bytes; AMQP takes {_KEY}")
        return key

    def _message(self, place: int, outgoing: Outgoing) -> _Message:
        body, content_type, attributes = bind(self.format, outgoing, self._settings.content_mode)
        self._require_size(body)
        properties = self._amqp.spec.Basic.Properties(
            content_type=content_type,
            headers={f"cloudEvents_{name}": text for name, text in attributes.items()},
            delivery_mode=_PERSISTENT,
            message_id=outgoing.id,
        )
        return _Message(place, outgoing.partition, self._key(outgoing), body, properties)

    def _require_size(self, body: bytes) -> None:
        if self._largest is not None and len(body) > self._largest:
            raise Refused(f"the event has {len(body)} bytes; {self._address} takes {self._largest} (max_message_size)")

    async def _publish(self, link: _Link, messages: Sequence[_Message], outcomes: list[Outcome]) -> None:
        """Wave after wave: as many as may be under way together, then those that had to wait for them."""
        failed: dict[str, Outcome] = {}
        while messages:
            wave, messages = self._wave(messages)
            answers = await asyncio.gather(*(self._confirmed(link, each) for each in wave), return_exceptions=True)
            for message, answer in zip(wave, answers, strict=True):
                outcome = self._outcome(link, message, answer)
                outcomes[message.place] = outcome
                if isinstance(outcome, Wait) and self.ordered:
                    failed.setdefault(message.partition, outcome)
            for message in messages:
                outcomes[message.place] = failed.get(message.partition)
            messages = [message for message in messages if message.partition not in failed]

    def _wave(self, messages: Sequence[_Message]) -> tuple[list[_Message], list[_Message]]:
        wave: list[_Message] = []
        later: list[_Message] = []
        begun: set[str] = set()
        for message in messages:
            (later if message.partition in begun else wave).append(message)
            if self.ordered:
                begun.add(message.partition)
        return wave, later

    async def _confirmed(self, link: _Link, message: _Message) -> None:
        await link.channel.basic_publish(
            message.body,
            exchange=self._settings.exchange,
            routing_key=message.key,
            properties=message.properties,
            mandatory=True,
            wait=False,  # for the socket: the confirmation is what counts
        )

    def _outcome(self, link: _Link, message: _Message, answer: BaseException | None) -> Outcome:
        if answer is None:
            return None
        if isinstance(answer, self._amqp.exceptions.PublishError):
            link.placed = False  # its queue may have been deleted: the next `connect` looks
            return Wait(
                f'exchange "{self._settings.exchange}" leads the routing key "{message.key}" to no queue;'
                " bind one, or name a queue in the sink's settings"
            )
        if isinstance(answer, self._amqp.exceptions.DeliveryError):
            return Wait(
                f'a queue behind exchange "{self._settings.exchange}" did not take the event (nack):'
                " it is full, or its node is away"
            )
        failure = self._failure(answer)
        try:
            self._require_size(message.body)
        except Refused as err:
            return err
        return failure

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        if self._link is not None and not self._link.is_usable:
            await self._drop(self._link)
        link = self._link or await self._new_link()
        try:
            if not link.placed:
                await self._place(link)
                link.placed = True
        except BaseException:
            if link is not self._link:
                await link.drop()
            raise
        self._link = link

    async def _new_link(self) -> _Link:
        self._amqp = driver("aiormq", "rabbitmq")
        driver("aiormq.exceptions", "rabbitmq")
        quiet = logging.getLogger("aiormq")
        if quiet.level == logging.NOTSET:  # it logs as errors what is raised too
            quiet.setLevel(logging.CRITICAL)
        where = self._address
        context = tls_context(self._settings) if where.tls else None
        transport = _Transport(where.host, where.port, context)
        url = URL.build(
            scheme=where.scheme,
            user=where.username or None,
            password=where.password or None,
            host=where.host,
            port=where.port,
            path="/" if self._vhost == "/" else f"/{self._vhost}",
            query={"name": "goto-poller"},
        )
        link = _Link(self._amqp.Connection(url, transport_factory=transport), transport)
        try:
            await link.connection.connect()
            link.channel = await link.connection.channel(on_return_raises=True)
        except BaseException:
            await link.drop()
            raise
        return link

    async def _place(self, link: _Link) -> None:
        """See that exchange and queue are there. What is there is used as it is, whatever its arguments."""
        exchange, queue = self._settings.exchange, self._settings.queue
        not_there = self._amqp.exceptions.ChannelNotFoundEntity
        if exchange:
            try:
                await _aside(link, "exchange_declare", exchange, passive=True)
            except not_there:
                await _aside(link, "exchange_declare", exchange, exchange_type="topic", durable=True)
        if queue:
            try:
                await _aside(link, "queue_declare", queue, passive=True)
            except not_there:
                await self._make_queue(link, queue)
        if exchange and queue:
            for key in dict.fromkeys(("#", self._only_key())):
                await _aside(link, "queue_bind", queue, exchange, routing_key=key)

    def _only_key(self) -> str:
        """The key of all events, if the template is none: exchanges that are no topic exchange know no wildcards."""
        text = self._settings.routing_key
        return "#" if "{" in text else text

    async def _make_queue(self, link: _Link, queue: str) -> None:
        """A quorum queue, which survives the loss of a node; or a classic one, where there are no others.

        https://www.rabbitmq.com/docs/quorum-queues#declaring
        """
        quorum = {"x-queue-type": "quorum"}
        try:
            await _aside(link, "queue_declare", queue, durable=True, arguments=quorum)
        except self._amqp.exceptions.ChannelPreconditionFailed:
            await _aside(link, "queue_declare", queue, durable=True)

    async def _look(self, link: _Link) -> str:
        exchange, queue = self._settings.exchange, self._settings.queue
        line = f"{self._address} answers"
        if exchange:
            await _aside(link, "exchange_declare", exchange, passive=True)
            line += f'; the exchange "{exchange}" is there'
        if queue:
            found = await _aside(link, "queue_declare", queue, passive=True)
            line += f'; the queue "{queue}" holds {found.message_count} messages'
        return line

    async def _bounded(self, work: Awaitable[T]) -> T:
        """Within `timeout`; what fails is told in our words, and a connection in doubt is dropped."""
        link = self._link
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                return await work
        except (Wait, UsageError):
            raise
        except asyncio.CancelledError as err:  # what was under way cannot be told from what was not
            await self._drop(link)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Wait(f"{self._address}: the connection was lost") from err  # so the driver says it, at times
        except Exception as err:
            if isinstance(err, TimeoutError):
                await self._drop(link)
            raise self._failure(err) from err

    async def _drop(self, link: _Link | None) -> None:
        if self._link is link:
            self._link = None
        if link is not None:
            await link.drop()

    def _failure(self, err: BaseException) -> Wait:
        """In words of our own: the driver's may repeat an event."""
        known = self._amqp.exceptions
        about = f'exchange "{self._settings.exchange}"'
        if self._settings.queue:
            about += f' or queue "{self._settings.queue}"'
        code, text = (err.args[0], str(err.args[-1])) if err.args else (None, "")
        if isinstance(err, known.AuthenticationError | known.ProbableAuthenticationError):
            why = "refused the login; check username and password (guest may come from its own machine only)"
        elif code == _NO_VHOST or isinstance(err, known.ConnectionNotAllowed) or "Connection.OpenOk" in text:
            # The driver tells of the frame that it wanted when a virtual host was opened, not of the refusal it got.
            why = f'has no virtual host "{self._vhost}", or this user may not use it; the path of the url names it'
        elif isinstance(err, known.ChannelAccessRefused):
            why = f"does not let this user use {about}; rabbitmqctl set_permissions permits it"
        elif isinstance(err, known.ChannelNotFoundEntity):
            why = f"does not find {about} any more"
        elif isinstance(err, known.ChannelLockedResource):
            why = f'keeps queue "{self._settings.queue}" for another connection (exclusive)'
        elif isinstance(err, known.ChannelPreconditionFailed):
            limit = _TOO_LARGE.search(text)
            self._largest = int(limit[1]) if limit else self._largest
            why = "refused a message as too large" if limit else f"cannot use {about} as asked (precondition failed)"
        elif isinstance(err, known.ConnectionClosed):
            why = "is shutting down" if code == _FORCED else f"closed the connection (code {code})"
        elif isinstance(err, known.AMQPError | RuntimeError | asyncio.CancelledError):
            return Wait(f"{self._address}: the connection was lost")
        else:
            return unreachable(self._address, err, self.timeout.total_seconds())
        return Wait(f"{self._address} {why}")


async def _aside(link: _Link, verb: str, *values: str, **options: Any) -> Any:
    """One method of a channel's, on a channel of its own: a refusal closes the channel that asked."""
    channel = await link.connection.channel(publisher_confirms=False)
    answer = await getattr(channel, verb)(*values, **options)
    await channel.close()
    return answer
