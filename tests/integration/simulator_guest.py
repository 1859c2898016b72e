"""A plain HTTP visitor of the simulator, for its tests: logs in with a PAT and calls by path."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from poller.simulator import Simulator

ALL_TIME = {"fromTime": "2000-01-01T00:00:00Z", "toTime": "2100-01-01T00:00:00Z"}
BASIC = {"Authorization": aiohttp.encode_basic_auth(Simulator.client_id, Simulator.client_secret)}


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Guest:
    sim: Simulator
    base_url: str
    session: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return f"/G2W/rest/v2/organizers/{self.sim.world.organizers[0].organizer_key}"

    def registrants_of(self, position: int = 0) -> str:
        return f"{self.home}/webinars/{self.sim.world.webinars()[position].webinar_key}/registrants"

    async def call(self, method: str, path: str, *, headers=None, **more) -> Reply:
        sent = self.headers if headers is None else headers
        async with self.session.request(
            method, self.base_url + path, headers=sent, allow_redirects=False, **more
        ) as response:
            return Reply(response.status, dict(response.headers), await response.read())

    async def get(self, path: str, **query) -> Reply:
        return await self.call("GET", path, params=query)

    async def token(self, **form) -> Reply:
        return await self.call("POST", "/oauth/token", headers=BASIC, data=form)

    async def log_in(self, pat: str | None = None) -> None:
        pat = pat or self.sim.world.organizers[0].pat
        reply = await self.token(grant_type="personal_access_token", pat=pat)
        assert reply.status == 200, reply.body
        self.headers = {"Authorization": f"Bearer {reply.json['access_token']}"}

    async def listed(self) -> dict[str, dict]:
        """All webinars by key, as the list shows them on one page."""
        payload = (await self.get(f"{self.home}/webinars", size=200, **ALL_TIME)).json
        return {item["webinarKey"]: item for item in payload.get("_embedded", {}).get("webinars", [])}


@contextlib.asynccontextmanager
async def visiting(sim: Simulator, *, log_in: bool = True) -> AsyncIterator[Guest]:
    """A served simulator whose world moves only when asked, and a visitor without kept connections."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with sim.serve(ticker=False) as base_url, aiohttp.ClientSession(connector=connector) as session:
        guest = Guest(sim, base_url, session)
        if log_in:
            await guest.log_in()
        yield guest
