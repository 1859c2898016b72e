"""CloudEvents over a protocol with headers of its own: which parts of an event travel where. Pure.

Structured mode: the whole event is the body. Binary mode: the body is the event's data, its attributes are headers,
named as the protocol's own binding says.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#message
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from poller.formats import Format
from poller.ports import Outgoing
from poller.sinks.base import SinkSettings

ContentMode = Literal["structured", "binary"]

_NOT_ATTRIBUTES: Final = frozenset({"data", "datacontenttype"})  # the body and its content type


class BindingSettings(SinkSettings):
    """For sinks whose protocol carries headers beside a message."""

    content_mode: ContentMode = Field(
        default="structured", description="binary: the event's attributes become headers, the body is its data"
    )


class Bound(NamedTuple):
    """One message. `attributes` is empty in structured mode, where all of them are in the body."""

    body: bytes
    content_type: str
    attributes: Mapping[str, str]


def bind(format_: Format, outgoing: Outgoing, mode: ContentMode) -> Bound:
    """Raises Refused as `Format.encode` does."""
    if mode == "structured":
        return Bound(*format_.encode(outgoing), {})
    return Bound(*format_.encode_data(outgoing), attributes(outgoing.event))


def attributes(event: Mapping[str, Any]) -> dict[str, str]:
    """The event's attributes, each in the text form of its type."""
    return {name: _text(value) for name, value in event.items() if name not in _NOT_ATTRIBUTES}


def attribute_headers(attributes_: Mapping[str, str]) -> dict[str, str]:
    """The attributes as headers of HTTP or NATS, whose bindings agree: a prefix, and values percent-encoded.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#313-metadata-headers
    """
    return {f"ce-{name}": "".join(_escaped(character) for character in text) for name, text in attributes_.items()}


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _escaped(character: str) -> str:
    """Printable ASCII stays, but for the space, the double quote and the percent sign."""
    if "!" <= character <= "~" and character not in '"%':
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode())
