"""GoTo's webhooks as they come in: what an event says, and whether one of our keys has signed it. Pure.

The vendor names the header X-Webhook-Signature and the secret key, and says no more: hash, spelling and signed content
are a `Scheme` to choose. Events: https://developer.goto.com/guides/HowTos/12_HOW_webinarWebhooks/
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

from msgspec.json import Decoder

from poller.errors import Malformed
from poller.goto.operations.bodies import EventName
from poller.goto.operations.reading import with_text_keys
from poller.goto.protocol import decode

# What can be subscribed to.
EVENTS: Final[tuple[str, ...]] = get_args(EventName)

Hash = Literal["sha256", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]
Signed = Literal["body", "timestamp.body"]

# The name becomes part of an event's type.
_NAME: Final = re.compile(r"[a-z][a-zA-Z_]*(\.[a-z][a-zA-Z_]*){1,4}")
_ENVELOPE: Final = frozenset({"eventName", "eventVersion", "product", "eventKey", "timestamp"})

_object = Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a signature is made. `signed`: over the body as it came, or over `<timestamp header>.<body>`."""

    header: str = "X-Webhook-Signature"
    hash: Hash = "sha256"
    encoding: Encoding = "hex"
    signed: Signed = "body"
    timestamp_header: str = "X-Webhook-Timestamp"


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook. `key` is the same at every repeat of it; keys are strings, "" for those that it does not name."""

    name: str
    key: str
    at: datetime | None
    webinar_key: str
    organizer_key: str
    account_key: str
    data: Mapping[str, Any]  # all that it tells beside its envelope

    def text(self, field: str) -> str:
        """A field of the data; "" where there is no text in it."""
        value = self.data.get(field)
        return value if isinstance(value, str) else ""


# ── the signature ────────────────────────────────────────────────────────────────────────────────────────────────────


def is_signed(scheme: Scheme, secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of `secrets` made the signature. Every one is tried: the time taken tells nothing of them."""
    given = _decoded(scheme, _header(headers, scheme.header))
    content = body
    if scheme.signed == "timestamp.body":
        content = _header(headers, scheme.timestamp_header).encode(errors="surrogateescape") + b"." + body
    matches = [hmac.compare_digest(given, hmac.digest(key.encode(), content, scheme.hash)) for key in secrets]
    return any(matches)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value.strip() for key, value in headers.items() if key.lower() == name.lower()), "")


def _decoded(scheme: Scheme, text: str) -> bytes:
    """The digest in a signature; nothing where there is none. Some senders write the hash's name before it."""
    text = text.removeprefix(f"{scheme.hash}=")
    try:
        return bytes.fromhex(text) if scheme.encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


# ── the event ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(body: bytes) -> Event:
    """The event in a body. Raises Malformed for what is none; fields that are not known pass."""
    told = with_text_keys(decode(_object, body, "a webhook"))
    name = told.get("eventName")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 60:
        raise Malformed("a webhook names no event")
    key = told.get("eventKey")
    return Event(
        name=name,
        # A repeat of what has no key of its own is the same body again.
        key=key if isinstance(key, str) and key else blake2b(body, digest_size=16).hexdigest(),
        at=_moment(told.get("timestamp")),
        webinar_key=_digits(told.get("webinarKey")),
        organizer_key=_digits(told.get("organizerKey")) or _digits(told.get("webinarCreatorKey")),
        account_key=_digits(told.get("accountKey")),
        data={field: value for field, value in told.items() if field not in _ENVELOPE},
    )


def is_fresh(event: Event, now: datetime, window: timedelta) -> bool:
    """Whether it happened within `window` of now, before or after. An event without a time counts as fresh."""
    return event.at is None or abs(now - event.at) <= window


def _digits(value: object) -> str:
    return value if isinstance(value, str) and value.isascii() and value.isdigit() else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
