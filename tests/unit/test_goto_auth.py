"""Tokens of one connection: one refresh for all, durable before use, and no tries that cannot help."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from poller.errors import Malformed, Reauthorize, Wait
from poller.goto import Authenticator, Credentials, TokenEndpoint, TokenSet
from poller.goto.transport import Answer
from poller.testing import FakeClock


class TokenServer:
    """Stands in for the transport: answers token requests from a script, and notes what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.forms: list[dict] = []
        self.authorizations: list[str] = []
        self.gate: asyncio.Event | None = None

    async def send(self, request, authorization=None):
        self.forms.append({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
        self.authorizations.append(authorization)
        answer = self.answers.pop(0)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Store:
    def __init__(self, tokens=None):
        self.tokens = tokens
        self.saved: list[TokenSet] = []
        self.broken: Exception | None = None

    async def load(self, connection):
        return self.tokens

    async def save(self, connection, tokens):
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        self.saved.append(tokens)
        self.tokens = tokens


def answer(status=200, headers=None, **body):
    return Answer(status, headers or {}, json.dumps(body).encode())


def fresh(number, **more):
    return answer(access_token=f"A{number}", expires_in=3600, **more)


@pytest.fixture
def clock():
    return FakeClock()


def expired(clock, **more):
    return TokenSet("A0", "R0", clock.now() - timedelta(hours=1), "collab:", "x@example.com", **more)


def make(clock, server, store, **more):
    credentials = Credentials("id", "secret", more.pop("pat", None))
    endpoint = TokenEndpoint("https://auth.example.test/", credentials, server, clock)
    return Authenticator("acme", endpoint=endpoint, store=store, clock=clock, **more)


async def test_a_stored_token_that_is_still_good_is_used_without_a_call(clock):
    store = Store(TokenSet("A0", "R0", clock.now() + timedelta(minutes=5)))
    auth = make(clock, TokenServer(), store)

    assert await auth.access_token() == "A0"


async def test_a_token_is_renewed_a_minute_before_it_runs_out(clock):
    server = TokenServer(fresh(1))
    auth = make(clock, server, Store(TokenSet("A0", "R0", clock.now() + timedelta(minutes=5))))
    assert await auth.access_token() == "A0"

    await clock.advance(239)
    assert await auth.access_token() == "A0"
    await clock.advance(2)
    assert await auth.access_token() == "A1"
    assert server.forms == [{"grant_type": "refresh_token", "refresh_token": "R0"}]


async def test_the_client_names_itself_by_http_basic_and_not_in_the_form(clock):
    server = TokenServer(fresh(1))
    endpoint = TokenEndpoint("https://auth.example.test", Credentials("id", "s%t+/"), server, clock)

    await endpoint.refresh("R0")

    assert base64.b64decode(server.authorizations[0].removeprefix("Basic ")) == b"id:s%t+/"
    assert "client_secret" not in server.forms[0]


@pytest.mark.parametrize(
    ("given", "kept"),
    [({}, "R0"), ({"refresh_token": "R0"}, "R0"), ({"refresh_token": "R1"}, "R1"), ({"refresh_token": ""}, "R0")],
)
async def test_the_refresh_token_is_replaced_only_by_another_one(clock, given, kept):
    store = Store(expired(clock))
    auth = make(clock, TokenServer(fresh(1, **given)), store)

    await auth.access_token()

    assert store.saved == [TokenSet("A1", kept, clock.now() + timedelta(hours=1), "collab:", "x@example.com")]


async def test_many_callers_share_one_refresh(clock):
    server = TokenServer(fresh(1))
    server.gate = asyncio.Event()
    auth = make(clock, server, Store(expired(clock)))
    callers = [asyncio.create_task(auth.access_token()) for _ in range(50)]
    await asyncio.sleep(0)
    server.gate.set()

    assert set(await asyncio.gather(*callers)) == {"A1"}
    assert len(server.forms) == 1


async def test_a_token_refused_by_many_calls_is_renewed_once(clock):
    store = Store(TokenSet("A0", "R0", clock.now() + timedelta(hours=9)))
    server = TokenServer(fresh(1))
    auth = make(clock, server, store)
    assert await auth.access_token() == "A0"

    assert set(await asyncio.gather(*[auth.renew("A0") for _ in range(20)])) == {"A1"}
    assert await auth.renew("A0") == "A1"
    assert len(server.forms) == 1


async def test_cancelling_those_who_wait_neither_hurts_the_others_nor_loses_the_token(clock):
    server = TokenServer(fresh(1, refresh_token="R1"))
    server.gate = asyncio.Event()
    store = Store(expired(clock))
    auth = make(clock, server, store)
    first, second = (asyncio.create_task(auth.access_token()) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    server.gate.set()
    await auth.close()

    assert store.tokens.refresh_token == "R1"
    assert await auth.access_token() == "A1"
    assert len(server.forms) == 1


async def test_a_new_token_is_durable_before_anyone_gets_it(clock):
    points = []
    store = Store(expired(clock))
    auth = make(clock, TokenServer(fresh(1)), store, failpoint=lambda point: points.append((point, len(store.saved))))

    assert await auth.access_token() == "A1"

    assert points == [("token.received", 0), ("token.saved", 1)]


async def test_a_token_that_could_not_be_saved_is_not_used_and_not_asked_for_again(clock):
    server = TokenServer(fresh(1, refresh_token="R1"))
    store = Store(expired(clock))
    store.broken = OSError("disk full")
    auth = make(clock, server, store)

    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            await auth.access_token()
    store.broken = None

    assert await auth.access_token() == "A1"
    assert len(server.forms) == 1 and store.tokens.refresh_token == "R1"


async def test_a_dead_login_is_tried_once_until_another_one_is_stored(clock):
    server = TokenServer(answer(400, error="invalid_grant"), fresh(2))
    store = Store(expired(clock))
    auth = make(clock, server, store)

    for _ in range(3):
        with pytest.raises(Reauthorize, match="poller login acme"):
            await auth.access_token()
    assert len(server.forms) == 1

    store.tokens = TokenSet("A1", "R1", clock.now())
    assert await auth.access_token() == "A2"


async def test_reset_forgets_the_refusal(clock):
    server = TokenServer(answer(401, error="invalid_grant"), fresh(1))
    auth = make(clock, server, Store(expired(clock)))
    with pytest.raises(Reauthorize):
        await auth.access_token()

    auth.reset()

    assert await auth.access_token() == "A1"


async def test_a_login_stored_meanwhile_is_taken_without_a_refresh(clock):
    store = Store(TokenSet("A0", "R0", clock.now() + timedelta(hours=1)))
    server = TokenServer()
    auth = make(clock, server, store)
    await auth.access_token()

    store.tokens = TokenSet("B0", "S0", clock.now() + timedelta(hours=1))

    assert await auth.renew("A0") == "B0"
    assert server.forms == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": "invalid_client", "error_description": "client not found"}, "client_id and client_secret"),
        (400, {"error": "invalid_request", "error_description": "error.auth.code.invalid.jwt"}, "no longer valid"),
        (400, {"error": "unauthorized_client"}, "unauthorized_client"),
    ],
)
async def test_a_refusal_says_what_to_mend(clock, status, body, words):
    auth = make(clock, TokenServer(answer(status, **body)), Store(expired(clock)))

    with pytest.raises(Reauthorize, match=words):
        await auth.access_token()


@pytest.mark.parametrize(
    "trouble",
    [
        Wait("no answer"),
        Answer(503, {}, b"<html>"),
        Answer(400, {}, b"<html>"),
        Answer(404, {}, b'{"message":"This endpoint is no longer valid"}'),
        answer(400, error="temporarily_unavailable"),
    ],
)
async def test_an_outage_never_ends_a_login(clock, trouble):
    auth = make(clock, TokenServer(trouble, fresh(1)), Store(expired(clock)))

    with pytest.raises(Wait):
        await auth.access_token()

    assert await auth.access_token() == "A1"


async def test_the_token_endpoint_is_left_alone_for_as_long_as_it_says(clock):
    server = TokenServer(Answer(429, {"Retry-After": "30"}, b""), fresh(1))
    auth = make(clock, server, Store(expired(clock)))
    for _ in range(2):
        with pytest.raises(Wait) as wait:
            await auth.access_token()
        assert wait.value.retry_after == 30.0
    assert len(server.forms) == 1

    await clock.advance(30)

    assert await auth.access_token() == "A1"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"access_token": ""}', b'{"access_token": 7}'])
async def test_an_answer_without_a_token_is_no_token(clock, body):
    store = Store(expired(clock))
    auth = make(clock, TokenServer(Answer(200, {}, body)), store)

    with pytest.raises(Malformed):
        await auth.access_token()
    assert store.saved == []


@pytest.mark.parametrize(
    ("expires_in", "lifetime"), [("1800", 1800), (None, 3600), ("soon", 3600), (-1, 3600), (12.5, 12.5)]
)
async def test_every_form_of_a_lifetime_is_understood(clock, expires_in, lifetime):
    store = Store(expired(clock))
    auth = make(clock, TokenServer(answer(access_token="A1", expires_in=expires_in)), store)

    await auth.access_token()

    assert (store.tokens.expires_at - clock.now()).total_seconds() == lifetime


async def test_a_short_lived_token_is_used_for_half_its_life(clock):
    server = TokenServer(answer(access_token="A1", expires_in=20), fresh(2))
    auth = make(clock, server, Store(expired(clock)))
    await auth.access_token()

    await clock.advance(9)
    assert await auth.access_token() == "A1"
    await clock.advance(2)
    assert await auth.access_token() == "A2"


@pytest.mark.parametrize("jump", [3.2e8, -3.2e8, 3600.0, -3600.0])
async def test_a_jump_of_the_wall_clock_neither_ends_nor_prolongs_a_token(clock, jump):
    server = TokenServer(fresh(1), fresh(2))
    auth = make(clock, server, Store(expired(clock)))
    await auth.access_token()

    clock.jump(jump)
    assert await auth.access_token() == "A1"
    await clock.advance(3541)
    assert await auth.access_token() == "A2"


async def test_a_personal_access_token_fetches_each_token_anew_and_leaves_a_stored_login_alone(clock):
    server = TokenServer(fresh(1), fresh(2))
    store = Store(TokenSet("A0", "R0", clock.now() + timedelta(hours=1)))
    auth = make(clock, server, store, pat="P")

    assert await auth.access_token() == "A1"
    assert await auth.renew("A1") == "A2"

    assert server.forms == [{"grant_type": "personal_access_token", "pat": "P"}] * 2
    assert store.saved == []


async def test_without_a_login_the_command_that_makes_one_is_named(clock):
    store = Store()
    auth = make(clock, TokenServer(), store)
    with pytest.raises(Reauthorize, match="poller login acme"):
        await auth.access_token()

    store.tokens = TokenSet("A0", "R0", clock.now() + timedelta(hours=1))
    assert await auth.access_token() == "A0"


async def test_a_login_that_cannot_be_renewed_says_so(clock):
    auth = make(clock, TokenServer(), Store(TokenSet("A0", None, clock.now())))

    with pytest.raises(Reauthorize, match="cannot be renewed"):
        await auth.access_token()


def test_secrets_do_not_show(clock):
    shown = repr(expired(clock)) + repr(Credentials("id", "secret", "pat"))

    assert not any(secret in shown for secret in ("A0", "R0", "example.com", "'secret'", "'pat'"))
