"""From the bytes of an answer to what a caller gets: plain values, every key a string. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable
from types import UnionType
from typing import Any, Final, get_args, get_origin

from msgspec import Raw
from msgspec.json import Decoder

from poller.errors import Malformed
from poller.goto.models import Page, PageInfo, key_of
from poller.goto.operations.spec import Operation, Paging
from poller.goto.protocol import decode, digest_of

# organizerKey, organizerkey, coorganizerKeys, meetingId, meetingid, webinarID …
_KEY: Final = re.compile(r".*(?:key|keys|id)", re.IGNORECASE)
_NO_KEY: Final = frozenset({"id"})  # of a secret key: a small number

# Levels of what GoTo sends. A decoder takes several times as many, which whatever handles the values does not.
DEEPEST: Final = 100

_anything = Decoder(Any)
_object = Decoder(dict[str, Raw])
_array = Decoder(list[Raw])
_page_info = Decoder(PageInfo)
_total = Decoder(int)


def result(operation: Operation, body: bytes) -> Any:
    """What the operation answers; None where it answers nothing. Raises Malformed."""
    if operation.answer is None:
        return None
    value = decode(_anything, body, "JSON")
    if not isinstance(value, _outside(operation.answer)):
        raise Malformed(f"GoTo's answer to {operation.name} is not what its document says: {type(value).__name__}")
    return with_text_keys(value)


def _outside(answer: Any) -> tuple[type, ...]:
    if isinstance(answer, UnionType):
        return tuple(kind for part in get_args(answer) for kind in _outside(part))
    return (list,) if get_origin(answer) is list else (dict,)


def with_text_keys(value: Any, levels: int = DEEPEST, *, is_key: bool = False) -> Any:
    """The same with each key, whatever the wire has, as a string. Raises Malformed for more levels than these."""
    if not levels:
        raise Malformed(f"what GoTo sent nests more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return {name: with_text_keys(inner, levels - 1, is_key=_is_key(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_text_keys(item, levels - 1, is_key=is_key) for item in value]
    return str(value) if is_key and isinstance(value, int) and not isinstance(value, bool) else value


def _is_key(name: str) -> bool:
    return name not in _NO_KEY and _KEY.fullmatch(name) is not None


def page(paging: Paging, body: bytes) -> Page:
    """A page for a walk. An absent list is an empty one only if the page itself says so."""
    outer = decode(_object, body, "a page")
    if "page" in outer and "total" not in outer:
        info = decode(_page_info, bytes(outer["page"]), "a page")
        total, pages = info.totalElements, info.totalPages
    elif "total" in outer:
        total, pages = decode(_total, bytes(outer["total"]), "a page"), None
    else:
        raise Malformed("GoTo's answer is not a page: it names no total")
    found = _within(outer, paging.items)
    if total < 0 or (found is None and total > 0):
        raise Malformed(f"a page promises {total} items and holds no list")
    return Page(found or [], digest_of(body), total, pages, len(body))


def _within(outer: dict[str, Raw], names: tuple[str, ...]) -> list[Raw] | None:
    for name in names[:-1]:
        if name not in outer or bytes(outer[name]) == b"null":
            return None
        outer = decode(_object, bytes(outer[name]), "a page")
    raw = outer.get(names[-1])
    return None if raw is None or bytes(raw) == b"null" else decode(_array, bytes(raw), "a page")


def array(body: bytes) -> list[Raw]:
    """A bare array."""
    return decode(_array, body, "an array")


def identity(paging: Paging, raw: Raw) -> Hashable:
    """What tells an item apart; one without its first key is told by its bytes."""
    keys = tuple(key_of(raw, name) for name in paging.identity)
    return bytes(raw) if keys[0] is None else keys


def plain(raw: Raw) -> Any:
    return with_text_keys(decode(_anything, bytes(raw), "JSON"))
