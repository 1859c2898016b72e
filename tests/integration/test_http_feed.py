"""The log over HTTP as it grows: batches with long polls, and server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from poller.testing.events import draft
from poller.web import streaming
from poller.web.tail import KEPT
from state.store import Select, StoredEvent
from tests.integration.http_house import House, http_house

PATIENCE = 60.0  # seconds for what takes milliseconds


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with http_house(tmp_path) as made:
        yield made


@dataclass
class Message:
    id: str
    event: dict[str, Any]


class Listener:
    """One client of the stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def line(self) -> str:
        return (await asyncio.wait_for(self.response.content.readline(), PATIENCE)).decode()

    async def message(self) -> Message:
        """The next event; comments and the rest are passed over."""
        fields: dict[str, str] = {}
        while True:
            name, _, value = (await self.line()).rstrip("\n").partition(": ")
            if not name and "data" in fields:
                return Message(fields["id"], json.loads(fields["data"]))
            if name:
                fields[name] = value

    async def ids(self, count: int) -> list[str]:
        return [(await self.message()).event["id"] for _ in range(count)]


@asynccontextmanager
async def stream(house: House, path: str = "/v1/stream", last: str = "") -> AsyncIterator[Listener]:
    headers = {"Last-Event-ID": last} if last else {}
    async with house.session.get(house.surface.url + path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        listener = Listener(response)
        assert (await listener.line()).startswith("retry:"), "it is heard from at once"
        yield listener


# ── HTTP Feeds ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_feed_is_a_batch_of_cloudevents_from_the_oldest_on(house: House) -> None:
    empty = await house.get("/v1/feed")
    assert (empty.status, empty.json) == (200, [])
    ids = await house.people(5)
    reply = await house.get("/v1/feed?limit=3")
    assert reply.headers["Content-Type"].startswith("application/cloudevents-batch+json")
    assert reply.ids == ids[:3]
    assert all(event["specversion"] == "1.0" and event["data"]["firstName"] for event in reply.json)
    assert (await house.get(f"/v1/feed?lastEventId={ids[2]}")).ids == ids[3:]
    assert (await house.get(f"/v1/feed?lastEventId={ids[4]}")).json == []
    assert (await house.get(f"/v1/feed?lastEventId={reply.cursor}")).ids == ids[3:], "a cursor will do as well"


async def test_a_long_poll_is_answered_by_the_commit(house: House) -> None:
    asked = [asyncio.create_task(house.get("/v1/feed?timeout=60000")) for _ in range(3)]
    await waiting(house, 3)
    ids = await house.people(2)
    for reply in await asyncio.wait_for(asyncio.gather(*asked), PATIENCE):
        assert reply.ids == ids


async def test_a_long_poll_without_news_ends_empty(house: House) -> None:
    [first] = await house.people(1)
    reply = await house.get(f"/v1/feed?lastEventId={first}&timeout=30")
    assert (reply.status, reply.json) == (200, [])


async def test_news_of_other_types_do_not_end_a_long_poll(house: House) -> None:
    asked = asyncio.create_task(house.get("/v1/feed?type=webinar.created&timeout=60000"))
    await waiting(house, 1)
    await house.people(3)
    created = replace(draft(9), type="com.goto.webinar.created")
    [told] = await house.tell(created)
    assert (await asyncio.wait_for(asked, PATIENCE)).ids == [told]


@pytest.mark.parametrize(
    "types", ["type=registrant.added&type=webinar.created", "type=com.goto.registrant.added,webinar.*"]
)
async def test_types_are_chosen_by_name_or_pattern(house: House, types: str) -> None:
    a, _, c = await house.tell(
        draft(1),
        replace(draft(2), type="com.goto.registrant.removed"),
        replace(draft(3), type="com.goto.webinar.created"),
    )
    assert (await house.get(f"/v1/feed?{types}")).ids == [a, c]


async def test_news_of_the_engine_itself_come_only_to_those_who_name_them(house: House) -> None:
    await house.app.announcer.announce("poller.sink.disabled", "sinks/crm", "", {"sink": "crm"})
    assert (await house.get("/v1/feed")).json == []
    assert len((await house.get("/v1/feed?type=poller.*")).json) == 1


async def test_an_id_that_is_not_kept_is_a_gap_and_goes_on_at_the_oldest(house: House) -> None:
    (old,) = await house.tell(replace(draft(1), observed="2026-01-01T00:00:00.000Z"))
    ids = await house.people(2, first=2)
    await house.app.store.prune(before=1_769_000_000)
    for gone in (old, "never-seen", "deadbeef-5"):
        reply = await house.get(f"/v1/feed?lastEventId={gone}")
        assert (reply.status, reply.ids, reply.is_gap) == (200, ids, True), gone
    assert not (await house.get(f"/v1/feed?lastEventId={ids[0]}")).is_gap


async def test_a_reader_who_waits_for_rare_events_does_not_read_the_log_again_each_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = await house.tell(replace(draft(1), type="com.goto.webinar.created"))
    for start in range(2, 2002, 500):
        await house.people(500, first=start)
    path = f"/v1/feed?type=webinar.created&lastEventId={first}"
    await house.get(path)
    reads = counted(house, monkeypatch)
    assert (await house.get(path)).json == []
    assert reads() <= 1


# ── server-sent events ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_begins_now_and_tells_each_event_at_its_commit(house: House) -> None:
    await house.people(2)
    async with stream(house) as listener:
        for number in (3, 4):
            [told] = await house.people(1, first=number)
            message = await listener.message()
            assert message.event["id"] == told and message.id.endswith(f"-{number}")


async def test_a_stream_goes_on_where_it_broke_off(house: House) -> None:
    ids = await house.people(5)
    async with stream(house, last=ids[1]) as listener:
        assert "Poller-Gap" not in listener.response.headers
        third = await listener.message()
        assert third.event["id"] == ids[2]
    async with stream(house, last=third.id) as listener:
        assert await listener.ids(2) == ids[3:]
    async with stream(house, f"/v1/stream?lastEventId={third.id}") as listener:
        assert await listener.ids(2) == ids[3:]


async def test_a_stream_that_missed_something_says_so_and_goes_on(house: House) -> None:
    ids = await house.people(2)
    async with stream(house, last="deadbeef-7") as listener:
        assert listener.response.headers["Poller-Gap"] == "true"
        assert await listener.ids(2) == ids


async def test_a_stream_can_be_of_some_types_only(house: House) -> None:
    async with stream(house, "/v1/stream?type=webinar.*") as listener:
        _, told = await house.tell(draft(1), replace(draft(2), type="com.goto.webinar.created"))
        assert (await listener.message()).event["id"] == told


async def test_a_silent_stream_gives_signs_of_life(tmp_path: Path) -> None:
    async with http_house(tmp_path, heartbeat=0.15) as house, stream(house) as listener:
        lines = [await listener.line() for _ in range(5)]
        assert lines == ["\n", ":\n", "\n", ":\n", "\n"]


async def test_a_long_burst_reaches_everybody_in_order_although_memory_holds_only_its_end(house: House) -> None:
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(stream(house)) for _ in range(5)]
        ids = await house.people(KEPT * 3)
        found = await asyncio.gather(*(listener.ids(len(ids)) for listener in listeners))
    assert all(got == ids for got in found)


async def test_everybody_who_waits_is_served_by_one_read_of_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(stream(house)) for _ in range(20)]
        reads = counted(house, monkeypatch)
        ids = await house.people(3)
        for listener in listeners:
            assert await listener.ids(3) == ids
        assert reads() <= 2, "one for the news, at most one more to see that there is nothing else"


async def test_streams_and_long_polls_end_with_the_surface(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house, stream(house) as listener:
        asked = asyncio.create_task(house.get("/v1/feed?timeout=60000"))
        await waiting(house, 2)
        await asyncio.wait_for(house.surface.stop(), PATIENCE)
        assert (await asked).json == []
        assert await listener.response.content.read() == b"\n"


async def test_who_has_gone_is_not_kept(tmp_path: Path) -> None:
    async with http_house(tmp_path, heartbeat=0.05) as house:
        async with stream(house):
            await waiting(house, 1)
        await waiting(house, 0)


async def test_who_leaves_a_stream_unread_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STALLED", 0.05)
    port = int(house.surface.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
    writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"retry: 3000\n\n")
    await house.people(200, description="x" * 100_000)  # more than the buffers on the way hold
    await waiting(house, 0)
    with suppress(ConnectionError):
        while await asyncio.wait_for(reader.read(2**20), PATIENCE):
            pass
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


# ── what tests look at ───────────────────────────────────────────────────────────────────────────────────────────────


async def waiting(house: House, count: int) -> None:
    """Until so many wait at the end of the log."""
    async with asyncio.timeout(PATIENCE):
        while house.surface.followers != count:
            await asyncio.sleep(0.005)


def counted(house: House, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From here on: how often the log is read."""
    read, calls = house.app.store.events, 0

    async def counting(select: Select) -> list[StoredEvent]:
        nonlocal calls
        calls += 1
        return await read(select)

    monkeypatch.setattr(house.app.store, "events", counting)
    return lambda: calls
