"""The sink `sqs`: moto, read with bare requests, shows what arrives; a scripted service says what moto never does."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import ValidationError

from poller.errors import Refused, UsageError, Wait
from poller.fields import Secret
from poller.sinks.base import SinkContext
from poller.sinks.sqs import SqsSettings, SqsSink
from poller.testing.events import outgoing
from poller.testing.sinks import PATIENCE, attempt
from tests.integration.receiver import Receiver, receiver
from tests.servers.authority import certificates
from tests.servers.moto import REGION, MotoServer, moto, sqs_call

KEYS: dict[str, Any] = {"access_key_id": Secret("AKIAEXAMPLE"), "secret_access_key": Secret("hunter2")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MotoServer]:
    async with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


class Queue:
    def __init__(self, server: MotoServer, name: str) -> None:
        self.name = name
        self.url = f"{server.url}/123456789012/{name}"
        self._where = server.url

    async def call(self, action: str, **arguments: Any) -> Any:
        return await sqs_call(self._where, action, {"QueueUrl": self.url, **arguments})

    async def read(self) -> list[dict[str, Any]]:
        """Up to ten messages, all that is known of each."""
        answer = await self.call(
            "ReceiveMessage", MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        return list(answer.get("Messages", ()))


@asynccontextmanager
async def queue_of(server: MotoServer, *, fifo: bool = False) -> AsyncIterator[Queue]:
    made = Queue(server, f"goto-{uuid.uuid4().hex}{'.fifo' if fifo else ''}")
    attributes = {"FifoQueue": "true"} if fifo else {}
    await made.call("CreateQueue", QueueName=made.name, Attributes=attributes)
    try:
        yield made
    finally:
        await made.call("DeleteQueue")


def sink_to(queue_url: str, **more: Any) -> SqsSink:
    settings = {"name": "queue", "type": "sqs", "queue_url": queue_url, "region": REGION, **KEYS, **more}
    return SqsSink(SqsSettings(**settings), SinkContext())


@asynccontextmanager
async def connected(queue_url: str, **more: Any) -> AsyncIterator[SqsSink]:
    sink = sink_to(queue_url, **more)
    await sink.connect()
    try:
        yield sink
    finally:
        await sink.close()


def attributes(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_the_event_with_three_attributes(server: MotoServer) -> None:
    event = outgoing(1)
    async with queue_of(server) as queue, connected(queue.url) as sink:
        assert list(await sink.send([event])) == [None]
        shown = sink.preview(event)
        (message,) = await queue.read()
    assert message["Body"].encode() == event.body == shown.body
    assert attributes(message) == {
        "id": event.id,
        "type": "com.goto.registrant.added",
        "content-type": "application/cloudevents+json; charset=UTF-8",
    }
    assert shown.headers == attributes(message)
    assert shown.target == f"SendMessageBatch {queue.name}"


async def test_a_fifo_queue_gets_a_group_per_webinar_and_the_id_to_drop_repeats_by(server: MotoServer) -> None:
    events = [
        outgoing(1, webinar="4255157664015486220"),
        outgoing(2, webinar="two words"),
        outgoing(3, webinar="two words"),
    ]
    async with queue_of(server, fifo=True) as queue, connected(queue.url) as sink:
        assert list(await sink.send(events)) == [None] * 3
        assert list(await sink.send(events)) == [None] * 3
        messages = await queue.read()
        shown = [sink.preview(event).headers for event in events]
    assert [message["Attributes"]["MessageDeduplicationId"] for message in messages] == [event.id for event in events]
    groups = [message["Attributes"]["MessageGroupId"] for message in messages]
    assert groups == [headers["MessageGroupId"] for headers in shown]
    assert groups[0] == "4255157664015486220"
    assert groups[1] == groups[2]
    assert " " not in groups[1]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"format": "data"}, ("application/json", json.loads(outgoing(1).body)["data"]["email"])),
        ({"format": "template", "template": "Hello {{ data.firstName }}"}, ("text/plain; charset=utf-8", "Hello Zoë")),
    ],
)
async def test_other_formats_say_what_they_are(
    server: MotoServer, more: dict[str, str], expected: tuple[str, str]
) -> None:
    async with queue_of(server) as queue, connected(queue.url, **more) as sink:
        assert list(await sink.send([outgoing(1)])) == [None]
        (message,) = await queue.read()
    assert attributes(message)["content-type"] == expected[0]
    assert expected[1] in message["Body"]


async def test_a_template_that_makes_nothing_refuses_its_event_alone(server: MotoServer) -> None:
    events = [outgoing(1, city="Oslo"), outgoing(2, city=""), outgoing(3)]
    async with (
        queue_of(server) as queue,
        connected(queue.url, format="template", template="{{ data.city }}") as sink,
    ):
        outcomes = await sink.send(events)
        messages = await queue.read()
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, Refused]
    assert [message["Body"] for message in messages] == ["Oslo"]


async def test_check_names_the_queue_and_what_is_in_it(server: MotoServer) -> None:
    async with queue_of(server, fifo=True) as queue, connected(queue.url) as sink:
        await sink.send([outgoing(1)])
        assert (await sink.check()).endswith(f": FIFO queue {queue.name}, about 1 messages")


async def test_tls_with_an_own_authority(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    server = MotoServer(tmp_path, ("-c", str(made.cert), "-k", str(made.key)))
    async with server.running():
        url = server.url.replace("http:", "https:")
        async with connected(f"{url}/123456789012/goto", ca_file=made.ca) as sink:
            assert "is not there; create it" in str(await attempt(sink, [outgoing(1)]))
        async with connected(f"{url}/123456789012/goto", verify_tls=False) as sink:
            assert "is not there; create it" in str(await attempt(sink, [outgoing(1)]))
        async with connected(f"{url}/123456789012/goto") as sink:
            failure = await attempt(sink, [outgoing(1)])
    assert isinstance(failure, Wait)
    assert "the TLS connection failed: " in str(failure)
    assert "certificate" in str(failure)


# ── what a service may answer ────────────────────────────────────────────────────────────────────────────────────────

Entries = Sequence[dict[str, Any]]


def code(name: str, status: int = 400) -> web.Response:
    return web.json_response({"__type": f"com.amazonaws.sqs#{name}", "message": "zoe@example.com"}, status=status)


@asynccontextmanager
async def scripted(answer: Callable[[Entries], Any]) -> AsyncIterator[Receiver]:
    """A service that says of each request's entries what `answer` returns: a response, or what failed by its id."""

    async def respond(request: web.Request) -> web.StreamResponse:
        entries = json.loads(await request.read()).get("Entries", [])
        said = answer(entries)
        if isinstance(said, web.Response):
            return said
        failed = [{"Id": entry["Id"], **said[id_of(entry)]} for entry in entries if id_of(entry) in said]
        fine = [{"Id": entry["Id"], "MessageId": "m"} for entry in entries if id_of(entry) not in said]
        content = {"Successful": fine, "Failed": failed}
        return web.json_response(content, content_type="application/x-amz-json-1.0")

    async with receiver(respond) as made:
        made.url = made.url.removesuffix("/hook")
        yield made


def id_of(entry: dict[str, Any]) -> str:
    found: str = entry["MessageAttributes"]["id"]["StringValue"]
    return found


def seen(service: Receiver) -> list[list[str]]:
    """The ids of every request."""
    return [[id_of(entry) for entry in json.loads(body)["Entries"]] for body in service.bodies]


FAULT = {"SenderFault": True, "Code": "InvalidMessageContents"}
TROUBLE = {"SenderFault": False, "Code": "InternalError"}


async def test_ten_events_are_one_request() -> None:
    events = [outgoing(number) for number in range(1, 11)]
    async with scripted(lambda entries: {}) as service, connected(f"{service.url}/1/goto") as sink:
        assert sink.batch == 10
        assert list(await sink.send(events)) == [None] * 10
    assert seen(service) == [[event.id for event in events]]


async def test_events_that_are_too_much_for_one_request_go_in_several() -> None:
    events = [outgoing(number, filler="x" * 120_000) for number in range(1, 6)]
    async with scripted(lambda entries: {}) as service, connected(f"{service.url}/1/goto") as sink:
        assert list(await sink.send(events)) == [None] * 5
    ids = [event.id for event in events]
    assert seen(service) == [ids[:2], ids[2:4], ids[4:]]
    assert all(len(body) < 262_144 * 1.1 for body in service.bodies)  # the entries' wrapping does not count


@pytest.mark.parametrize(
    ("queue", "ordered", "expected"),
    [
        ("goto.fifo", True, [None, Wait, None, Wait, Refused]),
        ("goto.fifo", False, [None, Wait, None, Wait, Refused]),
        ("goto", True, [None, Wait, None, Wait, Refused]),
        ("goto", False, [None, Wait, None, None, Refused]),
    ],
)
async def test_failures_are_told_per_event_and_hold_up_their_webinar_where_order_matters(
    queue: str, ordered: bool, expected: list[type | None]
) -> None:
    webinars = ["w1", "w1", "w2", "w1", "w2"]
    events = [outgoing(number, webinar=webinar) for number, webinar in enumerate(webinars, 1)]
    said = {events[1].id: TROUBLE, events[4].id: FAULT}
    async with (
        scripted(lambda entries: said) as service,
        connected(f"{service.url}/1/{queue}", ordered=ordered) as sink,
    ):
        outcomes = await sink.send(events)
    assert [outcome and type(outcome) for outcome in outcomes] == expected
    assert "InternalError" in str(outcomes[1])
    assert "InvalidMessageContents" in str(outcomes[4])


async def test_nothing_is_handed_over_after_a_message_that_must_wait() -> None:
    events = [outgoing(number, filler="x" * 200_000) for number in range(1, 4)]
    async with scripted(lambda entries: {events[1].id: TROUBLE}) as service, connected(f"{service.url}/1/goto") as sink:
        outcomes = await sink.send(events)
    assert [outcome and type(outcome) for outcome in outcomes] == [None, Wait, Wait]
    assert seen(service) == [[events[0].id], [events[1].id]]


async def test_a_request_refused_as_a_whole_is_taken_apart_until_its_culprit_is_found() -> None:
    events = [outgoing(number) for number in range(1, 11)]
    bad = events[6].id

    def answer(entries: Entries) -> Any:
        return code("InvalidMessageContents") if bad in map(id_of, entries) else {}

    async with scripted(answer) as service, connected(f"{service.url}/1/goto") as sink:
        outcomes = await sink.send(events)
    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == [6]
    assert isinstance(outcomes[6], Refused)
    taken = [id_ for request in seen(service) if bad not in request for id_ in request]
    assert taken == [event.id for event in events if event.id != bad]


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_fifo_queue_never_gets_what_follows_a_failure_in_its_group(ordered: bool) -> None:
    events = [outgoing(1, webinar="a"), outgoing(2, webinar="b"), outgoing(3, webinar="a"), outgoing(4, webinar="a")]
    busy = {"Code": "InternalError", "SenderFault": False}
    answer = {events[0].id: busy}
    async with scripted(lambda entries: answer) as service:
        async with connected(f"{service.url}/1/goto.fifo", ordered=ordered) as sink:
            failure = await attempt(sink, events)
        assert isinstance(failure, Wait)
        ids = [event.id for event in events]
        assert seen(service) == ([[ids[0], ids[1]]] if ordered else [ids])
        service.bodies.clear()
        answer.clear()
        async with connected(f"{service.url}/1/goto.fifo", ordered=ordered) as sink:
            assert list(await sink.send(events)) == [None] * 4
        assert seen(service) == ([[ids[0], ids[1]], [ids[2]], [ids[3]]] if ordered else [ids])


async def test_a_message_of_which_nothing_is_said_waits() -> None:
    empty = web.json_response({"Successful": [], "Failed": []})
    async with scripted(lambda entries: empty) as service, connected(f"{service.url}/1/goto") as sink:
        failure = await attempt(sink, [outgoing(1)])
    assert isinstance(failure, Wait)
    assert "did not say what became of it" in str(failure)


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        ("ServiceUnavailable", 503, "answered 503 ServiceUnavailable"),
        ("RequestThrottled", 400, "answered 400 RequestThrottled"),
        ("QueueDoesNotExist", 400, "the queue goto is not there; create it"),
        ("AccessDeniedException", 400, "these credentials may not send to goto; allow sqs:SendMessage"),
        ("ExpiredTokenException", 400, "does not accept these credentials (ExpiredTokenException)"),
    ],
)
async def test_what_may_pass_waits_and_is_asked_once(said: str, status: int, expected: str) -> None:
    async with scripted(lambda entries: code(said, status)) as service, connected(f"{service.url}/1/goto") as sink:
        failure = await attempt(sink, [outgoing(1), outgoing(2)])
    assert isinstance(failure, Wait)
    assert expected in str(failure)
    assert "zoe@example.com" not in str(failure)
    assert len(service.bodies) == 1


async def test_a_service_that_never_answers_costs_no_more_than_the_timeout() -> None:
    never = asyncio.Event()

    async def stay(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with receiver(stay) as service:
        sink = sink_to(service.url, timeout=timedelta(seconds=0.2))
        async with asyncio.timeout(PATIENCE):
            while not service.bodies:  # the time is for connecting, too, and may be over by then
                failure = await attempt(sink, [outgoing(1)])
        never.set()
        await sink.close()
    assert isinstance(failure, Wait)
    assert "did not answer within 0.2 s" in str(failure)


async def test_check_is_no_failure_for_a_sender_who_may_only_send() -> None:
    async with (
        scripted(lambda entries: code("AccessDeniedException")) as service,
        connected(f"{service.url}/1/goto") as sink,
    ):
        assert "lets us not look at the queue goto (sqs:GetQueueAttributes)" in await sink.check()


# ── who we are, and where ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


async def test_without_credentials_it_waits_until_aws_settings_have_some(
    no_credentials: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    none: dict[str, Any] = {"access_key_id": None, "secret_access_key": None}
    async with scripted(lambda entries: {}) as service, connected(f"{service.url}/1/goto", **none) as sink:
        failure = await attempt(sink, [outgoing(1)])
        assert isinstance(failure, Wait)
        assert "no credentials were found; set access_key_id" in str(failure)
        credentials = "[default]\naws_access_key_id = AKIAFROMFILE\naws_secret_access_key = hunter2\n"
        (tmp_path / "credentials").write_text(credentials, encoding="ascii")
        assert await attempt(sink, [outgoing(1)]) is None
    assert "Credential=AKIAFROMFILE/" in service.headers[0]["authorization"]


async def test_the_region_is_that_of_the_queues_address(no_credentials: pytest.MonkeyPatch) -> None:
    async with scripted(lambda entries: {}) as service:
        url = "https://sqs.eu-north-1.amazonaws.com/123456789012/goto"
        async with connected(url, endpoint_url=service.url, region="") as sink:
            assert await attempt(sink, [outgoing(1)]) is None
    assert "/eu-north-1/sqs/" in service.headers[0]["authorization"]
    assert json.loads(service.bodies[0])["QueueUrl"] == url


async def test_a_region_nobody_names_is_asked_for(no_credentials: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match='sink "queue": add region, such as'):
        async with connected("http://127.0.0.1:1/1/goto", region=""):
            pass


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[sqs\]'"):
        async with connected("http://127.0.0.1:1/1/goto"):
            pass


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"queue_url": "sqs.eu-west-1.amazonaws.com/1/goto"}, "is not a web address, such as https://sqs."),
        ({"queue_url": "https://sqs.eu-west-1.amazonaws.com"}, "ends without the name of a queue"),
        ({"queue_url": "https://me:hunter2@localhost/1/goto"}, "holds credentials; write them as access_key_id"),
        ({"endpoint_url": "localhost:4566"}, "is not a web address"),
        ({"secret_access_key": None}, "takes access_key_id and secret_access_key together"),
        ({"batch": 11}, "less than or equal to 10"),
    ],
)
def test_settings_that_cannot_work_are_told(more: dict[str, Any], expected: str) -> None:
    settings = {"name": "queue", "type": "sqs", "queue_url": "https://localhost/1/goto", **KEYS, **more}
    with pytest.raises(ValidationError) as raised:
        SqsSettings(**settings)
    assert expected in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    settings = SqsSettings(name="queue", type="sqs", queue_url="https://localhost/1/goto", ca_file=tmp_path / "no.pem")
    with pytest.raises(UsageError, match='sink "queue", ca_file: '):
        SqsSink(settings, SinkContext())
