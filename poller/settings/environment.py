"""Settings from the environment: `POLLER_SECTION__KEY` replaces one scalar value of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_origin

from pydantic import BaseModel

from poller.settings.nearest import suggestion
from poller.settings.problems import Problem
from poller.settings.sections import Engine, GoTo, Http, Limits, Webhooks
from poller.settings.toml_lines import KeyPath

PREFIX: Final = "POLLER_"
KEY_VARIABLE: Final = "POLLER_KEY"  # encrypts tokens where engine.key says nothing
TABLES: Final[dict[str, type[BaseModel]]] = {
    "engine": Engine,
    "goto": GoTo,
    "limits": Limits,
    "http": Http,
    "webhooks": Webhooks,
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the environment replaces, and which variable speaks for which path in messages."""

    values: dict[str, Any]
    variables: dict[KeyPath, str]
    problems: list[Problem]


def overrides(environ: Mapping[str, str]) -> Overrides:
    """Pure: the replacing values. A variable with `__` that means nothing is a problem: it is a misspelt one."""
    known = {_variable(table, key): (table, key) for table, key, scalar in _keys() if scalar}
    found = Overrides({}, {}, [])
    for name in sorted(name for name in environ if name.startswith(PREFIX) and "__" in name):
        path = known.get(name, ("environment", name))
        found.variables[path] = name
        if name in known:
            table, key = path
            found.values.setdefault(table, {})[key] = environ[name]
        else:
            found.problems.append(Problem(path, _refused(name, known)))
    return found


def _refused(name: str, known: Iterable[str]) -> str:
    if name in {_variable(table, key) for table, key, _ in _keys()}:
        return "is a list; write it in the settings file"
    return f"unknown setting{suggestion(name, known)}"


def _keys() -> Iterator[tuple[str, str, bool]]:
    for table, model in TABLES.items():
        for key, info in model.model_fields.items():
            yield table, key, get_origin(info.annotation) is not tuple


def _variable(table: str, key: str) -> str:
    return f"{PREFIX}{table}__{key}".upper()


def merged(given: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The file's mapping with the environment's values in it."""
    both = dict(given)
    for table, keys in values.items():
        if isinstance(both.setdefault(table, {}), dict):
            both[table] = {**both[table], **keys}
    return both


def default_key(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`engine.key = "env:POLLER_KEY"`, where that variable is set and nothing else names a key."""
    engine = given.get("engine", {})
    silent = isinstance(engine, dict) and "key" not in engine
    return {"engine": {"key": f"env:{KEY_VARIABLE}"}} if silent and environ.get(KEY_VARIABLE) else {}
