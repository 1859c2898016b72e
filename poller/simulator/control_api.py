"""The handles of the simulation, under /_simulator/: for tests and people, never limited, never faulty.

GET organizers, clock, truth, limits, faults, webhooks · POST actions, faults, arrivals · DELETE faults. Bodies are
JSON; what is wrong with a request is answered with 400 and a sentence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

import msgspec
from aiohttp import web

from poller.errors import UsageError
from poller.simulator.actions import organizer_as_json, parse_actions
from poller.simulator.answers import JSON, ApiError
from poller.simulator.faults import FAULTS, FaultPlan
from poller.simulator.hook_sender import Posting
from poller.simulator.oauth import Issuer
from poller.simulator.report import Report
from poller.simulator.roster import AlreadyRegisteredError, UnknownKeyError
from poller.simulator.world import World

Control = Callable[[Mapping[str, str], bytes], object]


class FaultOrder(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    probability: float | None = None
    times: int | None = None
    operation: str | None = None


class Running(msgspec.Struct, forbid_unknown_fields=True):
    running: bool


class ControlApi:
    def __init__(
        self,
        world: World,
        issuer: Issuer,
        faults: FaultPlan,
        report: Callable[[], Report],
        postings: Collection[Posting],
    ) -> None:
        self._world, self._issuer, self._faults = world, issuer, faults
        self._report, self._postings = report, postings

    def routes(self) -> list[web.RouteDef]:
        handles: list[tuple[str, str, Control]] = [
            ("GET", "organizers", self._organizers),
            ("GET", "clock", self._clock),
            ("GET", "truth", self._truth),
            ("GET", "limits", self._limits),
            ("GET", "faults", self._list_faults),
            ("GET", "webhooks", self._webhooks),
            ("POST", "faults", self._arm),
            ("DELETE", "faults", self._disarm),
            ("POST", "actions", self._act),
            ("POST", "arrivals", self._run_arrivals),
        ]
        return [web.route(method, f"/_simulator/{name}", _serve(control)) for method, name, control in handles]

    def _organizers(self, query: Mapping[str, str], body: bytes) -> object:
        """The account's administrator comes last."""
        return [organizer_as_json(person) for person in self._world.people]

    def _clock(self, query: Mapping[str, str], body: bytes) -> object:
        return {"now": self._world.catch_up(), "arrivals": self._world.arrivals.next_at is not None}

    def _truth(self, query: Mapping[str, str], body: bytes) -> object:
        """`after`: numbers above this one · `kind` · `initial`: yes (default), no, only."""
        self._world.catch_up()
        truth, initial = self._world.truth, query.get("initial", "yes")
        if initial not in ("yes", "no", "only"):
            raise UsageError("truth: initial is yes, no or only")
        after = _whole(query, "after")
        first = [] if initial == "no" or after > 0 else list(truth.initial())
        later = [] if initial == "only" else truth.after(after)
        wanted = [fact.as_json() for fact in (*first, *later) if query.get("kind", fact.kind) == fact.kind]
        return {"facts": wanted, "last": len(truth.facts)}

    def _limits(self, query: Mapping[str, str], body: bytes) -> object:
        return self._report().as_json()

    def _list_faults(self, query: Mapping[str, str], body: bytes) -> object:
        armed = [
            {"name": f.name, "probability": f.probability, "times": f.times, "operation": f.operation}
            for f in self._faults.armed
        ]
        known = {name: meaning for name, (_, meaning) in FAULTS.items()}
        return {"armed": armed, "struck": dict(self._faults.struck), "known": known}

    def _webhooks(self, query: Mapping[str, str], body: bytes) -> object:
        """The latest, oldest first: what was sent, sent again, forged or lost, and what the receiver said."""
        self._world.catch_up()
        return [
            {
                "fate": posting.fate,
                "eventName": posting.event_name,
                "eventKey": posting.event_key,
                "url": posting.url,
                "at": posting.at,
                "status": posting.status or None,
            }
            for posting in self._postings
        ]

    def _arm(self, query: Mapping[str, str], body: bytes) -> object:
        """One order or a list of them."""
        text = body if body.lstrip().startswith(b"[") else b"[" + body + b"]"
        for order in msgspec.json.decode(text, type=list[FaultOrder]):
            self._faults.arm(order.name, probability=order.probability, times=order.times, operation=order.operation)
        return self._list_faults(query, b"")

    def _disarm(self, query: Mapping[str, str], body: bytes) -> object:
        """`?name=` clears this one, without it all are cleared."""
        self._faults.clear(query.get("name"))
        return self._list_faults(query, b"")

    def _act(self, query: Mapping[str, str], body: bytes) -> object:
        """The actions happen at one moment of the world's time; the first one refused ends the list."""
        return {"results": [action.perform(self._world, self._issuer) for action in parse_actions(body)]}

    def _run_arrivals(self, query: Mapping[str, str], body: bytes) -> object:
        if msgspec.json.decode(body, type=Running).running:
            self._world.resume_arrivals()
        else:
            self._world.pause_arrivals()
        return self._clock(query, b"")


def _serve(control: Control) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            payload, status = control(request.query, await request.read()), 200
        except ApiError as error:
            return web.Response(body=error.answer.body, status=error.answer.status, content_type=JSON)
        except UnknownKeyError as error:
            payload, status = {"error": f"no such key: {error}"}, 400
        except (UsageError, AlreadyRegisteredError, msgspec.DecodeError) as error:
            payload, status = {"error": str(error)}, 400
        return web.Response(body=msgspec.json.encode(payload), status=status, content_type=JSON)

    return handle


def _whole(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not text.isdecimal():
        raise UsageError(f"{name} must be a whole number")
    return int(text)
