"""The sender of GoTo's webhooks: probes callbacks and posts events, as lossy, late and out of order as it is told to.

Events wait until they are due by the world's time and are posted one after the other, once: what a receiver refuses
is gone, as no document promises otherwise. What still waits when the simulator closes is not sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Literal

import aiohttp
import msgspec

from poller.ports import Clock
from poller.simulator.hook_events import SIGNATURE_HEADER, event_of, forged, happened, sealed, signature
from poller.simulator.hooks import Hooks
from poller.simulator.model import Registrant, Webinar
from poller.simulator.options import WebhookOptions
from poller.simulator.sessions import Happening
from poller.simulator.shapes import JsonObject
from poller.simulator.truth import Fact
from poller.simulator.world import World

Fate = Literal["sent", "repeated", "forged", "lost"]

LOG_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Posting:
    """One entry of the log. `status` is the receiver's, 0 where there was none: lost, or nobody answered."""

    fate: Fate
    event_name: str
    event_key: str
    url: str
    at: datetime
    status: int = 0


@dataclass(frozen=True, slots=True)
class _Post:
    """`secret`: the one to sign with; None is the application's, empty is no signature at all."""

    fate: Fate
    url: str
    event_name: str
    event_key: str
    body: bytes
    secret: str | None = None


class HookSender:
    """Posts inside `running`. `log` has every event that a subscription wanted meanwhile, with what became of it."""

    def __init__(self, world: World, hooks: Hooks, options: WebhookOptions, clock: Clock) -> None:
        self._world, self._hooks, self._options, self._clock = world, hooks, options, clock
        self._rng = Random(f"{world.options.seed}:webhooks")
        self._waiting: list[tuple[datetime, int, _Post]] = []
        self._order = count()
        self._wake = asyncio.Event()
        self.log: deque[Posting] = deque(maxlen=LOG_LENGTH)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._client() as session:
            sending = asyncio.create_task(self._send_all(session))
            self._world.truth.subscribe(self._on_fact)
            self._world.sessions.listeners.append(self._on_happening)
            try:
                yield
            finally:
                self._world.sessions.listeners.remove(self._on_happening)
                self._world.truth.unsubscribe(self._on_fact)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                self._waiting.clear()

    async def probe(self, url: str) -> bool:
        """Whether a GET is answered with 200."""
        try:
            async with self._client() as session, session.get(url, allow_redirects=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._options.timeout_seconds))

    # ---- what happens in the world

    def _on_fact(self, fact: Fact) -> None:
        thing = fact.thing
        if not isinstance(thing, Webinar | Registrant):
            return  # no webhook tells of it
        webinar = thing if isinstance(thing, Webinar) else self._world.as_is(thing.webinar_key)
        event = event_of(fact, webinar) if webinar else None
        if webinar and event:
            self._publish(event, webinar)

    def _on_happening(self, happening: Happening) -> None:
        self._publish(happened(happening), happening.participant.session.webinar)

    def _publish(self, event: JsonObject, webinar: Webinar) -> None:
        """For each subscription of the webinar's creator the same event, each with a fate of its own."""
        name = str(event["eventName"])
        wanting = self._hooks.wanting(name, webinar.organizer_key)
        if not wanting:
            return
        now, key = self._world.now, self._hooks.draw_uuid()
        body = msgspec.json.encode(sealed(event, key, now))
        for subscription in wanting:
            self._dispatch(_Post("sent", subscription.url, name, key, body), webinar)
        self._wake.set()

    def _dispatch(self, post: _Post, webinar: Webinar) -> None:
        """All that is drawn is drawn for every event: one share does not change what another does."""
        options, rng, now = self._options, self._rng, self._world.now
        lost, twice, later, beside = (rng.random() for _ in range(4))
        delays = [rng.random() * options.delay_seconds for _ in range(3)]
        held = rng.random() * options.reordering_seconds if later < options.reordering else 0.0
        if lost < options.loss:
            self.log.append(Posting("lost", post.event_name, post.event_key, post.url, now))
        else:
            self._wait(post, delays[0] + held)
            if twice < options.duplication:
                self._wait(_Post("repeated", post.url, post.event_name, post.event_key, post.body), delays[1] + held)
        if beside < options.forgery:
            self._wait(self._forge(post.url, webinar), delays[2])

    def _forge(self, url: str, webinar: Webinar) -> _Post:
        event, key = forged(self._rng, webinar, self._world.now), self._hooks.draw_uuid()
        body = msgspec.json.encode(sealed(event, key, self._world.now))
        secret = self._rng.choice(("", "a guess"))
        return _Post("forged", url, str(event["eventName"]), key, body, secret)

    def _wait(self, post: _Post, seconds: float) -> None:
        due = self._world.now + timedelta(seconds=seconds)
        heapq.heappush(self._waiting, (due, next(self._order), post))

    # ---- sending

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            self._wake.clear()
            while self._waiting and self._waiting[0][0] <= self._world.catch_up():
                await self._send(session, heapq.heappop(self._waiting)[2])
            await self._until_next()

    async def _until_next(self) -> None:
        """Until the next event is due or a new one has come."""
        waits: list[asyncio.Task[object]] = [asyncio.create_task(self._wake.wait())]
        if self._waiting:
            seconds = (self._waiting[0][0] - self._world.now).total_seconds()
            waits.append(asyncio.create_task(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _send(self, session: aiohttp.ClientSession, post: _Post) -> None:
        try:
            async with session.post(
                post.url, data=post.body, headers=self._headers(post), allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self.log.append(Posting(post.fate, post.event_name, post.event_key, post.url, self._world.now, status))

    def _headers(self, post: _Post) -> dict[str, str]:
        now, headers = self._world.now, {"Content-Type": "application/json"}
        timestamp = str(int(now.timestamp()))
        if self._options.signed == "timestamp.body":
            headers[self._options.timestamp_header] = timestamp
        valid = self._hooks.secret_at(now)
        secret = (valid.value if valid else "") if post.secret is None else post.secret
        if secret:
            headers[SIGNATURE_HEADER] = signature(self._options, secret, post.body, timestamp)
        return headers
