"""What parts of the settings say about each other: names that must differ, and names that must exist.

These look at the mapping as written, so that their findings stand in the same message as all others; what is not
even of the right shape is left to the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from poller.settings.addresses import is_loopback, split_listen
from poller.settings.nearest import suggestion
from poller.settings.problems import REPEATED, Problem

_NAME = re.compile(r"\w[\w.@+-]*")  # shown in tables, typed as arguments, matched by globs
_GLOB = re.compile(r"[*?\[]")


def find(given: Mapping[str, Any]) -> Iterator[Problem]:
    """Every problem that lies between the parts."""
    checks: tuple[Callable[[Mapping[str, Any]], Iterator[Problem]], ...] = (
        _names,
        _sinks_of_triggers,
        _connections_of_triggers,
        _clients,
        _open_door,
    )
    return chain.from_iterable(check(given) for check in checks)


def _tables(given: Mapping[str, Any], kind: str) -> list[tuple[int, Mapping[str, Any]]]:
    listed = given.get(kind, [])
    if not isinstance(listed, list | tuple):
        return []
    return [(i, table) for i, table in enumerate(listed) if isinstance(table, Mapping)]


def _known(given: Mapping[str, Any], kind: str) -> list[str]:
    return [table["name"] for _, table in _tables(given, kind) if isinstance(table.get("name"), str)]


def _texts(table: Mapping[str, Any], key: str) -> list[tuple[int, str]]:
    listed = table.get(key, [])
    if not isinstance(listed, list | tuple):
        return []
    return [(i, text) for i, text in enumerate(listed) if isinstance(text, str)]


def _names(given: Mapping[str, Any]) -> Iterator[Problem]:
    for kind in REPEATED:
        first: dict[str, int] = {}
        for i, table in _tables(given, kind):
            name = table.get("name")
            if not isinstance(name, str):
                continue
            if name in first:
                text = f'the name "{name}" is taken by {kind}[{first[name]}]; names are identities, choose another'
                yield Problem((kind, i, "name"), text)
            elif not _NAME.fullmatch(name):
                text = f'"{name}" is not a usable name; use letters, digits and . _ - @ + without spaces'
                yield Problem((kind, i, "name"), text)
            first.setdefault(name, i)


def _sinks_of_triggers(given: Mapping[str, Any]) -> Iterator[Problem]:
    known = _known(given, "sinks")
    for i, trigger in _tables(given, "triggers"):
        for j, name in _texts(trigger, "sinks"):
            if name not in known:
                hint = suggestion(name, known) or "; add it as [[sinks]]"
                yield Problem(("triggers", i, "sinks", j), f'there is no sink "{name}"{hint}')


def _connections_of_triggers(given: Mapping[str, Any]) -> Iterator[Problem]:
    known = _known(given, "connections")
    for i, trigger in _tables(given, "triggers"):
        for j, name in _texts(trigger, "connections"):
            if name not in known and not _GLOB.search(name):
                hint = suggestion(name, known) or "; add it as [[connections]]"
                yield Problem(("triggers", i, "connections", j), f'there is no connection "{name}"{hint}')


def _clients(given: Mapping[str, Any]) -> Iterator[Problem]:
    goto = given.get("goto", {})
    if not isinstance(goto, Mapping) or goto.get("client_id"):
        return
    for i, connection in _tables(given, "connections"):
        if connection.get("active", True) is True and not connection.get("client_id"):
            name = f"connections[{i}]"
            text = f'is needed by {name}; write the id of your OAuth client: client_id = "…" under [goto]'
            yield Problem(("goto", "client_id"), text)
            return


def _open_door(given: Mapping[str, Any]) -> Iterator[Problem]:
    http = given.get("http", {})
    if not isinstance(http, Mapping) or not isinstance(http.get("listen"), str):
        return
    if http.get("api_keys") or http.get("read_only_keys"):
        return
    try:
        host, _ = split_listen(http["listen"])
    except ValueError:
        return  # switched off, or told by the model
    if not is_loopback(host):
        text = (
            f"{host} can be reached from other machines, which takes a key; "
            'add api_keys = ["env:POLLER_API_KEY"], or listen on 127.0.0.1'
        )
        yield Problem(("http", "listen"), text)
