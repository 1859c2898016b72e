"""Pure: on which line of a TOML text a key stands. `tomllib` forgets that, and people need it to mend a mistake.

The text has been read by `tomllib` before, so it is valid; this only keeps count of where things begin.
Grammar: https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:\s|#[^\n]*)+")
_SPACE = re.compile(r"[ \t]+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# A quoted run: the long forms first, so that """ is not taken for an empty text.
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_OTHER = re.compile(r"[^,\]}#\n]+")


def line_of(text: str, path: KeyPath) -> int | None:
    """The line (from 1) where the key at `path` is written, such as ("sinks", 0, "url"); None if it is not there."""
    return line_index(text).get(path)


def line_index(text: str) -> dict[KeyPath, int]:
    """Every key path of the text with the line it is written on first."""
    return _Scanner(text).scan()


class _Scanner:
    """Walks over the text once, always knowing its position and the table it is in."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted = (0, 1)  # a position, and the line it is on
        self._lines: dict[KeyPath, int] = {}
        self._last: dict[KeyPath, int] = {}  # array of tables → index of the table being written

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._next("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> KeyPath:
        line = self._line()
        repeated = self._text.startswith("[[", self._at)
        self._at += 2 if repeated else 1
        table = self._resolve(tuple(self._keys()), repeated)
        self._at += 2 if repeated else 1
        self._note(table, line)
        return table

    def _resolve(self, keys: tuple[str, ...], repeated: bool) -> KeyPath:
        """`[sinks.headers]` after the second `[[sinks]]` is ("sinks", 1, "headers")."""
        path: KeyPath = ()
        for i, key in enumerate(keys, start=1):
            path = (*path, key)
            if repeated and i == len(keys):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._keys())
        self._note(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _keys(self) -> Iterator[str]:
        while True:
            self._skip(_SPACE)
            yield self._key()
            self._skip(_SPACE)
            if not self._next("."):
                return
            self._at += 1

    def _key(self) -> str:
        if self._next('"', "'"):
            quoted = self._take(_TEXT)
            return str(tomllib.loads(f"key = {quoted}")["key"])
        return self._take(_BARE)

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        if self._next('"', "'"):
            self._take(_TEXT)
        elif self._next("["):
            self._elements(path, "]")
        elif self._next("{"):
            self._elements(path, "}")
        else:
            self._take(_OTHER)

    def _elements(self, path: KeyPath, end: str) -> None:
        """The values of an array or the pairs of an inline table, with commas between and maybe one behind."""
        self._at += 1
        count = 0
        self._skip(_BLANK)
        while not self._next(end):
            if end == "}":
                self._pair(path)
            else:
                self._note((*path, count), self._line())
                self._value((*path, count))
            count += 1
            self._skip(_BLANK)
            self._at += self._next(",")
            self._skip(_BLANK)
        self._at += 1

    def _note(self, path: KeyPath, line: int) -> None:
        """Remember a key, and the tables it implies, where they are met first."""
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _line(self) -> int:
        at, line = self._counted
        self._counted = (self._at, line + self._text.count("\n", at, self._at))
        return self._counted[1]

    def _next(self, *wanted: str) -> bool:
        return self._text.startswith(wanted, self._at)

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, what: re.Pattern[str]) -> str:
        found = what.match(self._text, self._at)
        assert found is not None, "tomllib accepted this text"
        self._at = found.end()
        return found[0]
