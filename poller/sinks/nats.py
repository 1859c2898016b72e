"""Events into a stream of NATS JetStream, which drops a repeat by its id.

A publish counts when the stream has acknowledged it. https://docs.nats.io/nats-concepts/jetstream/streams
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic import Field, ValidationInfo, field_validator, model_validator

from poller.errors import PollerError, Refused, Wait
from poller.fields import FieldError, Secret
from poller.formats import Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, Preview, SinkContext, TemplateText
from poller.sinks.binding import BindingSettings, attribute_headers, bind
from poller.sinks.nats_link import Answer, Link, NotAllowed, description, error_number
from poller.sinks.server import ServerSettings, address, driver, tls_context, unreachable

_EXPRESSION: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)

# The server reads a line of at most 4096 bytes, in which the subject is not alone.
_LONGEST_SUBJECT: Final = 2048

# A stream of our own drops repeats of an id for as long as a delivery may be repeated; the server keeps the ids in
# memory, and takes no window below a tenth of a second.
_SHORTEST_WINDOW: Final = timedelta(minutes=2)
_LONGEST_WINDOW: Final = timedelta(days=7)

# Numbers of the server's errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json
_STREAM_NOT_FOUND: Final = 10059
_STREAM_NAME_TAKEN: Final = 10058
_OTHER_STREAM: Final = 10060
_TOO_LARGE: Final = frozenset({10054, 10097})  # the message; its headers


class NatsSettings(BatchSettings, BindingSettings, ServerSettings):
    url: Secret = Field(default=Secret("nats://127.0.0.1:4222"), description="nats:// or tls://")
    stream: str = Field(default="GOTO", description="the stream that takes the events; another one's subject waits")
    subject: TemplateText = Field(default="goto.{{ short_type }}", description="where each event is published")
    create: bool = Field(default=True, description="make the stream if there is none; one that exists is left as it is")

    @field_validator("stream")
    @classmethod
    def _can_be_a_name(cls, stream: str, info: ValidationInfo) -> str:
        if not stream or re.search(r"[\s.*>/\\]", stream):
            raise FieldError(f'of sink "{info.data.get("name", "?")}" is empty, or has a space or one of . * > / \\')
        return stream

    @field_validator("subject")
    @classmethod
    def _names_one_subject(cls, subject: str, info: ValidationInfo) -> str:
        if problem := _problem(_EXPRESSION.sub("x", subject)):
            raise FieldError(f'of sink "{info.data.get("name", "?")}" {problem}; write one such as goto.events')
        return subject

    @model_validator(mode="after")
    def _a_new_stream_has_a_subject(self) -> NatsSettings:
        if self.create and not _listened_to(self.subject):
            raise FieldError(
                f'sink "{self.name}": a new stream needs a subject that begins with a word and a dot, such as'
                ' "goto.{{ short_type }}"; or make the stream yourself and set create = false'
            )
        return self


class NatsSink(BaseSink):
    """Several events of one webinar are under way together only where the stream cannot take a later one alone.

    That is a stream without replicas that never refuses for being full, and subjects it has acknowledged before.
    Everywhere else an event waits for the acknowledgement of the one before it in its webinar.
    """

    settings_type = NatsSettings

    def __init__(self, settings: NatsSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._address = address(settings, {"nats": 4222}, {"tls": 4222})
        self._subject = Template(settings.subject)
        self._link: Link | None = None
        self._deadline = 0.0  # of the attempt that connected, in the loop's time

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self._link is not None and self._link.good:
            if not self._link.stream_known:
                await self._within(loop.time() + self.timeout.total_seconds(), self._know_the_stream(self._link))
            return
        await self.close()
        self._deadline = loop.time() + self.timeout.total_seconds()
        link = Link(self._address)
        try:
            await self._within(self._deadline, self._open(link))
        except BaseException:
            await link.close()
            raise
        self._link = link

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        link = self._link
        if link is None:
            raise Wait(f"{self._address}: there is no connection any more")
        if link.failure is not None:
            raise link.failure
        flight = _Flight(link, batch, self._message, ordered=self.ordered)
        now = asyncio.get_running_loop().time()
        limit = now + self.timeout.total_seconds()
        try:
            async with asyncio.timeout_at(min(limit, self._deadline) if self._deadline > now else limit):
                await flight.land()
        except TimeoutError as err:
            link.drop(unreachable(self._address, err, self.timeout.total_seconds()))
        except asyncio.CancelledError:
            link.drop(Wait(f"{self._address}: given up"))
            raise
        self._deadline = 0.0
        return flight.outcomes

    async def check(self) -> str:
        await self.connect()
        link = self._link
        assert link is not None
        limit = asyncio.get_running_loop().time() + self.timeout.total_seconds()
        found = await self._within(limit, self._stream_info(link))
        if found is None:
            return f"{self._address} can be reached, but does not tell us about its stream {self._settings.stream}"
        return f"{self._address} has the stream {self._settings.stream} with {found['state']['messages']} messages"

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        message = self._message(outgoing)
        content_type = message.headers["content-type"]
        return Preview(message.body, content_type, message.subject, message.headers)

    def _message(self, outgoing: Outgoing, max_payload: int = 0) -> _Message:
        """Raises Refused for what the server will never take. `max_payload`: 0 = not known."""
        subject = self._subject.render(outgoing)
        if problem := _problem(subject):
            raise Refused(f"the subject made for this event {problem}")
        bound = bind(self.format, outgoing, self._settings.content_mode)
        headers = {
            "Nats-Msg-Id": outgoing.id,
            "Nats-Expected-Stream": self._settings.stream,
            "content-type": bound.content_type,
        }
        if bound.attributes:
            # Unlike HTTP's, the binding of NATS has a header for the data's media type beside the others.
            headers |= attribute_headers({**bound.attributes, "datacontenttype": bound.content_type})
        message = _Message(subject, bound.body, headers)
        if 0 < max_payload < message.size:
            raise Refused(f"{message.size} bytes are more than the {max_payload} that {self._address} takes")
        return message

    async def _within(self, deadline: float, work: Any) -> Any:
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError as err:
            raise unreachable(self._address, err, self.timeout.total_seconds()) from err

    async def _open(self, link: Link) -> None:
        settings = self._settings
        await link.open(driver("nats", "nats"), tls_context(settings), self.timeout.total_seconds())
        await self._know_the_stream(link)

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _know_the_stream(self, link: Link) -> None:
        found = await self._stream_info(link)
        link.stream_known = True
        link.takes_in_order = found is not None and _takes_in_order(found)

    async def _stream_info(self, link: Link) -> Mapping[str, Any] | None:
        """None if we may publish, but not ask. Makes the stream if it is to be made."""
        name = self._settings.stream
        answer = await link.ask(f"$JS.API.STREAM.INFO.{name}", b"")
        if error_number(answer) == _STREAM_NOT_FOUND and self._settings.create:
            answer = await self._make_stream(link)
        if isinstance(answer, NotAllowed) and not self._settings.create:
            return None
        if answer is None:
            raise Wait(f"{self._address}: JetStream is not switched on there, or not for this account")
        if isinstance(answer, PollerError):
            raise answer
        if error_number(answer) == _STREAM_NOT_FOUND:
            raise Wait(f"{self._address} has no stream {name}; make it, or set create = true")
        if "error" in answer:
            raise Wait(f"{self._address}: the stream {name} cannot be used: {description(answer)}")
        return answer

    async def _make_stream(self, link: Link) -> Answer:
        name = self._settings.stream
        window = min(max(self.max_age, _SHORTEST_WINDOW), _LONGEST_WINDOW)
        config = {
            "name": name,
            "subjects": [_listened_to(self._settings.subject)],
            "retention": "limits",
            "storage": "file",
            "duplicate_window": window // timedelta(microseconds=1) * 1000,
        }
        answer = await link.ask(f"$JS.API.STREAM.CREATE.{name}", json.dumps(config).encode())
        if error_number(answer) == _STREAM_NAME_TAKEN:  # somebody was faster
            return await link.ask(f"$JS.API.STREAM.INFO.{name}", b"")
        return answer


# ── one batch ────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Message(NamedTuple):
    subject: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def size(self) -> int:
        """As the server counts it: headers and body."""
        return sum(len(name) + len(value.encode()) + 4 for name, value in self.headers.items()) + 14 + len(self.body)


class _Lane:
    """The events of one webinar."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, _Message]] = deque()
        self.under_way = 0


class _Flight:
    """A batch on its way: what may be handed over next, and what came of the rest."""

    def __init__(
        self, link: Link, batch: Sequence[Outgoing], make: Callable[[Outgoing, int], _Message], *, ordered: bool
    ) -> None:
        self._link = link
        self.outcomes: list[Outcome] = [None] * len(batch)
        self._left = len(batch)
        self._news = asyncio.Event()
        lanes: dict[object, _Lane] = {}
        for index, outgoing in enumerate(batch):
            try:
                message = make(outgoing, link.max_payload)
            except Refused as err:
                self._settle(index, err)
                continue
            lanes.setdefault(outgoing.partition if ordered else index, _Lane()).waiting.append((index, message))
        self._ready = deque(lanes.values())

    async def land(self) -> None:
        while self._left:
            self._news.clear()
            while self._ready:
                await self._advance(self._ready.popleft())
            if self._left:
                await self._news.wait()

    async def _advance(self, lane: _Lane) -> None:
        while lane.waiting and self._may_go(lane):
            index, message = lane.waiting.popleft()
            lane.under_way += 1
            await self._link.publish(message.subject, message.body, message.headers, partial(self._heard, lane, index))

    def _may_go(self, lane: _Lane) -> bool:
        link = self._link
        if not lane.under_way:
            return True
        return link.takes_in_order and lane.waiting[0][1].subject in link.acknowledged

    def _heard(self, lane: _Lane, index: int, subject: str, answer: Answer) -> None:
        lane.under_way -= 1
        outcome = _verdict(self._link, subject, answer)
        self._settle(index, outcome)
        if outcome is not None and not isinstance(outcome, Refused):
            for later, _ in lane.waiting:
                self._settle(later, outcome)
            lane.waiting.clear()
        if lane.waiting and self._may_go(lane):
            self._ready.append(lane)
            self._news.set()

    def _settle(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self._left -= 1
        if not self._left:
            self._news.set()


def _verdict(link: Link, subject: str, answer: Answer) -> Outcome:
    """What an answer to an event means for it, and for those that follow."""
    if answer is None:
        link.stream_known = False  # it may be gone
        link.acknowledged.clear()
        return Wait(f"{link.where}: no stream listens to {subject}; add the subject to the stream")
    if isinstance(answer, PollerError):
        return answer
    number = error_number(answer)
    if number is None:
        link.acknowledged.add(subject)
        return None
    if number in _TOO_LARGE:
        return Refused(f"{link.where}: {description(answer)}")
    if number == _OTHER_STREAM:
        return Wait(f"{link.where}: another stream listens to {subject}; name that one, or change the subject")
    return Wait(f"{link.where}: the stream did not take it: {description(answer)}")


# ── pure ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _problem(subject: str) -> str:
    """What is wrong with a subject to publish to; empty if nothing is."""
    if re.search(r"[\s\x00-\x1f\x7f]", subject):
        return "has a space or a control character"
    if re.search(r"[*>]", subject):
        return "has a wildcard"
    if not all(subject.split(".")):
        return "has an empty part between dots"
    if len(subject.encode()) > _LONGEST_SUBJECT:
        return f"is longer than {_LONGEST_SUBJECT} bytes"
    return "begins with $, which is the server's" if subject.startswith("$") else ""


def _listened_to(template: str) -> str:
    """The subject of a stream that takes whatever the template makes; empty if that would be everything."""
    constant = re.split(r"\{[{%#]", template, maxsplit=1)[0]
    if constant == template:
        return template
    words = constant.rpartition(".")[0]
    return f"{words}.>" if words else ""


def _takes_in_order(info: Mapping[str, Any]) -> bool:
    """Whether of two messages the second is never stored without the first: no change of leader may come between,
    and no room may become free between."""
    config = info.get("config", {})
    return not info.get("cluster") and config.get("num_replicas") == 1 and config.get("discard") == "old"
