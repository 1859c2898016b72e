"""Values people write in settings and on the command line: durations, sizes, paths, secrets, starts, windows.

Each has a pure parser; the annotated types (`Duration`, `Size`, `LocalPath`, …) bring the parsers into
pydantic models. What cannot be read raises `FieldError`, whose text continues a line that begins with the
name of the setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer, PlainValidator
from pydantic_core import CoreSchema, core_schema

from poller.errors import UsageError


class FieldError(UsageError, ValueError):
    """A value that cannot be read: a `UsageError` to the command line, a `ValueError` to pydantic."""


# -------------------- durations

DAY: Final = timedelta(days=1)
YEAR: Final = 365 * DAY
LONGEST: Final = 100 * YEAR  # beyond it "now minus duration" leaves the calendar long before it is useful

_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": DAY,
    "w": 7 * DAY,
    "y": YEAR,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])\s*")
_SHORT: Final = re.compile(rf"(?:{_PART.pattern})+")
_ISO: Final = re.compile(
    r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
# ISO 8601 leaves the length of a month open; 30 days, as a year is 365.
_ISO_UNITS: Final = (YEAR, 30 * DAY, 7 * DAY, DAY, _UNITS["h"], _UNITS["m"], _UNITS["s"])


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h30m`, `2w`, `1y` (365 days), `500ms`, ISO 8601 (`PT5M`, `P1Y`) or a plain `0`.

    Raises FieldError for anything else, for negative lengths and for more than a hundred years.
    """
    text = text.strip()
    if text.startswith("-"):
        raise FieldError(f'"{text}" is negative; a duration is 0 or more, such as "120s"')
    if _is_number(text):
        return _without_unit(text)
    try:
        length = _short_length(text) if _SHORT.fullmatch(text) else _iso_length(text)
    except OverflowError:
        length = LONGEST + DAY
    if length is None:
        raise FieldError(f'"{text}" is not a duration; write one such as "90s", "5m", "2h", "7d", "1y" or "PT5M"')
    if length > LONGEST:
        raise FieldError(f'"{text}" is longer than {format_duration(LONGEST)}')
    return length


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _without_unit(text: str) -> timedelta:
    if float(text) == 0:
        return timedelta(0)
    raise FieldError(f'{text} has no unit; write "{text}s" for seconds (units: s m h d w y)')


def _short_length(text: str) -> timedelta:
    return sum((float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta(0))


def _iso_length(text: str) -> timedelta | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    parts = zip(found.groups(), _ISO_UNITS, strict=True)
    return sum((float(number) * unit for number, unit in parts if number), timedelta(0))


def format_duration(length: timedelta) -> str:
    """Text that `parse_duration` reads back as exactly this length: `2y`, `30d`, `1h30m`, `0.5s`."""
    if length and length % YEAR == timedelta(0):
        return f"{length // YEAR}y"
    parts = []
    for unit in ("d", "h", "m"):
        count, length = divmod(length, _UNITS[unit])
        parts.append(f"{count}{unit}" if count else "")
    seconds = f"{length.total_seconds():.6f}".rstrip("0").rstrip(".")
    parts.append(f"{seconds}s" if length else "")
    return "".join(parts) or "0s"


def rounded(seconds: float) -> str:
    """A length for people: to the second, below ten seconds to the tenth."""
    return format_duration(timedelta(seconds=round(seconds, 1) if seconds < 10 else round(seconds)))


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return parse_duration(str(value))
    raise FieldError('takes a duration in quotes, such as "120s"')


def _positive_duration(value: object) -> timedelta:
    length = _duration(value)
    if not length:
        raise FieldError('must be longer than 0, such as "10s"')
    return length


Duration = Annotated[timedelta, BeforeValidator(_duration)]
PositiveDuration = Annotated[timedelta, BeforeValidator(_positive_duration)]

# -------------------- sizes

_SIZES: Final[dict[str, int]] = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}


def parse_size(text: str) -> int:
    """Bytes: `64MB` is 64·10⁶, as are `kB`, `GB`, `TB`; `64MiB` counts in 1024s; a plain number is bytes."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([a-zA-Z]*)", text.strip())
    if found is None or found[2].lower() not in _SIZES:
        raise FieldError(f'"{text}" is not a size; write one such as "64MB", "500kB" or a number of bytes')
    unit: int = _SIZES[found[2].lower()]
    return round(float(found[1]) * unit)


def _size(value: object) -> int:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return parse_size(str(value))
    raise FieldError('takes a size, such as "64MB" or a number of bytes')


Size = Annotated[int, BeforeValidator(_size)]

# -------------------- paths and secrets

_BASE: ContextVar[Path | None] = ContextVar("poller_settings_base", default=None)


@contextmanager
def relative_to(base: Path) -> Iterator[None]:
    """While this is open, `LocalPath` and `file:` secrets are taken relative to `base`."""
    token = _BASE.set(base)
    try:
        yield
    finally:
        _BASE.reset(token)


def _anchored(path: Path) -> Path:
    base = _BASE.get()
    path = path.expanduser()
    return path if base is None else base / path


def _local_path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise FieldError('takes a path in quotes, such as "data/poller.db"')
    try:
        return _anchored(Path(value))
    except RuntimeError as err:  # "~user" for a user this machine does not know
        raise FieldError(f'"{value}": the home folder is not known; write the whole path') from err


LocalPath = Annotated[Path, BeforeValidator(_local_path)]

_HIDDEN: Final = "********"


class Secret:
    """A secret as written in the settings: the text itself, `env:NAME` or `file:PATH`. Never shows its value.

    It is looked up at the first `reveal()` and then kept, so that a running process does not change its mind;
    reading the settings reveals everything that is in use.
    """

    __slots__ = ("_base", "_text", "_value")

    def __init__(self, text: str) -> None:
        self._text = text
        self._base = _BASE.get()
        self._value = None if text.startswith(("env:", "file:")) else text

    @property
    def source(self) -> str:
        """Where the value comes from (`env:NAME`, `file:PATH` or `literal`); safe to show."""
        return self._text if self._text.startswith(("env:", "file:")) else "literal"

    def reveal(self) -> str:
        """The value. Raises FieldError (a UsageError) if the variable or the file is missing or empty."""
        if self._value is None:
            kind, _, name = self._text.partition(":")
            self._value = _from_environment(name) if kind == "env" else _from_file(name, self._base)
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{_HIDDEN}')"

    def __str__(self) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self._value) == (other._text, other._value)

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_secret, serialization=core_schema.to_string_ser_schema())


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise FieldError('takes text in quotes: the secret itself, "env:NAME" or "file:PATH"')
    if not value.removeprefix("env:").removeprefix("file:").strip():
        raise FieldError('is empty; write the secret itself, "env:NAME" or "file:PATH", or leave the line out')
    return Secret(value)


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        state = "is empty" if value == "" else "is not set"
        raise FieldError(f"the environment variable {name} {state}; set it, or name another one")
    return value


def _from_file(name: str, base: Path | None) -> str:
    with relative_to(base or Path.cwd()):
        path = _local_path(name)
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as err:
        why = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
        raise FieldError(f"the secret's file {path} cannot be read: {why}") from err
    if not value:
        raise FieldError(f"the secret's file {path} is empty")
    return value


# -------------------- starts and windows


@dataclass(frozen=True, slots=True)
class Start:
    """How much of the past a connection emits at its first complete walk."""

    kind: Literal["now", "all", "date", "ago"]
    day: date | None = None  # with kind "date"
    ago: timedelta | None = None  # with kind "ago"

    def since(self, now: datetime) -> datetime | None:
        """The UTC midnight from which history counts; None for `now` and `all`, which need none."""
        day = self.day if self.ago is None else (now.astimezone(UTC) - self.ago).date()
        return None if day is None else datetime.combine(day, time(), UTC)

    def __str__(self) -> str:
        if self.day is not None:
            return self.day.isoformat()
        return self.kind if self.ago is None else format_duration(self.ago)


def parse_start(text: str) -> Start:
    """`now`, `all`, a date (`2026-01-31`) or a duration into the past (`P1Y`, `90d`). Raises FieldError."""
    text = text.strip()
    if text in ("now", "all"):
        return Start(kind="now" if text == "now" else "all")
    try:
        return Start(kind="date", day=date.fromisoformat(text))
    except ValueError:
        pass
    try:
        return Start(kind="ago", ago=parse_duration(text))
    except FieldError as err:
        raise FieldError(f'"{text}" is no start; write "now", "all", "2026-01-31" or "P1Y"') from err


def _start(value: object) -> Start:
    if isinstance(value, Start):
        return value
    if isinstance(value, date):  # TOML has dates of its own, with and without a time of day
        return Start(kind="date", day=value.date() if isinstance(value, datetime) else value)
    if isinstance(value, str):
        return parse_start(value)
    raise FieldError('takes "now", "all", a date such as "2026-01-31" or a duration such as "P1Y"')


StartFrom = Annotated[Start, PlainValidator(_start), PlainSerializer(str, when_used="json")]

_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WINDOW: Final = re.compile(r"([a-z]{3,9})\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A time of every week, in UTC, in which the other side is expected to be away."""

    opens: timedelta  # since Monday 00:00 UTC
    length: timedelta
    text: str

    def contains(self, moment: datetime) -> bool:
        """Whether the aware `moment` lies inside; the end is outside. A window may run past midnight."""
        moment = moment.astimezone(UTC)
        midnight = datetime.combine(moment.date(), time(), UTC)
        of_week = moment.weekday() * DAY + (moment - midnight)
        return (of_week - self.opens) % (7 * DAY) < self.length

    def __str__(self) -> str:
        return self.text


def parse_window(text: str) -> MaintenanceWindow:
    """`Tue 07:00-08:00`: an English weekday and two times of day in UTC. Raises FieldError."""
    found = _WINDOW.fullmatch(text.strip())
    days = [i for i, day in enumerate(_WEEKDAYS) if found and day.startswith(found[1].lower())]
    if found is None or not days:
        raise FieldError(f'"{text}" is not a weekly window; write one such as "Tue 07:00-08:00" (UTC)')
    begin, end = (timedelta(hours=int(found[i]), minutes=int(found[i + 1])) for i in (2, 4))
    if max(begin, end) > DAY or max(int(found[3]), int(found[5])) > 59 or begin == end:
        raise FieldError(f'"{text}" needs two different times between 00:00 and 24:00, such as "Tue 07:00-08:00"')
    return MaintenanceWindow(opens=days[0] * DAY + begin, length=(end - begin) % DAY or DAY, text=text.strip())


def _window(value: object) -> MaintenanceWindow:
    if isinstance(value, MaintenanceWindow):
        return value
    if isinstance(value, str):
        return parse_window(value)
    raise FieldError('takes text such as "Tue 07:00-08:00" (UTC)')


WeeklyWindow = Annotated[MaintenanceWindow, PlainValidator(_window), PlainSerializer(str, when_used="json")]
