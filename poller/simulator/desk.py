"""The front desk: what happens to every request before and after the handler that knows its answer.

In this order: time catches up, the call is counted, limits, the fault of this call if any, the token, the handler,
the fault's effect on the answer, the log. Handlers are functions from a `Visit` to an `Answer`; one that has to ask
somebody else first is a coroutine function.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from aiohttp import web

from poller.ports import Clock
from poller.simulator.answers import (
    HTML,
    Answer,
    ApiError,
    invalid_identity_token,
    invalid_token,
    oauth_error,
    too_many_requests,
)
from poller.simulator.faults import TOKEN, UPCOMING_MEETINGS, Armed, FaultPlan
from poller.simulator.garbage import HTML as HTML_PAGE
from poller.simulator.garbage import SPOILS
from poller.simulator.limits import Meter, RetryAfter
from poller.simulator.oauth import AccessToken, Issuer
from poller.simulator.world import World

RETRY_AFTER_FAULTS: dict[str, Literal["seconds", "date", "absurd"]] = {
    "429-seconds": "seconds",
    "429-date": "date",
    "429-absurd": "absurd",
}
LOG_LENGTH = 100_000
CUT = "cut"  # in place of a status: the connection was cut


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as a handler sees it. `fault` is one that a handler has to carry out: a lie, a token fault."""

    operation: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    now: datetime
    token: AccessToken | None = None
    fault: Armed | None = None

    @property
    def caller(self) -> AccessToken:
        """The token of a guarded operation: the desk let nobody through without one."""
        assert self.token is not None
        return self.token


Handler = Callable[[Visit], Answer | Awaitable[Answer]]
Guard = Literal["gateway", "identity", "open"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. Names are the vendor's operationIds where it has given one."""

    name: str
    method: str
    path: str
    handler: Handler
    guard: Guard = "gateway"  # who checks the token, and so what a bad one is answered


@dataclass(frozen=True, slots=True)
class Call:
    """One call in the log. `monotonic` is its arrival, `status` an HTTP status or `cut`."""

    operation: str
    organizer_key: str
    at: datetime
    monotonic: float
    status: str


@dataclass(slots=True)
class Ledger:
    """Calls by operation and status, and the latest calls one by one."""

    by_operation: dict[str, Counter[str]] = field(default_factory=dict)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))

    def add(self, call: Call) -> None:
        self.by_operation.setdefault(call.operation, Counter())[call.status] += 1
        self.calls.append(call)


class Desk:
    """Serves operations. `closing` releases whatever hangs."""

    def __init__(self, world: World, issuer: Issuer, meter: Meter, faults: FaultPlan, clock: Clock) -> None:
        self.world, self.issuer, self.meter, self.faults = world, issuer, meter, faults
        self.ledger = Ledger()
        self.closing = asyncio.Event()
        self._clock = clock
        self._retry_after = {mode: RetryAfter(mode) for mode in ("none", "seconds", "date", "absurd")}

    def route(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(operation, request)

        return serve

    async def _serve(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        return _respond(
            request,
            await self.receive(operation, request.match_info, request.query, request.headers, request.read),
        )

    async def receive(
        self,
        operation: Operation,
        path: Mapping[str, str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        read: Callable[[], Awaitable[bytes]],
    ) -> Answer | None:
        """One request, from wherever it comes. None: cut the connection."""
        arrived, now = self._clock.monotonic(), self.world.catch_up()
        token = self._token(headers)
        answer = self._over_limit(operation, token, arrived, now)
        if answer is None:
            body = await read()
            fault = self.faults.draw(operation.name)
            visit = Visit(
                operation=operation.name,
                path=path,
                query=query,
                headers=headers,
                body=body,
                now=now,
                token=token,
                fault=fault,
            )
            answer = await self._answer(operation, visit)
        self._log(operation, token, arrived, now, answer)
        return answer

    def _log(
        self,
        operation: Operation,
        token: AccessToken | None,
        arrived: float,
        now: datetime,
        answer: Answer | None,
    ) -> None:
        whose = token.person.organizer_key if token else ""
        status = str(answer.status) if answer else CUT
        self.ledger.add(Call(operation.name, whose, now, arrived, status))

    # ---- limits and tokens

    def _token(self, headers: Mapping[str, str]) -> AccessToken | None:
        scheme, _, text = headers.get("Authorization", "").partition(" ")
        return self.issuer.find(text.strip()) if scheme.lower() == "bearer" else None

    def _over_limit(
        self, operation: Operation, token: AccessToken | None, arrived: float, now: datetime
    ) -> Answer | None:
        """A dead token still says whose call it is; a call with no known token counts for nobody."""
        if operation.guard == "open" or token is None:
            return None
        breach = self.meter.count(token.caller, operation.name, round(arrived * 1_000_000), now)
        if breach is None:
            return None
        mode = self.meter.options.retry_after
        return too_many_requests(self._retry_after[mode].headers(breach.wait, now))

    def _checked(self, operation: Operation, visit: Visit) -> None:
        if operation.guard == "open":
            return
        if visit.token is None or not self.issuer.alive(visit.token):
            raise invalid_token() if operation.guard == "gateway" else invalid_identity_token()

    # ---- the answer and what a fault makes of it

    async def _answer(self, operation: Operation, visit: Visit) -> Answer | None:
        """None: cut the connection."""
        fault = visit.fault
        if fault is not None and fault.stage == "transport":
            self.faults.strike(fault)
            if fault.name != "latency":
                return await self._fail(fault, visit)
            await self._pause(self.faults.latency_seconds)
        answer = await self._handled(operation, visit)
        if fault is None:
            return answer
        if fault.stage == "answer":
            self.faults.strike(fault)
            return None
        return self._spoilt(fault, answer) if fault.stage == "body" else answer

    async def _handled(self, operation: Operation, visit: Visit) -> Answer:
        try:
            self._meddle(visit)
            self._checked(operation, visit)
            answer = operation.handler(visit)
            return answer if isinstance(answer, Answer) else await answer
        except ApiError as error:
            return error.answer

    def _meddle(self, visit: Visit) -> None:
        """Faults that change a token or the world itself, before anybody looks."""
        fault = visit.fault
        if fault is None:
            return
        if fault.stage == "access" and visit.token is not None and self.issuer.alive(visit.token):
            visit.token.dead = True
            self.faults.strike(fault)
        elif fault.stage == "world" and self._invent_enum(visit):
            self.faults.strike(fault)

    def _invent_enum(self, visit: Visit) -> bool:
        """The world really changes, and the truth log has it: only the value is one that no document names."""
        if visit.operation in UPCOMING_MEETINGS:
            return self.world.meetings.invent_kind(self.faults.rng)
        webinar_key = visit.path.get("webinarKey")
        webinars = self.world.webinars()
        if webinar_key is None and webinars:
            key = self.faults.rng.choice(webinars).webinar_key
            self.world.change_webinar(key, experience="holographic")
            return True
        if webinar_key not in {webinar.webinar_key for webinar in webinars} or webinar_key is None:
            return False
        people = list(self.world.registrants(webinar_key))
        if people:
            self.world.set_status(webinar_key, self.faults.rng.choice(people), "ESCALATED")
        return bool(people)

    def _spoilt(self, fault: Armed, answer: Answer) -> Answer:
        if answer.status != 200 or not answer.body:
            return answer
        body = SPOILS[fault.name](answer.body, self.faults.rng)
        if body is None:
            return answer
        self.faults.strike(fault)
        return Answer(200, body, HTML if fault.name == "html" else answer.content_type)

    async def _fail(self, fault: Armed, visit: Visit) -> Answer | None:
        if fault.name == "reset":
            return None
        if fault.name == "hang":
            await self._pause(self.faults.hang_seconds)
            return None
        if fault.name.startswith("429"):
            mode = RETRY_AFTER_FAULTS.get(fault.name, "none")
            wait = timedelta(seconds=self.faults.retry_after_seconds)
            return too_many_requests(self._retry_after[mode].headers(wait, visit.now))
        body = HTML_PAGE if self.faults.rng.random() < 0.5 else b""
        return Answer(int(fault.name), body, HTML)

    async def _pause(self, seconds: float) -> None:
        """Wait by the simulator's clock, or until it closes."""
        waiting = asyncio.create_task(self._sleep(seconds))
        closing = asyncio.create_task(self.closing.wait())
        try:
            await asyncio.wait((waiting, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, closing):
                task.cancel()
            await asyncio.gather(waiting, closing, return_exceptions=True)

    async def _sleep(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    # ---- the token endpoint

    def issue(self, visit: Visit, form: Mapping[str, str], authorization: str) -> dict[str, object]:
        """Ask the issuer, with the token fault of this call."""
        with self._token_fault(visit, form):
            return self.issuer.token(form, authorization)

    @contextlib.contextmanager
    def _token_fault(self, visit: Visit, form: Mapping[str, str]) -> Iterator[None]:
        fault = visit.fault
        holder = self.issuer.holder(form)
        if fault is None or fault.stage != TOKEN or holder is None:
            yield
            return
        self.faults.strike(fault)
        if fault.name == "revoked":
            self.issuer.revoke(holder.organizer_key)
            raise oauth_error(400, "invalid_grant", "the consent was withdrawn")
        self.issuer.lifetime_share = 0.1
        try:
            yield
        finally:
            self.issuer.lifetime_share = 1.0


def _respond(request: web.Request, answer: Answer | None) -> web.StreamResponse:
    if answer is not None:
        headers = dict(answer.headers)
        if answer.body:
            headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.body or None, headers=headers)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere: aiohttp wants a response, the transport is gone
