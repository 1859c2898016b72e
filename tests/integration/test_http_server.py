"""What every request and every answer of the HTTP surface have in common: who may ask, and how failures are told."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import FormData

from poller.admin import Admin
from poller.app import App
from poller.errors import PollerError, UsageError
from poller.listening import Surface
from poller.settings import Settings
from poller.stalls import Stall
from poller.web import asking, gate, server
from tests.integration.http_house import http_house, problem

KEYS = {"api_keys": ["first-key", "second-key"]}
NEVER = 1e-6  # a second, as long as a test lasts: what was used up does not come back while it is counted


# ── who may ask ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "first-key"},
        {"X-API-Key": "second-key"},
        {"Authorization": "Bearer first-key"},
        {"Authorization": "bearer second-key"},
    ],
)
async def test_either_header_with_any_of_the_keys_is_let_in(tmp_path: Path, headers: dict[str, str]) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        assert (await house.get("/v1/triggers", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "first-ke"},
        {"X-API-Key": "FIRST-KEY"},
        {"Authorization": "Basic first-key"},
        {"Authorization": "Bearer"},
        {"Authorization": "first-key"},
        {"X-API-Key": "schlüssel"},
    ],
)
async def test_no_key_or_a_wrong_one_is_refused_wherever_it_leads(tmp_path: Path, headers: dict[str, str]) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        for path in ("/v1/triggers", "/v1/feed", "/v1/nothing", "/v1/triggers?api_key=first-key"):
            refused = await house.get(path, headers=headers)
            assert "first" not in problem(refused, 401)["detail"]
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_health_is_open(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        assert (await house.get("/healthz")).json == {"status": "alive"}
        assert (await house.get("/readyz")).json["status"] == "ready"


async def test_what_the_guard_finds_stalled_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = {"all": Stall(("acme",), 700.0)}
    async with http_house(tmp_path) as house:
        monkeypatch.setattr(type(house.app.guard), "stalled", property(lambda guard: stalled))
        told = problem(await house.get("/readyz"), 503)
    assert "all" in told["detail"] and [one["trigger"] for one in told["stalled"]] == ["all"]


async def test_keys_are_exchanged_by_a_reload(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        app = house.app
        new = Settings.parse(
            {
                "engine": {"state": str(tmp_path / "poller.db")},
                "http": {"listen": "127.0.0.1:0", "api_keys": ["second-key", "third-key"]},
            },
            tmp_path,
        )
        await app.reload(new)
        answers = [
            (await house.get("/v1/triggers", headers={"X-API-Key": key})).status
            for key in ("first-key", "second-key", "third-key")
        ]
    assert answers == [401, 200, 200]


async def test_wrong_keys_are_slowed_down_and_right_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "WRONG_PER_SECOND", NEVER)
    async with http_house(tmp_path, http=KEYS) as house:
        tries = [
            await house.get("/v1/triggers", headers={"X-API-Key": f"no {n}"}) for n in range(int(gate.WRONG_BURST) + 1)
        ]
        assert {reply.status for reply in tries[:-1]} == {401}
        assert int(tries[-1].headers["Retry-After"]) > 0
        problem(tries[-1], 429)
        assert (await house.get("/v1/triggers", headers={"X-API-Key": "first-key"})).status == 200


async def test_a_caller_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gate.BURST >= 1000, "so many streams may come back at once"
    monkeypatch.setattr(gate, "BURST", 20.0)
    monkeypatch.setattr(gate, "PER_SECOND", NEVER)
    async with http_house(tmp_path, http=KEYS) as house:
        busy = {"X-API-Key": "first-key"}
        async with asyncio.timeout(30):
            while (reply := await house.get("/v1/triggers/all/poll?limit=x", headers=busy)).status == 400:
                pass
        problem(reply, 429)
        assert int(reply.headers["Retry-After"]) >= 1
        assert (await house.get("/v1/triggers", headers={"X-API-Key": "second-key"})).status == 200
        assert (await house.get("/healthz", headers=busy)).status == 200


# ── without a key, on this machine ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8470", "127.0.0.1.evil.example", "[", "10.0.0.1"])
async def test_a_name_that_was_bent_to_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    """DNS rebinding: a page of evil.example asks this machine as if it were its own server."""
    async with http_house(tmp_path) as house:
        problem(await house.get("/v1/feed", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost:8470", "127.0.0.1", "[::1]:8470", "goto.example.com"])
async def test_own_names_are_let_in_and_the_public_one_is_one_of_them(tmp_path: Path, host: str) -> None:
    async with http_house(tmp_path, http={"public_url": "https://goto.example.com/poller"}) as house:
        assert (await house.get("/v1/feed", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
async def test_pages_of_other_sites_can_do_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with http_house(tmp_path) as house:
        body = {"callbackUrl": "https://evil.example/steal"}
        problem(await house.ask("POST", "/v1/subscriptions", json=body, headers=headers), 403)
        assert (await house.get("/v1/subscriptions")).json == []
        own = {"Origin": house.surface.url, "Sec-Fetch-Site": "same-origin"}
        assert (await house.get("/v1/subscriptions", headers=own)).status == 200


async def test_what_a_form_can_send_is_no_body(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        body = json.dumps({"callbackUrl": "https://example.com/hook"})
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            problem(await house.ask("POST", "/v1/subscriptions", data=body, headers={"Content-Type": kind}), 415)
        problem(await house.ask("POST", "/v1/subscriptions", data=FormData({"callbackUrl": "https://x.example"})), 415)


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_failure_is_a_problem_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_house(tmp_path) as house:
        problem(await house.get("/v2/feed"), 404)
        problem(await house.get("/v1/triggers/nobody/poll"), 404)
        problem(await house.get("/v1/triggers/nobody/items"), 404)
        problem(await house.get("/v1/events/nothing"), 404)
        wrong = await house.ask("PUT", "/v1/feed")
        assert "GET" in wrong.headers["Allow"]
        problem(wrong, 405)
        problem(await house.ask("POST", "/v1/sync", data=b"[" * 1_000_001), 413)
        for body in (b"{", b'"text"', b"null", b"[1]", b"[" * 100_000, b"\xff"):
            problem(await house.ask("POST", "/v1/sync", data=body, headers={"Content-Type": "application/json"}), 400)

        async def defect() -> None:
            raise RuntimeError("secret in a defect")

        monkeypatch.setattr(house.app.store, "extent", defect)
        assert "secret" not in problem(await house.get("/v1/feed"), 500)["detail"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/triggers/all/poll?limit=0", "limit"),
        ("/v1/triggers/all/poll?limit=1001", "limit"),
        ("/v1/triggers/all/poll?limit=-1", "limit"),
        ("/v1/triggers/all/poll?webinarKey=Intro", "webinarKey"),
        ("/v1/triggers/all/poll?triggerState=42", "triggerState"),
        ("/v1/triggers/all/items?after=12", "after"),
        ("/v1/triggers/all/items?envelope=yes", "envelope"),
        ("/v1/triggers/all/items?organizerKey=x", "organizerKey"),
        ("/v1/feed?timeout=soon", "timeout"),
        ("/v1/feed?type=registrant.aded", "type"),
        ("/v1/stream?type=registrant.aded", "type"),
    ],
)
async def test_a_wrong_parameter_is_named(tmp_path: Path, path: str, parameter: str) -> None:
    async with http_house(tmp_path) as house:
        found = problem(await house.get(path), 400)
    assert found["parameter"] == parameter and found["detail"].startswith(parameter)


async def test_a_misspelt_type_is_told_the_nearest_right_one(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        said = problem(await house.get("/v1/feed?type=registrant.aded"), 400)["detail"]
        assert said.startswith("type is not known: no event has") and 'did you mean "registrant.added"?' in said


@pytest.mark.parametrize("path", ["/v1/sync", "/v1/goto/webhooks/anything"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(asking, "BODY_SECONDS", 0.05)
    async with http_house(tmp_path) as house:
        assert house.surface.url.startswith("http://127.0.0.1:")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(house.surface.url.rpartition(":")[2]))
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 9"]
        writer.write("\r\n".join([*lines, "", "{"]).encode())
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        await writer.wait_closed()


async def test_the_head_of_a_request_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE", 0.5)
    async with http_house(tmp_path) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(house.surface.url.rpartition(":")[2]))
        writer.write(b"GET /healthz HT")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()


async def exchanged(house: Any, *lines: bytes, body: bytes = b"") -> bytes:
    """What comes back for a request that no client library would send; the connection is ended by either side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.surface.url.rpartition(":")[2]))
    try:
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()


POST = (b"POST /v1/sync HTTP/1.1", b"Host: localhost", b"Content-Type: application/json")


@pytest.mark.parametrize(
    "framing",
    [
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: +2",),
        (b"Content-Length: -1",),
        (b"Content-Length : 2",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, gzip",),
        (b"Host: evil.example", b"Content-Length: 2"),
        (b"X-Folded: a", b" Content-Length: 2"),
    ],
)
async def test_a_request_that_two_servers_might_read_in_two_ways_is_refused(
    tmp_path: Path, framing: tuple[bytes, ...]
) -> None:
    """Request smuggling: what a proxy in front takes for a body must not be a second request here."""
    hidden = b"{}GET /v1/subscriptions HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with http_house(tmp_path) as house:
        told = await exchanged(house, *POST, *framing, body=hidden)
    assert told.partition(b"\r\n")[0].endswith(b"400 Bad Request")
    assert b"application/json" not in told, "no handler has answered"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Origin: http://[evil", b"403"),
        (b"Origin: evil.example", b"403"),
        (b"Last-Event-ID: \xff\xfe", b"400"),
    ],
)
async def test_a_header_that_cannot_be_read_is_the_callers_mistake(
    tmp_path: Path, header: bytes, status: bytes
) -> None:
    async with http_house(tmp_path) as house:
        told = await exchanged(house, b"GET /v1/stream HTTP/1.1", b"Host: localhost", header)
    assert told.split(b" ")[1] == status and b"application/problem+json" in told


async def test_a_body_that_is_not_encoded_as_it_says_is_the_callers_mistake(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        coded = (b"Content-Encoding: gzip", b"Content-Length: 2")
        told = await exchanged(house, *POST, *coded, body=b"{}")
    assert told.split(b" ")[1] == b"400" and b"application/problem+json" in told


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b" " * 50_000_000)
    async with http_house(tmp_path) as house:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        problem(await house.ask("POST", "/v1/sync", data=packed, headers=headers), 413)


@pytest.mark.parametrize("path", ["/v1/../healthz", "/v1/%2e%2e/healthz", "//healthz", "/v1/events/..%2f..%2fhealthz"])
async def test_no_path_leads_around_its_route(tmp_path: Path, path: str) -> None:
    async with http_house(tmp_path) as house:
        told = await exchanged(house, f"GET {path} HTTP/1.1".encode(), b"Host: localhost")
    assert told.split(b" ")[1] == b"404"


async def test_a_parameter_cannot_become_a_header(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        told = await exchanged(
            house, b"GET /v1/triggers/all/poll?mine=%0d%0aSet-Cookie:%20a=b HTTP/1.1", b"Host: localhost"
        )
    head = told.partition(b"\r\n\r\n")[0]
    assert b" 202 " in head and b"mine=%0D%0A" in head and b"\r\nSet-Cookie" not in head


async def test_every_answer_has_its_security_headers_and_says_nothing_of_what_serves_it(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        for reply in (await house.get("/healthz"), await house.get("/nothing"), await house.get("/v1/feed")):
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Cache-Control"] == "no-store"
            assert reply.headers["X-Frame-Options"] == "DENY"
            assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
            assert reply.headers["Server"] == "goto-poller"


async def test_requests_leave_a_line_without_keys_queries_and_tokens(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        key = {"X-API-Key": "second-key"}
        with structlog.testing.capture_logs() as lines:
            await house.ask("DELETE", "/v1/subscriptions/some-id?secret=hush", headers=key)
            await house.get("/v1/triggers/all/poll?triggerState=hush", headers={"X-API-Key": "wrong-key"})
    told = [line for line in lines if line["event"] == "http.request"]
    assert [(line["method"], line["path"], line["status"], line["caller"]) for line in told] == [
        ("DELETE", "/v1/subscriptions/{id}", 204, "key 2"),
        ("GET", "/v1/triggers/{trigger}/poll", 401, "nobody"),
    ]
    assert [line["log_level"] for line in told] == ["info", "warning"]
    assert not any(word in str(told) for word in ("hush", "some-id", "second-key", "wrong-key"))


# ── where it listens ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with http_house(tmp_path) as house:
        taken = house.surface.url.removeprefix("http://")
        with pytest.raises(PollerError, match=r"\[http\] listen") as refused:
            async with http_house(tmp_path / "other", http={"listen": taken}):
                pass
    assert not isinstance(refused.value, UsageError), "the settings are right; something else has the port"


async def test_a_default_port_that_is_taken_is_done_without(tmp_path: Path) -> None:
    settings = Settings.parse({"engine": {"state": str(tmp_path / "poller.db")}}, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # A default of this test's own: other engines of this machine come and go at the real one.
        http = settings.http.model_copy(update={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        http.model_fields_set.discard("listen")
        settings = settings.model_copy(update={"http": http})
        app = await App.open(settings)
        try:
            surface = Surface(app, Admin(app, lambda: settings, running=True))
            with structlog.testing.capture_logs() as lines:
                await surface.start()
        finally:
            await app.close()
    assert surface.url == ""
    assert [line["log_level"] for line in lines if line["event"] == "http.not_listening"] == ["warning"]


async def test_an_address_of_another_machine_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[http\] listen"):
        async with http_house(tmp_path, http={"listen": "192.0.2.1:8470", "api_keys": ["k"]}):
            pass


def test_an_open_address_without_a_key_is_refused_before_anything_begins(tmp_path: Path) -> None:
    for listen in ("0.0.0.0:8470", "[::]:8470", "10.1.2.3:8470", "poller.example.com:8470"):
        with pytest.raises(UsageError, match="takes a key"):
            Settings.parse({"http": {"listen": listen}}, tmp_path)


async def test_nothing_listens_where_it_is_switched_off(tmp_path: Path) -> None:
    async with http_house(tmp_path, http={"listen": ""}) as house:
        assert house.surface.url == ""


async def test_starting_and_stopping_twice_is_harmless(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        await house.surface.start()
        await house.surface.stop()
        await house.surface.stop()
