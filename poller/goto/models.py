"""GoTo's JSON as it comes: unknown fields are ignored, keys may be numbers or strings, most things may be absent.

Single records (webinars, registrants) stay `msgspec.Raw`: who reads them sets a bad one aside without its siblings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, defstruct
from msgspec.json import Decoder

from poller.errors import Malformed

# Up to 19 digits: beyond JavaScript's exact integers, so they are strings everywhere behind this module.
WireKey = int | str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose token this is. The addresses and names are personal data and stay out of reprs."""

    organizer_key: str
    account_key: str | None = None
    email: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `digest` is that of `protocol.digest_of`, `size` its length in bytes."""

    items: list[Raw]
    digest: bytes
    total: int
    pages: int | None
    size: int


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """A list that comes in one answer; `unchanged` (and no items) when the body is the one already known."""

    items: list[Raw]
    digest: bytes
    unchanged: bool
    size: int


class PageInfo(Struct):
    totalElements: int  # noqa: N815 - GoTo's spelling, as below
    totalPages: int | None = None  # noqa: N815


class EmbeddedWebinars(Struct):
    webinars: list[Raw] | None = None


class WebinarPage(Struct):
    page: PageInfo
    embedded: EmbeddedWebinars | None = msgspec.field(default=None, name="_embedded")


class EmbeddedSessions(Struct):
    sessionInfoResources: list[Raw] | None = None  # noqa: N815


class SessionPage(Struct):
    page: PageInfo
    embedded: EmbeddedSessions | None = msgspec.field(default=None, name="_embedded")


class RegistrantPage(Struct):
    total: int
    data: list[Raw] | None = None


class AnyObject(Struct):
    """Matches every JSON object and looks at nothing in it."""


class WireError(Struct):
    """Gateways say int_err_code and msg, applications errorCode and description or message."""

    int_err_code: str | None = None
    msg: str | None = None
    errorCode: str | int | None = None  # noqa: N815
    description: str | None = None
    message: str | None = None

    def text(self) -> str:
        words = self.description or self.message or self.msg or self.errorCode or self.int_err_code
        return str(words or "")


class CountedWebinar(Struct):
    """An item of the old v1 list, as far as it is a hint."""

    webinarKey: WireKey = None  # noqa: N815
    numberOfRegistrants: int | None = None  # noqa: N815


class WireTokens(Struct):
    access_token: str
    refresh_token: str | None = None
    expires_in: int | float | str | None = None
    scope: str | None = None
    principal: str | None = None


class WireTokenError(Struct):
    """RFC 6749, 5.2; the switched-off host answers with `message` alone."""

    error: str | None = None
    error_description: str | None = None
    message: str | None = None


class WireAdminMe(Struct):
    key: WireKey = None
    accountKey: WireKey = None  # noqa: N815
    email: str | None = None
    firstName: str | None = None  # noqa: N815
    lastName: str | None = None  # noqa: N815


class ScimEmail(Struct):
    value: str | None = None
    primary: bool | None = None


class ScimName(Struct):
    givenName: str | None = None  # noqa: N815
    familyName: str | None = None  # noqa: N815


class WireScimMe(Struct):
    id: WireKey = None
    userName: str | None = None  # noqa: N815
    emails: list[ScimEmail] | None = None
    name: ScimName | None = None


def text_key(key: WireKey) -> str | None:
    """A key as we pass it on, None if it is none: keys are positive numbers or non-empty text."""
    if isinstance(key, int):
        return str(key) if key > 0 else None
    return key or None


def key_of(raw: Raw, name: str, texts: tuple[str, ...] = ()) -> str | None:
    """The key in the field `name` of a list item.

    None if the item is no object, has no usable key there, or one of the fields `texts` holds anything but a text or
    null: such an item is garbage, and a number in place of a name must not be told as a change.
    """
    try:
        return text_key(_key_decoder(name, texts).decode(raw).key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def keys_of(items: Sequence[Raw], name: str, texts: tuple[str, ...] = ()) -> list[str | None]:
    """`key_of` each of the items, decoded together as long as none of them spoils it."""
    try:
        keyed = _keys_decoder(name, texts).decode(b"[" + b",".join(items) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [key_of(item, name, texts) for item in items]
    return [text_key(item.key) for item in keyed]


@lru_cache(maxsize=64)
def _key_decoder(name: str, texts: tuple[str, ...]) -> Decoder[Any]:
    return Decoder(_keyed(name, texts))


@lru_cache(maxsize=64)
def _keys_decoder(name: str, texts: tuple[str, ...]) -> Decoder[Any]:
    return Decoder(list[_keyed(name, texts)])  # type: ignore[misc]  # made at run time


def _keyed(name: str, texts: tuple[str, ...]) -> type[Struct]:
    key = ("key", WireKey, msgspec.field(default=None, name=name))
    return defstruct("Keyed", [key, *((text, str | None, None) for text in texts)])


def identity_of_admin(me: WireAdminMe) -> Identity:
    key = _required(text_key(me.key), "key")
    return Identity(key, text_key(me.accountKey), me.email, me.firstName, me.lastName)


def identity_of_scim(me: WireScimMe) -> Identity:
    key = _required(text_key(me.id), "id")
    addresses = sorted(me.emails or [], key=lambda address: not address.primary)
    email = next((address.value for address in addresses if address.value), me.userName)
    name = me.name or ScimName()
    return Identity(key, None, email, name.givenName, name.familyName)


def _required(key: str | None, name: str) -> str:
    if key is None:
        raise Malformed(f"the who-am-I answer has no usable {name!r}")
    return key
