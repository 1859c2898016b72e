"""Events as MQTT 5 messages, each acknowledged by the broker (QoS 1 and 2) before it counts as delivered.

https://docs.oasis-open.org/mqtt/mqtt/v5.0/os/mqtt-v5.0-os.html
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/mqtt-protocol-binding.md
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from poller.errors import Refused, Wait
from poller.fields import FieldError, Secret
from poller.formats import Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, Preview, SinkContext, TemplateText, one_by_one
from poller.sinks.binding import BindingSettings, bind
from poller.sinks.mqtt_link import Link
from poller.sinks.server import ServerSettings, address, driver, tls_context, unreachable

_EXPRESSION: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)

_LONGEST_TEXT: Final = 65_535  # bytes of a topic or a property: two bytes hold its length (section 1.5.4)
_LARGEST_PACKET: Final = 268_435_460  # section 2.1.4: four bytes hold the remaining length

# Reason codes of PUBACK, PUBREC, PUBCOMP and DISCONNECT: section 2.4.
_FAILURE: Final = 0x80
_NOT_AUTHORIZED: Final = 0x87
_QUOTA_EXCEEDED: Final = 0x97
_REFUSALS: Final = {0x95: "it is too large", 0x99: "its payload is not in the format it is said to be"}


class MqttSettings(BindingSettings, ServerSettings):
    url: Secret = Field(default=Secret("mqtt://127.0.0.1:1883"), description="mqtt:// or mqtts://")
    topic: TemplateText = Field(default="goto/{{ short_type }}", description="where each event is published")
    qos: Literal[0, 1, 2] = Field(default=1, description="0 counts an event as delivered as soon as it is sent")
    client_id: str = Field(default="", description="for brokers that want to know it; else a new one each time")

    @field_validator("topic")
    @classmethod
    def _names_one_topic(cls, topic: str, info: ValidationInfo) -> str:
        if problem := _problem(_EXPRESSION.sub("x", topic)):
            raise FieldError(f'of sink "{info.data.get("name", "?")}" {problem}; write one such as goto/events')
        return topic


class MqttSink(BaseSink):
    settings_type = MqttSettings

    def __init__(self, settings: MqttSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._address = address(settings, {"mqtt": 1883}, {"mqtts": 8883})
        self._topic = Template(settings.topic)
        self._link: Link | None = None
        self._deadline = 0.0  # of the attempt that connected, in the loop's time

    async def connect(self) -> None:
        if self._link is not None and self._link.failure is None:
            return
        await self.close()
        # The library under aiomqtt: that one drops the reason codes of acknowledgements, a refusal's too.
        paho = driver("paho.mqtt.client", "mqtt")
        link = Link(paho, self._address)
        self._deadline = asyncio.get_running_loop().time() + self.timeout.total_seconds()
        client_id = self._settings.client_id or f"goto-poller-{uuid.uuid4().hex[:16]}"
        try:
            async with asyncio.timeout_at(self._deadline):
                await link.open(client_id, tls_context(self._settings) if self._address.tls else None)
        except (OSError, ValueError) as err:  # TimeoutError is an OSError
            link.close()
            raise unreachable(self._address, err, self.timeout.total_seconds()) from err
        except BaseException:
            link.close()
            raise
        self._link = link
        if link.maximum_qos < self._settings.qos:
            raise Wait(f"{self._address} takes QoS {link.maximum_qos} at most; set qos = {link.maximum_qos}")

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        link = self._link
        if link is None:
            raise Wait(f"{self._address}: there is no connection any more")
        now = asyncio.get_running_loop().time()
        limit = now + self.timeout.total_seconds()
        try:
            async with asyncio.timeout_at(min(limit, self._deadline) if self._deadline > now else limit):
                return await one_by_one(batch, self._send_one)
        except TimeoutError as err:
            link.drop(unreachable(self._address, err, self.timeout.total_seconds()))
            assert link.failure is not None
            raise link.failure from err
        except asyncio.CancelledError:
            # The library still has the message and would send it at some later moment.
            link.drop(Wait(f"{self._address}: given up"))
            raise
        finally:
            self._deadline = 0.0

    async def check(self) -> str:
        await self.connect()
        link = self._link
        assert link is not None
        seconds = self.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await link.round_trip()
        except TimeoutError as err:
            raise unreachable(self._address, err, seconds) from err
        return f"{self._address} answers (MQTT 5, QoS {link.maximum_qos} at most)"

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        message = self._message(outgoing)
        return Preview(message.body, message.content_type, message.topic, dict(message.properties))

    async def _send_one(self, outgoing: Outgoing) -> None:
        link = self._link
        if link is None:
            raise Wait(f"{self._address}: the connection was closed")
        message = self._message(outgoing)
        try:
            properties = link.properties(message.content_type, message.properties)
            size = _packet_size(message, self._settings.qos, len(properties.pack()))
        except ValueError as err:
            raise Refused(f"it cannot be put into MQTT's form: {err}") from err
        if size > (largest := link.maximum_packet_size or _LARGEST_PACKET):
            raise Refused(f"{size} bytes are more than the {largest} that {self._address} takes")
        code = await link.publish(message.topic, message.body, self._settings.qos, properties)
        if code in _REFUSALS:
            raise Refused(f"{self._address} refuses it: {_REFUSALS[code]}")
        if code >= _FAILURE:
            raise Wait(f"{self._address} did not take it: {self._explained(code, message.topic)}")

    def _message(self, outgoing: Outgoing) -> _Message:
        topic = self._topic.render(outgoing)
        if problem := _problem(topic):
            raise Refused(f"the topic made for this event {problem}")
        bound = bind(self.format, outgoing, self._settings.content_mode)
        # In structured mode the id travels beside the body, too, for those who drop repeats without reading it.
        properties = list(bound.attributes.items()) or [("id", outgoing.id)]
        if any("\0" in text or len(text.encode()) > _LONGEST_TEXT for _, text in properties):
            raise Refused("one of its attributes cannot be a property of MQTT")
        return _Message(topic, bound.body, bound.content_type, properties)

    def _explained(self, code: int, topic: str) -> str:
        if code == _NOT_AUTHORIZED:
            return f"not authorized to publish to {topic}; allow it there, or check username and password"
        if code == _QUOTA_EXCEEDED:
            return "a quota is used up"
        return f"reason code 0x{code:02X}"


class _Message(NamedTuple):
    topic: str
    body: bytes
    content_type: str
    properties: Sequence[tuple[str, str]]


# ── pure ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _problem(topic: str) -> str:
    """What is wrong with a topic to publish to; empty if nothing is. Section 4.7."""
    if not topic:
        return "is empty"
    if re.search(r"[+#]", topic):
        return "has a wildcard"
    if re.search(r"[\x00-\x1f\x7f]", topic):
        return "has a control character"
    if len(topic.encode()) > _LONGEST_TEXT:
        return f"is longer than {_LONGEST_TEXT} bytes"
    return "begins with $, which is the server's" if topic.startswith("$") else ""


def _packet_size(message: Any, qos: int, properties: int) -> int:
    """Bytes of the PUBLISH packet, section 3.3; `properties` with their length in front."""
    remaining = 2 + len(message.topic.encode()) + (2 if qos else 0) + properties + len(message.body)
    return 1 + max(1, -(-remaining.bit_length() // 7)) + remaining
