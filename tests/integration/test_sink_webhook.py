"""The webhook sink against real servers: what counts as success, what each failure becomes, and where it never goes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import ValidationError
from standardwebhooks import Webhook

from poller.clock import SystemClock
from poller.errors import Gone, Refused, UsageError, Wait
from poller.sinks.base import SinkContext
from poller.sinks.public import is_public
from poller.sinks.webhook import WebhookSettings, WebhookSink
from poller.testing.events import DATA, outgoing
from tests.integration.receiver import answering, raw_server, receiver, self_signed

SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]


@asynccontextmanager
async def sink_to(
    url: str, *, allow_private: bool = True, resolver: AbstractResolver | None = None, **options: Any
) -> AsyncIterator[WebhookSink]:
    settings = WebhookSettings(name="crm", type="webhook", url=url, allow_private=allow_private, **options)
    sink = WebhookSink(settings, SinkContext(), resolver)
    await sink.connect()
    try:
        yield sink
    finally:
        await sink.close()


async def outcome_of(url: str, **options: Any) -> Exception | None:
    async with sink_to(url, **options) as sink:
        return (await sink.send([outgoing()]))[0]


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_arrives_whole_and_signed_by_every_secret() -> None:
    async with receiver(answering(204)) as server, sink_to(server.url, secret=SECRETS) as sink:
        event = outgoing()
        assert await sink.send([event]) == [None]
    assert server.bodies == [event.body]
    headers = server.headers[0]
    assert server.methods == ["POST"]
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert headers["webhook-id"] == event.id
    for secret in SECRETS:
        assert Webhook(secret).verify(event.body, headers)["data"] == DATA


class HourLater(SystemClock):
    """So that the second attempt's timestamp differs from the first one's."""

    hours = 0

    def now(self) -> datetime:
        self.hours += 1
        return super().now() + timedelta(hours=self.hours)


async def test_every_attempt_has_its_own_timestamp_and_the_same_id_and_body() -> None:
    async with receiver(answering(200)) as server:
        settings = WebhookSettings(
            name="crm", type="webhook", url=server.url, allow_private=True, secret=SECRETS[0], concurrency=1
        )
        sink = WebhookSink(settings, SinkContext(clock=HourLater()))
        await sink.connect()
        event = outgoing()
        await sink.send([event])
        await sink.send([event])
        await sink.close()
    first, second = server.headers
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert server.bodies[0] == server.bodies[1]


async def test_binary_mode_puts_the_attributes_into_headers_and_the_data_into_the_body() -> None:
    async with receiver(answering(200)) as server:
        assert await outcome_of(server.url, content_mode="binary", secret=SECRETS[0]) is None
    headers = server.headers[0]
    assert json.loads(server.bodies[0]) == DATA
    assert headers["content-type"] == "application/json"
    assert headers["ce-type"] == "com.goto.registrant.added"
    assert headers["ce-specversion"] == "1.0"
    assert "ce-data" not in headers
    Webhook(SECRETS[0]).verify(server.bodies[0], headers)


async def test_method_headers_and_template_are_the_users() -> None:
    options = {
        "method": "PUT",
        "headers": {"Authorization": "Bearer abc", "Content-Type": "text/csv"},
        "format": "template",
        "template": "{{ data.email }};{{ short_type }}",
    }
    async with receiver(answering(200)) as server:
        assert await outcome_of(server.url, **options) is None
    assert server.methods == ["PUT"]
    assert server.bodies == [b"zoe@example.com;registrant.added"]
    assert server.headers[0]["authorization"] == "Bearer abc"
    assert server.headers[0]["content-type"] == "text/csv"
    assert "webhook-signature" not in server.headers[0]


async def test_headers_may_be_templates_over_the_event() -> None:
    headers = {"X-Person": "{{ data.firstName }} <{{ data.email }}>", "X-Key": "{{ id }}", "X-Plain": "100 %"}
    async with receiver(answering(200)) as server:
        assert await outcome_of(server.url, headers=headers) is None
    [got] = server.headers
    assert (got["x-key"], got["x-plain"]) == (got["webhook-id"], "100 %")
    assert got["x-person"] == "Zoë <zoe@example.com>"


async def test_an_event_that_would_break_a_header_is_refused_and_never_sent() -> None:
    options = {"headers": {"X-Person": "{{ data.firstName }}"}}
    async with receiver(answering(200)) as server, sink_to(server.url, **options) as sink:
        [outcome] = await sink.send([outgoing(1, firstName="Zoë\r\nHost: elsewhere")])
        assert isinstance(outcome, Refused) and "X-Person" in str(outcome) and "Zo" not in str(outcome)
    assert not server.bodies


async def test_an_event_the_template_cannot_render_is_refused_and_never_sent() -> None:
    async with receiver(answering(200)) as server:
        assert isinstance(await outcome_of(server.url, format="template", template="{{ data.nope }}"), Refused)
    assert not server.bodies


async def test_one_connection_serves_event_after_event_and_no_cookie_comes_back() -> None:
    async with receiver(answering(200, {"Set-Cookie": "a=b"}, b"thanks")) as server:
        url = server.url.replace("127.0.0.1", "hooks.example.com")  # addresses get no cookies anyway
        async with sink_to(url, resolver=Names("127.0.0.1")) as sink:
            for sequence in range(5):
                await sink.send([outgoing(sequence)])
        assert len(server.connections) == 1
    assert all("cookie" not in headers for headers in server.headers)


# ── what the answer means ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(status: int) -> None:
    async with receiver(answering(status)) as server:
        assert await outcome_of(server.url) is None


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_is_final_for_this_event(status: int) -> None:
    async with receiver(answering(status)) as server:
        failure = await outcome_of(server.url)
    assert isinstance(failure, Refused)
    assert str(status) in str(failure)


async def test_410_ends_it_all() -> None:
    async with receiver(answering(410)) as server:
        assert isinstance(await outcome_of(server.url), Gone)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 429, 500, 502, 503, 504, 599])
async def test_any_other_status_waits(status: int) -> None:
    async with receiver(answering(status, body=b"zoe@example.com is unknown")) as server:
        failure = await outcome_of(server.url)
    assert isinstance(failure, Wait)
    assert str(status) in str(failure)
    assert "zoe" not in str(failure), "an answer may repeat the request, so its body is not reported"
    assert failure.retry_after is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiver(answering(200)) as other:
        async with receiver(answering(status, {"Location": other.url})) as server:
            failure = await outcome_of(server.url)
        assert isinstance(failure, Wait)
        assert "redirect" in str(failure)
        assert not other.bodies


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 120),
        ("0", 0, 0),
        ("in an hour", 3500, 3600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
    ],
    ids=["seconds", "at once", "a date ahead", "a date gone by"],
)
async def test_retry_after_is_reported_in_seconds(header: str, least: float, most: float) -> None:
    if header == "in an hour":  # from now, not from when the tests were collected
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with receiver(answering(503, {"Retry-After": header})) as server:
        failure = await outcome_of(server.url)
    assert isinstance(failure, Wait)
    assert failure.retry_after is not None
    assert least <= failure.retry_after <= most


@pytest.mark.parametrize("header", ["soon", "-5", "1.5", "²"])
async def test_a_retry_after_that_means_nothing_is_none(header: str) -> None:
    async with receiver(answering(503, {"Retry-After": header})) as server:
        failure = await outcome_of(server.url)
    assert isinstance(failure, Wait)
    assert failure.retry_after is None


# ── what goes wrong on the way ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_that_hangs_costs_the_timeout() -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with receiver(hang) as server:
        failure = await outcome_of(server.url, timeout="200ms")
    assert isinstance(failure, Wait)
    assert "did not answer within 0.2 s" in str(failure)


async def test_headers_that_trickle_are_bounded_by_the_timeout() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: x\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as url:
        assert isinstance(await outcome_of(url, timeout="300ms"), Wait)


@pytest.mark.parametrize(("status", "kind"), [(200, type(None)), (503, Wait), (400, Refused)])
async def test_the_status_decides_even_if_the_body_never_ends(status: int, kind: type) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 1000000\r\n\r\n".encode())
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as url:
        assert isinstance(await outcome_of(url), kind)


async def test_of_a_huge_answer_little_is_read() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        while written < 2_000_000_000:
            writer.write(chunk)
            written += 65536
            await writer.drain()

    async with raw_server(flood) as url:
        assert await outcome_of(url) is None
    assert written < 50_000_000


async def test_an_answer_cut_after_its_status_is_a_success_and_one_cut_before_is_not() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(cut) as url:
        assert await outcome_of(url) is None
    async with raw_server(reset) as url:
        assert isinstance(await outcome_of(url), Wait)


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100])
async def test_what_is_no_http_waits(nonsense: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(nonsense)
        await writer.drain()

    async with raw_server(talk) as url:
        assert isinstance(await outcome_of(url), Wait)


async def test_nobody_listening_waits_with_the_reason() -> None:
    with socket.socket() as silent:  # has the port, and does not listen
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        failure = await outcome_of(f"http://127.0.0.1:{port}/secret-path")
    assert isinstance(failure, Wait)
    assert f"127.0.0.1:{port}" in str(failure)
    assert "secret-path" not in str(failure)


async def test_a_certificate_nobody_vouches_for_waits_and_says_so_unless_it_is_not_verified(tmp_path: Path) -> None:
    async with receiver(answering(200), self_signed(tmp_path)) as server:
        failure = await outcome_of(server.url)
        assert isinstance(failure, Wait)
        assert "TLS" in str(failure)
        assert "certificate" in str(failure)
        assert not server.bodies
        assert await outcome_of(server.url, verify_tls=False) is None


async def test_check_reaches_the_other_side_without_an_event() -> None:
    async with receiver(answering(405)) as server, sink_to(server.url) as sink:
        assert "405" in await sink.check()
        assert server.bodies == [b""]
    async with sink_to(server.url) as sink:
        with pytest.raises(Wait):
            await sink.check()


# ── where it never goes ──────────────────────────────────────────────────────────────────────────────────────────────


class Names(AbstractResolver):
    """A name server of the test's own."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::808:808", "2001:db8::1",
    "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_reserved_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(addresses: list[str]) -> None:
    async with receiver(answering(200)) as server:
        port = server.url.split(":")[2].split("/")[0]
        url = f"https://hooks.example.com:{port}/hook"
        failure = await outcome_of(url, allow_private=False, resolver=Names(*addresses))
        assert not server.connections
    assert isinstance(failure, Wait)
    assert 'sink "crm"' in str(failure)
    assert "allow_private" in str(failure)


async def test_a_name_may_lead_to_a_private_address_when_that_is_allowed() -> None:
    async with receiver(answering(200)) as server:
        url = server.url.replace("127.0.0.1", "hooks.example.com")
        assert await outcome_of(url, resolver=Names("127.0.0.1")) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "https://127.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://127\u30020\u30020\u30021/",  # ideographic full stops
        "https://\U0001fbf1\U0001fbf2\U0001fbf7\u3002\U0001fbf0\u3002\U0001fbf0\u3002\U0001fbf1/",  # segmented digits
    ],
)
def test_a_url_that_is_private_or_not_encrypted_names_the_sink_and_the_setting_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match=r'"crm"') as caught:
        WebhookSettings(name="crm", type="webhook", url=url)
    assert caught.value.errors()[0]["loc"] == ("url",)


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://example.com", "https://", "https://a b.com", "https://a:x/", f"https://{64 * 'a'}.com"],
)
def test_what_is_no_web_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings(name="crm", type="webhook", url=url, allow_private=True)


@pytest.mark.parametrize("name", ["Webhook-Id", "webhook-signature", "Content-Length", "ce-type"])
def test_headers_that_every_request_gets_cannot_be_set(name: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings(name="crm", type="webhook", url="https://example.com", headers={name: "x"})


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"secret": "not-a-secret"}, "secret"),
        ({"secret": "env:NO_SUCH_VARIABLE_AT_ALL"}, "secret"),
        ({"headers": {"X-Key": "a\r\nHost: b"}}, "headers.X-Key"),
        ({"headers": {"X-Key": "{{ nothing.like.it }}"}}, "headers.X-Key"),
    ],
)
def test_a_secret_that_cannot_work_names_sink_and_setting(options: dict[str, Any], setting: str) -> None:
    settings = WebhookSettings(name="crm", type="webhook", url="https://example.com", **options)
    with pytest.raises(UsageError, match=f'sink "crm", {setting}'):
        WebhookSink(settings, SinkContext())
