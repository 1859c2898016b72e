"""The issuer of tokens: OAuth 2.0 authorization code with PKCE, refresh in three eras, personal access tokens.

No sockets: form fields in, token fields out, errors as `ApiError`. Rules: RFC 6749, RFC 7636, and the vendor's pages
on tokens as far as clients confirm them. Moments are seconds of the clock's `monotonic`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import unquote_plus, urlencode, urlsplit

from poller.simulator.answers import oauth_error
from poller.simulator.limits import Caller
from poller.simulator.model import Organizer
from poller.simulator.options import ApiOptions

CLIENT_ID = "simulator"
CLIENT_SECRET = "simulator-secret"  # noqa: S105  # published on purpose: it opens a simulation
CODE_SECONDS = 600.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Form = Mapping[str, str]
TokenFields = dict[str, object]


@dataclass(slots=True)
class Grant:
    """One consent of one person. Its access tokens die with it."""

    person: Organizer
    scope: str
    refresh_token: str | None = None


@dataclass(slots=True)
class AccessToken:
    grant: Grant
    expires_at: float
    dead: bool = False

    @property
    def person(self) -> Organizer:
        return self.grant.person

    @property
    def caller(self) -> Caller:
        return Caller(CLIENT_ID, self.person.organizer_key)

    def may(self, scope: str) -> bool:
        return scope in self.grant.scope.split()


@dataclass(frozen=True, slots=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: float


@dataclass(slots=True)
class Issuer:
    """Everything issued so far. `signed_in` is the person whom the login page finds and who always consents."""

    people: Sequence[Organizer]
    options: ApiOptions
    monotonic: Callable[[], float]
    rng: Random
    signed_in: Organizer
    lifetime_share: float = 1.0  # of what expires_in says; below 1 tokens expire early
    _codes: dict[str, _Code] = field(default_factory=dict)
    _tokens: dict[str, AccessToken] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _revoked_pats: set[str] = field(default_factory=set)

    # ---- the login page

    def authorize(self, query: Form) -> str:
        """Where the browser is sent next. Client and redirect address must be right, or nobody is sent anywhere."""
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID:
            raise oauth_error(400, "invalid_client", "client not found")
        if not self._registered(redirect_uri):
            raise oauth_error(400, "invalid_request", "redirect_uri is not registered for this client")
        back = {"state": query["state"]} if "state" in query else {}
        return f"{redirect_uri}?{urlencode({**self._decide(query, redirect_uri), **back})}"

    def _decide(self, query: Form, redirect_uri: str) -> dict[str, str]:
        if query.get("response_type") != "code":
            return {"error": "unsupported_response_type"}
        if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
            return {"error": "invalid_request", "error_description": "PKCE with S256 is required"}
        person = self._person(query.get("login_hint", ""))
        grant = Grant(person, self._granted(query.get("scope")))
        code = self._draw("code")
        self._codes[code] = _Code(grant, redirect_uri, query["code_challenge"], self.monotonic() + CODE_SECONDS)
        return {"code": code}

    def _registered(self, uri: str) -> bool:
        if self.options.redirect_uris:
            return uri in self.options.redirect_uris
        parts = urlsplit(uri)
        return parts.scheme == "http" and parts.hostname in LOOPBACK and not parts.query and not parts.fragment

    def _granted(self, asked: str | None) -> str:
        """An omitted scope grants all that the client has."""
        has = self.options.scopes.split()
        return " ".join(has if not asked else [scope for scope in asked.split() if scope in has])

    def _person(self, email: str) -> Organizer:
        return next((person for person in self.people if person.email == email), self.signed_in)

    # ---- the token endpoint

    def token(self, form: Form, authorization: str) -> TokenFields:
        """Answer one POST. `authorization` is the header; the credentials may also be form fields."""
        if _credentials(form, authorization) != (CLIENT_ID, CLIENT_SECRET):
            raise oauth_error(401, "invalid_client", "client not found")
        grants = {
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh_token,
            "personal_access_token": self._by_pat,
        }
        exchange = grants.get(form.get("grant_type", ""))
        if exchange is None:
            raise oauth_error(400, "unsupported_grant_type", "grant type is not enabled for this client")
        return exchange(form)

    def _by_code(self, form: Form) -> TokenFields:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.expires_at <= self.monotonic():
            raise oauth_error(400, "invalid_grant", "error.auth.code.invalid.jwt")
        if code.redirect_uri != form.get("redirect_uri") or code.challenge != s256(form.get("code_verifier", "")):
            raise oauth_error(400, "invalid_grant", "redirect_uri or code_verifier does not match the code")
        return self._issue(code.grant) | {"refresh_token": self._new_refresh_token(code.grant)}

    def _by_refresh_token(self, form: Form) -> TokenFields:
        grant = self._refresh.get(form.get("refresh_token", ""))
        if grant is None:
            raise oauth_error(400, "invalid_grant", "the refresh token is unknown, used up or revoked")
        if self.options.refresh_tokens == "rotate":
            self._end_tokens(grant)  # the vendor's oldest rule: a refresh ends what came before it
            return self._issue(grant) | {"refresh_token": self._new_refresh_token(grant)}
        fields = self._issue(grant)
        if self.options.refresh_tokens == "same":
            fields["refresh_token"] = grant.refresh_token
        return fields

    def _by_pat(self, form: Form) -> TokenFields:
        pat = form.get("pat", "")
        owner = next((person for person in self.people if person.pat == pat), None)
        if owner is None or pat in self._revoked_pats:
            raise oauth_error(400, "invalid_grant", "the personal access token is unknown or revoked")
        return self._issue(Grant(owner, self._granted(form.get("scope"))))

    def _issue(self, grant: Grant) -> TokenFields:
        seconds = self.options.access_token_seconds
        text = self._draw("access")
        self._tokens[text] = AccessToken(grant, self.monotonic() + seconds * self.lifetime_share)
        return {
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": int(seconds),
            "scope": grant.scope,
            "principal": grant.person.email,
        }

    def _new_refresh_token(self, grant: Grant) -> str:
        """The one before it is dead from here on."""
        self._refresh.pop(grant.refresh_token or "", None)
        grant.refresh_token = self._draw("refresh")
        self._refresh[grant.refresh_token] = grant
        return grant.refresh_token

    def _draw(self, kind: str) -> str:
        return f"simulated-{kind}-{self.rng.getrandbits(192):048x}"

    # ---- what became of a token

    def find(self, text: str) -> AccessToken | None:
        """An access token ever issued, dead or alive."""
        return self._tokens.get(text)

    def alive(self, token: AccessToken) -> bool:
        return not token.dead and token.expires_at > self.monotonic()

    def expire_access_tokens(self, organizer_key: str) -> None:
        """Every access token of this person is refused from now on; refreshing still works."""
        for token in self._tokens.values():
            token.dead = token.dead or token.person.organizer_key == organizer_key

    def revoke(self, organizer_key: str) -> None:
        """All logins and the PAT of this person: invalid_grant until a new consent, or `restore` for the PAT."""
        self.expire_access_tokens(organizer_key)
        self._refresh = {k: g for k, g in self._refresh.items() if g.person.organizer_key != organizer_key}
        self._revoked_pats |= {p.pat for p in self.people if p.organizer_key == organizer_key}

    def restore(self, organizer_key: str) -> None:
        self._revoked_pats -= {p.pat for p in self.people if p.organizer_key == organizer_key}

    def holder(self, form: Form) -> Organizer | None:
        """Whose refresh token, code or PAT this is."""
        if code := self._codes.get(form.get("code", "")):
            return code.grant.person
        if grant := self._refresh.get(form.get("refresh_token", "")):
            return grant.person
        return next((person for person in self.people if person.pat == form.get("pat")), None)

    def _end_tokens(self, grant: Grant) -> None:
        for token in self._tokens.values():
            token.dead = token.dead or token.grant is grant


def s256(verifier: str) -> str:
    """RFC 7636, section 4.6."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _credentials(form: Form, authorization: str) -> tuple[str, str]:
    """client_secret_basic, else client_secret_post (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)
