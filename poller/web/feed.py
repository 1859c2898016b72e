"""The log itself, as it grows: HTTP Feeds (https://www.http-feeds.org/) with long polls, and server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from aiohttp import web

from poller.fields import FieldError
from poller.triggers import Everything, Trigger
from poller.web import asking
from poller.web.cursors import Cursor, Malformed, Place, end, place
from poller.web.handling import Handlers
from poller.web.problems import bad_request
from poller.web.pull import place_headers
from poller.web.reading import EventLog, Page, Wanted
from poller.web.routes import EVENTS
from poller.web.streaming import BEAT, Write, streamed
from poller.web.surface import LONGEST_WAIT
from poller.web.tail import Follower, Tail, Told
from state.store import Extent, Store

_BATCH: Final = 200  # events of a stream that are written at once


class Feed:
    """`pattern` gives a type of events as triggers are written, and raises FieldError for one that no event has."""

    def __init__(self, store: Store, log: EventLog, tail: Tail, pattern: Callable[[str], str]) -> None:
        self._pattern = pattern
        self._store = store
        self._log = log
        self._tail = tail

    def handlers(self) -> Handlers:
        yield "readFeed", self.feed
        yield "streamEvents", self.stream

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def feed(self, request: web.Request) -> web.Response:
        """Without `lastEventId`: from the oldest event that is kept. An id that is not kept any more is a gap."""
        asked = asking.asked(request, "readFeed")
        wanted, last = Wanted(self._trigger(asked["type"])), asked["lastEventId"]
        limit, milliseconds = asked["limit"], min(asked["timeout"], LONGEST_WAIT)
        extent = await self._store.extent()
        at = await self._place(last, extent) if last else Place(0, gap=False)
        page = await self._log.read(wanted, at.sequence, limit, extent)
        if not page.events and milliseconds:
            page = await self._awaited(wanted, page, limit, milliseconds / 1000)
        body = b"[" + b",".join(told.stored.body for told in page.events) + b"]"
        headers = place_headers(Cursor(extent.epoch, page.position), gap=at.gap)
        return web.Response(body=body, headers={"Content-Type": f"{EVENTS}; charset=UTF-8", **headers})

    async def _awaited(self, wanted: Wanted, page: Page, limit: int, seconds: float) -> Page:
        with self._tail.following() as follower, suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._tail.closed:
                    page = await self._log.read(wanted, page.position, limit)
                    if page.events:
                        break
                    await follower.rung()
        return page

    def _trigger(self, types: Sequence[str] | None) -> Trigger:
        try:
            return _trigger_for(tuple(self._pattern(text) for text in types or ("*",)))
        except FieldError as error:
            raise bad_request("type", f"is not known: {error}") from error

    async def _place(self, last: str, extent: Extent) -> Place:
        """Behind an event named by its id, or a cursor."""
        with suppress(Malformed):
            return place(Cursor.parse(last), extent)
        event = await self._store.event(last)
        return Place(0, gap=True) if event is None else Place(event.sequence, gap=False)

    # ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """https://html.spec.whatwg.org/multipage/server-sent-events.html; without an id: from now on."""
        asked = asking.asked(request, "streamEvents")
        wanted, last = Wanted(self._trigger(asked["type"])), asked["Last-Event-ID"] or asked["lastEventId"]
        extent = await self._store.extent()
        at = await self._place(last, extent) if last else Place(end(extent).sequence, gap=False)
        headers = place_headers(Cursor(extent.epoch, at.sequence), gap=at.gap)
        with self._tail.following() as follower:
            return await streamed(
                request, headers, lambda write: self._serve(write, wanted, extent.epoch, at.sequence, follower)
            )

    async def _serve(self, write: Write, wanted: Wanted, epoch: str, position: int, follower: Follower) -> None:
        while not self._tail.closed:
            page = await self._log.read(wanted, position, _BATCH)
            position = page.position
            if page.events:
                await write(b"".join(_told(told, epoch) for told in page.events))
            elif follower.beat:
                await write(BEAT)
            follower.beat = False
            if not page.more:
                await follower.rung()


def _told(told: Told, epoch: str) -> bytes:
    """Without a name of its own, so that `onmessage` hears it. The JSON has no line break in it."""
    return b"id: %s\ndata: %s\n\n" % (str(Cursor(epoch, told.sequence)).encode(), told.stored.body)


@lru_cache(256)
def _trigger_for(types: tuple[str, ...]) -> Trigger:
    """The same object for the same types: by it the log knows what it has looked through."""
    return Trigger(Everything(name="feed", on=types), lambda trigger, reason: None)
