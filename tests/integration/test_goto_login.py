"""Logging in through a browser that comes back to this machine, against a scripted authorization server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from poller.errors import Reauthorize, UsageError
from poller.goto import Credentials, TokenEndpoint, Transport
from poller.goto.login import authorize
from poller.testing import FakeClock

TOKENS = {
    "access_token": "A1",
    "refresh_token": "R1",
    "expires_in": 3600,
    "scope": "collab:",
    "principal": "p@example.com",
}


class Person:
    """Opens what it is asked to open, and comes back to the redirect address with the given answer."""

    def __init__(self, **answer):
        self.answer = answer
        self.asked: URL | None = None
        self.page = ""
        self.shown: list[str] = []
        self.task: asyncio.Task | None = None

    def open(self, url):
        self.asked = URL(url)
        self.task = asyncio.create_task(self.come_back())

    async def come_back(self):
        query = {"state": self.asked.query["state"], **self.answer}
        async with aiohttp.ClientSession() as session:
            async with session.get(URL(self.asked.query["redirect_uri"]).with_path("/favicon.ico")) as other:
                assert other.status == 404
            async with session.get(URL(self.asked.query["redirect_uri"]).with_query(query)) as response:
                self.page = await response.text()


class Idle(Person):
    def open(self, url):
        self.asked = URL(url)


@pytest.fixture
async def auth():
    """The endpoint, and the forms that were posted to it."""
    forms = []

    async def token(request):
        forms.append(dict(await request.post()))
        return web.json_response(TOKENS)

    app = web.Application()
    app.router.add_post("/oauth/token", token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = FakeClock()
    async with Transport() as transport:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        endpoint = TokenEndpoint(url, Credentials("id", "secret"), transport, clock)
        endpoint.forms = forms
        endpoint.clock = clock
        yield endpoint
    await runner.cleanup()


@pytest.fixture
def redirect_uri(unused_tcp_port):
    return f"http://127.0.0.1:{unused_tcp_port}/callback"


async def log_in(auth, person, redirect_uri):
    tokens = await authorize(
        auth,
        redirect_uri=redirect_uri,
        scopes="collab: identity:scim.me",
        clock=auth.clock,
        open_browser=person.open,
        show_url=person.shown.append,
    )
    await person.task
    return tokens


async def test_a_person_who_agrees_yields_tokens(auth, redirect_uri):
    person = Person(code="C1")

    tokens = await log_in(auth, person, redirect_uri)

    assert (tokens.access_token, tokens.refresh_token, tokens.principal) == ("A1", "R1", "p@example.com")
    assert tokens.expires_at == auth.clock.now() + timedelta(hours=1)
    assert person.shown == [str(person.asked)]
    assert "Logged in" in person.page
    assert auth.forms[0]["grant_type"] == "authorization_code" and auth.forms[0]["code"] == "C1"


async def test_the_question_carries_pkce_and_a_state_and_the_exchange_repeats_the_address(auth, redirect_uri):
    first, second = Person(code="C1"), Person(code="C2")
    await log_in(auth, first, redirect_uri)
    await log_in(auth, second, redirect_uri)

    asked, form = first.asked.query, auth.forms[0]
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert asked["code_challenge_method"] == "S256" and 43 <= len(form["code_verifier"]) <= 128
    assert asked["redirect_uri"] == form["redirect_uri"] == redirect_uri
    assert asked["scope"] == "collab: identity:scim.me" and asked["client_id"] == "id"
    assert first.asked.path == "/oauth/authorize"
    assert asked["state"] != second.asked.query["state"]
    assert form["code_verifier"] != auth.forms[1]["code_verifier"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "access_denied"}, "refused in the browser"),
        ({"error": "invalid_scope"}, "invalid_scope"),
        ({"code": "C1", "state": "forged"}, "another state"),
        ({}, "without a code"),
    ],
)
async def test_what_goes_wrong_in_the_browser_is_said_and_nothing_is_exchanged(auth, redirect_uri, answer, words):
    person = Person(**answer)

    with pytest.raises(Reauthorize, match=words):
        await log_in(auth, person, redirect_uri)

    await person.task
    assert auth.forms == []
    assert "Not logged in" in person.page


async def test_a_login_nobody_finishes_ends_and_frees_the_port(auth, redirect_uri):
    person = Idle()
    login = asyncio.create_task(log_in(auth, person, redirect_uri))
    while person.asked is None or not auth.clock.sleepers:
        await asyncio.sleep(0)

    await auth.clock.advance(301)

    with pytest.raises(Reauthorize, match="within 5 minutes"):
        await login
    assert (await log_in(auth, Person(code="C1"), redirect_uri)).access_token == "A1"


@pytest.mark.parametrize(
    "address", ["https://127.0.0.1:8471/callback", "http://example.com/callback", "http://10.0.0.1:8471/", "nonsense"]
)
async def test_only_an_address_on_this_machine_can_be_listened_on(auth, address):
    with pytest.raises(UsageError, match="redirect_uri"):
        await log_in(auth, Person(code="C1"), address)


async def test_a_port_in_use_is_named(auth, redirect_uri):
    port = URL(redirect_uri).port
    other = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
    async with other:
        with pytest.raises(UsageError, match=f"port {port} cannot be opened"):
            await log_in(auth, Person(code="C1"), redirect_uri)
