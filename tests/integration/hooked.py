"""An engine that polls hardly ever, with the address that GoTo's webhooks are posted to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from poller.app import App
from poller.simulator import Simulator
from tests.integration.terminal import PATIENCE, Terminal
from tests.integration.terminal_world import LOG, key_of

SLOW = 'interval = "1h"\nnudge_interval = "0s"'
UNHEARD = '[[triggers]]\nname = "unheard"\non = ["webhook.*"]\nsinks = ["log"]'


def write(terminal: Terminal, sim: Simulator, port: int, *tables: str, http: str = "", engine: str = SLOW) -> None:
    """Settings of an engine whose webhooks come in at this port."""
    goto = f'[[connections]]\nname = "acme"\npat = "{sim.world.organizers[0].pat}"'
    terminal.write(goto, LOG, *tables, http or at_port(port), engine=engine)


def at_port(port: int, listen: int | None = None) -> str:
    """GoTo is told of `port`; the engine listens there, or elsewhere if so said."""
    return f'[http]\npublic_url = "http://127.0.0.1:{port}"\nlisten = "127.0.0.1:{listen or port}"'


@dataclass
class Hooked:
    """A running engine after its baseline."""

    terminal: Terminal
    sim: Simulator
    app: App
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def told(self, count: int) -> None:
        """Wait until so many events have been delivered since the engine began."""
        delivered = self.app.watch.until(lambda: self.app.watch.counts.deliveries["log"] >= count)
        await asyncio.wait_for(delivered, PATIENCE)

    @property
    def outcomes(self) -> dict[str, int]:
        """What became of the webhooks since the engine began."""
        return dict(self.app.watch.counts.webhooks)

    @property
    def polls(self) -> int:
        return self.app.watch.counts.polls.total()

    def rests(self, polls: int) -> bool:
        """Whether nothing was polled beyond these, nor is about to be."""
        dues = [self.app.scheduler.due(key) for key in self.app.scheduler.polled_keys()]
        return self.polls == polls and all(due is not None and due > 60 for due in dues)

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """What GoTo would post about the first webinar of the first organizer."""
        owner = key_of(self.sim)
        webinar = next(found for found in self.sim.world.webinars() if found.organizer_key == owner)
        return {
            "eventName": name,
            "eventVersion": "1.0.0",
            "product": "g2w",
            "eventKey": f"event-{next(self.numbers)}",
            "webinarKey": int(webinar.webinar_key),
            "webinarTitle": webinar.subject,
            "webinarCreatorKey": int(owner),
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **fields,
        }

    async def post(self, event: Any, *, secret: str | None = None, url: str = "", **headers: str) -> int:
        """Post it as GoTo would, signed with the engine's own key unless another is given; the status."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        key = next(iter(self.app.callback.terms().secrets), "") if secret is None else secret
        signed = {"X-Webhook-Signature": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url or self.app.callback.address, data=body, headers={**signed, **headers}) as response,
        ):
            return response.status


@contextlib.asynccontextmanager
async def hooked(terminal: Terminal, sim: Simulator) -> AsyncIterator[Hooked]:
    """The engine of the settings as they stand, its baseline taken."""
    async with terminal.engine() as app:
        await terminal.run("sync", "--wait")
        yield Hooked(terminal, sim, app)


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()
