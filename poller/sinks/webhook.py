"""Events as HTTP requests: CloudEvents over HTTP, signed as Standard Webhooks says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from yarl import URL

from poller.errors import Refused, UsageError, Wait
from poller.fields import FieldError, Secret
from poller.formats import Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, Preview, SinkContext, one_by_one
from poller.sinks.binding import BindingSettings, attribute_headers, bind
from poller.sinks.http_answer import Answer, drained, verdict
from poller.sinks.public import NotPublicError, PublicResolver, is_public, literal_address
from poller.sinks.server import os_reason
from poller.sinks.signing import decode_secret, signature_headers

T = TypeVar("T")

# Shorter than the 5 s after which common servers drop an idle connection: what they dropped would cost an attempt.
_KEEP_ALIVE_SECONDS = 4.0

# Set by the request itself, in either mode.
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class WebhookSettings(BindingSettings):
    allow_private: bool = Field(default=False, description="also http, and addresses that are not public")  # before url
    url: str = Field(repr=False, description="where events are sent; its path may be a password")
    secret: Annotated[tuple[Secret, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description='"whsec_…" signs every request; a list of two while it is being replaced'
    )
    headers: dict[str, Secret] = Field(
        default_factory=dict, description="added to every request; a text with {{ … }} is a Jinja2 template"
    )
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    verify_tls: bool = Field(default=True, description="false accepts any certificate: for tests only")

    @field_validator("url")
    @classmethod
    def _reachable(cls, url: str, info: ValidationInfo) -> str:
        try:
            require_url(url, bool(info.data.get("allow_private")))
        except FieldError as err:
            raise FieldError(f'of sink "{info.data.get("name", "?")}" {err}') from err
        return url

    @field_validator("headers")
    @classmethod
    def _not_ours(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        for name in headers:
            if name.lower().startswith(("webhook-", "ce-")) or name.lower() in _OWN_HEADERS:
                raise FieldError(f'sets "{name}", which every request gets by itself; leave it out')
        return headers


def require_url(url: str, allow_private: bool) -> None:
    """Raises FieldError for what is no URL, and for what may not be called: the text goes on behind a name for it."""
    try:
        parts = urlsplit(url)
        host = host_of(url)
        literal = literal_address(host)
        _ = parts.port  # raises for a port that is no number
    except ValueError as err:
        raise FieldError("is not a web address; write one such as https://example.com/hook") from err
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in url):
        raise FieldError("is not a web address; write one such as https://example.com/hook")
    if parts.scheme == "http" and not allow_private:
        raise FieldError("is not https; use https, or allow_private = true within your own network")
    if literal and not allow_private and not is_public(literal):
        raise FieldError("is not a public address; allow_private = true permits it")


def host_of(url: str) -> str:
    """The host as it is connected to: digits and dots of other scripts make an address like any other.

    Raises ValueError for what no name can be.
    """
    host = URL(url).raw_host or ""
    return host if ":" in host else host.encode("idna").decode()


class WebhookSink(BaseSink):
    """The status line decides (see `verdict`): a 2xx counts even if the rest of the answer never comes."""

    settings_type = WebhookSettings

    def __init__(
        self, settings: WebhookSettings, context: SinkContext, resolver: AbstractResolver | None = None
    ) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._resolver = resolver
        self._host = urlsplit(settings.url).netloc.rpartition("@")[2]
        self._keys = [self._revealed("secret", secret, decode_secret) for secret in settings.secret]
        self._headers: dict[str, str] = {}
        self._header_templates: dict[str, Template] = {}
        for name, value in settings.headers.items():
            if value.source == "literal" and "{{" in value.reveal():  # what is kept elsewhere is a secret, and no text
                self._header_templates[name] = self._revealed(f"headers.{name}", value, Template)
            else:
                self._headers[name] = self._revealed(f"headers.{name}", value, _header_value)
        self._session: aiohttp.ClientSession | None = None

    async def connect(self) -> None:
        """Prepares the pool; connections are made by requests."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self.timeout.total_seconds()),
                auto_decompress=False,
                headers={"User-Agent": "goto-poller", "Accept-Encoding": "identity"},
            )

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        return await one_by_one(batch, self._send_one)

    async def check(self) -> str:
        """An OPTIONS request: any answer shows that name, route and certificate are good."""
        await self.connect()
        answer = await self._request("OPTIONS", b"", self._headers)
        return f"{self._host} can be reached (it answered {answer.status} to OPTIONS)"

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _send_one(self, outgoing: Outgoing) -> None:
        body, headers = self._signed(outgoing)
        answer = await self._request(self._settings.method, body, headers)
        failure = verdict(answer, self._host, self.context.clock.now())
        if failure is not None:
            raise failure

    def preview(self, outgoing: Outgoing) -> Preview:
        body, headers = self._signed(outgoing)
        url = urlsplit(self._settings.url)
        path = "/…" if url.path.strip("/") or url.query else ""
        target = f"{self._settings.method} {url.scheme}://{self._host}{path}"
        shown = {**headers, **dict.fromkeys(self._headers, "…")}
        return Preview(body, headers["Content-Type"], target, shown)

    def _signed(self, outgoing: Outgoing) -> tuple[bytes, dict[str, str]]:
        """Body and headers of an attempt made now."""
        bound = bind(self.format, outgoing, self._settings.content_mode)
        signed = signature_headers(self._keys, outgoing.id, int(self.context.clock.now().timestamp()), bound.body)
        own = {**attribute_headers(bound.attributes), "Content-Type": bound.content_type}
        return bound.body, {**own, **self._headers, **self._rendered(outgoing), **signed}

    def _rendered(self, outgoing: Outgoing) -> dict[str, str]:
        """Raises Refused where this event makes something that no header can hold."""
        rendered = {}
        for name, template in self._header_templates.items():
            try:
                rendered[name] = _header_value(template.render(outgoing).strip())
            except FieldError as err:
                raise Refused(f"the header {name} {err}") from err
        return rendered

    async def _request(self, method: str, body: bytes, headers: dict[str, str]) -> Answer:
        assert self._session is not None, "connect comes first"
        try:
            async with self._session.request(
                method, self._settings.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await drained(response.content)
                return Answer(response.status, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError, ValueError) as err:  # TimeoutError is an OSError
            raise Wait(self._explained(err)) from err

    def _explained(self, err: Exception) -> str:
        """Never with the URL, whose path may be a password."""
        cause = getattr(err, "os_error", err)
        if isinstance(cause, NotPublicError):
            return f'sink "{self.name}": {cause}; allow_private = true permits it'
        if isinstance(err, TimeoutError):
            return f"{self._host} did not answer within {self.timeout.total_seconds():g} s"
        if isinstance(err, aiohttp.ClientSSLError):
            return f"{self._host}: the TLS connection failed: {cause}"
        if isinstance(cause, OSError):
            return f"{self._host}: {os_reason(cause)}"
        return f"{self._host}: {err if isinstance(err, aiohttp.ServerDisconnectedError) else type(err).__name__}"

    def _connector(self) -> aiohttp.TCPConnector:
        resolver = self._resolver or ThreadedResolver()
        return aiohttp.TCPConnector(
            resolver=resolver if self._settings.allow_private else PublicResolver(resolver),
            ssl=self._settings.verify_tls,
            limit=0,  # `concurrency` is the limit
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        )

    def _revealed(self, setting: str, secret: Secret, read: Callable[[str], T]) -> T:
        try:
            return read(secret.reveal())
        except FieldError as err:
            raise UsageError(f'sink "{self.name}", {setting}: {err}') from err


def _header_value(text: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise FieldError("holds a line break or another control character")
    return text
