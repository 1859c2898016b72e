"""From a file to a mapping: finding it, reading it, and saying plainly why that did not work."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from poller.errors import UsageError
from poller.settings.toml_lines import KeyPath, line_index

CONFIG_VARIABLE: Final = "POLLER_CONFIG"
DEFAULT_FILE: Final = "poller.toml"

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_PYTHON_TUPLE = re.compile(r"\('[^)]*\)")  # how tomllib names a table: ('engine',)
_UNQUOTED = ("Invalid value", "Expected newline")  # what tomllib says of text without quotes


@dataclass(frozen=True, slots=True)
class Document:
    """A settings file as read."""

    name: str  # as the user wrote it
    folder: Path
    mapping: dict[str, Any]
    lines: dict[KeyPath, int]


def settings_path(path: str | Path | None) -> Path:
    """The file to read: as given, else `POLLER_CONFIG`, else `./poller.toml`."""
    return Path(path or os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def read_document(path: Path) -> Document:
    """The file's tables. Raises UsageError if it is missing, unreadable, not UTF-8 or not TOML."""
    text = _text(path)
    try:
        mapping = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise UsageError(_syntax_message(path, text, str(err))) from err
    except RecursionError as err:
        raise UsageError(f"{path}: is nested too deeply to be a settings file") from err
    return Document(str(path), path.absolute().parent, mapping, line_index(text))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as err:
        hint = "" if path.name == DEFAULT_FILE else f" {path}"
        raise UsageError(
            f"{path}: there is no such settings file; `poller init{hint}` writes one, "
            f"and --config or {CONFIG_VARIABLE} names another"
        ) from err
    except IsADirectoryError as err:
        raise UsageError(f"{path}: is a folder; name the settings file in it, such as {path / DEFAULT_FILE}") from err
    except OSError as err:
        raise UsageError(f"{path}: the settings file cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: is not UTF-8 text; save the file in that encoding") from err


def _syntax_message(path: Path, text: str, complaint: str) -> str:
    place = _PLACE.search(complaint)
    what = complaint[: place.start()] if place else complaint
    line = int(place[1]) if place and place[1] else text.rstrip("\n").count("\n") + 1
    column = f" at column {place[2]}" if place and place[2] else ""
    what = _PYTHON_TUPLE.sub(_as_header, what)
    hint = '; text needs quotes: interval = "120s"' if what.startswith(_UNQUOTED) else ""
    return f"{path}:{line}: not valid TOML{column}: {what[:1].lower()}{what[1:]}{hint}"


def _as_header(found: re.Match[str]) -> str:
    names = re.findall(r"[^'(), ]+", found[0])
    return f"[{'.'.join(names)}]"
