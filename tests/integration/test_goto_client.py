"""The client against a scripted server on loopback: what goes over the wire, and what becomes of every answer."""

from __future__ import annotations

import asyncio
import gzip
import random
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from poller.clock import SystemClock
from poller.errors import Malformed, NotFound, PermissionRefused, Refused, UsageError, Wait
from poller.goto import (
    Authenticator,
    Credentials,
    GotoClient,
    Limiter,
    Limits,
    TokenEndpoint,
    TokenRefused,
    TokenSet,
    Transport,
    TransportSettings,
)
from poller.goto.protocol import Requests

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
INVALID_TOKEN = {"int_err_code": "InvalidToken", "msg": "Invalid token passed"}


class Script:
    """A server that gives prepared answers in turn (the last one for ever) and keeps the requests."""

    def __init__(self):
        self.requests: list[web.Request] = []
        self.connections: set = set()
        self.answers: list = []
        self.tokens = 0

    async def handle(self, request):
        if request.path == "/oauth/token":
            form = await request.post()
            if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != "R0":
                return web.json_response({"error": "invalid_grant"}, status=400)
            self.tokens += 1
            return web.json_response({"access_token": f"A{self.tokens}", "expires_in": 3600})
        self.requests.append(request)
        self.connections.add(request.transport)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request) if callable(answer) else answer()

    def say(self, *answers):
        self.answers = [self.prepared(answer) for answer in answers]

    @staticmethod
    def prepared(answer):
        if callable(answer):
            return answer
        status, body, headers = (*answer, {})[:3] if isinstance(answer, tuple) else (200, answer, {})

        async def respond(request):
            if isinstance(body, bytes):
                return web.Response(status=status, body=body, headers=headers)
            return web.json_response(body, status=status, headers=headers)

        return respond


class Store:
    def __init__(self, tokens):
        self.tokens = tokens

    async def load(self, connection):
        return self.tokens

    async def save(self, connection, tokens):
        self.tokens = tokens


@pytest.fixture
async def server():
    script = Script()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield script
    await runner.cleanup()


@pytest.fixture
async def connect(server):
    transports = []

    def make(limits=None, **settings):
        clock = SystemClock()
        transport = Transport(TransportSettings(**settings))
        transports.append(transport)
        store = Store(TokenSet("A0", "R0", datetime.now(UTC) + timedelta(hours=1)))
        endpoint = TokenEndpoint(server.url, Credentials("id", "secret"), transport, clock)
        return GotoClient(
            "acme",
            api_url=server.url,
            transport=transport,
            authenticator=Authenticator("acme", endpoint=endpoint, store=store, clock=clock),
            limiter=Limiter(limits or Limits(0, 0, 0, 0), clock=clock, rng=random.Random(1)),
            clock=clock,
        )

    yield make
    for transport in transports:
        await transport.close()


@pytest.fixture
def client(connect):
    return connect()


def webinars(*keys, total, pages=1):
    items = [{"webinarKey": key, "organizerKey": "55"} for key in keys]
    return {"_embedded": {"webinars": items}, "page": {"totalElements": total, "totalPages": pages}}


async def test_a_call_carries_token_and_name_and_reuses_its_connection(server, client):
    server.say([{"registrantKey": 6820277626085326123}])

    for _ in range(3):
        answer = await client.registrants("55", "42")

    assert bytes(answer.items[0]) == b'{"registrantKey": 6820277626085326123}'
    request = server.requests[0]
    assert request.path_qs == "/G2W/rest/v2/organizers/55/webinars/42/registrants"
    assert request.headers["Authorization"] == "Bearer A0"
    assert request.headers["User-Agent"].startswith("goto-poller/")
    assert request.headers["Accept"] == "application/json"
    assert len(server.connections) == 1


async def test_the_same_body_again_is_said_to_be_unchanged(server, client):
    server.say([{"registrantKey": 1}], [{"registrantKey": 1}], [])
    first = await client.registrants("55", "42")

    assert (await client.registrants("55", "42", unless_digest=first.digest)).unchanged
    assert not (await client.registrants("55", "42", unless_digest=first.digest)).unchanged


async def test_single_records_come_as_they_are(server, client):
    server.say({"webinarKey": 42}, {"registrantKey": 6})

    assert bytes(await client.webinar("55", "42")) == b'{"webinarKey": 42}'
    assert bytes(await client.registrant("55", "42", "6")) == b'{"registrantKey": 6}'
    assert server.requests[1].path.endswith("/organizers/55/webinars/42/registrants/6")


async def test_all_pages_of_an_organizer_are_walked(server, client):
    server.say(webinars(1, 2, total=3, pages=2), webinars(3, total=3, pages=2))
    walk = client.webinar_pages("55", NOW, LATER)

    pages = [page async for page in walk]

    assert [len(page.items) for page in pages] == [2, 1] and walk.complete
    assert [dict(request.query) for request in server.requests] == [
        {"fromTime": "2026-03-01T09:00:00Z", "toTime": "2026-03-31T09:00:00Z", "page": page, "size": "200"}
        for page in ("0", "1")
    ]


async def test_an_account_and_paged_registrants_are_walked_the_same_way(server, client):
    server.say(webinars(1, total=1), {"data": [{"registrantKey": 1}], "total": 1})

    accounts, people = client.account_webinar_pages("77", NOW, LATER), client.registrant_pages("55", "42")
    assert [len(page.items) async for page in accounts] == [1] and accounts.complete
    assert [len(page.items) async for page in people] == [1] and people.complete
    assert server.requests[0].path == "/G2W/rest/v2/accounts/77/webinars"
    assert dict(server.requests[1].query) == {"page": "0", "limit": "200"}


async def test_pages_before_a_failure_count_but_the_walk_is_not_complete(server, client):
    server.say(webinars(1, total=2, pages=2), (502, b"<html>"))
    walk, seen = client.webinar_pages("55", NOW, LATER), 0

    with pytest.raises(Wait):
        async for page in walk:
            seen += len(page.items)

    assert seen == 1 and not walk.complete


async def test_who_am_i_asks_the_admin_service_first(server, client):
    server.say({"key": 5511973216410820613, "accountKey": "7734106948210055181", "email": "ana@example.com"})

    me = await client.who_am_i()

    assert (me.organizer_key, me.account_key) == ("5511973216410820613", "7734106948210055181")
    assert server.requests[0].path == "/admin/rest/v1/me"


@pytest.mark.parametrize("refusals", [[(403, {})], [(401, b""), (401, b"")]])
async def test_without_the_admin_scope_scim_tells_who_it_is(server, client, refusals):
    server.say(*refusals, {"id": "5511973216410820613", "userName": "ana@example.com"})

    me = await client.who_am_i()

    assert (me.organizer_key, me.account_key, me.email) == ("5511973216410820613", None, "ana@example.com")
    assert server.requests[-1].path == "/identity/v1/Users/me"


@pytest.mark.parametrize("refusal", [(403, INVALID_TOKEN), (401, b"")])
async def test_a_refused_token_is_renewed_once_and_the_call_repeated_once(server, client, refusal):
    server.say(refusal, [])

    await client.registrants("55", "42")

    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer A0", "Bearer A1"]
    assert server.tokens == 1


async def test_a_fresh_token_that_is_refused_ends_it(server, client):
    server.say((403, INVALID_TOKEN))

    with pytest.raises(TokenRefused):
        await client.registrants("55", "42")

    assert len(server.requests) == 2 and server.tokens == 1


async def test_one_refresh_serves_all_calls_whose_token_ran_out(server, client):
    async def only_new_tokens(request):
        fresh = request.headers["Authorization"] == "Bearer A1"
        return web.json_response([] if fresh else INVALID_TOKEN, status=200 if fresh else 403)

    server.say(only_new_tokens)

    await asyncio.gather(*[client.registrants("55", str(number)) for number in range(1, 21)])

    assert server.tokens == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((403, {"errorCode": "Forbidden"}), PermissionRefused),
        ((404, {"errorCode": "NotFound", "description": "gone"}), NotFound),
        ((400, {"errorCode": "Validation", "description": "bad"}), Refused),
        ((503, b""), Wait),
        ((302, b"", {"Location": "/elsewhere"}), Wait),
        ((200, b"<html>Maintenance</html>"), Malformed),
        ((200, b'[{"registrantKey": 1}'), Malformed),
        ((200, b""), Malformed),
    ],
)
async def test_a_refusal_is_raised_after_one_single_attempt(server, client, answer, kind):
    server.say(answer)

    with pytest.raises(kind):
        await client.registrants("55", "42")

    assert len(server.requests) == 1 and server.tokens == 0


async def test_after_a_429_the_whole_client_is_silent_for_the_stated_time(server, connect):
    client = connect()
    server.say((429, b"", {"Retry-After": "1000"}))
    with pytest.raises(Wait) as wait:
        await client.registrants("55", "42")

    with pytest.raises(Wait) as wait_again:
        await client.webinar("55", "42", wait_at_most=60.0)

    assert wait.value.retry_after == 1000.0
    assert wait_again.value.retry_after == pytest.approx(1000.0, abs=60)
    assert len(server.requests) == 1


async def test_a_dropped_connection_is_reported_and_never_silently_tried_again(server, client):
    """aiohttp would repeat the call on its own, once, when a connection it had used before is dropped."""

    async def drop(request):
        request.transport.abort()
        return web.Response()

    server.say([], drop)
    await client.registrants("55", "42")

    with pytest.raises(Wait, match="no whole answer"):
        await client.registrants("55", "42")

    assert len(server.requests) == 2


async def test_an_answer_cut_off_in_the_middle_counts_for_nothing(server, client):
    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'[{"registrantKey": 1}]')
        request.transport.close()
        return response

    server.say(cut)

    with pytest.raises(Wait, match="no whole answer"):
        await client.registrants("55", "42")


async def test_a_server_that_says_nothing_is_given_up(server, connect):
    released = asyncio.Event()

    async def silent(request):
        await released.wait()
        return web.Response()

    server.say(silent)
    with pytest.raises(Wait, match="no progress"):
        await connect(poll_timeout=0.05).registrants("55", "42")
    released.set()


async def test_nobody_listening_is_an_outage(server, client, unused_tcp_port):
    nobody = Requests(f"http://127.0.0.1:{unused_tcp_port}")

    with pytest.raises(Wait, match=r"127\.0\.0\.1: no whole answer"):
        await client.call(nobody.webinar("55", "42"))


async def test_compressed_answers_are_read(server, client):
    body = b'[{"registrantKey": 1}]'
    server.say((200, gzip.compress(body), {"Content-Encoding": "gzip"}))

    assert (await client.registrants("55", "42")).size == len(body)
    assert server.requests[0].headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_beyond_the_cap_is_not_read_to_its_end(server, connect, packed):
    body = b"[" + b" " * 3_000_000 + b"]"
    answer = (200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else (200, body)
    server.say(answer)

    with pytest.raises(Malformed, match="larger than 1000000 bytes"):
        await connect(max_body=1_000_000).registrants("55", "42")


async def test_a_large_answer_in_many_pieces_arrives_whole(server, client):
    server.say([{"registrantKey": number} for number in range(1, 100_001)])

    assert len((await client.registrants("55", "42")).items) == 100_000


async def test_every_attempt_takes_its_own_place_in_the_limits(server, connect):
    client = connect(Limits(per_second=0, per_operation_per_second=0, per_connection_per_minute=50, per_day=0))
    server.say((403, INVALID_TOKEN), [], [])

    await client.registrants("55", "42")
    await client.registrants("55", "42")

    assert [view.used for view in client._limiter.peek()] == [3]


async def test_calls_go_through_the_proxy_that_is_set(server, connect):
    server.say([])
    client = connect(proxy=server.url)

    await client.call(Requests("http://api.example.test").registrants("55", "42"))

    assert server.requests[0].headers["Host"] == "api.example.test"


async def test_proxies_of_the_environment_are_used_except_for_this_machine(server, connect, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    server.say([])
    await connect().call(Requests("http://api.example.test").registrants("55", "42"))
    assert server.requests[0].headers["Host"] == "api.example.test"

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await connect().registrants("55", "42")
    assert len(server.requests) == 2


def test_a_ca_file_that_cannot_be_used_is_named(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match=rf"ca_file .*{path.name}"):
            Transport(TransportSettings(ca_file=path))
