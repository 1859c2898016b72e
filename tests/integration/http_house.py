"""An engine without a GoTo whose HTTP surface is open: tests put events into its log, and ask for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from poller.admin import Admin
from poller.app import App
from poller.listening import Surface
from poller.settings import Settings
from poller.testing.events import draft
from poller.web.tail import HEARTBEAT
from state.events import Draft

CONNECTION = "acme"


@dataclass
class Reply:
    """One answer, read."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def ids(self) -> list[str]:
        """Of a bare array, or of what is under `value`."""
        found = self.json if self.text else []
        return [one["id"] for one in (found["value"] if isinstance(found, dict) else found)]

    @property
    def cursor(self) -> str:
        return self.headers["Poller-Cursor"]

    @property
    def is_gap(self) -> bool:
        return self.headers.get("Poller-Gap") == "true"


def problem(reply: Reply, status: int) -> dict[str, Any]:
    """The RFC 9457 document of an answer."""
    assert reply.status == status, reply
    assert reply.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = reply.json
    assert found["status"] == status and found["title"] and found["detail"]
    return found


@dataclass
class House:
    app: App
    admin: Admin
    surface: Surface
    session: aiohttp.ClientSession
    told: list[str] = field(default_factory=list)  # the ids of all events, in order

    async def tell(self, *drafts: Draft, connection: str = CONNECTION) -> list[str]:
        """Commit events as a poll does; returns their ids."""
        app = self.app
        committed = await app.store.emit([(one, app.routing.routes(one, [connection])) for one in drafts])
        app.committed(committed.sinks)
        ids = [one.id for one in drafts]
        self.told += ids
        return ids

    async def people(self, count: int, first: int = 1, **fields: Any) -> list[str]:
        """So many registrants in one commit."""
        return await self.tell(*(draft(number, **fields) for number in range(first, first + count)))

    async def ask(self, method: str, path: str, **how: Any) -> Reply:
        url = path if path.startswith("http") else self.surface.url + path
        async with self.session.request(method, url, allow_redirects=False, **how) as response:
            assert response.headers.get("Content-Type"), "every answer says what it is"
            return Reply(response.status, dict(response.headers), await response.text())

    async def get(self, path: str, **how: Any) -> Reply:
        return await self.ask("GET", path, **how)


@asynccontextmanager
async def http_house(
    folder: Path, *, deliver: bool = False, heartbeat: float = HEARTBEAT, **tables: Any
) -> AsyncIterator[House]:
    """`tables`: those of the settings file. `deliver`: sinks are served, too."""
    http = {"listen": "127.0.0.1:0", **tables.pop("http", {})}
    engine = {"state": str(folder / "poller.db"), **tables.pop("engine", {})}
    settings = Settings.parse({"engine": engine, "http": http, **tables}, folder)
    app = await App.open(settings)
    try:
        admin = Admin(app, lambda: settings, running=True)
        surface = Surface(app, admin, heartbeat)
        await surface.start()
        if deliver:
            app.spawn(app.dispatcher.run(), "dispatcher")
        try:
            jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, as browsers keep them
            async with aiohttp.ClientSession(cookie_jar=jar) as session:
                yield House(app, admin, surface, session)
        finally:
            await surface.stop()
    finally:
        await app.close()


async def until(fact: Any) -> None:
    """Look again whenever the loop has turned, for what no signal tells."""
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.005)
