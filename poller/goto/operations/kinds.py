"""What a value in a call may be: each kind is an annotated type for the reader and a check for the sender. Pure.

A `Kind` stands in `Annotated[str, KIND]`; dictionaries are TypedDicts, choices are Literals. `fitting` walks such a
type along a value. Times are those of GoTo: ISO 8601 in UTC with a trailing Z (developer.goto.com, GoTo Webinar FAQ).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Required, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from poller.errors import UsageError

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_EMAIL: Final = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """`says`: what such a value is, for people. `read` returns it as it is sent, or raises ValueError with the reason.

    `written`: the annotation in the signature of a method.
    """

    says: str
    read: Callable[[object], object]
    written: str = "str"


def text(longest: int | None = None) -> Kind:
    """Any text, of at most `longest` characters."""

    def read(value: object) -> str:
        found = _string(value)
        if longest is not None and len(found) > longest:
            raise ValueError(f"has {len(found)} characters; at most {longest} are allowed")
        return found

    return Kind("text" if longest is None else f"text (at most {longest} characters)", read)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {_name(value)}")
    return value


def _filled(value: object) -> str:
    found = _string(value)
    if not found.strip():
        raise ValueError("must not be empty")
    return found


def _digits(value: object) -> str:
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not (isinstance(found, str) and found.isascii() and found.isdigit()):
        raise ValueError("must be a key: digits and nothing else")
    return found


def _segment(value: object) -> str:
    found = _filled(value)
    if found in (".", "..") or any(letter.isspace() or letter in "/?#\\" for letter in found):
        raise ValueError("must be a key, as GoTo gave it")
    return found


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("is a time without a zone; give it one, such as datetime.UTC")
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    found = _string(value)
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        raise ValueError("is no time; write ISO 8601 in UTC, such as 2026-03-13T10:00:00Z") from None
    if not _MOMENT.fullmatch(found):
        raise ValueError(f"must be in UTC with a trailing Z{_in_utc(moment)}")
    return found


def _in_utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        return ", such as 2026-03-13T10:00:00Z"
    return f": write {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _day(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    found = _string(value)
    try:
        date.fromisoformat(found)
    except ValueError:
        raise ValueError("is no date; write one such as 2026-12-01") from None
    return found


def _zone(value: object) -> str:
    known = _zones()
    found = _string(value)
    if known and found not in known:
        near = next((name for name in known if name.lower() == found.lower()), "Europe/Berlin")
        raise ValueError(f"is no time zone of the IANA list; write one such as {near}")
    return found


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _address(value: object) -> str:
    found = _string(value)
    if not _EMAIL.fullmatch(found) or len(found) > 128:
        raise ValueError("is no e-mail address of at most 128 characters")
    return found


_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def _callback(value: object) -> str:
    found = _string(value)
    parts = urlsplit(found)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK  # of a simulated GoTo; GoTo itself refuses it
    if not parts.hostname or (parts.scheme != "https" and not local):
        raise ValueError("must be a whole address that begins with https://")
    return found


def _escaped(value: object) -> str:
    found = _filled(value)
    if "<" in found or ">" in found:
        raise ValueError("must not hold < or >; write the HTML entities &lt; and &gt; instead")
    if len(found) > 100:
        raise ValueError(f"has {len(found)} characters; at most 100 are allowed")
    return found


def number(least: int, most: int | None = None) -> Kind:
    """A whole number; digits in a text count as one."""
    says = f"number from {least}" if most is None else f"number from {least} to {most}"

    def read(value: object) -> int:
        found = int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) else value
        if isinstance(found, bool) or not isinstance(found, int):
            raise ValueError("must be a whole number")
        if found < least or (most is not None and found > most):
            raise ValueError(f"must be a {says}")
        return found

    return Kind(says, read, "int")


TEXT: Final = text()
KEY: Final = Kind("key (digits)", _digits, "Key")
# The document calls these int64, so that they go out as JSON numbers.
NUMBER_KEY: Final = Kind("key (digits)", lambda value: int(_digits(value)), "Key")
TOKEN: Final = Kind("key", _segment)
MOMENT: Final = Kind("time (ISO 8601 in UTC with a trailing Z)", _moment, "Moment")
DAY: Final = Kind("date (2026-12-01)", _day)
ZONE: Final = Kind("time zone (IANA, such as Europe/Berlin)", _zone)
EMAIL: Final = Kind("e-mail address", _address)
CALLBACK: Final = Kind("https address", _callback)
MEETING_SUBJECT: Final = Kind("text (at most 100 characters, < and > as HTML entities)", _escaped)

# What callers may pass; what is sent is text (or, for a NUMBER_KEY, a number).
Key = str | int
Moment = str | datetime


# ── walking a type along a value ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a TypedDict."""

    name: str
    hint: Any
    required: bool


@cache
def members(shape: Any) -> tuple[Member, ...]:
    """The fields of a TypedDict. Its own count of required ones misses markers in annotations that are kept as text."""
    found = []
    for name, hint in get_type_hints(shape, include_extras=True).items():
        marked = get_origin(hint) is Required
        found.append(Member(name, get_args(hint)[0] if marked else hint, marked or shape.__total__))
    return tuple(found)


def fitting(where: str, value: object, hint: Any, unknown: Callable[[str], None]) -> object:
    """`value` as it is sent. Raises UsageError that names the place, beginning with `where`, and how to mend it.

    `unknown` is told of fields that no document knows; they are sent as they are, since GoTo adds fields at any time.
    """
    kind = kind_of(hint)
    if kind is not None:
        return _read(where, value, kind)
    origin = get_origin(hint)
    if origin is Literal:
        return _chosen(where, value, get_args(hint))
    if origin is list:
        return _listed(where, value, get_args(hint)[0], unknown)
    if is_typeddict(hint):
        return _filled_in(where, value, hint, unknown)
    assert hint is bool, hint
    return _switched(where, value)


def kind_of(hint: Any) -> Kind | None:
    """The kind an annotated type carries."""
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in hint.__metadata__ if isinstance(extra, Kind)), None)


def _read(where: str, value: object, kind: Kind) -> object:
    try:
        return kind.read(value)
    except ValueError as err:
        raise UsageError(f"{where} {err}") from err


def _chosen(where: str, value: object, choices: tuple[object, ...]) -> object:
    for choice in choices:
        if isinstance(value, str) and value.lower() == str(choice).lower():
            return choice
    raise UsageError(f"{where} must be one of {', '.join(map(str, choices))}")


def _listed(where: str, value: object, hint: Any, unknown: Callable[[str], None]) -> list[object]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where} must be a list, not {_name(value)}")
    return [fitting(f"{where}[{place}]", item, hint, unknown) for place, item in enumerate(value)]


def _filled_in(where: str, value: object, shape: Any, unknown: Callable[[str], None]) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be an object with fields, not {_name(value)}")
    known = {member.name: member for member in members(shape)}
    missing = [name for name, member in known.items() if member.required and value.get(name) in (None, "")]
    if missing:
        raise UsageError(f"{where} lacks {', '.join(missing)}; {_takes(known.values())}")
    sent: dict[str, object] = {}
    for name, given in value.items():
        place = f"{where}.{name}"
        if name not in known:
            unknown(place)
            sent[name] = given
        elif given is not None:
            sent[name] = fitting(place, given, known[name].hint, unknown)
    return sent


def _takes(found: Any) -> str:
    return "it takes " + ", ".join(f"{member.name}{' (required)' if member.required else ''}" for member in found)


def _switched(where: str, value: object) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise UsageError(f"{where} must be true or false")
    return value


def _name(value: object) -> str:
    """A value's type in JSON's words."""
    names: dict[type, str] = {
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "a text",
        dict: "an object",
    }
    return names.get(type(value), "null" if value is None else "a list" if isinstance(value, list) else "that")


def described(hint: Any) -> str:
    """What a value may be, in a few words for people."""
    kind = kind_of(hint)
    if kind is not None:
        return kind.says
    origin = get_origin(hint)
    if origin is Literal:
        return " | ".join(map(str, get_args(hint)))
    if origin is list:
        return f"list of {described(get_args(hint)[0])}"
    if is_typeddict(hint):
        return "{" + ", ".join(f"{member.name}{'*' if member.required else ''}" for member in members(hint)) + "}"
    return "true | false"


def written(hint: Any) -> str:
    """The annotation of a parameter in a method's signature."""
    kind = kind_of(hint)
    if kind is not None:
        return kind.written
    origin = get_origin(hint)
    if origin is Literal:
        return f"Literal[{', '.join(repr(choice) for choice in get_args(hint))}]".replace("'", '"')
    if isinstance(hint, UnionType):
        return " | ".join(written(part) for part in get_args(hint))
    if origin in (list, dict):
        return f"{origin.__name__}[{', '.join(written(part) for part in get_args(hint))}]"
    return str(hint.__name__)
