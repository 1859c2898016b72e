"""The sink `notify`, with services that take JSON over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from poller.errors import Refused, UsageError, Wait
from poller.fields import Secret
from poller.samples import sample, types
from poller.sinks.base import SinkContext
from poller.sinks.notify import NotifySettings, NotifySink
from poller.testing.events import outgoing
from poller.testing.sinks import attempt, delivered
from tests.integration.receiver import Receiver, answering, receiver

# While apprise loads its plugins, one of them imports a module that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def sink_to(*urls: str, **more: Any) -> NotifySink:
    settings = {"name": "people", "type": "notify", "urls": tuple(Secret(url) for url in urls), **more}
    return NotifySink(NotifySettings(**settings), SinkContext())


@asynccontextmanager
async def connected(*urls: str, **more: Any) -> AsyncIterator[NotifySink]:
    sink = sink_to(*urls, **more)
    await sink.connect()
    try:
        yield sink
    finally:
        await sink.close()


def url_of(service: Receiver, *, user: str = "", path: str = "hook") -> str:
    host = service.url.split("/")[2]
    return f"json://{user}{'@' if user else ''}{host}/{path}"


def messages(service: Receiver) -> list[tuple[str, str]]:
    """Titles and texts."""
    return [(body["title"], body["message"]) for body in map(json.loads, service.bodies)]


async def test_registrations_and_webinars_are_told_in_words() -> None:
    async with receiver(answering(200)) as service, connected(url_of(service)) as sink:
        for short_type in ("registrant.added", "registrant.changed", "webinar.created", "webinar.changed"):
            assert list(await sink.send([sample(short_type)])) == [None]
    assert messages(service) == [
        ("New registration: Product tour", "Ada Example <ada@example.com>\nStatus: APPROVED\n2026-03-01T09:15:42Z"),
        (
            "Registration changed: Product tour",
            "Ada Example <ada@example.com>\nstatus: WAITING, now APPROVED\n2026-03-01T09:16:40.123Z",
        ),
        (
            "New webinar: Product tour",
            "2026-03-10T14:00:00Z to 2026-03-10T15:00:00Z\n"
            "https://attendee.gotowebinar.com/register/4255157664015486220\n2026-03-01T09:16:40.123Z",
        ),
        (
            "Webinar changed: Product tour",
            "2026-03-10T14:00:00Z to 2026-03-10T15:00:00Z\nsubject: Product tour (draft), now Product tour\n"
            "https://attendee.gotowebinar.com/register/4255157664015486220\n2026-03-01T09:16:40.123Z",
        ),
    ]


@pytest.mark.parametrize("short_type", types())
def test_there_are_words_for_every_type_of_event(short_type: str) -> None:
    shown = sink_to("json://127.0.0.1").preview(sample(short_type))
    assert shown.headers["title"]
    assert shown.body


def test_words_get_by_without_fields_that_an_event_lacks() -> None:
    empty = dict.fromkeys(("firstName", "email", "times", "status", "webinarSubject", "changed", "previous"))
    shown = sink_to("json://127.0.0.1").preview(outgoing(1, **empty, lastName="Lovelace"))
    assert shown.headers["title"] == f"New registration: {outgoing(1).subject}"
    assert shown.body == b"Lovelace\n2026-03-01T09:15:42Z"


async def test_own_words_are_sent_as_they_are_shown() -> None:
    words = {"title": "{{ data.firstName }}\n  is {{ short_type }}", "body": "<b>{{ data.email }}</b> & co.\n"}
    async with receiver(answering(200)) as service, connected(url_of(service), **words) as sink:
        assert list(await sink.send([outgoing(1)])) == [None]
        shown = sink.preview(outgoing(1))
    assert messages(service) == [("Zoë is registrant.added", "<b>zoe@example.com</b> & co.")]
    assert messages(service) == [(shown.headers["title"], shown.body.decode())]
    assert shown.target == "json://…"


async def test_an_event_without_words_is_refused() -> None:
    async with receiver(answering(200)) as service, connected(url_of(service), title="", body=" {{ '' }}") as sink:
        assert isinstance(await attempt(sink, [outgoing(1)]), Refused)
    assert service.bodies == []


async def test_who_has_been_told_is_not_told_again_when_another_fails() -> None:
    down = {"/b"}
    told: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        told.append(request.path)
        return web.Response(status=503 if request.path in down else 200)

    async with (
        receiver(answer) as service,
        connected(*(url_of(service, path=path) for path in "abc")) as sink,
    ):
        failure = await attempt(sink, [outgoing(1)])
        assert isinstance(failure, Wait)
        assert str(failure) == "urls[1] (json) answered 503"
        assert told == ["/a", "/b", "/c"]
        down.clear()
        assert await attempt(sink, [outgoing(1)]) is None
        assert told == ["/a", "/b", "/c", "/b"]
        assert await attempt(sink, [outgoing(1)]) is None  # sent again on purpose: everyone hears it
        assert told[4:] == ["/a", "/b", "/c"]


async def test_a_message_taken_after_the_timeout_is_not_sent_again() -> None:
    gate = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    async with (
        receiver(answer) as service,
        connected(url_of(service), timeout=timedelta(seconds=0.3)) as sink,
    ):
        failure = await attempt(sink, [outgoing(1)])
        assert isinstance(failure, Wait)
        assert str(failure) == "json://… did not take the message within 0.3 s"
        gate.set()
        await delivered(sink, [outgoing(1)])
        assert len(service.bodies) == 1


async def test_wrong_credentials_may_be_mended_and_are_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = "T0AAAA/B0BBBB/t0psecret"
    async with receiver(answering(401)) as service, connected(url_of(service, user="me:hunter2", path=path)) as sink:
        failure = await attempt(sink, [outgoing(1)])
    assert isinstance(failure, Wait)
    assert str(failure) == "urls[0] (json) answered 401"
    assert service.headers[0]["authorization"].startswith("Basic ")
    for hidden in ("hunter2", "t0psecret", "zoe@example.com"):
        assert hidden not in caplog.text


async def test_a_service_that_is_away_is_not_named_by_its_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected("json://127.0.0.1:1/t0psecret") as sink:
        failure = await attempt(sink, [outgoing(1)])
    assert isinstance(failure, Wait)
    assert "t0psecret" not in str(failure) + caplog.text


async def test_the_reason_is_told_also_where_only_errors_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "level", logging.ERROR)
    monkeypatch.setattr(logging.getLogger("apprise"), "level", logging.NOTSET)
    logging.getLogger("apprise").manager._clear_cache()  # type: ignore[attr-defined]
    async with receiver(answering(503)) as service, connected(url_of(service, path="a")) as sink:
        assert str(await attempt(sink, [outgoing(1)])) == "urls[0] (json) answered 503"


async def test_logs_of_others_who_use_apprise_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with receiver(answering(200)) as service, connected(url_of(service)) as sink:
        await sink.send([outgoing(1)])
        logging.getLogger("apprise").warning("a program's own")
    assert "a program's own" in caplog.text


async def test_check_reads_the_addresses_and_sends_nothing() -> None:
    async with receiver(answering(200)) as service:
        sink = sink_to(url_of(service, path="t0psecret"))
        line = await sink.check()
        await sink.close()
    assert line == "1 addresses can be read (json://…); no message was sent to try them"
    assert service.bodies == []


@pytest.mark.parametrize("url", ["nothing://t0psecret", "t0psecret", "json://host/t0psecret, json://host/b"])
async def test_an_address_that_is_none_is_told_by_its_place(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink = sink_to("json://127.0.0.1", url)
    with pytest.raises(UsageError) as raised:
        await sink.connect()
    await sink.close()
    assert str(raised.value).startswith('sink "people", urls[1]: is not one address of a service that apprise knows')
    assert "t0psecret" not in str(raised.value) + caplog.text


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    sink = sink_to("json://127.0.0.1")
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[notify\]'"):
        await sink.connect()
    await sink.close()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"urls": ()}, "urls"),
        ({"format": "data"}, 'sink "people" sends title and body; write them instead of format'),
        ({"body": "{{ nobody }}"}, 'of sink "people" names nobody, which no event has'),
        ({"title": "{{"}, 'of sink "people" is not a Jinja2 template'),
    ],
)
def test_settings_that_cannot_work_are_told(more: dict[str, Any], expected: str) -> None:
    settings = {"name": "people", "type": "notify", "urls": ("json://hunter2@host",), **more}
    with pytest.raises(ValidationError) as raised:
        NotifySettings(**settings)
    assert expected in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_one_address_needs_no_list() -> None:
    assert len(NotifySettings.model_validate({"name": "n", "type": "notify", "urls": "json://host"}).urls) == 1
