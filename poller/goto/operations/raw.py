"""Requests that no operation covers: a method, a path on GoTo's own hosts, and whatever else HTTP has. Pure.

A raw request names a path and never a host, so that a token cannot be sent anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as field_
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote, urlencode

import msgspec
from yarl import URL

from poller.errors import UsageError
from poller.goto.operations.catalogue import OPERATIONS, matching
from poller.goto.operations.spec import PREFIXES
from poller.goto.protocol import Request

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# Doing these twice does what doing them once does (RFC 9110, 9.2.2), so that they may be repeated.
IDEMPOTENT: Final = frozenset(METHODS) - {"POST", "PATCH"}
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Pairs = Sequence[tuple[str, str]]

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Ours to say: who calls, where to, and where a body ends.
_OWN_HEADERS: Final = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "cookie", "proxy-authorization"}
)
_SAFE: Final = "/%:@!$&'()*+,;=~"  # what a path may hold as it is


@dataclass(frozen=True, slots=True)
class File:
    """One file of a form."""

    field: str
    name: str
    content: bytes = field_(repr=False)


@dataclass(frozen=True, slots=True)
class Raw:
    """`body`, or `form` (with `files` a multipart one). `timeout`: seconds for one attempt."""

    method: str
    path: str
    query: Pairs = ()
    headers: Pairs = ()
    body: str | None = None
    form: Pairs = ()
    files: Sequence[File] = ()
    timeout: float | None = None


def request(raw: Raw, *, api_url: str, room_url: str) -> Request:
    """What is sent. Raises UsageError for a host, a path that leads elsewhere, or headers that are not the caller's."""
    method = raw.method.upper()
    if method not in METHODS:
        raise UsageError(f"{raw.method!r} is no method of HTTP that GoTo knows; there are {', '.join(METHODS)}")
    path, _, query = raw.path.partition("?")
    path = _path(path)
    pairs = "&".join(part for part in (quote(query, safe=_SAFE + "?"), urlencode(raw.query, quote_via=quote)) if part)
    host = room_url if path.startswith(PREFIXES["room"] + "/") else api_url
    url = URL(host.rstrip("/") + path + (f"?{pairs}" if pairs else ""), encoded=True)
    kind, body = _body(raw)
    headers = _headers(raw.headers)
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return Request(method, url, _operation(method, path), headers, body, raw.timeout)


def _path(path: str) -> str:
    if "://" in path or path.startswith("//"):
        raise UsageError("a raw request takes a path and never a host; begin with /, such as /G2W/rest/v2/webhooks")
    if not path.startswith("/"):
        raise UsageError(f'the path "{path}" must begin with /, such as /G2W/rest/v2/webhooks')
    if "\\" in path or "#" in path or any(ord(letter) < 32 for letter in path):
        raise UsageError("the path holds a character that no path of GoTo has: a backslash, # or a control character")
    if any(unquote(part) in (".", "..") for part in path.split("/")):
        raise UsageError("the path must not hold . or .. as a part")
    return quote(path, safe=_SAFE)


def _operation(method: str, path: str) -> str:
    """What limits and metrics count it as: the operation that it amounts to, else its method alone.

    A path may name a person, and there is no end of paths.
    """
    known = matching(method, unquote(path))
    return f"raw {method}" if known is None else known.name


def _headers(pairs: Pairs) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if not _HEADER.fullmatch(name) or any(ord(letter) < 32 and letter != "\t" for letter in value):
            raise UsageError(f"header {name!r} has a name or a value that HTTP does not allow")
        if name.lower() in _OWN_HEADERS:
            raise UsageError(f"header {name} is set by the program itself; leave it out")
        found[name] = value
    return found


def _body(raw: Raw) -> tuple[str, bytes | None]:
    """Content type and bytes."""
    if raw.body is not None and (raw.form or raw.files):
        raise UsageError("a request has one body: give either a body, or a form and files")
    if raw.files:
        return _multipart(raw.form, raw.files)
    if raw.form:
        return "application/x-www-form-urlencoded", urlencode(raw.form).encode()
    if raw.body is None:
        return "", None
    return ("application/json" if _is_json(raw.body) else "text/plain; charset=utf-8"), raw.body.encode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _multipart(form: Pairs, files: Sequence[File]) -> tuple[str, bytes]:
    """A form with files in it (RFC 7578). The boundary is a digest of what it must not occur in."""
    boundary = sha256(b"".join(file.content for file in files)).hexdigest()[:40]
    parts = [(f'form-data; name="{_quoted(name)}"', "", value.encode()) for name, value in form]
    for file in files:
        placed = f'form-data; name="{_quoted(file.field)}"; filename="{_quoted(file.name)}"'
        parts.append((placed, "\r\nContent-Type: application/octet-stream", file.content))
    chunks = [
        f"--{boundary}\r\nContent-Disposition: {placed}{kind}\r\n\r\n".encode() + content + b"\r\n"
        for placed, kind, content in parts
    ]
    return f"multipart/form-data; boundary={boundary}", b"".join(chunks) + f"--{boundary}--\r\n".encode()


def _quoted(name: str) -> str:
    """As browsers write it: only what would end the name is escaped."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


# ── repeating ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Retry:
    """`times` more attempts; `delay` seconds between them, doubling with `backoff`.

    Without `everything` only what may help and cannot do a thing twice is repeated: after no connection or 429 any
    request, after no answer, 408 or 5xx one whose method is idempotent. With it, whatever failed.
    """

    times: int = 0
    delay: float = 1.0
    backoff: bool = False
    everything: bool = False


def worth_repeating(retry: Retry, method: str, status: int | None, *, sent: bool = True) -> bool:
    """After one failed attempt. `status`: None where no answer came; `sent`: whether it was reached at all."""
    if retry.everything or not sent or status == 429:
        return True
    return method in IDEMPOTENT and (status is None or status == 408 or status >= 500)


def changes(request: Request) -> bool:
    """Whether a request may have changed something."""
    known = OPERATIONS.get(request.operation)
    return known.writes if known is not None else request.method not in READING
