"""GoTo's token endpoint: the grants we use and what its answers mean.

RFC 6749 with the vendor's habits (developer.goto.com: "How to obtain an OAuth access token", "How to Obtain and Use
Refresh Tokens"): client authentication by HTTP Basic, and a refresh token in the answer only sometimes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec.json import Decoder
from yarl import URL

from poller.errors import Malformed, PollerError, Reauthorize, Wait
from poller.goto.models import WireTokenError, WireTokens
from poller.goto.protocol import Request, decode, stated_pause
from poller.goto.transport import Answer, Transport
from poller.ports import Clock

# Where the answer does not say: the vendor's documented lifetime.
DEFAULT_LIFETIME: Final = 3600.0  # seconds

_tokens = Decoder(WireTokens)
_error = Decoder(WireTokenError)
_TEMPORARY: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """An OAuth client, and a personal access token where one stands in for a login."""

    client_id: str
    client_secret: str = field(repr=False)
    pat: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a login or a refresh left us with. `expires_at` is aware."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime
    scope: str = ""
    principal: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at must be an aware datetime")

    def succeeded_by(self, fresh: TokenSet) -> TokenSet:
        """What to keep after a refresh: GoTo leaves out what stays the same, the refresh token first of all."""
        return replace(
            fresh,
            refresh_token=fresh.refresh_token or self.refresh_token,
            scope=fresh.scope or self.scope,
            principal=fresh.principal or self.principal,
        )


class TokenEndpoint:
    """Each method is one POST. Raises Reauthorize for an authoritative refusal, Wait for everything that may pass."""

    def __init__(self, auth_url: str, credentials: Credentials, transport: Transport, clock: Clock) -> None:
        self.credentials = credentials
        self.authorize_url = URL(f"{auth_url.rstrip('/')}/oauth/authorize")
        self._token_url = URL(f"{auth_url.rstrip('/')}/oauth/token")
        self._transport = transport
        self._clock = clock

    async def exchange(self, code: str, redirect_uri: str, verifier: str) -> TokenSet:
        """An authorization code, usable once; the redirect_uri exactly as it was sent to authorize (RFC 7636: PKCE)."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._post(form | {"code_verifier": verifier})

    async def refresh(self, refresh_token: str) -> TokenSet:
        return await self._post({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def personal(self, pat: str) -> TokenSet:
        return await self._post({"grant_type": "personal_access_token", "pat": pat})

    async def _post(self, form: Mapping[str, str]) -> TokenSet:
        asked_at = self._clock.now()  # the lifetime starts at the latest with the answer: err to the early side
        request = Request(
            "POST",
            self._token_url,
            "token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
        )
        try:
            answer = await self._transport.send(request, _basic(self.credentials))
        except Wait as err:
            raise Wait(f"{err}: no token, is [goto] auth_url right and reachable?") from err
        if answer.status != 200:
            raise self._failure(answer)
        return _token_set(decode(_tokens, answer.body, "a set of tokens"), asked_at)

    def _failure(self, answer: Answer) -> PollerError:
        error = _token_error(answer.body)
        said = f"{self._token_url.host} answered {answer.status}"
        if answer.status in (400, 401) and error.error and error.error not in _TEMPORARY:
            return Reauthorize(_refusal(error))
        if error.message:
            return Wait(f"{said}; check [goto] auth_url: it may be an address that is no longer in use")
        if answer.status < 500 and answer.status not in (408, 429):
            return Wait(f"{said} to a token request; check [goto] auth_url")
        return Wait(said, retry_after=stated_pause(answer.headers, self._clock.now))


def _basic(credentials: Credentials) -> str:
    """The two parts joined as they are: the vendor's page does not form-encode them as RFC 6749, 2.3.1 would."""
    pair = f"{credentials.client_id}:{credentials.client_secret}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _token_set(wire: WireTokens, asked_at: datetime) -> TokenSet:
    if not wire.access_token:
        raise Malformed("the token endpoint answered without an access_token")
    expires_at = asked_at + timedelta(seconds=_lifetime(wire.expires_in))
    return TokenSet(wire.access_token, wire.refresh_token or None, expires_at, wire.scope or "", wire.principal or None)


def _lifetime(expires_in: int | float | str | None) -> float:
    try:
        seconds = float(expires_in or DEFAULT_LIFETIME)
    except ValueError:
        return DEFAULT_LIFETIME
    return min(seconds, 30 * 86_400.0) if seconds > 0 else DEFAULT_LIFETIME


def _token_error(body: bytes) -> WireTokenError:
    try:
        return _error.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return WireTokenError()


def _refusal(error: WireTokenError) -> str:
    if error.error == "invalid_client":
        return "GoTo does not know this client (invalid_client): check client_id and client_secret in [goto]"
    if error.error == "invalid_grant" or "invalid.jwt" in (error.error_description or ""):
        return "GoTo refuses the login, which is no longer valid (invalid_grant)"
    return f"the token request was refused ({error.error}): check client_id, scopes and grants of the client"
