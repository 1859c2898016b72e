"""One producer of Kafka's and its connections, and how to be rid of it with all that it has not sent yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from poller.errors import PollerError, Refused, Wait
from poller.sinks.server import unreachable

_CLOSING: Final = 2.0  # seconds
_BETWEEN_TRIES: Final = 50  # milliseconds

_OF_CONNECTIONS: Final = (
    *("client_id", "request_timeout_ms", "security_protocol", "ssl_context"),
    *("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"),
)

# The driver's errors by name, and what they mean to a person. The rest are told by their names.
_REASONS: Final = {
    "UnknownTopicOrPartitionError": "there is no such topic; make it, or let the broker make topics by itself",
    "InvalidTopicError": "it does not take the name of the topic",
    "TopicAuthorizationFailedError": "not allowed to write to the topic; check the rights of this user",
    "ClusterAuthorizationFailedError": "not allowed to write idempotently; grant IdempotentWrite on the cluster",
    "SaslAuthenticationFailed": "it refuses these credentials; check username, password and sasl_mechanism",
    "UnsupportedSaslMechanismError": "it does not take this sasl_mechanism",
    "IllegalSaslStateError": "it wants no login, or another security than tls and username say",
    "NotEnoughReplicasError": "too few replicas are in sync",
    "NotEnoughReplicasAfterAppendError": "too few replicas are in sync",
    "ProducerClosed": "the connection was given up",
    "NodeNotReadyError": "a broker cannot be reached",
    "KafkaConnectionError": "the connection was lost",
    "RequestTimedOutError": "it did not answer in time",
    "KafkaTimeoutError": "it did not answer in time",
    "TimeoutError": "it did not answer in time",
}


class Link:
    """Made, opened, used, dropped, closed; never opened again."""

    def __init__(self, aiokafka: Any, where: str, options: Mapping[str, Any], *, alone: bool) -> None:
        """`alone`: the options say that each record has a batch of the protocol for itself."""
        _silence()
        self.alone = alone
        self._aiokafka = aiokafka
        self._where = where
        self._options = options
        self._producer: Any = None
        self._dropped = False

    @property
    def good(self) -> bool:
        if self._producer is None or self._dropped:
            return False
        sender = self._producer._sender.sender_task
        return sender is not None and not sender.done()

    async def open(self) -> None:
        """Raises Wait."""
        self._producer = self._aiokafka.AIOKafkaProducer(**self._options, retry_backoff_ms=_BETWEEN_TRIES)
        try:
            await self._producer.start()
        except (self._aiokafka.errors.KafkaConnectionError, OSError) as err:
            raise await self._why_not() from err
        except self._aiokafka.errors.KafkaError as err:
            raise _explained(err, self._where) from err

    async def publish(
        self, topic: str, body: bytes, key: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> asyncio.Future[Any]:
        """What the driver will tell about it. Raises Refused or Wait if it does not take it at all."""
        try:
            answer: asyncio.Future[Any] = await self._producer.send(topic, value=body, key=key, headers=headers)
            return answer
        except self._aiokafka.errors.KafkaError as err:
            raise _explained(err, self._where) from err

    @staticmethod
    def failure_of(answer: asyncio.Future[Any], where: str) -> PollerError | None:
        """What an answer means for its event. None only for what is stored."""
        if answer.cancelled():
            return Wait(f"{where}: the connection was given up")
        err = answer.exception()
        if err is not None:
            return _explained(err, where)
        return None if answer.result() is not None else Wait(f"{where}: the connection was given up")

    async def round_trip(self) -> int:
        """How many brokers there are. Raises Wait."""
        try:
            found = await self._producer.client.fetch_all_metadata()
        except self._aiokafka.errors.KafkaError as err:
            raise Wait(f"{self._where}: no broker answers") from err
        return len(found.brokers())

    def drop(self) -> None:
        """From now on nothing of it is sent or answered. What is left of it ends in `close`. Twice is harmless.

        The driver has no such thing: an idempotent producer repeats until it succeeds, and `stop` waits for that.
        """
        if self._dropped or self._producer is None:
            return
        self._dropped = True
        accumulator, client = self._producer._message_accumulator, self._producer.client
        accumulator._closed = True
        for batch in _batches(accumulator._batches.values()):
            batch.drain_ready()  # whoever waits for room in it
        client._maybe_wait_metadata = _at_once
        client.force_metadata_update = _done
        sender = self._producer._sender.sender_task
        if sender is not None:
            sender.cancel()
        for connection in list(client._conns.values()):
            transport = getattr(getattr(connection, "_writer", None), "transport", None)
            connection.close()
            if transport is not None:
                transport.abort()  # unsent bytes would go on

    async def close(self) -> None:
        producer = self._producer
        if producer is None:
            return
        self.drop()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSING):
                sender = producer._sender.sender_task
                if sender is not None:
                    await asyncio.wait([sender])
                accumulator = producer._message_accumulator
                for batch in [*_batches(accumulator._batches.values()), *accumulator._pending_batches]:
                    batch.done_noack()
                await producer.stop()
        producer._closed = True

    async def _why_not(self) -> PollerError:
        """The driver keeps the reason to itself; so one connection is made for the sake of its error."""
        options = {name: self._options[name] for name in _OF_CONNECTIONS if name in self._options}
        seconds = self._options["request_timeout_ms"] / 1000
        hosts = self._aiokafka.conn.collect_hosts(self._options["bootstrap_servers"], randomize=False)
        for host, port, _ in hosts:
            try:
                connection = await self._aiokafka.conn.create_conn(host, port, **options)
            except self._aiokafka.errors.KafkaError as err:
                cause = err.__cause__
                if isinstance(cause, OSError) and not isinstance(err, OSError):
                    return unreachable(f"{host}:{port}", cause, seconds)
                return _explained(err, f"{host}:{port}")
            except OSError as err:
                return unreachable(f"{host}:{port}", err, seconds)
            connection.close()
        return Wait(f"{self._where}: no broker answers as one")


def _explained(err: BaseException, where: str) -> PollerError:
    name = type(err).__name__
    if name in ("MessageSizeTooLargeError", "RecordListTooLargeError"):
        return Refused(f"{where} does not take a record so large")
    return Wait(f"{where}: {_REASONS.get(name, name)}")


def _batches(queues: Any) -> list[Any]:
    return [batch for queue in queues for batch in queue]


async def _at_once() -> None:
    return None


def _done() -> asyncio.Future[bool]:
    done = asyncio.get_running_loop().create_future()
    done.set_result(False)
    return done


def _silence() -> None:
    """The driver writes about every attempt, and our own reasons tell all there is. Whoever asks for it gets it."""
    logger = logging.getLogger("aiokafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
