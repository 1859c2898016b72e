"""Whatever happens, in whatever order: each fact becomes one event, delivered at least once; nothing is made up.

A world is changed, its lists lie, calls fail, the engine polls, delivers, dies and starts again, its clock jumps. After
each drain the events are held against the truth. The plain run is short; the marked one takes many minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from poller.errors import Malformed, NotFound, Refused, Wait
from poller.ports import Outcome, Outgoing
from poller.testing import FakeClock
from state import failpoints
from state.store import Select
from tests.integration.scripted_goto import (
    REGISTRANT,
    REGISTRANTS,
    WEBINAR,
    WEBINARS,
    Goto,
    Item,
    busy,
    gone,
    html,
)
from tests.integration.world import Connection, Event, House, Inbox, Trigger

OPERATIONS = st.sampled_from([WEBINARS, REGISTRANTS, REGISTRANTS, WEBINAR, REGISTRANT])
TROUBLES = st.sampled_from(
    ["busy", "garbled", "gone", "one missing", "empty", "reversed", "repeated", "old copy", "old copy", "ghosts"]
)
JUMPS = st.sampled_from([0, 0, 0, -3600, -1, 1, 3600])  # seconds
SINKS = st.sampled_from(["crm", "queue"])
CONNECTIONS = (Connection("acme", "1"), Connection("beta", "2"))
TRIGGERS = (Trigger(sinks=["crm"]), Trigger("again", on=["registrant.*"], sinks=["crm", "queue"]))
TOLD_OF_PEOPLE = ("status", "firstName")
TOLD_OF_WEBINARS = ("subject", "times")


# What happens in the world between two steps: an action, which object it is about, and a value for it.
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["register", "register", "rename person", "decide", "leave", "return", "create", "rename", "move", "cancel"]
        ),
        st.integers(0, 30),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
)


class Engine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="poller-machine-"))
        self.lives = 0
        self.clock = FakeClock()
        self.goto = Goto(self.clock)
        self.goto.page_size = 3
        self.known_before: set[str] = set()  # keys of the baseline
        self.was: dict[str, list[Item]] = defaultdict(list)  # key → everything it ever looked like
        self.absent_ever: set[str] = set()
        self.former: dict[str, tuple[str, Item]] = {}  # of people who left: webinar, and how they looked
        self.checked = self.seen = 0
        self.received: dict[str, dict[str, bytes]] = {"crm": {}, "queue": {}}
        self.mood: dict[str, Outcome] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.drain_and_check()
        finally:
            failpoints.arm("")
            self.run(self.home.close())
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # ── the beginning ────────────────────────────────────────────────────────────────────────────────────────────────

    @initialize(count=st.integers(0, 3), people=st.integers(0, 5), shared=st.booleans())
    def begin(self, count: int, people: int, shared: bool) -> None:
        for _ in range(count):
            webinar = self.goto.webinar(organizers="12" if shared else "1", days=300)
            for _ in range(people):
                key = self.goto.register(webinar, registrationDate=self.goto.ago(days=3))
                self.look_at(webinar, key)
            self.look_at(webinar)
        self.known_before = set(self.was)
        self.home = House(
            self.goto, self.clock, *CONNECTIONS, triggers=TRIGGERS, path=self.folder / "poller.db", page_above=4
        )
        self.run(self.home.open())
        assert not self.run(self.home.sweep(2))
        assert self.run(self.home.events()) == []

    def look_at(self, webinar: str, person: str = "") -> None:
        body = self.goto.webinars[webinar].people[person] if person else self.goto.webinars[webinar].body
        self.was[person or webinar].append(dict(body))

    # ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self, actions: list[tuple[str, int, int]]) -> None:
        for action, number, value in actions:
            webinars = list(self.goto.webinars)
            if action == "create" or not webinars:
                self.look_at(self.goto.webinar(organizers=["1", "2", "12", "21"][value], days=300))
                continue
            webinar = webinars[number % len(webinars)]
            if action in ("rename", "move", "cancel"):
                self.alter_webinar(action, webinar, value)
            else:
                self.alter_people(action, webinar, number, value)

    def alter_webinar(self, action: str, webinar: str, value: int) -> None:
        if action == "cancel":
            if value == 0:
                self.absent_ever.update({webinar, *self.goto.cancel(webinar).people})
            return
        if action == "rename":
            self.goto.change(webinar, subject="ABCD"[value])
        else:
            self.goto.move(webinar, 300 + value)
        self.look_at(webinar)

    def alter_people(self, action: str, webinar: str, number: int, value: int) -> None:
        people = list(self.goto.webinars[webinar].people)
        if action == "return":
            self.come_back(number)
        elif action == "register" or not people:
            seconds = [0, 0, 30, 600][value]
            status = ["APPROVED", "WAITING"][number % 2]
            person = self.goto.register(webinar, status=status, registrationDate=self.goto.ago(seconds=seconds))
            self.look_at(webinar, person)
        elif action == "leave":
            person = people[number % len(people)]
            self.former[person] = (webinar, self.goto.leave(webinar, person))
            self.absent_ever.add(person)
        else:
            person = people[number % len(people)]
            states = ["APPROVED", "WAITING", "DENIED", "APPROVED"]
            told = {"firstName": "ABCD"[value]} if action == "rename person" else {"status": states[value]}
            self.goto.alter(webinar, person, **told)
            self.look_at(webinar, person)

    def come_back(self, number: int) -> None:
        gone = [key for key, (webinar, _) in self.former.items() if webinar in self.goto.webinars]
        gone = [key for key in gone if key not in self.goto.webinars[self.former[key][0]].people]
        if gone:
            person = gone[number % len(gone)]
            webinar, body = self.former[person]
            self.goto.webinars[webinar].people[person] = body
            self.look_at(webinar, person)

    # ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        actions=ACTIONS,
        troubles=st.lists(st.tuples(TROUBLES, OPERATIONS, st.integers(0, 2)), max_size=2),
        poll=st.sampled_from(["all", "all", "acme", "beta", "one"]),
        death=st.sampled_from(["", "", "", "poll.fetched", "commit.inside", "commit.done"]),
    )
    def step(self, actions: list[tuple[str, int, int]], troubles: list[Any], poll: str, death: str) -> None:
        """Things happen, then the engine looks at them, or dies over it."""
        self.live(actions)
        for kind, operation, place in troubles:
            self.trouble(kind, operation, place)
        if death:
            self.die_while_polling(death, at=1 + len(actions) % 3)
            return
        held = [target.scope.parent for target in self.home.roster.of("acme") if target.scope.parent]
        if poll == "all":
            self.run(self.home.sweep())
        elif poll == "one" and held:
            self.run(self._calmly(self.home.look(held[len(actions) % len(held)])))
        else:
            self.run(self._calmly(self.home.walk("beta" if poll == "beta" else "acme")))
        self._check_removals()

    def trouble(self, kind: str, operation: str, place: int) -> None:
        """A call that fails, or a list (or a page of it) that lies."""
        errors = {"busy": busy, "garbled": html, "gone": gone}
        if kind in errors:
            operation = REGISTRANTS if kind == "gone" else operation
            self.goto.fail(operation, errors[kind], skip=place)
            return
        if kind == "ghosts":
            self.show_ghosts(place)
            return

        def told(items: list[Item]) -> list[Item]:
            keys = [str(item.get("registrantKey") or item["webinarKey"]) for item in items]
            return {
                "one missing": [item for number, item in enumerate(items) if number != place],
                "empty": [],
                "reversed": items[::-1],
                "repeated": [*items[:place], *items],
                "old copy": [self.was[key][max(-2 - place, -len(self.was[key]))] for key in keys],
            }[kind]

        self.goto.lie(WEBINARS if operation in (WEBINARS, WEBINAR) else REGISTRANTS, told, times=3)

    def show_ghosts(self, place: int) -> None:
        """The next lists of one webinar's registrants show those who left, too."""
        for webinar in list(self.goto.webinars)[place : place + 1]:
            ghosts = [body for key, (left, body) in self.former.items() if left == webinar and not self.is_there(key)]
            self.goto.lie(REGISTRANTS, lambda items, ghosts=ghosts: [*items, *ghosts], times=3, parent=webinar)

    async def _calmly(self, work: Coroutine[Any, Any, Any]) -> None:
        with contextlib.suppress(Wait, NotFound, Malformed):
            await work

    def die_while_polling(self, point: str, at: int) -> None:
        """What was in memory is gone; the files are as they lay there."""
        failpoints.arm(f"{point}=raise@{at}")
        try:
            self.run(self.home.sweep())
        except BaseException as error:
            assert isinstance(error, OSError | BaseExceptionGroup), error
        finally:
            failpoints.arm("")
        self.crash()

    def crash(self) -> None:
        self.seen = len(self.run(self.home.events()))
        self.lives += 1
        self.run(self.home.crash(self.folder / str(self.lives)))

    @rule(what=st.sampled_from(["crash", "restart", "wait", "later", "much later", "mend", "drain"]), jump=JUMPS)
    def meanwhile(self, what: str, jump: int) -> None:
        self.clock.jump(jump)
        if what == "crash":
            self.crash()
        elif what == "restart":
            self.run(self.home.restart())
        elif what == "mend":
            self.goto.mend()
        elif what == "drain":
            self.drain_and_check()
        else:
            self.run(self.clock.advance({"wait": 1, "later": 120, "much later": 4000}[what]))

    def _check_removals(self) -> None:
        """What was just told to be gone is gone."""
        events = self.run(self.home.events())
        for event in events[self.seen :]:
            key, kind = event["subject"].rpartition("/")[2], event["type"].rpartition(".")[2]
            assert kind not in ("removed", "cancelled") or not self.is_there(key), f"{key} is not gone"
        self.seen = len(events)

    def is_there(self, key: str) -> bool:
        return key in self.goto.webinars or any(key in webinar.people for webinar in self.goto.webinars.values())

    # ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(how=st.sampled_from(["well", "refused", "down", "the answer is lost", "again"]), sink=SINKS)
    def deliver(self, how: str, sink: str) -> None:
        self.mood = {sink: {"refused": Refused("400"), "down": Wait("503")}.get(how)}
        if how == "again":
            self.run(self._replay())
        if how == "the answer is lost":
            failpoints.arm("send.after=raise")
        try:
            self.run(self.home.deliver(*self.inboxes()))
        finally:
            failpoints.arm("")
        if how == "the answer is lost":
            self.crash()

    async def _replay(self) -> None:
        events = await self.home.stored()
        await self.home.store.owe("crm", [event.sequence for event in events], self.clock.now().timestamp())

    def inboxes(self) -> list[Inbox]:
        return [Inbox(name, answer=lambda outgoing, name=name: self.receive(name, outgoing)) for name in self.received]

    def receive(self, sink: str, outgoing: Outgoing) -> Outcome:
        outcome = self.mood.get(sink)
        if outcome is None:
            before = self.received[sink].setdefault(outgoing.id, outgoing.body)
            assert before == outgoing.body, "one id, two bodies"
        return outcome

    # ── the truth ────────────────────────────────────────────────────────────────────────────────────────────────────

    def drain_and_check(self) -> None:
        self.goto.mend()
        self.mood.clear()
        self.run(self._drain())
        events = self.run(self.home.events())
        self._check_lives(events)
        self._check_order(events)
        self._check_deliveries(events)
        self.checked = self.seen = len(events)

    async def _drain(self) -> None:
        await self.home.settled()
        for _ in range(4):
            await self.home.deliver(*self.inboxes())
            await self.clock.advance(40_000 if await self.home.owed("crm") or await self.home.owed("queue") else 1)

    def _check_lives(self, events: list[Event]) -> None:
        assert len({event["id"] for event in events}) == len(events)
        told: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            told[event["subject"].rpartition("/")[2]].append(event)
        for key in self.was:
            self._check_life(key, told.pop(key, []))
        assert not told, "events about what never was"

    def _check_life(self, key: str, events: list[Event]) -> None:
        """Comings and goings alternate; what was told is what it looked like, in that order, up to the last look."""
        history = self.was[key]
        names = TOLD_OF_WEBINARS if "times" in history[0] else TOLD_OF_PEOPLE
        alive, place = key in self.known_before, 0
        for event in events:
            kind, data = event["type"].rpartition(".")[2], event["data"]
            if kind == "changed":
                assert alive, f"a change of {key}, which is gone"
                assert data["previous"].items() <= history[place].items(), f"{key} was told otherwise before"
                place = _next(history, data, names, place + 1)
            else:
                assert alive == (kind in ("cancelled", "removed")), f"{kind} of {key}, once too often"
                assert alive is False or key in self.absent_ever, f"{kind} of {key}, which was there all the time"
                alive = not alive
                place = _next(history, data, names, place)
        if self.is_there(key):
            assert alive, f"{key} is there, and was not told"
            assert _same(history[place], history[-1], names), f"a change of {key} was lost"
        elif self._is_listed(key):
            assert not alive, f"{key} is gone, and that was not told"

    def _is_listed(self, key: str) -> bool:
        """Registrants of a cancelled webinar are not told one by one."""
        if key in self.was and "times" in self.was[key][0]:
            return True
        return key in self.former and self.former[key][0] in self.goto.webinars

    def _check_order(self, events: list[Event]) -> None:
        """A webinar is told before what happens in it."""
        created: dict[str, int] = {}
        for place, event in enumerate(events):
            key = event["partitionkey"]
            if event["type"].endswith("webinar.created"):
                created.setdefault(key, place)
            elif key not in self.known_before:
                assert key in created, f"{event['type']} of an unknown webinar"
        sequences = [event["sequence"] for event in events]
        assert sequences == sorted(set(sequences))

    def _check_deliveries(self, events: list[Event]) -> None:
        """Everything owed was received at least once or is dead; nothing else was received."""
        wanted = {
            "crm": {event["id"] for event in events},
            "queue": {event["id"] for event in events if ".registrant." in event["type"]},
        }
        for sink, ids in wanted.items():
            views = self.run(self.home.store.deliveries(Select(sink=sink, limit=100_000), ["dead", "pending", "held"]))
            assert not [view for view in views if view.state != "dead"], "still pending"
            dead = {view.id for view in views}
            assert set(self.received[sink]) | dead == ids
            assert set(self.received[sink]) <= ids


def _same(one: Item, other: Item, names: Iterable[str]) -> bool:
    return all(one[name] == other[name] for name in names)


def _next(history: list[Item], data: Item, names: Iterable[str], place: int) -> int:
    """The first time from `place` on that it looked like `data`."""
    found = (at for at in range(place, len(history)) if _same(history[at], data, names))
    at = next(found, None)
    assert at is not None, f"told {[data[name] for name in names]}, which it did not look like (any more)"
    return at


def _profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.mark.timeout(600)
class TestEngine(Engine.TestCase):  # a class of its own: a mark on the common one would count for both
    settings = _profile(60, 30)


@pytest.mark.long
@pytest.mark.timeout(7200)
class TestEngineAtLength(Engine.TestCase):
    settings = _profile(2000, 60)
