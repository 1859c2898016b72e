"""The only place where bytes leave the machine for GoTo: one aiohttp session, shared by all connections."""

from __future__ import annotations

import io
import ipaddress
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import aiohttp
from yarl import URL

from poller.errors import Malformed, UsageError, Wait
from poller.goto.protocol import NoAnswer, Request

# A call that trickles along is given up after this many times the time without progress.
TOTAL_FACTOR = 10

LARGE = 500_000  # bytes of a body that would hold up the loop if they were written at once


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """`poll_timeout`: seconds without progress. `proxy`: empty means HTTPS_PROXY and its kin, except on loopback."""

    poll_timeout: float = 60.0
    max_body: int = 64_000_000  # bytes, after decompression
    proxy: str = field(default="", repr=False)  # may hold a password
    ca_file: Path | None = None


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes


class Transport:
    """`send` a request, get an answer whatever its status. Made anywhere, opened by its first use in a loop.

    `called` hears of every attempt: its operation, and the status, or None where no whole answer came.
    """

    def __init__(
        self, settings: TransportSettings | None = None, called: Callable[[str, int | None], None] = lambda *_: None
    ) -> None:
        self.settings = settings or TransportSettings()
        self._called = called
        self._ssl = _ssl_context(self.settings.ca_file)
        self._proxy_for = lru_cache(maxsize=16)(self._find_proxy)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, authorization: str | None = None) -> Answer:
        """Exactly one attempt, no redirects. Raises Wait when the host was not reached, NoAnswer (a Wait) when it was
        and no whole answer came, Malformed when it is too big."""
        session = self._session or self._open()
        url = request.url
        headers = {**request.headers, "Authorization": authorization} if authorization else request.headers
        status = None
        try:
            async with session.request(
                request.method,
                url,
                headers=headers,
                data=_payload(request.body),
                timeout=self._timeout(request.timeout),
                allow_redirects=False,
                proxy=self._proxy_for(url.scheme, url.raw_host or ""),
            ) as response:
                answer = Answer(response.status, response.headers, await self._read(response))
            status = answer.status
            return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            raise self._unreachable(url, err, request.timeout) from err
        finally:
            self._called(request.operation, status)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content, limit = response.content, self.settings.max_body
        chunks, size = [], 0
        while chunk := await content.readany():
            size += len(chunk)
            if size > limit:
                raise Malformed(f"an answer of {response.url.raw_host} is larger than {limit} bytes")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _timeout(self, whole: float | None) -> aiohttp.ClientTimeout:
        """A call may take `whole` seconds, or for ever as long as it makes progress, within reason."""
        patience = self.settings.poll_timeout
        total = patience * TOTAL_FACTOR if whole is None else whole
        return aiohttp.ClientTimeout(total=total, sock_connect=patience, sock_read=patience)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=100, keepalive_timeout=30),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"goto-poller/{_version()}",
            },
            cookie_jar=aiohttp.DummyCookieJar(),
            # Off: it would look up netrc and the proxies in a thread before every single call.
            trust_env=False,
        )
        # aiohttp repeats a GET once when the connection drops, without telling: GoTo would count two calls where
        # the limiter knows of one. There is no public switch (aiohttp's own test client turns it off the same way).
        self._session._retry_connection = False
        return self._session

    def _find_proxy(self, scheme: str, host: str) -> URL | None:
        if self.settings.proxy:
            return URL(self.settings.proxy)
        if _is_loopback(host) or urllib.request.proxy_bypass(host):
            return None
        found = urllib.request.getproxies().get(scheme)
        return URL(found) if found else None

    def _unreachable(self, url: URL, err: Exception, whole: float | None) -> Wait:
        if isinstance(err, aiohttp.ClientConnectorCertificateError):
            return Wait(f"{url.host}: its certificate is not trusted; an own CA belongs in [goto] ca_file")
        # What fails before there is a connection was never asked for.
        kind = Wait if isinstance(err, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) else NoAnswer
        if isinstance(err, TimeoutError):
            if whole is not None:
                return kind(f"{url.host} did not answer within {whole:g} s")
            return kind(f"{url.host} made no progress in {self.settings.poll_timeout:g} s (poll_timeout)")
        reason = getattr(err, "strerror", None) or type(err).__name__
        return kind(f"{url.host}: no whole answer ({reason})")


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """aiohttp writes large bodies piece by piece only if they are files."""
    return body if body is None or len(body) < LARGE else io.BytesIO(body)


def _ssl_context(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as err:  # ssl.SSLError is one, too
        raise UsageError(f"[goto] ca_file {ca_file} cannot be used: {err.strerror or err}") from err
    return context


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _version() -> str:
    try:
        return version("goto-poller")
    except PackageNotFoundError:  # run from a checkout
        return "0"
