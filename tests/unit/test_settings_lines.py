"""The line of a key in a TOML text, whatever way the key is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from poller.settings.toml_lines import KeyPath, line_index, line_of

TEXT = '''\
top = 1  # not [a.table]
"quoted key" . 'another' = """
[engine]
interval = 1\\""" """
literal = \'\'\'
it''s "fine"
\'\'\'

[engine]  # comment
interval = "a # b"
inline = { one = 1, two = { deep = "}" }, "th.ree" = [1, 2] }
list = [
  # a comment with ]
  "first", "second ]",
  { name = "third" },
  [
    4,
    5,
  ],
]
moment = 1979-05-27 07:32:00
empty = []
none = {}
run = """"quoted""""
blank = ""

[[sinks]]
name = "first"

[sinks.headers]
x = '\\'

[[sinks]]
name = "second"
  [[sinks.rules]]
  a = 1
  [[sinks.rules]]
  a = 2

[last.table]
z = -1.5e3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 1),
        (("quoted key", "another"), 2),
        (("literal",), 5),
        (("engine",), 9),
        (("engine", "interval"), 10),
        (("engine", "inline", "two", "deep"), 11),
        (("engine", "inline", "th.ree", 1), 11),
        (("engine", "list"), 12),
        (("engine", "list", 0), 14),
        (("engine", "list", 1), 14),
        (("engine", "list", 2, "name"), 15),
        (("engine", "list", 3), 16),
        (("engine", "list", 3, 1), 18),
        (("engine", "moment"), 21),
        (("engine", "none"), 23),
        (("engine", "run"), 24),
        (("engine", "blank"), 25),
        (("sinks",), 27),
        (("sinks", 0, "name"), 28),
        (("sinks", 0, "headers", "x"), 31),
        (("sinks", 1), 33),
        (("sinks", 1, "name"), 34),
        (("sinks", 1, "rules", 0, "a"), 36),
        (("sinks", 1, "rules", 1, "a"), 38),
        (("last",), 40),
        (("last", "table", "z"), 41),
        (("interval",), None),
        (("engine", "absent"), None),
        (("sinks", 2), None),
    ],
)
def test_the_line_of_a_key(path: KeyPath, line: int | None) -> None:
    assert line_of(TEXT, path) == line


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


@pytest.mark.parametrize("name", ["pyproject.toml", "examples/poller.toml"])
def test_every_key_of_a_real_file_is_found_on_a_line_that_holds_it(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    text = re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE) if "examples" in name else text
    index = line_index(text)
    assert set(index) == set(paths(tomllib.loads(text)))
    for path, line in index.items():
        if isinstance(path[-1], str):
            assert path[-1] in text.splitlines()[line - 1]


KEYS = st.sampled_from(["a", "b-c", '"d.e"', "'f g'", '"h\\"i"'])
SCALARS = st.sampled_from(["1", '"x # ] }"', "'y'", "true", '"""\nm\n"""', "'''n\n'''", "1979-05-27", '"\\""'])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # c ]\n".join(items) + " ]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)
TABLES = st.lists(st.tuples(st.sampled_from(["", "[[x]]", "[x.y]"]), st.dictionaries(KEYS, VALUES, max_size=3)))


@given(TABLES)
def test_exactly_the_keys_that_toml_knows_are_found(tables: list[tuple[str, dict[str, str]]]) -> None:
    text = "\n".join(
        "\n".join([header, *(f"{key} = {value}" for key, value in keys.items())]) for header, keys in tables
    )
    try:
        expected = set(paths(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        reject()  # a key twice, or a table where a value is
    assert set(line_index(text)) == expected
