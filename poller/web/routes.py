"""Pure: what may be asked over HTTP, as data. One description is both the documentation and the check of what comes in.

A `Route` names a path, its parameters and its answers; `poller.web.surface` lists them all, `poller.web.openapi` makes
the OpenAPI document of them, and handlers get their parameters with `read` and `read_body`, which accept exactly what
the document says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from poller.web.schemas import Schema

Where = Literal["query", "path", "header", "body"]
Kind = Literal["string", "integer", "boolean", "strings"]
Value = str | int | bool | tuple[str, ...] | None

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"  # RFC 9457
EVENTS: Final = "application/cloudevents-batch+json"
EVENT: Final = "application/cloudevents+json"
STREAM: Final = "text/event-stream"
HTML: Final = "text/html"
CSV: Final = "text/csv"
METRICS: Final = "text/plain"

LONGEST: Final = 2000  # characters of a text that says nothing else
MOST: Final = 50  # entries of a list
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,15}")
_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


class Problem(NamedTuple):
    """What is wrong with one parameter. `reason` never repeats the value, which may be personal or secret."""

    parameter: str
    reason: str


class Reading(NamedTuple):
    """The values by name, defaults filled in (None where there is none); no use is to be made of them if there are
    problems."""

    values: dict[str, Any]
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that may be given. `aliases` are other names of the same; `minimum` and `maximum` bound a number.

    `example` is for documents: a text that works on every server.
    """

    name: str
    description: str
    where: Where = "query"
    kind: Kind = "string"
    required: bool = False
    default: Value = None
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""  # the whole text must match
    choices: tuple[str, ...] = ()
    longest: int = LONGEST  # characters
    aliases: tuple[str, ...] = ()
    example: str = ""

    def schema(self) -> Schema:
        """As JSON Schema, for documents."""
        if self.kind == "strings":
            return {"type": "array", "items": self._text_schema(), "maxItems": MOST}
        found = self._text_schema() if self.kind == "string" else {"type": self.kind}
        bounds = {"minimum": self.minimum, "maximum": self.maximum, "default": self.default}
        return found | {key: value for key, value in bounds.items() if value is not None}

    def _text_schema(self) -> Schema:
        found: Schema = {"type": "string"}
        if self.example:
            found["examples"] = [self.example]
        if self.choices:
            return {**found, "enum": list(self.choices)}
        if self.pattern:
            return {**found, "pattern": f"^(?:{self.pattern})$"}
        return {**found, "maxLength": self.longest}

    # ── checking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def from_texts(self, given: Sequence[str]) -> Value:
        """The value of a name in a query. Raises ValueError with what it must be instead.

        A list may be repeated, and have several in one text, separated by commas; of others the last text counts.
        """
        if self.kind == "strings":
            parts = (part.strip() for text in given for part in text.split(","))
            return self._checked_list([part for part in parts if part])
        return self._from_text(given[-1])

    def _from_text(self, given: str) -> Value:
        if self.kind == "integer":
            if not _DIGITS.fullmatch(given):
                raise ValueError("must be a whole number")
            return self._bounded(int(given))
        if self.kind == "boolean":
            if given.lower() not in _TRUTHS:
                raise ValueError("must be 1 or 0, true or false")
            return _TRUTHS[given.lower()]
        return self._checked(given)

    def from_json(self, given: Any) -> Value:
        """The value of something that was decoded from JSON. Raises ValueError with what it must be instead."""
        match self.kind:
            case "integer":
                if type(given) is not int:
                    raise ValueError("must be a whole number")
                return self._bounded(given)
            case "boolean":
                if not isinstance(given, bool):
                    raise ValueError("must be true or false")
                return given
            case "strings":
                if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
                    raise ValueError("must be a list of texts")
                return self._checked_list(given)
            case _:
                if not isinstance(given, str):
                    raise ValueError("must be a text")
                return self._checked(given)

    def _bounded(self, number: int) -> int:
        if self.minimum is not None and number < self.minimum:
            raise ValueError(f"must be at least {self.minimum}")
        if self.maximum is not None and number > self.maximum:
            raise ValueError(f"must be at most {self.maximum}")
        return number

    def _checked_list(self, given: Sequence[str]) -> tuple[str, ...]:
        if len(given) > MOST:
            raise ValueError(f"has more than {MOST} entries")
        return tuple(dict.fromkeys(self._checked(entry) for entry in given))

    def _checked(self, given: str) -> str:
        if self.choices and given not in self.choices:
            raise ValueError(f"must be one of: {', '.join(self.choices)}")
        if not given.isascii() and any("\ud800" <= letter <= "\udfff" for letter in given):
            raise ValueError("is not UTF-8")
        if len(given) > self.longest:
            raise ValueError(f"is longer than {self.longest} characters")
        if self.pattern and not re.fullmatch(self.pattern, given):
            raise ValueError(f"is not written as it must be: {self.description}")
        return given


@dataclass(frozen=True, slots=True)
class Header:
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`schema` describes the body; None for an answer without one."""

    status: int
    description: str
    schema: Schema | None = None
    media: str = JSON
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """`name` is the operationId. `open`: answers without an API key. `page`: for people, see poller.web.dashboard."""

    name: str
    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    tag: str = ""
    open: bool = False
    page: bool = False  # a session is as good as a key, and documents for programs leave it out
    body: Schema | None = None  # of the body as a whole, where no parameters describe it; {} is whatever GoTo wants

    def of(self, where: Where) -> tuple[Parameter, ...]:
        """The parameters that stand there."""
        return tuple(parameter for parameter in self.parameters if parameter.where == where)


def read(parameters: Iterable[Parameter], given: Iterable[tuple[str, str]]) -> Reading:
    """The values of a query (or of headers, or of a path), given as pairs in their order.

    An empty value is none: forms send what nobody filled in. Names that nobody knows are left alone, because platforms
    add some of their own; one that is misspelt in its case or its hyphens is a problem, because a filter that is not
    applied would go unnoticed.
    """
    named = {name: parameter for parameter in parameters for name in (parameter.name, *parameter.aliases)}
    spelt = {_bare(name): name for name in named}
    texts: dict[str, list[str]] = {}
    problems = []
    for name, text in given:
        if not text:
            continue
        if name in named:
            texts.setdefault(named[name].name, []).append(text)
        elif _bare(name) in spelt:
            problems.append(Problem(name, f"is written {spelt[_bare(name)]}"))
    found = _values(named.values(), texts, Parameter.from_texts)
    return Reading(found.values, [*problems, *found.problems])


def read_body(parameters: Iterable[Parameter], document: Any) -> Reading:
    """The values of a decoded JSON body. What it must not have is a problem; null and "" are as good as absent."""
    named = {name: parameter for parameter in parameters for name in (parameter.name, *parameter.aliases)}
    if not isinstance(document, Mapping):
        return Reading({}, [Problem("", "the body must be a JSON object")])
    given: dict[str, Any] = {}
    problems = []
    for name, value in document.items():
        if name not in named:
            problems.append(Problem(str(name)[:LONGEST], f"is not known; known: {', '.join(named)}"))
        elif value not in (None, "") and given.setdefault(named[name].name, value) != value:
            problems.append(Problem(name, "says something else than another name of the same; give one of them"))
    found = _values(named.values(), given, Parameter.from_json)
    return Reading(found.values, [*problems, *found.problems])


def _values(
    parameters: Iterable[Parameter], given: Mapping[str, Any], convert: Callable[[Parameter, Any], Value]
) -> Reading:
    values: dict[str, Any] = {}
    problems = []
    for parameter in dict.fromkeys(parameters):
        values[parameter.name] = parameter.default
        if parameter.name in given:
            try:
                values[parameter.name] = convert(parameter, given[parameter.name])
            except ValueError as error:
                problems.append(Problem(parameter.name, str(error)))
        elif parameter.required:
            problems.append(Problem(parameter.name, "is missing"))
    return Reading(values, problems)


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
