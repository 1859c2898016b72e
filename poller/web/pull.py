"""Polling triggers: what Power Automate, Logic Apps, Zapier, n8n and Make ask for again and again.

Every reader keeps its own place, so readers do not notice each other, and no poll of theirs costs a call to GoTo.
A trigger that is paused tells nothing; its readers' places stay where they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from poller.formats import CLOUDEVENT, item
from poller.triggers import Trigger
from poller.web import asking
from poller.web.cursors import Cursor, end, place
from poller.web.handling import Handlers
from poller.web.problems import Problem
from poller.web.reading import SCAN, EventLog, Page, Wanted
from poller.web.routes import JSON
from poller.web.tail import Told
from state.store import Extent, Store

# Query parameters in which callers carry secrets; a Location is logged and stored by whoever follows it.
_SECRET: Final = frozenset(
    {"accesstoken", "apikey", "auth", "authorization", "code", "key", "password", "secret", "sig", "signature", "token"}
    | {"xapikey", "subscriptionkey"}
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the engine lends to those who serve its events."""

    store: Store
    log: EventLog
    trigger: Callable[[str], Trigger | None]
    catalogue: Callable[[], Sequence[Mapping[str, Any]]]
    is_paused: Callable[[str], bool]
    next_poll: Callable[[Trigger, str], float]  # (trigger, webinar key) → seconds until GoTo is asked again
    base_url: Callable[[web.Request], str]  # how the caller reaches this server


class Pull:
    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    def handlers(self) -> Handlers:
        yield "listTriggers", self.triggers
        yield "pollTrigger", self.poll
        yield "listItems", self.items
        yield "getEvent", self.event

    async def triggers(self, request: web.Request) -> web.Response:
        return answer(self._offer.catalogue())

    async def poll(self, request: web.Request) -> web.Response:
        """https://learn.microsoft.com/azure/logic-apps/logic-apps-create-api-app#polling-triggers"""
        asked = asking.asked(request, "pollTrigger")
        wanted, state = self._wanted(asked), _cursor(asked["triggerState"])
        extent = await self._offer.store.extent()
        if state is None:
            return self._told(request, wanted, end(extent), Page((), extent.last, more=False))
        at = place(state, extent)
        page = await self._page(wanted, at.sequence, asked["limit"], extent, SCAN)
        return self._told(request, wanted, Cursor(extent.epoch, page.position), page, gap=at.gap)

    def _told(
        self, request: web.Request, wanted: Wanted, cursor: Cursor, page: Page, *, gap: bool = False
    ) -> web.Response:
        wait = 0 if page.more else math.ceil(self._offer.next_poll(wanted.trigger, wanted.webinar))
        headers = {**place_headers(cursor, gap=gap), "Location": self._location(request, cursor)}
        headers["Retry-After"] = str(wait)
        if not page.events:
            return web.Response(status=202, content_type=JSON, headers=headers)
        return answer({"value": as_items(page.events)}, headers=headers)

    def _location(self, request: web.Request, cursor: Cursor) -> str:
        kept = [
            (name, value) for name, value in request.query.items() if name != "triggerState" and not _is_secret(name)
        ]
        query = urlencode([*kept, ("triggerState", str(cursor))])
        return f"{self._offer.base_url(request)}{request.rel_url.raw_path}?{query}"

    async def items(self, request: web.Request) -> web.Response:
        asked = asking.asked(request, "listItems")
        wanted, after = self._wanted(asked), _cursor(asked["after"])
        extent = await self._offer.store.extent()
        if after is None:
            found, cursor, gap = await self._latest(wanted, asked["limit"]), end(extent), False
        else:
            at = place(after, extent)
            page = await self._page(wanted, at.sequence, asked["limit"], extent)
            found, cursor, gap = list(reversed(page.events)), Cursor(extent.epoch, page.position), at.gap
        listed = as_items(found)
        body = {"value": listed, "cursor": str(cursor)} if asked["envelope"] else listed
        return answer(body, headers=place_headers(cursor, gap=gap))

    async def event(self, request: web.Request) -> web.Response:
        found = await self._offer.store.event(asking.asked(request, "getEvent")["id"])
        if found is None:
            raise Problem(404, "no event of this id is kept")
        return web.Response(body=found.body, headers={"Content-Type": CLOUDEVENT})

    # ── what is wanted, and what there is of it ──────────────────────────────────────────────────────────────────────

    def _wanted(self, asked: Mapping[str, Any]) -> Wanted:
        trigger = self._offer.trigger(asked["trigger"])
        if trigger is None:
            raise Problem(404, "there is no trigger of this name; /v1/triggers lists all")
        return Wanted(trigger, asked["webinarKey"] or "", asked["organizerKey"] or "")

    async def _page(self, wanted: Wanted, after: int, limit: int, extent: Extent, scan: int | None = None) -> Page:
        if self._offer.is_paused(wanted.trigger.name):
            return Page((), after, more=False)
        return await self._offer.log.read(wanted, after, limit, extent, scan)

    async def _latest(self, wanted: Wanted, limit: int) -> list[Told]:
        if self._offer.is_paused(wanted.trigger.name):
            return []
        return await self._offer.log.latest(wanted, limit)


def as_items(events: Iterable[Told]) -> list[dict[str, Any]]:
    return [item(told.event) for told in events]


def answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=JSON, headers=headers)


def _cursor(text: str | None) -> Cursor | None:
    """None where there is none yet; the description of the parameter has refused what is none."""
    return Cursor.parse(text) if text else None


def place_headers(cursor: Cursor, *, gap: bool) -> dict[str, str]:
    """Where the reader is now, and whether something may lie between that and where it was."""
    headers = {"Poller-Cursor": str(cursor)}
    return {**headers, "Poller-Gap": "true"} if gap else headers


def _is_secret(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "").replace(".", "") in _SECRET
