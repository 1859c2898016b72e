"""One normal form for what GoTo serves in several: keys as strings, times in UTC with a Z, no secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from poller.errors import Malformed
from poller.goto import Priority
from poller.ports import Change
from state.records import Phase, Record, Target

# How long (seconds) a confirmation waits for a free call before it is left to a later poll.
CONFIRMING = 10.0

# They let their holder start or own a session: never stored, emitted or logged.
SECRETS = frozenset({"hostURL", "hostUrl", "startUrl", "startURL"})

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# An answer is checked for its syntax and its keys; these may still be wrong inside one of its records.
UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)


def decode(body: bytes | Raw, read: Callable[[dict[str, Any]], dict[str, Any]] = lambda item: item) -> dict[str, Any]:
    """A record, through `read`. Raises Malformed for what nobody could pass on, such as a number out of range."""
    try:
        return read(_decode(body))
    except UNREADABLE as err:
        raise Malformed(f"a record of {len(bytes(body))} bytes cannot be read: {type(err).__name__}") from err


def encode(item: dict[str, Any]) -> bytes:
    """Raises Malformed for what is nested too deeply."""
    try:
        return _encode(item)
    except UNREADABLE as err:
        raise Malformed(f"a record cannot be written: {type(err).__name__}") from err


def priority_of(target: Target) -> Priority:
    """What was there before we came may wait for what is new."""
    return Priority.BASELINE if target.phase in (Phase.BASELINE, Phase.BACKFILL) else Priority.LIVE


def fingerprint(body: bytes | Raw) -> bytes:
    return blake2b(body, digest_size=16).digest()


def make_records(keys: Iterable[str | None], items: Iterable[Raw]) -> list[Record]:
    """Of the items that have a key, in their order."""
    return [
        Record(key, blake2b(item, digest_size=16).digest(), bytes(item))  # as `fingerprint`; this runs for every record
        for key, item in zip(keys, items, strict=True)
        if key is not None
    ]


def normalise(item: Mapping[str, Any]) -> dict[str, Any]:
    """Every field whose name ends in Key becomes a string, secrets go, everything else stays as it came; so within."""
    return {name: _value(name, value) for name, value in item.items() if name not in SECRETS}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, int):
        return str(value) if name.endswith(("Key", "key")) and not isinstance(value, bool) else value
    if isinstance(value, dict):
        return normalise(value)
    if isinstance(value, list):
        return [_value(name, entry) for entry in value]
    return value


def normal_registrant(item: Mapping[str, Any]) -> dict[str, Any]:
    data = normalise(item)
    if isinstance(data.get("status"), str):
        data["status"] = data["status"].upper()
    return data


def parse_time(value: Any) -> datetime | None:
    """An ISO 8601 time, taken as UTC where it names no zone; None for whatever else the field holds."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def zulu(value: Any) -> Any:
    """The same moment as `2026-03-01T09:15:42Z`; what is no time stays as it came."""
    moment = parse_time(value)
    if moment is None:
        return value
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], names: Iterable[str]
) -> tuple[list[str], dict[str, Any]]:
    """The fields of `names` that differ, with their old values.

    A field that one of the two shapes does not have says nothing; null and the empty text are the same.
    """
    changed = [
        name for name in names if name in before and name in after and (before[name] or "") != (after[name] or "")
    ]
    return changed, {name: before[name] for name in changed}


def kept(before: bytes, after: bytes, names: Iterable[str]) -> bytes:
    """`after`, with the fields of `names` that only `before` has: to forget them would hide a change behind the gap."""
    try:
        old, new = decode(before), decode(after)
        lacking = {name: old[name] for name in names if name in old and name not in new}
        return encode({**new, **lacking}) if lacking else after
    except Malformed:
        return after


def change(changed: list[str], previous: dict[str, Any]) -> Change | None:
    return Change(changed, previous) if changed else None
