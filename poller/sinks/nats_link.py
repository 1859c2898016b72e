"""One connection to a NATS server over which messages are answered: what its driver keeps silent about is told here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from poller.errors import PollerError, Wait
from poller.sinks.server import Address, unreachable

_CLOSING: Final = 2.0  # seconds


class NotAllowed(Wait):
    """These credentials may not publish to this subject."""


# What came back: a JSON object, None if nobody listens there, or why nothing will come.
Answer = Mapping[str, Any] | PollerError | None


class Link:
    """One connection, until it is lost; it is never mended. Acknowledgements arrive on one subscription."""

    def __init__(self, where: Address) -> None:
        self.where = where
        self._client: Any = None
        self._subscription: Any = None
        self._inbox = ""
        self._numbers = itertools.count()
        self._expected: dict[str, tuple[str, Callable[[str, Answer], None]]] = {}
        self._told: Exception | None = None  # what the driver said first
        self.failure: Wait | None = None  # why nothing more goes over it
        self.stream_known = False
        self.takes_in_order = False
        self.acknowledged: set[str] = set()  # subjects

    @property
    def good(self) -> bool:
        return self.failure is None and bool(self._client.is_connected)

    @property
    def max_payload(self) -> int:
        return int(self._client.max_payload)

    async def open(self, nats: Any, tls: Any, seconds: float) -> None:
        """One attempt: neither the first connection nor a lost one is tried again by the driver."""
        self._client = nats.NATS()
        where = self.where
        host = f"[{where.host}]" if ":" in where.host else where.host
        who: dict[str, Any] = {}
        if where.password:
            who = {"user": self._behind_tls(where.username), "password": self._behind_tls(where.password)}
        elif where.username:
            who = {"token": self._behind_tls(where.username)}
        try:
            await self._client.connect(
                servers=[f"nats://{host}:{where.port}"],
                error_cb=self._on_error,
                closed_cb=self._on_closed,
                name="goto-poller",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=seconds,
                pending_size=0,  # what cannot be written now is not kept for a later connection
                tls=tls,
                **who,
            )
            self._require_tls()
            # The driver keeps silent about some ways in which a connection ends, but not this task of its.
            if (reading := getattr(self._client, "_reading_task", None)) is not None:
                reading.add_done_callback(lambda _: self.drop(self._lost()))
            self._inbox = self._client.new_inbox()
            self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_answer)
        except (OSError, nats.errors.Error) as err:
            raise self._explained(self._told or err, seconds) from err

    async def publish(
        self, subject: str, body: bytes, headers: Mapping[str, str], answered: Callable[[str, Answer], None]
    ) -> None:
        """`answered` is called once with the subject and the answer, however it ends. Raises nothing."""
        number = str(next(self._numbers))
        self._expected[number] = (subject, answered)
        if self.failure is not None:
            self.drop(self.failure)
            return
        try:
            await self._client.publish(subject, body, reply=f"{self._inbox}.{number}", headers=headers or None)
        except Exception as err:  # of the driver: the connection is over, or it never was
            self.drop(Wait(f"{self.where}: {type(err).__name__}"))

    async def ask(self, subject: str, body: bytes) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(_: str, got: Answer) -> None:
            if not answer.done():
                answer.set_result(got)

        await self.publish(subject, body, {}, answered)
        return await answer

    def drop(self, failure: Wait) -> None:
        """The connection is over; whoever waits for an answer hears why. Twice is harmless."""
        self.failure = self.failure or failure
        expected, self._expected = self._expected, {}
        for subject, answered in expected.values():
            answered(subject, self.failure)
        # The driver would wait for unsent bytes to leave before it closes.
        writer = getattr(getattr(self._client, "_transport", None), "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def close(self) -> None:
        if self._client is None:
            return
        self.drop(Wait(f"{self.where}: closed"))
        with suppress(Exception):
            async with asyncio.timeout(_CLOSING):
                await self._client.close()
        # What is left of its tasks: it forgets some if the connection broke with unsent bytes.
        names = ("_reading_task", "_flusher_task", "_ping_interval_task")
        tasks = [getattr(self._client, name, None) for name in names]
        left = [task for task in (*tasks, getattr(self._subscription, "_wait_for_msgs_task", None)) if task]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _on_answer(self, message: Any) -> None:
        subject, answered = self._expected.pop(message.subject.rpartition(".")[2], ("", None))
        if answered is None:
            return
        if not message.data and (message.headers or {}).get("Status") == "503":
            answered(subject, None)
            return
        try:
            answered(subject, msgspec.json.decode(message.data, type=dict[str, Any]))
        except msgspec.DecodeError:
            answered(subject, Wait(f"{self.where} gave an answer that cannot be read"))

    async def _on_error(self, err: Exception) -> None:
        self._told = self._told or err
        text = str(err).lower()  # the driver's lower case, too
        if "permissions violation for publish" in text:
            self._deny(text)
        elif "permissions violation for subscription" in text:
            self.drop(Wait(f"{self.where}: not allowed to subscribe to _INBOX.>, where acknowledgements arrive"))
        elif self._inbox:
            self.drop(self._lost())

    def _deny(self, text: str) -> None:
        """The text names the subject; answers for others will still come."""
        for number, (subject, answered) in list(self._expected.items()):
            if f'"{subject.lower()}"' in text:
                del self._expected[number]
                answered(subject, NotAllowed(f"{self.where}: not allowed to publish to {subject}"))

    async def _on_closed(self) -> None:
        self.drop(self._lost())

    def _lost(self) -> Wait:
        return Wait(f"{self.where}: the connection was lost")

    def _behind_tls(self, credential: str) -> Callable[[], str]:
        """The driver calls it when it is about to send it, and would do so without TLS if the server asks for none."""

        def reveal() -> str:
            self._require_tls()
            return credential

        return reveal

    def _require_tls(self) -> None:
        if self.where.tls and not getattr(self._client, "_server_info", {}).get("tls_required"):
            raise Wait(f"{self.where} does not offer TLS; switch it on there, or use nats:// within your own network")

    def _explained(self, err: Exception, seconds: float) -> Wait:
        if "authorization" in str(err).lower() or "authentication" in str(err).lower():
            return Wait(f"{self.where} refuses these credentials; check username and password, or the token")
        return unreachable(self.where, err, seconds)


def error_number(answer: Answer) -> int | None:
    if not isinstance(answer, Mapping) or "error" not in answer:
        return None
    return int(answer["error"].get("err_code", 0))


def description(answer: Mapping[str, Any]) -> str:
    return str(answer["error"].get("description", "no reason given"))
