"""What sinks that talk to a server share: its address and who we are there, TLS, and the driver that must be there."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, model_validator

from poller.errors import UsageError, Wait
from poller.fields import FieldError, LocalPath, Secret
from poller.sinks.base import SinkSettings


class TlsSettings(SinkSettings):
    """How a server's certificate is checked, and how we show one of our own."""

    ca_file: LocalPath | None = Field(default=None, description="certificates to trust instead of the system's (PEM)")
    cert_file: LocalPath | None = Field(default=None, description="our own certificate, where the server asks for one")
    key_file: LocalPath | None = Field(default=None, description="the key of cert_file, if it is not in there")
    verify_tls: bool = Field(default=True, description="false accepts any certificate: for tests only")

    @model_validator(mode="after")
    def _a_key_has_its_certificate(self) -> TlsSettings:
        if self.key_file is not None and self.cert_file is None:
            raise FieldError(f'sink "{self.name}" has a key_file; add the cert_file that it belongs to')
        return self


class ServerSettings(TlsSettings):
    """One server, reached by a URL."""

    url: Secret = Field(description="where the server is; a password in it is kept out of every log")
    username: str = Field(default="", description="who we are there, if the URL does not say it")
    password: Secret | None = Field(default=None, description="its password, if the URL does not hold it")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a server's URL, unquoted. `host` and `port` may be shown; credentials never are."""

    scheme: str
    host: str
    port: int
    tls: bool
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    path: str = ""  # without the leading slash
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address(settings: ServerSettings, plain: Mapping[str, int], tls: Mapping[str, int]) -> Address:
    """The server's address; `plain` and `tls` map the schemes that mean each to their usual ports.

    Raises UsageError, without the URL, which may hold a password.
    """
    usual = {**plain, **tls}
    example = f"{next(iter(plain or tls))}://host:{next(iter(usual.values()))}"
    try:
        url = settings.url.reveal()
    except FieldError as err:
        raise UsageError(f'sink "{settings.name}", url: {err}') from err
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as err:
        raise UsageError(f'sink "{settings.name}", url: is no address; write one such as {example}') from err
    if parts.scheme not in usual or not host or any(c.isspace() for c in host):
        known = ", ".join(f"{scheme}://" for scheme in usual)
        raise UsageError(f'sink "{settings.name}", url: takes {known} and a host, such as {example}')
    password = settings.password.reveal() if settings.password is not None else unquote(parts.password or "")
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port or usual[parts.scheme],
        tls=parts.scheme in tls,
        username=settings.username or unquote(parts.username or ""),
        password=password,
        path=unquote(parts.path.removeprefix("/")),
        query=dict(parse_qsl(parts.query)),
    )


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Raises UsageError for a file that cannot be used."""
    context = ssl.create_default_context()
    key = "ca_file"
    try:
        if settings.ca_file is not None:
            context = ssl.create_default_context(cafile=str(settings.ca_file))
        key = "cert_file"
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as err:  # ssl.SSLError is one, too
        path = getattr(settings, key)
        raise UsageError(f'sink "{settings.name}", {key}: {path} cannot be used: {err.strerror or err}') from err
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def driver(module: str, extra: str) -> Any:
    """A driver's module, imported when its sink first connects. Raises UsageError if the extra is not installed."""
    try:
        return import_module(module)
    except ImportError as err:
        raise UsageError(
            f'sinks of the type "{extra}" need a driver that is not installed: {err.name or module};'
            f" install it with pip install 'goto-poller[{extra}]'"
        ) from err


def unreachable(where: object, err: BaseException, timeout_seconds: float) -> Wait:
    """A failure of the connection, in words without credentials: the text of a driver's error may repeat a URL."""
    if isinstance(err, TimeoutError):
        return Wait(f"{where} did not answer within {timeout_seconds:g} s")
    if isinstance(err, ssl.SSLError):
        return Wait(f"{where}: the TLS connection failed: {getattr(err, 'verify_message', '') or err.reason}")
    if isinstance(err, OSError):
        return Wait(f"{where}: {os_reason(err)}")
    return Wait(f"{where}: {type(err).__name__}")


def os_reason(err: OSError) -> str:
    """In the system's words: asyncio has a text of its own for a refused connection, with the address once more."""
    known = err.errno is not None and err.errno > 0 and not isinstance(err, socket.gaierror)
    return (os.strerror(err.errno or 0) if known else err.strerror) or type(err).__name__
