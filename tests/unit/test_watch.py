"""What people are told of polls: an outage once, its end once, and no alarm for announced maintenance."""

from __future__ import annotations

import json

import pytest

from poller import log
from poller.errors import PermissionRefused, Reauthorize, Wait
from poller.poll import Polled
from poller.watch import Watch
from state.records import Scope, Target

TARGET = Target("acme", Scope("registrant", "77"))


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    log.configure("json", "info")

    def read() -> list[dict[str, object]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read


async def _nothing(connection: str, error: Reauthorize) -> None: ...


def test_a_trigger_that_a_flood_holds_is_told_with_what_ends_it(lines) -> None:
    Watch(_nothing).polled(Polled(TARGET, "changed", added=9, events=9, held=["signups"]), 0.1)

    held, completed = lines()
    assert (held["event"], held["level"], held["trigger"]) == ("trigger.held", "warning", "signups")
    assert held["resume"] == "poller triggers resume signups" and completed["event"] == "poll.completed"


def test_an_outage_is_told_once_and_its_end_once(lines) -> None:
    watch = Watch(_nothing)
    for _ in range(3):
        watch.failed(TARGET, Wait("GoTo answered 503"), 5.0)
    watch.polled(Polled(TARGET, "unchanged"), 0.1)
    watch.polled(Polled(TARGET, "unchanged"), 0.1)

    assert [line["event"] for line in lines()] == ["poll.failed", "poll.recovered"]


def test_another_kind_of_failure_is_told_again(lines) -> None:
    watch = Watch(_nothing)
    watch.failed(TARGET, Wait("GoTo answered 503"), 5.0)
    watch.failed(TARGET, PermissionRefused("GoTo answered 403"), 5.0)

    assert [line["error"] for line in lines()] == ["GoTo answered 503", "GoTo answered 403"]


def test_attendance_that_may_not_be_read_is_said_once_of_all_and_is_no_failure(lines) -> None:
    watch = Watch(_nothing)
    for meeting in ("1", "2", "3"):
        attendees = Target("acme", Scope("meeting_attendee", meeting), ends=(7.0,))
        watch.failed(attendees, Wait("GoTo answered 503"), 5.0)
        watch.failed(attendees, PermissionRefused("GoTo answered 403"), 5.0)

    assert [line["event"] for line in lines() if "403" in str(line["error"])] == ["poll.not_allowed"]
    assert watch.failing == 0

    watch.polled(Polled(attendees, "unchanged"), 0.1)
    watch.failed(attendees, PermissionRefused("GoTo answered 403"), 5.0)
    assert len(lines()) == 1


def test_announced_maintenance_raises_no_alarm_but_what_lasts_longer_does(lines) -> None:
    maintenance = [True]
    watch = Watch(_nothing, in_maintenance=lambda: maintenance[0])
    watch.failed(TARGET, Wait("GoTo answered 503"), 5.0)
    assert lines() == []

    maintenance[0] = False
    watch.failed(TARGET, Wait("GoTo answered 503"), 5.0)
    assert [line["event"] for line in lines()] == ["poll.failed"]


async def test_a_refused_login_is_told_even_during_maintenance(lines) -> None:
    watch = Watch(_nothing, in_maintenance=lambda: True)
    await watch.refused("acme", Reauthorize("invalid_grant"))

    assert [(line["event"], line["level"]) for line in lines()] == [("connection.unauthorized", "error")]


async def test_a_refused_login_is_said_once_however_many_polls_find_out_and_again_after_it_worked(lines) -> None:
    watch = Watch(_nothing)
    for _ in range(3):
        await watch.refused("acme", Reauthorize("invalid_grant"))
    assert [line["event"] for line in lines()] == ["connection.unauthorized"]

    watch.polled(Polled(TARGET, "unchanged"), 0.1)
    await watch.refused("acme", Reauthorize("invalid_grant"))
    assert [line["event"] for line in lines()] == ["connection.unauthorized"]


def test_nothing_personal_or_secret_passes_the_log(lines) -> None:
    watch = Watch(_nothing)
    text = (
        "https://ana:hunter2@example.com/?access_token=abcdef Bearer eyJraWQiOiJvYXV0aHYy"
        " bo.lind@example.com https://global.gotowebinar.com/join/4255157664015486220/739529690"
    )
    watch.failed(TARGET, Wait(text), 5.0)

    (line,) = lines()
    for secret in ("hunter2", "abcdef", "eyJraWQ", "bo.lind", "739529690"):
        assert secret not in json.dumps(line)
