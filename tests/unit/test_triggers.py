"""Which events go to which sinks, and which are held back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from poller.errors import UsageError
from poller.triggers import Triggers
from state.store import Route


@dataclass
class Trigger:
    name: str = "t"
    on: tuple[str, ...] = ("*",)
    connections: tuple[str, ...] = ("*",)
    webinars: tuple[str, ...] = ("*",)
    when: str = ""
    sinks: tuple[str, ...] = ("crm",)
    flood: int = 0


def event(type_: str = "com.goto.registrant.added", **data: Any) -> dict[str, Any]:
    data = {"webinarKey": "42", "email": "ann@example.com", "status": "APPROVED"} | data
    return {"type": type_, "partitionkey": "42", "data": data}


def sinks(
    *triggers: Trigger,
    of: dict[str, Any] | None = None,
    connections: tuple[str, ...] = ("acme",),
    title: str = "[EN] Intro",
) -> list[str]:
    routes = Triggers(triggers, ["crm", "queue"]).routes(of or event(), connections, title, 1, ())
    return [route.sink for route in routes]


def test_without_any_trigger_every_fact_goes_to_every_sink() -> None:
    assert sinks() == ["crm", "queue"]
    assert sinks(of=event("poller.sink.disabled")) == []


@pytest.mark.parametrize(
    ("pattern", "type_", "matches"),
    [
        ("registrant.added", "com.goto.registrant.added", True),
        ("com.goto.registrant.added", "com.goto.registrant.added", True),
        ("registrant.*", "com.goto.registrant.removed", True),
        ("com.goto.registrant.*", "com.goto.webinar.created", False),
        ("*", "com.goto.meeting.recording.available", True),
        ("*.added", "com.goto.registrant.added", True),
        ("*", "poller.sink.disabled", False),
        ("*.disabled", "poller.sink.disabled", False),
        ("poller.*", "poller.sink.disabled", True),
        ("*", "com.goto.webhook.registrant.joined", False),
        ("webhook.*", "com.goto.webhook.registrant.joined", True),
        ("webhook.registrant.joined", "com.goto.webhook.registrant.joined", True),
        ("w*", "com.goto.webhook.registrant.joined", False),
        ("webinar.*", "com.goto.webinar.session.started", False),
        ("*.started", "com.goto.meeting.started", False),
        ("webinar.session.started", "com.goto.webinar.session.started", True),
        ("com.goto.meeting.started", "com.goto.meeting.started", True),
    ],
)
def test_patterns_match_types_and_a_star_only_facts(pattern: str, type_: str, matches: bool) -> None:
    assert bool(sinks(Trigger(on=(pattern,)), of=event(type_))) is matches
    assert Triggers([Trigger(on=(pattern,))], []).wants([type_.removeprefix("com.goto.")], "a", "", "") is matches


def test_any_connection_that_sees_the_event_may_match() -> None:
    assert sinks(Trigger(connections=("b*",)), connections=("acme", "beta"))
    assert not sinks(Trigger(connections=("b*",)), connections=("acme",))


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("42", True),
        ("43", False),
        ("*intro*", True),
        ("[EN] Intro", True),
        ("[en] intro", True),
        ("Advanced*", False),
        ("4*", False),
    ],
)
def test_webinars_are_named_by_key_or_by_a_glob_on_the_subject_line(pattern: str, matches: bool) -> None:
    trigger = Trigger(webinars=(pattern,))
    assert bool(sinks(trigger)) is matches
    assert Triggers([trigger], []).wants(["registrant.added"], "acme", "42", "[EN] Intro") is matches


def test_events_of_meetings_match_triggers_for_all_webinars_only() -> None:
    meeting = {"type": "com.goto.meeting.ended", "partitionkey": "7", "data": {"meetingId": "7"}}
    assert sinks(Trigger(), of=meeting, title="")
    assert not sinks(Trigger(webinars=("42",)), of=meeting, title="")


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ("data.status == 'APPROVED'", True),
        ("data.status == 'DENIED'", False),
        ("data.missing", False),
        ("data.missing == 'x'", False),
        ("data.answers", False),
        ("data.zero", True),
        ("contains(data.email, '@example.com')", True),
    ],
)
def test_a_condition_decides_and_null_counts_as_false(condition: str, matches: bool) -> None:
    assert bool(sinks(Trigger(when=condition), of=event(answers=[], zero=0))) is matches


def test_a_condition_that_cannot_be_evaluated_matches_and_warns_without_the_value() -> None:
    warnings: list[tuple[str, str]] = []
    triggers = Triggers([Trigger(when="abs(data.email) > `1`")], [], lambda *warning: warnings.append(warning))
    assert triggers.routes(event(), ["acme"], "", 1, ()) == [Route("crm")]
    assert warnings == [("t", "abs() got string, expected number")]


def test_a_condition_that_is_not_jmespath_names_its_trigger() -> None:
    with pytest.raises(UsageError, match='trigger "signups", when'):
        Triggers([Trigger(name="signups", when="data.status ==")], [])


def test_two_triggers_to_one_sink_make_one_delivery() -> None:
    assert sinks(Trigger("a"), Trigger("b", sinks=("queue", "crm"))) == ["crm", "queue"]


def test_a_trigger_without_sinks_sends_nothing_and_still_wants_its_events() -> None:
    triggers = Triggers([Trigger(sinks=())], ["crm"])
    assert triggers.routes(event(), ["acme"], "", 1, ()) == []
    assert triggers.wants(["registrant.added"], "acme", "42", "")


def test_more_new_events_in_one_poll_than_flood_allows_are_held_and_history_is_not() -> None:
    triggers = Triggers([Trigger(flood=10)], [])
    assert triggers.routes(event(), ["acme"], "", 10, ()) == [Route("crm")]
    assert triggers.routes(event(), ["acme"], "", 11, ()) == [Route("crm", "t")]
    assert triggers.routes(event() | {"backfill": True}, ["acme"], "", 11, ()) == [Route("crm")]


def test_a_delivery_is_held_only_if_every_trigger_that_wants_it_holds_it() -> None:
    triggers = Triggers([Trigger("a", sinks=("crm", "queue")), Trigger("b", on=("registrant.*",))], [])
    assert triggers.routes(event(), ["acme"], "", 1, ["a"]) == [Route("crm"), Route("queue", "a")]
    assert triggers.routes(event(), ["acme"], "", 1, ["a", "b"]) == [Route("crm", "a"), Route("queue", "a")]


def test_nobody_wants_what_no_trigger_names() -> None:
    triggers = Triggers([Trigger(on=("webinar.*",), connections=("acme",), webinars=("Intro*",))], [])
    assert triggers.wants(["registrant.added", "webinar.created"], "acme", "1", "Intro to bees")
    assert not triggers.wants(["registrant.added"], "acme", "1", "Intro to bees")
    assert not triggers.wants(["webinar.created"], "beta", "1", "Intro to bees")
    assert not triggers.wants(["webinar.created"], "acme", "1", "Outro")
    assert triggers.wants(["webinar.created"], "acme", "", ""), "before its name is known, any webinar may be meant"
