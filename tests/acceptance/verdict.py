"""Pure: what was delivered, held against what was true.

L  lost: it lasts, and the sink was neither told nor has it as a dead letter
D1 delivered again with the same id
D2 one fact under more than one id
P  phantom: told, never true
T  the told state differs from every state there ever was, or one id came with two bodies
O  order broken within one webinar

A poller cannot see what was undone between two polls, so the truth says two things: what a sink may have been told
(each state there ever was), and what it must have been told in the end (what is there now and was not at the
baseline, with its present state; what it was told of and is gone). What existed at the baseline counts as told.

Sessions and attendance of webinars come once and stay: each such fact of a webinar that is still there makes one event,
whose data do not contradict the fact's. They are judged only where the truth is asked for with them.

Meetings: one that is over, or was deleted when no poll can tell that from being over, may have been told or not. What
was held must be told, whatever became of the meeting.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poller.simulator import Fact, attended_subject, meeting_facts
from poller.simulator.truth import ALTERED, ATTENDANCE, BIRTHS, CANCELLED, CHANGED, REMOVED

Event = Mapping[str, Any]

CHANGES = (CHANGED, ALTERED, meeting_facts.CHANGED)
DEATHS = (CANCELLED, REMOVED, meeting_facts.CANCELLED)
# Fields of the list that events spell otherwise, or that no promise covers.
_OTHERWISE = {"webinarId", "status"}


@dataclass(frozen=True)
class Delivered:
    """One event as one sink got it. `taken` is false for an attempt that the receiver turned down."""

    body: bytes
    taken: bool = True


@dataclass
class Verdict:
    """The figures of one sink, each with its cases."""

    sink: str
    events: int = 0
    cases: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ("L", "D1", "D2", "P", "T", "O")})

    def add(self, figure: str, case: str) -> None:
        self.cases[figure].append(case)

    def __getitem__(self, figure: str) -> int:
        return len(self.cases[figure])

    @property
    def clean(self) -> bool:
        """D1 is reported; what bounds it is the campaign's to say."""
        return not any(self[figure] for figure in ("L", "D2", "P", "T", "O"))

    def __str__(self) -> str:
        figures = " ".join(f"{name}={len(found)}" for name, found in self.cases.items())
        examples = [f"  {name}: {case}" for name, found in self.cases.items() if name != "D1" for case in found[:5]]
        return "\n".join([f"{self.sink:10} events={self.events} {figures}", *examples])


@dataclass
class _Life:
    """One webinar or registrant: every state it ever had, how often it came and went."""

    states: list[dict[str, Any]] = field(default_factory=list)
    births: int = 0
    deaths: int = 0
    present: bool = False
    left: bool = False  # gone in a way that nobody is told of
    at_baseline: dict[str, Any] | None = None

    def follow(self, fact: Fact, *, silent: bool) -> None:
        if fact.kind in (*DEATHS, meeting_facts.LEFT):
            self.left = fact.kind == meeting_facts.LEFT
            self.deaths += not self.left
            self.present = False
            self.at_baseline = None if silent else self.at_baseline
            return
        self.births += fact.kind in BIRTHS
        self.present = True
        self.states.append(_listed(fact))
        if silent:
            self.at_baseline = self.states[-1]


@dataclass(frozen=True)
class Truth:
    """All that was true, by subject; sessions and attendance by kind and subject, None where they are not judged."""

    lives: Mapping[str, _Life]
    attendance: Mapping[tuple[str, str], Fact] | None = None
    silent_until: int = -1

    @classmethod
    def of(cls, facts: Iterable[Fact], *, silent_until: int, attendance: bool = False) -> Truth:
        """Facts up to this number are those of a silent baseline, which counts as told; -1: nothing is."""
        lives: dict[str, _Life] = defaultdict(_Life)
        once: dict[tuple[str, str], Fact] = {}
        for fact in facts:
            if fact.kind in ATTENDANCE:
                once[fact.kind, fact.subject] = fact
            else:
                lives[_life_of(fact.kind, fact.subject)].follow(fact, silent=fact.number <= silent_until)
        return cls(dict(lives), once if attendance else None, silent_until)

    def holds(self, subject: str) -> bool:
        """Whether the webinar of this subject still exists: a cancelled one takes its registrants along."""
        if not subject.startswith("webinars/"):
            return True
        return self.lives["/".join(subject.split("/")[:2])].present


def judge(sink: str, truth: Truth, delivered: Sequence[Delivered], dead: Iterable[bytes] = ()) -> Verdict:
    """`dead`: the events of this sink's dead letters, which count as told."""
    verdict = Verdict(sink)
    events = _told(verdict, delivered)
    for body in dead:
        event = json.loads(body)
        events.setdefault(event["id"], event)
    _order(verdict, delivered, truth)
    stories: dict[str, list[Event]] = defaultdict(list)
    attendance: list[Event] = []
    for event in sorted(events.values(), key=lambda event: str(event["sequence"])):
        if _kind(event) in ATTENDANCE:
            attendance.append(event)
        else:
            stories[_story_of(event)].append(event)
    _judge_attendance(verdict, truth, attendance)
    for subject in {*stories, *truth.lives}:
        life = truth.lives.get(subject)
        if life is None:
            verdict.add("P", f"{subject} never existed")
        else:
            _Story(verdict, subject, life).check(stories[subject], truth.holds(subject))
    return verdict


def _told(verdict: Verdict, delivered: Sequence[Delivered]) -> dict[str, Event]:
    """Events by id, with repetitions counted."""
    bodies: dict[str, bytes] = {}
    events: dict[str, Event] = {}
    for one in delivered:
        event = json.loads(one.body)
        if bodies.setdefault(event["id"], one.body) != one.body:
            verdict.add("T", f"{event['id']} came with two bodies")
        if not one.taken:
            continue
        if event["id"] in events:
            verdict.add("D1", str(event["id"]))
        events[event["id"]] = event
    verdict.events = len(events)
    return events


@dataclass
class _Story:
    """What one sink was told of one thing, event after event."""

    verdict: Verdict
    subject: str
    life: _Life

    def check(self, events: Sequence[Event], webinar_exists: bool) -> None:
        self.state = self.life.at_baseline
        self.births = int(self.state is not None)
        self.deaths = 0
        for event in events:
            self._follow(event)
        self._compare_with_the_end(webinar_exists)

    def _follow(self, event: Event) -> None:
        kind = _kind(event)
        if kind in BIRTHS:
            self._born(kind, event)
        elif kind in CHANGES:
            self._altered(kind, event)
        elif kind in DEATHS:
            self._died(kind, event)

    def _born(self, kind: str, event: Event) -> None:
        self.births += 1
        if self.state is not None:
            self._note("D2", kind, event, "told twice without a removal between")
        elif self.births > self.life.births:
            self._note("P", kind, event, "told more often than it came")
        self.state = self._true(kind, event)

    def _altered(self, kind: str, event: Event) -> None:
        before, now = self.state, self._true(kind, event)
        if before is None:
            self._note("P", kind, event, "changed without having been told")
        elif before == now:
            self._note("D2", kind, event, "the same state again")
        else:
            data = event["data"]
            untrue = [name for name in data["changed"] if before.get(name) != data["previous"].get(name)]
            if untrue or not data["changed"]:
                self._note("T", kind, event, f"previous is not what was told before: {untrue}")
        self.state = now

    def _died(self, kind: str, event: Event) -> None:
        self.deaths += 1
        if self.state is None:
            self._note("P", kind, event, "gone without having been told")
        elif self.deaths > self.life.deaths:
            self._note("P", kind, event, "told to be gone more often than it went")
        self._true(kind, event)
        self.state = None

    def _true(self, kind: str, event: Event) -> dict[str, Any]:
        """The told state, as far as the truth has its fields."""
        names = self.life.states[0].keys()
        told = {name: event["data"].get(name) for name in names}
        if told not in self.life.states:
            last = self.life.states[-1]
            self._note("T", kind, event, f"differs in {[name for name in names if told[name] != last[name]]}")
        return told

    def _compare_with_the_end(self, webinar_exists: bool) -> None:
        if self.life.present and webinar_exists:
            if self.state is None:
                self.verdict.add("L", f"{self.subject}: it is there, nobody was told")
            elif self.state != self.life.states[-1]:
                self.verdict.add("L", f"{self.subject}: its last change was not told")
        elif self.state is not None and not self.life.left and (webinar_exists or "/registrants/" not in self.subject):
            self.verdict.add("L", f"{self.subject}: it is gone, nobody was told")

    def _note(self, figure: str, kind: str, event: Event, why: str) -> None:
        self.verdict.add(figure, f"{kind} {self.subject} #{int(event['sequence'])}: {why}")


def _judge_attendance(verdict: Verdict, truth: Truth, events: Sequence[Event]) -> None:
    if truth.attendance is None:
        return
    told = {key for key, fact in truth.attendance.items() if fact.number <= truth.silent_until}
    for event in events:
        key = (_kind(event), str(event["subject"]))
        fact = truth.attendance.get(key)
        if fact is None:
            verdict.add("P", f"{' '.join(key)} never was")
            continue
        if key in told:
            verdict.add("D2", f"{' '.join(key)} told twice")
        told.add(key)
        wrong = [name for name, value in fact.data.items() if event["data"].get(name, value) != value]
        if wrong:
            verdict.add("T", f"{' '.join(key)} differs in {wrong}")
    for key in truth.attendance.keys() - told:
        if truth.holds(key[1]):
            verdict.add("L", f"{' '.join(key)}: nobody was told")


def _life_of(kind: str, subject: str) -> str:
    """A session and its recording have one subject, and lives of their own."""
    return f"{subject}/recording" if kind == meeting_facts.RECORDING else subject


def _story_of(event: Event) -> str:
    """The life that an event is about. Attendance has a hash in its subject; the truth knows what was hashed."""
    kind = _kind(event)
    subject = attended_subject(event["data"]) if kind == meeting_facts.ATTENDED else str(event["subject"])
    return _life_of(kind, subject)


def _kind(event: Event) -> str:
    return str(event["type"]).removeprefix("com.goto.")


def _listed(fact: Fact) -> dict[str, Any]:
    """A state in the words of events."""
    data = {name: value for name, value in fact.data.items() if name not in _OTHERWISE}
    if "registrantKey" in data:
        data["status"] = str(fact.data["status"]).upper()
    for name in ("recurrenceType", "experienceType"):
        if name in data:
            data[name] = str(data[name]).lower()
    return data


def _order(verdict: Verdict, delivered: Sequence[Delivered], truth: Truth) -> None:
    """No webinar goes back to an older event, its creation comes first, and within one poll the oldest registration.

    What a sink had already taken may come again, and then out of its place: that is D1.
    """
    newest: dict[str, int] = {}
    dates: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for one in delivered:
        event = json.loads(one.body)
        if event.get("backfill") or event["id"] in taken:
            continue
        if one.taken:
            taken.add(event["id"])
        partition, sequence = str(event["partitionkey"]), int(event["sequence"])
        if partition not in newest:
            _opens_well(verdict, event, truth)
        if sequence < newest.get(partition, 0):
            verdict.add("O", f"webinar {partition}: #{sequence} after #{newest[partition]}")
        if sequence > newest.get(partition, 0) and event["type"] == "com.goto.registrant.added":
            poll = (partition, str(event["observedtime"]))
            if event["time"] < dates.get(poll, ""):
                verdict.add("O", f"webinar {partition}: #{sequence} registered earlier than the one before")
            dates[poll] = event["time"]
        newest[partition] = max(sequence, newest.get(partition, 0))


def _opens_well(verdict: Verdict, event: Event, truth: Truth) -> None:
    webinar = truth.lives.get(f"webinars/{event['partitionkey']}")
    if webinar is not None and webinar.at_baseline is None and event["type"] != "com.goto.webinar.created":
        verdict.add("O", f"webinar {event['partitionkey']}: {event['type']} came before its creation")
