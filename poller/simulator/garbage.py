"""Spoilt bodies of answers with status 200. Pure: bytes in, bytes out; None where there is nothing to spoil."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>Back in a minute</h1></body></html>"
HUGE_BYTES = 10_000_000
DEEP_LEVELS = 100_000

Spoil = Callable[[bytes, Random], bytes | None]
JsonObject = dict[str, object]


def _items(payload: object) -> list[JsonObject]:
    """The items of an answer, in whichever envelope; of an answer about one thing, that thing."""
    if isinstance(payload, list):
        return [item for item in payload if isinstance(item, dict)]
    if not isinstance(payload, dict):
        return []
    for inner in (payload.get("data"), *_values(payload.get("_embedded"))):
        if isinstance(inner, list):
            return _items(inner)
    return [] if "page" in payload else [payload]


def _values(payload: object) -> list[object]:
    return list(payload.values()) if isinstance(payload, dict) else []


def _with_items(body: bytes, change: Callable[[list[JsonObject]], None]) -> bytes | None:
    payload = msgspec.json.decode(body)
    items = _items(payload)
    if not items:
        return None
    change(items)
    return msgspec.json.encode(payload)


KEYS = frozenset({"meetingId", "meetingid", "sessionId", "organizerkey", "uniqueMeetingId"})  # beside all that end so


def _is_key(name: str) -> bool:
    return name.endswith("Key") or name in KEYS


def truncated(body: bytes, rng: Random) -> bytes | None:
    return body[: rng.randrange(1, len(body))] if len(body) > 1 else None


def html(body: bytes, rng: Random) -> bytes | None:
    return HTML


def wrong_types(body: bytes, rng: Random) -> bytes | None:
    """An object for the list, or a number for every text that is no key."""
    payload = msgspec.json.decode(body)
    if isinstance(payload, list) and rng.random() < 0.5:
        return msgspec.json.encode({str(n): item for n, item in enumerate(payload)})

    def numbers(items: list[JsonObject]) -> None:
        for item in items:
            for name, value in item.items():
                if isinstance(value, str) and not _is_key(name):
                    item[name] = len(value)

    return _with_items(body, numbers)


def null_keys(body: bytes, rng: Random) -> bytes | None:
    def nulls(items: list[JsonObject]) -> None:
        item = rng.choice(items)
        item.update({name: None for name in item if _is_key(name)})

    return _with_items(body, nulls)


def unknown_fields(body: bytes, rng: Random) -> bytes | None:
    def more(items: list[JsonObject]) -> None:
        for item in items:
            item["loyaltyTier"] = rng.choice(("GOLD", "TIN"))
            item["segments"] = [{"name": "north", "score": rng.random()}, None]

    return _with_items(body, more)


def mixed_keys(body: bytes, rng: Random) -> bytes | None:
    """Every key of every item as a number or as a string, at random; at least one is not what it was."""

    def mix(items: list[JsonObject]) -> None:
        keys = [(item, name) for item in items for name in item if _is_key(name)]
        for item, name in [*keys[:1], *rng.sample(keys[1:], len(keys[1:]) // 2)]:
            value = item[name]
            item[name] = int(value) if isinstance(value, str) else str(value)

    return _with_items(body, mix)


def huge_page(body: bytes, rng: Random) -> bytes | None:
    return _append(body, b'"padding":"' + b"x" * HUGE_BYTES + b'"')


def deep_nesting(body: bytes, rng: Random) -> bytes | None:
    return _append(body, b'"tree":' + b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS)


def _append(body: bytes, member: bytes) -> bytes:
    """One more member of the object; of a list, one more item that has nothing else."""
    extra = member if body.startswith(b"{") else b"{" + member + b"}"
    comma = b"" if len(body) == 2 else b","
    return body[:-1] + comma + extra + body[-1:]


SPOILS: dict[str, Spoil] = {
    "truncated": truncated,
    "html": html,
    "wrong-types": wrong_types,
    "null-keys": null_keys,
    "unknown-fields": unknown_fields,
    "mixed-keys": mixed_keys,
    "huge-page": huge_page,
    "deep-nesting": deep_nesting,
}
