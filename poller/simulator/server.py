"""The simulator as a whole: a world, the API in front of it, and the one port that serves both."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from random import Random

import msgspec
from aiohttp import web

from poller.ports import Clock
from poller.simulator.answers import Answer, unrouted
from poller.simulator.control_api import ControlApi
from poller.simulator.desk import Call, Desk, Operation
from poller.simulator.faults import AUTHORIZE, TOKEN, FaultPlan
from poller.simulator.hook_api import HookApi
from poller.simulator.hook_sender import HookSender, Posting
from poller.simulator.hooks import Hooks
from poller.simulator.identity_api import IdentityApi
from poller.simulator.limits import LimitOptions, Meter
from poller.simulator.lister import Lister
from poller.simulator.meeting_api import MeetingApi
from poller.simulator.meeting_group_api import MeetingGroupApi
from poller.simulator.meeting_history_api import MeetingHistoryApi
from poller.simulator.meeting_shapes import MeetingShapes
from poller.simulator.oauth import CLIENT_ID, CLIENT_SECRET, Issuer
from poller.simulator.old_list_api import OldListApi
from poller.simulator.options import ApiOptions, WebhookOptions, WorldOptions
from poller.simulator.recording_api import RecordingApi
from poller.simulator.registrant_api import RegistrantApi
from poller.simulator.report import Report
from poller.simulator.room_api import RoomApi
from poller.simulator.session_api import SessionApi
from poller.simulator.session_report_api import SessionReportApi
from poller.simulator.shapes import Shapes
from poller.simulator.team_api import TeamApi
from poller.simulator.truth import Fact
from poller.simulator.webinar_api import WebinarApi
from poller.simulator.world import World

TICK_SECONDS = 1.0  # of the simulator's clock
SHUTDOWN_SECONDS = 1.0  # real ones, for answers under way


class Simulator:
    """A GoTo of one's own. `serve` opens a port; everything else works without one.

    All times are those of `clock`; a fake one moves the world without waiting. One event loop only.
    """

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET

    def __init__(
        self,
        options: WorldOptions,
        *,
        clock: Clock,
        limits: LimitOptions | None = None,
        faults: FaultPlan | None = None,
        api: ApiOptions | None = None,
        webhooks: WebhookOptions | None = None,
    ) -> None:
        self.faults = faults or FaultPlan(seed=options.seed)
        self._clock, self._options, self._api = clock, options, api or ApiOptions()
        self.world = World(options, clock, lateness=self.faults.lateness)
        self.oauth = Issuer(
            people=self.world.people,
            options=self._api,
            monotonic=clock.monotonic,
            rng=Random(f"{options.seed}:tokens"),
            signed_in=self.world.organizers[0],
        )
        self._meter = Meter(limits or LimitOptions())
        self._desk = Desk(self.world, self.oauth, self._meter, self.faults, clock)
        self._webhooks, self._hooks = webhooks or WebhookOptions(), Hooks(options.seed)
        self._sender = HookSender(self.world, self._hooks, self._webhooks, clock)
        self._routes: list[tuple[Operation, re.Pattern[str]]] = []  # for requests without a port

    @property
    def calls(self) -> deque[Call]:
        """The latest calls, oldest first, with the moment of their arrival."""
        return self._desk.ledger.calls

    @property
    def postings(self) -> deque[Posting]:
        """The latest webhooks, oldest first: what was sent, sent again, invented or lost."""
        return self._sender.log

    def report(self) -> Report:
        operations = {name: dict(by) for name, by in self._desk.ledger.by_operation.items()}
        counted = (sum(by.values()) for name, by in operations.items() if name not in (TOKEN, AUTHORIZE))
        return Report(
            calls=sum(counted),
            operations=operations,
            breaches=tuple(self._meter.breaches),
            peaks={str(window): peak for window, peak in self._meter.peaks.items()},
            faults=dict(self.faults.struck),
            facts=dict(Counter(fact.kind for fact in self.world.truth.facts)),
            webhooks=dict(Counter(posting.fate for posting in self.postings)),
        )

    async def receive(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes = b""
    ) -> Answer | None:
        """One request without a port: what would be answered to it. None: its connection would be cut."""
        if not self._routes:
            self._routes = [(operation, _pattern(operation.path)) for operation in self._operations()]

        async def read() -> bytes:
            return body

        for operation, pattern in self._routes:
            found = pattern.fullmatch(path) if operation.method == method else None
            if found is not None:
                return await self._desk.receive(operation, found.groupdict(), query, headers, read)
        return unrouted().answer

    @contextlib.asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0, *, ticker: bool = True) -> AsyncIterator[str]:
        """Open the port; gives the base URL that stands in for every GoTo host.

        `ticker`: let the world move by itself as the clock goes, not only when somebody asks. Requests that hang
        are released at the end.
        """
        self._desk.closing.clear()
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        async with self._living(ticker=ticker):
            try:
                await web.TCPSite(runner, host, port).start()
                yield f"http://{host}:{runner.addresses[0][1]}"
            finally:
                self._desk.closing.set()
                await runner.cleanup()

    @contextlib.asynccontextmanager
    async def _living(self, *, ticker: bool) -> AsyncIterator[None]:
        """What goes on beside the answers: the truth file, the webhooks, the ticker."""
        with self._truth_file():
            async with self._sender.running():
                tick = asyncio.create_task(self._tick()) if ticker else None
                try:
                    yield
                finally:
                    if tick is not None:
                        tick.cancel()
                        await asyncio.gather(tick, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            self.world.catch_up()
            await self._clock.sleep(TICK_SECONDS)

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=2**24)
        for operation in self._operations():
            app.router.add_route(operation.method, operation.path, self._desk.route(operation))
        app.add_routes(self._control().routes())
        app.router.add_route("*", "/{anything:.*}", _unrouted)
        return app

    def _control(self) -> ControlApi:
        return ControlApi(self.world, self.oauth, self.faults, self.report, self.postings)

    def _operations(self) -> list[Operation]:
        shapes, lister = Shapes(self._api.keys), Lister(self.faults, self._api)
        meetings = (self.world, MeetingShapes(shapes), self._api, lister)
        return [
            *WebinarApi(self.world, shapes, lister).operations(),
            *OldListApi(self.world, shapes, self._api, self.faults).operations(),
            *RoomApi(self.world).operations(),
            *TeamApi(self.world, shapes).operations(),
            *RegistrantApi(self.world, shapes, lister).operations(),
            *SessionApi(self.world, shapes, lister).operations(),
            *SessionReportApi(self.world).operations(),
            *RecordingApi(self.world, lister).operations(),
            *HookApi(self._hooks, self._sender, self._webhooks).operations(),
            *MeetingApi(*meetings).operations(),
            *MeetingHistoryApi(*meetings).operations(),
            *MeetingGroupApi(*meetings).operations(),
            *IdentityApi(self._desk, self.oauth, shapes).operations(),
        ]

    @contextlib.contextmanager
    def _truth_file(self) -> Iterator[None]:
        """While serving, every fact is one line in the truth file; those up to now come first."""
        path = self._options.truth_path
        if path is None:
            yield
            return
        with Path(path).open("ab") as file:

            def write(fact: Fact) -> None:
                file.write(msgspec.json.encode(fact.as_json()) + b"\n")
                file.flush()

            for fact in self.world.truth.all():
                write(fact)
            self.world.truth.subscribe(write)
            try:
                yield
            finally:
                self.world.truth.unsubscribe(write)


def _pattern(path: str) -> re.Pattern[str]:
    """Of a route's path, with its fields in braces."""
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))


async def _unrouted(request: web.Request) -> web.Response:
    """What GoTo's gateway says to a path it does not know."""
    answer = unrouted().answer
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
