"""Logging in with a browser: authorization code with PKCE, caught by a listener on the registered redirect address.

RFC 8252 (loopback redirect), RFC 7636 (PKCE, S256). Not imported by the client: only `poller login` needs a server.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from yarl import URL

from poller.errors import Reauthorize, UsageError
from poller.goto.oauth import TokenEndpoint, TokenSet
from poller.ports import Clock

PATIENCE = 300.0  # seconds for a person to finish in the browser

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>GoTo login</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p></body></html>"""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The secrets of one login: `state` ties the answer to our question, `verifier` ties the code to us."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64))

    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def authorize(
    endpoint: TokenEndpoint,
    *,
    redirect_uri: str,
    scopes: str,
    clock: Clock,
    open_browser: Callable[[str], object],
    show_url: Callable[[str], object],
    patience: float = PATIENCE,
) -> TokenSet:
    """Ask a person to log in, and return the tokens (which the caller saves).

    `show_url` gets the address first, then `open_browser` is asked to open it. Raises UsageError for an unusable
    redirect_uri, Reauthorize for a login that was refused, forged or not finished in `patience` seconds, and what
    the token endpoint raises.
    """
    address = _loopback(redirect_uri)
    attempt = _Attempt()
    async with _listening(address, attempt) as code:
        url = str(_question(endpoint, redirect_uri, scopes, attempt))
        show_url(url)
        open_browser(url)
        await _within(code, patience, clock)
    return await endpoint.exchange(code.result(), redirect_uri, attempt.verifier)


def _loopback(redirect_uri: str) -> URL:
    address = URL(redirect_uri)
    host = address.host or ""
    is_loopback = host == "localhost"
    with suppress(ValueError):
        is_loopback = ipaddress.ip_address(host).is_loopback
    if address.scheme != "http" or not is_loopback:
        raise UsageError(
            f"[goto] redirect_uri is {redirect_uri!r}: it must be an http address on this machine that is registered "
            "with the client, such as http://127.0.0.1:8471/callback"
        )
    return address


def _question(endpoint: TokenEndpoint, redirect_uri: str, scopes: str, attempt: _Attempt) -> URL:
    query = {
        "response_type": "code",
        "client_id": endpoint.credentials.client_id,
        "redirect_uri": redirect_uri,
        "state": attempt.state,
        "code_challenge": attempt.challenge(),
        "code_challenge_method": "S256",
    }
    return endpoint.authorize_url.with_query(query | ({"scope": scopes} if scopes else {}))


@asynccontextmanager
async def _listening(address: URL, attempt: _Attempt) -> AsyncIterator[asyncio.Future[str]]:
    code: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def caught(request: web.Request) -> web.Response:
        return _answer(request, attempt, code)

    app = web.Application()
    app.router.add_get(address.path, caught)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _bind(runner, address)
        yield code
    finally:
        await runner.cleanup()
        code.cancel()


async def _bind(runner: web.AppRunner, address: URL) -> None:
    try:
        await web.TCPSite(runner, address.host, address.port).start()
    except OSError as err:
        raise UsageError(
            f"[goto] redirect_uri {address}: port {address.port} cannot be opened ({err.strerror}); "
            "end the program that uses it, or register another address"
        ) from err


def _answer(request: web.Request, attempt: _Attempt, code: asyncio.Future[str]) -> web.Response:
    problem = _problem(request, attempt)
    if not code.done():
        if problem is None:
            code.set_result(request.query["code"])
        else:
            code.set_exception(Reauthorize(problem))
    if problem is None:
        return _page("Logged in", "You can close this window and go back to the terminal.", 200)
    return _page("Not logged in", "The terminal says why. You can close this window.", 400)


def _problem(request: web.Request, attempt: _Attempt) -> str | None:
    query = request.query
    if not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
        return "the login was abandoned: the browser came back with another state than this login's; try again"
    if query.get("error") == "access_denied":
        return "the login was refused in the browser (access_denied)"
    if "error" in query:
        return f"the login failed: GoTo says {query['error'][:80]!r}; check client_id, scopes and redirect_uri"
    return None if query.get("code") else "the login failed: the browser came back without a code"


def _page(title: str, text: str, status: int) -> web.Response:
    return web.Response(text=_PAGE.format(title=title, text=text), content_type="text/html", status=status)


async def _within(code: asyncio.Future[str], patience: float, clock: Clock) -> None:
    alarm = asyncio.create_task(_alarm(patience, clock))
    try:
        either: list[asyncio.Future[Any]] = [code, alarm]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    if not code.done():
        raise Reauthorize(f"nobody finished the login in the browser within {patience / 60:g} minutes")
    code.result()


async def _alarm(patience: float, clock: Clock) -> None:
    until = clock.monotonic() + patience
    while (left := until - clock.monotonic()) > 0:
        await clock.sleep(left)
