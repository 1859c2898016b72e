"""Events as records of Kafka, acknowledged by all replicas in sync, in one partition per webinar.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from poller.errors import PollerError, Refused, Wait
from poller.fields import FieldError, Secret
from poller.formats import Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, Preview, SinkContext, TemplateText
from poller.sinks.binding import BindingSettings, bind
from poller.sinks.kafka_link import Link
from poller.sinks.server import TlsSettings, driver, tls_context, unreachable

_EXPRESSION: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")  # what brokers take; "." and ".." besides are not names
_SERVER: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@,\[\]]+)(?::(\d{1,5}))?")

# Brokers take as much of one record unless they are told otherwise (message.max.bytes).
_LARGEST_RECORD: Final = 1_048_576
# Records of up to so many bytes share a batch of the protocol; a larger one has its own.
_SHARED_BATCH: Final = 16_384

# The driver gives up a little before we do, so that it can say what it was waiting for.
_DRIVERS_SHARE: Final = 0.8


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class KafkaSettings(BatchSettings, BindingSettings, TlsSettings):
    bootstrap_servers: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        min_length=1, description='"host:port", several of them with commas between or as a list'
    )
    topic: TemplateText = Field(default="goto", description="where each event goes")
    tls: bool | None = Field(default=None, description="without it: whether a certificate's file is named")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="how the username and the password are shown"
    )
    username: str = Field(default="", description="who we are there; without it nobody in particular")
    password: Secret | None = Field(default=None, description="its password")

    @field_validator("bootstrap_servers")
    @classmethod
    def _are_servers(cls, servers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for server in servers:
            found = _SERVER.fullmatch(server)
            if found is None or not 0 < int(found[2] or 9092) < 65_536:
                raise FieldError(
                    f'of sink "{info.data.get("name", "?")}" takes a host and a port, such as'
                    ' "broker1:9092,broker2:9092"; a user has keys of its own'
                )
        return servers

    @field_validator("topic")
    @classmethod
    def _names_one_topic(cls, topic: str, info: ValidationInfo) -> str:
        if problem := _problem(_EXPRESSION.sub("x", topic)):
            raise FieldError(f'of sink "{info.data.get("name", "?")}" {problem}; write one such as goto')
        return topic

    @model_validator(mode="after")
    def _security_agrees(self) -> KafkaSettings:
        if self.tls is False and (self.ca_file or self.cert_file):
            raise FieldError(f'sink "{self.name}" has tls = false and a certificate; leave one of them out')
        if bool(self.username) != (self.password is not None):
            raise FieldError(f'sink "{self.name}" needs a username and a password, or neither')
        return self

    @property
    def with_tls(self) -> bool:
        return bool(self.ca_file or self.cert_file) if self.tls is None else self.tls


class KafkaSink(BaseSink):
    """The driver repeats a failed request by itself, in its order, until `timeout`.

    What is not acknowledged by then would stay with the driver and be sent at some later moment, after what follows it
    here. So a connection with a failure is dropped with all it holds, and the next attempt has a new one.
    """

    settings_type = KafkaSettings

    def __init__(self, settings: KafkaSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._where = ",".join(settings.bootstrap_servers)
        self._topic = Template(settings.topic)
        self._same_topic = settings.topic if _EXPRESSION.search(settings.topic) is None else ""
        self._alone = False  # whether each record has a batch of the protocol for itself
        self._link: Link | None = None
        self._dropped: list[Link] = []
        self._flights: set[_Flight] = set()
        self._deadline = 0.0  # of the attempt that connected, in the loop's time

    async def connect(self) -> None:
        if self._link is not None and self._link.good:
            return
        await self.close()
        loop = asyncio.get_running_loop()
        seconds = self.timeout.total_seconds()
        self._deadline = loop.time() + seconds
        link = Link(driver("aiokafka", "kafka"), self._where, self._options(), alone=self._alone)
        try:
            async with asyncio.timeout_at(self._deadline):
                await link.open()
        except TimeoutError as err:
            await link.close()
            raise unreachable(self._where, err, seconds) from err
        except BaseException:
            await link.close()
            raise
        self._link = link

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        link = self._link
        if link is None:
            raise Wait(f"{self._where}: there is no connection any more")
        now = asyncio.get_running_loop().time()
        limit = now + self.timeout.total_seconds()
        late = unreachable(self._where, TimeoutError(), self.timeout.total_seconds())
        flight = _Flight(link, late)
        self._flights.add(flight)
        try:
            async with asyncio.timeout_at(min(limit, self._deadline) if self._deadline > now else limit):
                await self._hand_over(batch, flight)
                await flight.landed()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._drop(link)
            raise
        finally:
            self._deadline = 0.0
            self._flights.discard(flight)
        outcomes = [self._outcome(index, flight) for index in range(len(batch))]
        if flight.failed:
            self._drop(link)
        return outcomes

    async def check(self) -> str:
        await self.connect()
        assert self._link is not None
        try:
            async with asyncio.timeout(self.timeout.total_seconds()):
                brokers = await self._link.round_trip()
        except TimeoutError as err:
            raise unreachable(self._where, err, self.timeout.total_seconds()) from err
        except PollerError:
            self._drop(self._link)
            raise
        return f"{self._where} answers ({brokers} broker{'s' if brokers != 1 else ''})"

    async def close(self) -> None:
        if self._link is not None:
            self._drop(self._link)
        dropped, self._dropped = self._dropped, []
        await asyncio.gather(*(link.close() for link in dropped))

    def preview(self, outgoing: Outgoing) -> Preview:
        message = self._message(outgoing)
        target = f"{message.topic}, key {outgoing.partition}"
        return Preview(message.body, message.headers["content-type"], target, message.headers)

    # ── one batch ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _hand_over(self, batch: Sequence[Outgoing], flight: _Flight) -> None:
        held_up: dict[str, Wait] = {}
        for index, outgoing in enumerate(batch):
            if self.ordered and outgoing.partition in held_up:
                flight.settle(index, held_up[outgoing.partition])
                continue
            try:
                message = self._message(outgoing)
                headers = [(name, value.encode()) for name, value in message.headers.items()]
                answer = await flight.link.publish(message.topic, message.body, outgoing.partition.encode(), headers)
            except Refused as err:
                flight.settle(index, err)
            except Wait as err:
                held_up[outgoing.partition] = err
                flight.settle(index, err)
            else:
                flight.expect(index, answer, len(message.body))

    def _outcome(self, index: int, flight: _Flight) -> Outcome:
        if index in flight.settled:
            return flight.settled[index]
        answer, size = flight.answers.get(index, (None, 0))
        if answer is None or not answer.done():
            return flight.fail(flight.late)
        failure = Link.failure_of(answer, self._where)
        if failure is None:
            return None
        if isinstance(failure, Refused) and not flight.link.alone and size <= _SHARED_BATCH:
            # The broker means the batch of the protocol, in which there may have been others, of other sends too.
            self._alone = True
            failure = Wait(f"{self._where} finds several events together too large; each goes alone from now on")
        return flight.fail(failure)

    def _drop(self, link: Link) -> None:
        for flight in self._flights:
            if flight.link is link:
                flight.give_up()
        link.drop()
        if self._link is link:
            self._link = None
            self._dropped.append(link)

    def _message(self, outgoing: Outgoing) -> _Message:
        topic = self._same_topic or self._topic.render(outgoing)
        if not self._same_topic and (problem := _problem(topic)):
            raise Refused(f"the topic made for this event {problem}")
        bound = bind(self.format, outgoing, self._settings.content_mode)
        headers = {"content-type": bound.content_type, "id": outgoing.id}
        headers |= {f"ce_{name}": value for name, value in bound.attributes.items()}
        return _Message(topic, bound.body, headers)

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "bootstrap_servers": list(settings.bootstrap_servers),
            "client_id": "goto-poller",
            "enable_idempotence": True,  # and with it acks from all replicas in sync
            "request_timeout_ms": max(int(self.timeout.total_seconds() * 1000 * _DRIVERS_SHARE), 1),
            "max_request_size": _LARGEST_RECORD,
            "max_batch_size": 1 if self._alone else _SHARED_BATCH,
        }
        if settings.with_tls:
            options["ssl_context"] = tls_context(settings)
        if settings.password is not None:
            options["sasl_mechanism"] = settings.sasl_mechanism
            options["sasl_plain_username"] = settings.username
            options["sasl_plain_password"] = settings.password.reveal()
        names = ("SASL_" if settings.password is not None else "") + ("SSL" if settings.with_tls else "PLAINTEXT")
        options["security_protocol"] = names
        return options


class _Message(NamedTuple):
    topic: str
    body: bytes
    headers: Mapping[str, str]


class _Flight:
    """What became of a batch: outcomes that are known, and answers that are awaited."""

    def __init__(self, link: Link, late: Wait) -> None:
        self.link = link
        self.late = late
        self.settled: dict[int, Outcome] = {}
        self.answers: dict[int, tuple[asyncio.Future[Any], int]] = {}  # with the bytes of the body
        self.failed = False  # whether something is left with the driver that must not be sent later

    def settle(self, index: int, outcome: Outcome) -> None:
        self.settled[index] = outcome
        self.failed = self.failed or not isinstance(outcome, Refused)

    def expect(self, index: int, answer: asyncio.Future[Any], size: int) -> None:
        self.answers[index] = (answer, size)

    def fail(self, failure: PollerError) -> PollerError:
        self.failed = True
        return failure

    def give_up(self) -> None:
        """Nothing more will be answered."""
        for answer, _ in self.answers.values():
            answer.cancel()

    async def landed(self) -> None:
        for answer, _ in self.answers.values():
            if not answer.done():
                await asyncio.wait([answer])  # most of the others come with it


def _problem(topic: str) -> str:
    """What is wrong with the name of a topic; empty if nothing is."""
    if topic in ("", ".", ".."):
        return "is no name"
    if _TOPIC.fullmatch(topic) is None:
        return "has a character that is none of a-z A-Z 0-9 . _ -, or is longer than 249"
    return ""
