"""From an operation, its parameters and its body to the request that is sent; or to what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec
from yarl import URL

from poller.errors import UsageError
from poller.goto.models import Identity
from poller.goto.operations import rules
from poller.goto.operations.kinds import described, fitting, members
from poller.goto.operations.spec import OWN, OWN_ACCOUNT, Operation, Parameter
from poller.goto.protocol import Request

_RANGES: Final = (("fromTime", "toTime"), ("startDate", "endDate"))

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """`params` and `body` as they are sent, the former by their names."""

    params: Mapping[str, object]
    body: Any
    request: Request


def needs_own(operation: Operation, params: Mapping[str, object]) -> bool:
    """Whether a key of the connection itself has to stand in for one that was left out."""
    required = [parameter.name for parameter in operation.parameters if parameter.required]
    required += [member.name for member in body_fields(operation) if member.required]
    return any(name in OWN and params.get(name) is None for name in required)


def prepare(
    operation: Operation,
    params: Mapping[str, object],
    body: object,
    *,
    own: Identity | None,
    host: str,
    now: datetime,
    note: Note,
) -> Prepared:
    """`own`: whose keys stand in for those left out. `host`: scheme and authority. Raises UsageError; a parameter that
    is a field of the body goes there. `note` is told what should be known, although the request is sent.
    """
    given = {name: value for name, value in params.items() if value is not None}
    mine, fields = _divided(operation, given)
    checked = _checked(operation, mine, own)
    sent = _body(operation, body, fields, own, note)
    if operation.body is not None:
        rules.apply(operation.name, sent, now, note)
    return Prepared(checked, sent, _request(operation, checked, sent, host))


def _divided(operation: Operation, given: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """What belongs to the address, and what to the body."""
    known = {parameter.name for parameter in operation.parameters}
    fields = {member.name for member in body_fields(operation)}
    strange = [name for name in given if name not in known | fields]
    if strange:
        takes = ", ".join([*(p.name for p in operation.parameters), *(f.name for f in body_fields(operation))])
        raise UsageError(f"{operation.name} has no parameter {strange[0]!r}; it takes {takes or 'none at all'}")
    mine = {name: value for name, value in given.items() if name in known}
    return mine, {name: value for name, value in given.items() if name not in known}


def body_fields(operation: Operation) -> tuple[Any, ...]:
    """The fields of the body, or of the one thing in it."""
    shape = operation.body
    if get_origin(shape) is list:
        shape = get_args(shape)[0]
    return members(shape) if hasattr(shape, "__total__") else ()


def _checked(operation: Operation, given: dict[str, object], own: Identity | None) -> dict[str, object]:
    found: dict[str, object] = {}
    missing: list[Parameter] = []
    for parameter in operation.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None and parameter.required:
            value = _own(parameter.name, own)
        if value is None:
            missing += [parameter] if parameter.required else []
        else:
            if get_origin(parameter.hint) is list and isinstance(value, str):
                value = value.split(",")
            found[parameter.name] = fitting(parameter.name, value, parameter.hint, note_nothing)
    if missing:
        needed = ", ".join(f"{parameter.name} ({described(parameter.hint)})" for parameter in missing)
        raise UsageError(f"{operation.name} needs {needed}{_why(missing, own)}")
    for since, until in _RANGES:
        rules.check_range(since, found, until)
    return found


def note_nothing(_: str) -> None: ...


def _own(name: str, own: Identity | None) -> str | None:
    if own is None or name not in OWN:
        return None
    return own.account_key if name in OWN_ACCOUNT else own.organizer_key


def _why(missing: list[Parameter], own: Identity | None) -> str:
    if own is None or not any(parameter.name in OWN_ACCOUNT for parameter in missing):
        return ""
    return "; GoTo named no account at the login, for which the scope identity: is needed"


def _body(operation: Operation, body: object, fields: dict[str, object], own: Identity | None, note: Note) -> Any:
    if operation.body is None:
        if body is not None:
            raise UsageError(f"{operation.name} takes no body")
        return None
    listed = get_origin(operation.body) is list
    if fields:
        if body is not None and (listed or not isinstance(body, Mapping)):
            raise UsageError(f"{operation.name}: give {', '.join(fields)} in the body, beside what is there")
        whole = {**(body if isinstance(body, Mapping) else {}), **fields}
        body = [whole] if listed else whole
    if body is None:
        body = [] if listed else {}
    if isinstance(body, Mapping):
        body = {**_owned(operation, own), **body}
    return fitting("body", body, operation.body, lambda place: note(f"{place} is unknown to us; it is sent as it is"))


def _owned(operation: Operation, own: Identity | None) -> dict[str, object]:
    keys = {member.name: _own(member.name, own) for member in body_fields(operation) if member.required}
    return {name: key for name, key in keys.items() if key is not None}


def _request(operation: Operation, params: Mapping[str, object], body: Any, host: str) -> Request:
    places = {p.name: quote(str(params[p.name]), safe="") for p in operation.parameters if p.where == "path"}
    query = {p.name: _text(params[p.name]) for p in operation.parameters if p.where == "query" and p.name in params}
    headers = {p.name: str(params[p.name]) for p in operation.parameters if p.where == "header"}
    address = host.rstrip("/") + operation.whole_path.format(**places)
    if query:
        address += f"?{urlencode(query, quote_via=quote)}"
    if operation.body is None:
        return Request(operation.method, URL(address, encoded=True), operation.name, headers)
    headers["Content-Type"] = "application/json"
    sent = msgspec.json.encode(body)
    return Request(operation.method, URL(address, encoded=True), operation.name, headers, sent)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
