"""The dispatcher on the real state: order, restarts and speed are those of whole transactions on a disk."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from poller.clock import SystemClock
from poller.dispatcher import Dispatcher
from poller.sinks.base import SinkContext
from poller.sinks.file import FileSettings, FileSink
from poller.sinks.webhook import WebhookSettings, WebhookSink
from poller.testing.events import DATA, SEEN
from state.events import Draft
from state.sqlite import SqliteStore
from state.store import Route, Select
from tests.integration.receiver import Receiver, receiver


def draft(number: int, webinar: str) -> Draft:
    subject = f"webinars/{webinar}/registrants/{number}"
    return Draft("com.goto.registrant.added", "/organizers/1", subject, 1, SEEN, SEEN, "acme", webinar, DATA)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "poller.db")
    yield store
    await store.close()


async def owe(store: SqliteStore, sinks: list[str], events: int, webinars: int) -> None:
    routes = [Route(sink) for sink in sinks]
    await store.emit([(draft(number, f"w{number % webinars}"), routes) for number in range(events)])


def webhook(server: Receiver, **options: Any) -> WebhookSink:
    settings = WebhookSettings(name="crm", type="webhook", url=server.url, allow_private=True, **options)
    return WebhookSink(settings, SinkContext())


async def deliver(store: SqliteStore, *sinks: Any) -> None:
    dispatcher = Dispatcher(store, sinks, SystemClock(), Random(1))
    running = asyncio.create_task(dispatcher.run())
    await dispatcher.idle()
    await dispatcher.drain(5)
    await running


async def test_a_backlog_drains_in_order_and_everything_is_marked_delivered(
    store: SqliteStore, tmp_path: Path, record_property: Any
) -> None:
    """The rate is recorded, not asserted: machines differ."""

    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(status=200)

    await owe(store, ["crm", "log"], 1000, 40)
    path = tmp_path / "events.jsonl"
    file = FileSink(FileSettings(name="log", type="file", path=path), SinkContext())
    async with receiver(take) as server:
        began = time.monotonic()
        await deliver(store, webhook(server), file)
        record_property("deliveries_per_second", round(2000 / (time.monotonic() - began)))
    for bodies in (server.bodies, path.read_bytes().splitlines()):
        events = [json.loads(body) for body in bodies]
        assert len({event["id"] for event in events}) == len(events) == 1000
        by_webinar = defaultdict(list)
        for event in events:
            by_webinar[event["partitionkey"]].append(event["sequence"])
        assert all(sequences == sorted(sequences) for sequences in by_webinar.values())
    backlog = await store.backlog()
    assert (backlog["crm"].delivered, backlog["log"].delivered) == (1000, 1000)


async def test_a_refused_event_is_a_dead_letter_and_comes_again_with_the_same_id_when_retried(
    store: SqliteStore,
) -> None:
    status = 422

    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    await owe(store, ["crm"], 1, 1)
    async with receiver(take) as server:
        await deliver(store, webhook(server))
        [dead] = await store.deliveries(Select(sink="crm"), ["dead"])
        assert "422" in dead.error
        status = 200
        assert await store.revive(Select(sink="crm")) == 1
        await deliver(store, webhook(server))
    assert server.bodies[0] == server.bodies[1]
    assert server.headers[0]["webhook-id"] == server.headers[1]["webhook-id"] == dead.id


async def test_an_outage_is_remembered_by_the_next_process_and_its_end_frees_everything(store: SqliteStore) -> None:
    status = 503

    async def take(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    await owe(store, ["crm"], 30, 10)
    async with receiver(take) as server:
        await deliver(store, webhook(server))
        [state] = await store.sink_states()
        assert state.failures >= 2
        assert "503" in state.error
        status = 200
        before = len(server.bodies)
        await deliver(store, webhook(server))
        assert len(server.bodies) - before == 30
    [state] = await store.sink_states()
    assert (state.failures, state.error) == (0, "")
    assert (await store.backlog())["crm"].delivered == 30
