"""GoTo's operations, and raw requests to GoTo: call."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame
from poller.errors import UsageError

if TYPE_CHECKING:
    from poller.goto.operations import Operation

Pairs = list[tuple[str, str]]

# Files go through the control socket, where they are a third longer.
LARGEST_FILES = 40_000_000


class Response(StrEnum):
    json = "json"
    text = "text"
    binary = "binary"


def register(app: typer.Typer) -> None:
    app.command()(call)


def call(
    context: typer.Context,
    operation: Annotated[
        str | None, typer.Argument(metavar="OPERATION|METHOD", help="An operation's name, or a method of HTTP.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="With a method: a path on GoTo's host, such as /G2M/rest/groups."),
    ] = None,
    connection: Annotated[str | None, typer.Option(help="May be left out where there is one.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="K=V", help="A parameter or field.")] = None,
    body: Annotated[str | None, typer.Option(help="JSON; @FILE reads a file, @- standard input.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All pages of a list, as one array.")] = False,
    page: Annotated[int | None, typer.Option(min=0, help="One page of a list; the first is 0.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Items on a page.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, erase what nobody can bring back.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show all operations, or the one named.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: print JSON.")] = False,
    query: Annotated[list[str] | None, typer.Option("--query", metavar="K=V", help="Raw: a query parameter.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", metavar="K=V", help="Raw: a header.")] = None,
    form: Annotated[list[str] | None, typer.Option("--form", metavar="K=V", help="Raw: a field of a form.")] = None,
    file: Annotated[list[str] | None, typer.Option("--file", metavar="NAME=PATH", help="Raw: a file in it.")] = None,
    response: Annotated[Response, typer.Option(help="Raw: what is printed of the answer.")] = Response.json,
    timeout: Annotated[str | None, typer.Option(help="Raw: how long one attempt may take, such as 30s.")] = None,
    retries: Annotated[int, typer.Option(min=0, help="Raw: so many more attempts, where that is safe.")] = 0,
    retry_delay: Annotated[str | None, typer.Option(help="Raw: the time between two; 1s unless said.")] = None,
    backoff: Annotated[bool, typer.Option("--backoff", help="Raw: longer and longer times between them.")] = False,
    retry_all: Annotated[bool, typer.Option("--retry-all", help="Raw: repeat whatever failed.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Raw: show each attempt, without secrets.")] = False,
) -> None:
    """Call any operation of GoTo by its name, or any path, through the same limits and tokens as the engine."""
    with frame.exits():
        if listed:
            _list(operation, as_json)
            return
        if operation is None:
            raise UsageError(
                "call takes the name of an operation, or a method and a path; `poller call --list` shows all"
            )
        _only_for(context, raw=path is not None)
        given: dict[str, Any] = {"connection": connection, "yes": yes}
        if path is None:
            named = {"params": _params(param), "body": _json_body(body), "every": every, "page": page, "size": size}
        else:
            raw = _raw(operation, path, query, header, body, form, file, response, timeout)
            named = {"raw": raw, "retry": _retry(retries, retry_delay, backoff, retry_all), "debug": debug}
        settings = frame.load_settings()
    if path is None:
        frame.execute(_call(settings, operation=operation, **given, **named))
    else:
        frame.execute(_request(settings, response, **given, **named))


_NAMED_ONLY = ("param", "every", "page", "size")
_RAW_ONLY = (
    *("query", "header", "form", "file", "response"),
    *("timeout", "retries", "retry_delay", "backoff", "retry_all", "debug"),
)


def _only_for(context: typer.Context, *, raw: bool) -> None:
    """An option of the other kind of call would be overlooked."""
    others, kind = (_NAMED_ONLY, "raw request") if raw else (_RAW_ONLY, "named operation")
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in others and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} does not belong to a {kind}; leave it out")


def _pairs(option: str, given: Sequence[str] | None) -> Pairs:
    found = []
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f'{option} "{text}": write it as name=value')
        found.append((name, value))
    return found


def _params(given: Sequence[str] | None) -> dict[str, Any]:
    """Lists and objects may be written as JSON."""
    pairs = _pairs("--param", given)
    params = {name: _value(value) for name, value in pairs}
    if len(params) < len(pairs):
        raise UsageError("--param: a name is given twice")
    return params


def _value(text: str) -> Any:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _json_body(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(_text_body(text))
    except ValueError as error:
        raise UsageError(f"--body is not JSON: {error}") from error


def _text_body(text: str) -> str:
    if text == "@-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"--body {text}: the file is not text; --file sends it as it is") from error


def _raw(
    method: str,
    path: str,
    query: Sequence[str] | None,
    header: Sequence[str] | None,
    body: str | None,
    form: Sequence[str] | None,
    file: Sequence[str] | None,
    response: Response,
    timeout: str | None,
) -> dict[str, Any]:
    """What the engine's command `request` takes."""
    headers = _pairs("--header", header)
    if response is not Response.json and not any(name.lower() == "accept" for name, _ in headers):
        headers.append(("Accept", "*/*"))
    return {
        "method": method,
        "path": path,
        "query": _pairs("--query", query),
        "headers": headers,
        "body": None if body is None else _text_body(body),
        "form": _pairs("--form", form),
        "files": _files(_pairs("--file", file)),
        "timeout": None if timeout is None else _seconds("--timeout", timeout),
    }


def _files(pairs: Pairs) -> list[dict[str, str]]:
    from base64 import b64encode

    found = [(field, Path(path), Path(path).read_bytes()) for field, path in pairs]
    if sum(len(content) for _, _, content in found) > LARGEST_FILES:
        raise UsageError(f"--file: more than {LARGEST_FILES // 1_000_000} MB do not fit into one request")
    return [
        {"field": field, "name": path.name, "content": b64encode(content).decode()} for field, path, content in found
    ]


def _seconds(option: str, text: str) -> float:
    from poller.fields import FieldError, parse_duration

    try:
        seconds = parse_duration(text).total_seconds()
    except FieldError as error:
        raise UsageError(f"{option}: {error}") from error
    if not seconds:
        raise UsageError(f"{option} must be longer than 0")
    return seconds


def _retry(retries: int, delay: str | None, backoff: bool, everything: bool) -> dict[str, Any]:
    if delay is not None and backoff:
        raise UsageError("--retry-delay is a fixed time and --backoff a growing one; choose one of them")
    if not retries and (delay is not None or backoff or everything):
        raise UsageError("--retry-delay, --backoff and --retry-all need --retries, which is 0 unless said")
    seconds = 1.0 if delay is None else _seconds("--retry-delay", delay)
    return {"times": retries, "delay": seconds, "backoff": backoff, "everything": everything}


# ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Array:
    """An array that is printed while its items come, one to a line."""

    def __init__(self) -> None:
        self._begun = False

    def take(self, news: dict[str, Any]) -> None:
        for item in news.get("items", ()):
            typer.echo(("," if self._begun else "[") + "\n" + json.dumps(item, ensure_ascii=False), nl=False)
            self._begun = True

    def end(self) -> None:
        typer.echo("\n]" if self._begun else "[]")


async def _call(settings: Any, **arguments: Any) -> None:
    array = _Array()
    done = await frame.command(settings, "call", array.take, **arguments)
    for note in done["notes"]:
        typer.echo(f"poller: {note}", err=True)
    if done["list"]:
        array.end()
    elif done["value"] is not None:
        frame.show_json(done["value"])


async def _request(settings: Any, response: Response, **arguments: Any) -> None:
    from base64 import b64decode

    chunks: list[bytes] = []

    def take(news: dict[str, Any]) -> None:
        if "debug" in news:
            typer.echo(frame.plain(news["debug"]), err=True)
        if "chunk" in news:
            chunks.append(b64decode(news["chunk"]))

    await frame.command(settings, "request", take, **arguments)
    _print(b"".join(chunks), response)


def _print(body: bytes, response: Response) -> None:
    if response is Response.binary:
        typer.echo(body, nl=False)
    elif response is Response.text:
        typer.echo(body.decode(errors="replace"))
    elif body:
        from poller.errors import Malformed

        try:
            frame.show_json(json.loads(body))
        except ValueError as error:
            raise Malformed("the answer is not JSON; --response text or binary shows it as it is") from error


# ── --list ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _list(name: str | None, as_json: bool) -> None:
    from poller.calling import OWN_SUBSCRIPTIONS, operation_named
    from poller.goto.operations import OPERATIONS

    chosen = [*OPERATIONS.values(), OWN_SUBSCRIPTIONS] if name is None else [operation_named(name)]
    if as_json:
        frame.show_json([_record(operation) for operation in chosen])
        return
    groups: dict[str, list[Operation]] = {}
    for operation in chosen:
        groups.setdefault(operation.group, []).append(operation)
    for group, operations in groups.items():
        typer.echo(f"\n{group}")
        for operation in operations:
            typer.echo("\n".join(_lines(operation)))
    typer.echo("\n* required · (own): the connection's own key unless given")


def _lines(operation: Operation) -> list[str]:
    record = _record(operation)
    marks = " (erases; needs --yes)" if operation.erases else ""
    lines = [f"  {operation.name}{marks}: {operation.summary}", f"      {operation.method} {operation.whole_path}"]
    for title in ("parameters", "body"):
        found = record[title]
        if found:
            lines.append(f"      {title}: {', '.join(_mark(entry) for entry in found)}")
    if operation.aliases:
        lines.append(f"      also: {', '.join(operation.aliases)}")
    return lines


def _mark(entry: dict[str, Any]) -> str:
    own = " (own)" if entry.get("own") else ""
    default = f"={str(entry['default']).lower()}" if entry.get("default") is not None else ""
    return f"{entry['name']}{'*' if entry['required'] and not own else ''}{default}{own}"


def _record(operation: Operation) -> dict[str, Any]:
    from poller.goto.operations.kinds import described
    from poller.goto.operations.preparing import body_fields
    from poller.goto.operations.spec import OWN

    return {
        "operation": operation.name,
        "group": operation.group,
        "summary": operation.summary,
        "method": operation.method,
        "path": operation.whole_path,
        "aliases": list(operation.aliases),
        "erases": operation.erases,
        "pages": operation.paging is not None,
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required,
                "default": parameter.default,
                "own": parameter.name in OWN,
                "takes": described(parameter.hint),
            }
            for parameter in operation.parameters
        ],
        "body": [
            {"name": member.name, "required": member.required, "takes": described(member.hint)}
            for member in body_fields(operation)
        ],
        "body_takes": None if operation.body is None else described(operation.body),
    }
