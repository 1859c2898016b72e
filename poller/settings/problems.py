"""What is wrong with a settings file, said so that a person can mend it. No text of pydantic's own gets through.

A value is repeated only where it can hardly be a secret: for numbers and choices. What stands where text or a list
is wanted is named by its kind only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from poller.errors import UsageError
from poller.settings.nearest import suggestion
from poller.settings.toml_lines import KeyPath

REPEATED: Final = ("connections", "triggers", "sinks")

_BOUNDS = {
    "greater_than": ("gt", "must be greater than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (dict, "a table"),
    ((date, time), "a date or time"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, and what to do about it."""

    path: KeyPath
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where settings come from, in the words of messages."""

    file: str = "settings"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    variables: Mapping[KeyPath, str] = field(default_factory=dict)  # keys the environment has replaced

    def line(self, path: KeyPath) -> int | None:
        """The line of the key, else of the table it belongs to."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def describe(self, problem: Problem) -> str:
        if problem.path in self.variables:
            return f"environment: {self.variables[problem.path]}: {problem.text}"
        line = self.line(problem.path)
        place = self.file if line is None else f"{self.file}:{line}"
        return ": ".join(part for part in (place, key_text(problem.path), problem.text) if part)


def key_text(path: KeyPath) -> str:
    """("sinks", 0, "url") as `sinks[0].url`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def refusal(origin: Origin, problems: Iterable[Problem]) -> UsageError:
    """One error for all problems, a line each, in the order of the file; of two about one key, the first."""
    by_key = {problem.path: problem for problem in reversed(list(problems))}
    ordered = sorted(by_key.values(), key=lambda problem: (origin.line(problem.path) or 0, key_text(problem.path)))
    return UsageError("\n".join(origin.describe(problem) for problem in ordered))


def from_validation(
    error: ValidationError, given: Any, model: type[BaseModel], prefix: KeyPath = ()
) -> Iterator[Problem]:
    """The problems pydantic found in `given`; `prefix` is where `given` lies in the file."""
    found = [(details, _written_path(details, given)) for details in error.errors(include_url=False)]
    for details, path in found:
        # A text or a list of texts, and the list has a bad element: only that one is worth telling.
        alternative = len(path) < len(details["loc"])
        if not (alternative and any(_is_inside(other, path) for _, other in found)):
            yield Problem(prefix + path, _explain(details, path, model))


def _is_inside(path: KeyPath, outer: KeyPath) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _written_path(details: ErrorDetails, given: Any) -> KeyPath:
    """The location without what pydantic adds to it (the members of unions, the names of validators)."""
    path: KeyPath = ()
    for part in details["loc"]:
        if isinstance(given, dict) and part in given:
            given = given[str(part)]
        elif isinstance(given, list | tuple) and isinstance(part, int) and part < len(given):
            given = given[part]
        elif not (details["type"] == "missing" and part == details["loc"][-1]):
            continue
        path = (*path, part)
    return path


def _explain(details: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]}, not {_shown(given)}"
    match kind:
        case "extra_forbidden":
            return _unknown_key(path, model)
        case "missing":
            return f'is missing; add a line such as {key} = "…"'
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "literal_error":
            # As `'a', 'b' or 'c'`, or with numbers as `0, 1 or 2`.
            texts = re.findall(r"'([^']*)'", context["expected"])
            return _wrong_choice(texts, given) if texts else f"takes {context['expected']}, not {_shown(given)}"
        case "string_too_short" | "too_short":
            return "must not be empty"
    numeric = kind.startswith(("int", "float", "finite"))
    return f"takes {_wanted(kind, key, path)}, not {_shown(given) if numeric else _kind(given)}"


def _wanted(kind: str, key: str, path: KeyPath) -> str:
    match kind.partition("_")[0]:
        case "bool":
            return "true or false without quotes"
        case "int" | "finite":  # nan and inf are no whole numbers either
            return "a whole number such as 10"
        case "float":
            return "a number such as 1.5"
        case "string":
            return f'text in quotes, such as {key} = "…"'
        case "tuple" | "list" | "set" if len(path) == 1 and key in REPEATED:
            return f"tables, each under a header of its own in double brackets ({_header(key)})"
        case "tuple" | "list" | "set":
            return f'a list in brackets, such as {key} = ["…"]'
        case "model" | "dict" | "mapping" if len(path) == 1:
            return f"one table under the header {_header(key)}"
        case "model" | "dict" | "mapping":
            return "a table of keys and values"
    return "another kind of value"


def _shown(given: Any) -> str:
    """Where a number is wanted: a number as it is, everything else by its kind."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return str(given) if is_number else _kind(given)


def _kind(given: Any) -> str:
    return next((words for kind, words in _KINDS if isinstance(given, kind)), "this")


def _wrong_choice(choices: list[str], given: Any) -> str:
    *most, last = (f'"{choice}"' for choice in choices)
    quoted = f"{', '.join(most)} or {last}" if most else last
    if not isinstance(given, str):
        return f"takes {quoted}, not {_kind(given)}"
    return f'takes {quoted}, not "{given}"{suggestion(given, choices) if len(choices) > 2 else ""}'


def _unknown_key(path: KeyPath, model: type[BaseModel]) -> str:
    wrong = str(path[-1])
    here = _model_at(model, path[:-1])
    near = suggestion(wrong, here.model_fields)
    homes = [name for name in model.model_fields if wrong in _model_at(model, (name,)).model_fields]
    if near.startswith("; did") or not homes or here is _model_at(model, homes[:1]):
        return f"unknown key{near}"
    return f"unknown key here; it belongs under {_header(homes[0])}"


def _header(table: str) -> str:
    return f"[[{table}]]" if table in REPEATED else f"[{table}]"


def _model_at(model: type[BaseModel], path: Iterable[str | int]) -> type[BaseModel]:
    """The model that describes the table at `path`."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
