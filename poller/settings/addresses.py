"""Addresses in settings: which URLs carry secrets safely, and where the HTTP surface may listen."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from poller.fields import FieldError


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach `host`. Names other than localhost are not looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def split_listen(address: str) -> tuple[str, int]:
    """`127.0.0.1:8470` or `[::1]:8470` as host and port. Raises FieldError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise FieldError(f'"{address}" is not an address; write host and port, such as "127.0.0.1:8470"')
    return host, int(port)


def _split_url(url: str) -> SplitResult:
    # The URL itself is never repeated: it may hold a user and a password.
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError as err:
        raise FieldError("is not a URL; write one such as https://example.com") from err
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in url):
        raise FieldError("is not a web address; write one such as https://example.com")
    return parts


def _any_url(url: str) -> str:
    if url:
        _split_url(url)
    return url.rstrip("/")


def _guarded_url(url: str) -> str:
    parts = _split_url(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise FieldError("would send secrets unencrypted; write https:// (http:// is for 127.0.0.1 only)")
    return url.rstrip("/")


def _listen(address: str) -> str:
    if address:
        split_listen(address)
    return address


WebUrl = Annotated[str, AfterValidator(_any_url)]  # http or https, "" for none
GuardedUrl = Annotated[str, AfterValidator(_guarded_url)]  # https, or http to this machine
ListenAddress = Annotated[str, AfterValidator(_listen)]  # "" for none
