"""What attendees said comes with the event that they came, and never in its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from poller.admission import Start
from poller.errors import Malformed, NotFound, PermissionRefused, QuotaExhausted
from poller.sources.answers import ATTENDEES, PATIENCE
from poller.testing import FakeClock
from tests.integration.scripted_goto import POLLS, QUESTIONS, SURVEYS, Goto, busy
from tests.integration.world import Connection, House, begun

HOUR = 3600.0
LISTS = {"pollAnswers", "questions", "surveyAnswers"}


@pytest.fixture
async def home(goto: Goto, clock: FakeClock) -> AsyncIterator[House]:
    made = await begun(goto, clock, Connection(answers=True))
    yield made
    await made.close()


async def attended(goto: Goto, home: House, people: int = 1) -> tuple[str, str, list[str]]:
    """A webinar that is over; so many have come to its session, and nobody has looked yet."""
    webinar = goto.webinar(days=1 / 24)
    keys = [goto.register(webinar) for _ in range(people)]
    await home.sweep()
    await home.clock.advance(2 * HOUR)
    session = goto.hold(webinar)
    for key in keys:
        goto.attend(webinar, session, key)
    return webinar, session, keys


async def looked(home: House) -> list[dict[str, Any]]:
    """What was told of those who came, after a look at the session and one at its attendees."""
    await home.clock.advance(120)
    await home.sweep()
    return [event["data"] for event in await home.events("participant.attended")]


async def test_who_came_is_told_with_what_they_said(goto, home):
    webinar, _, (ann,) = await attended(goto, home)
    goto.say(webinar, ann, POLLS, {"question": "Why?", "answer": "News", "answers": ["News", "Friends"]})
    goto.say(webinar, ann, SURVEYS, {"question": "And?", "answer": "Great"})
    reply = {"answer": "Yes", "answeredBy": 5511973216410820613, "answerTime": "2026-03-01T10:00:00+02:00"}
    asked = {"question": "Is it?", "askerKey": int(ann), "dateAsked": "2026-03-01T09:58:00+02:00", "answers": [reply]}
    goto.say(webinar, ann, QUESTIONS, asked)
    (data,) = await looked(home)
    assert data["answersComplete"] is True
    assert data["pollAnswers"] == [{"question": "Why?", "answers": ["News", "Friends"]}]
    assert data["surveyAnswers"] == [{"question": "And?", "answers": ["Great"]}]
    (question,) = data["questions"]
    assert (question["question"], question["askerKey"], question["dateAsked"]) == (
        "Is it?",
        ann,
        "2026-03-01T07:58:00Z",
    )
    assert question["answers"] == [
        {"answer": "Yes", "answeredBy": "5511973216410820613", "answerTime": "2026-03-01T08:00:00Z"}
    ]


async def test_who_said_nothing_has_empty_lists(goto, home):
    await attended(goto, home)
    (data,) = await looked(home)
    assert {name: data[name] for name in LISTS} == {name: [] for name in LISTS}
    assert data["answersComplete"] is True


async def test_without_the_setting_nothing_of_it_is_asked_for_or_told(goto, clock):
    home = await begun(goto, clock)
    await attended(goto, home)
    (data,) = await looked(home)
    assert not {"answersComplete", *LISTS} & data.keys()
    assert goto.count(POLLS) == goto.count(QUESTIONS) == goto.count(SURVEYS) == 0
    await home.close()


@pytest.mark.parametrize(
    "error",
    [busy, lambda: NotFound("404"), lambda: Malformed("html"), lambda: PermissionRefused("403")],
    ids=["busy", "not there", "garbage", "not allowed"],
)
async def test_a_list_that_fails_is_left_out_and_holds_nothing_up(goto, home, error):
    await attended(goto, home)
    goto.fail(QUESTIONS, error)
    (data,) = await looked(home)
    assert LISTS & data.keys() == {"pollAnswers", "surveyAnswers"}
    assert data["answersComplete"] is False


async def test_an_answer_of_the_wrong_shape_leaves_its_list_out(goto, home):
    webinar, _, (ann,) = await attended(goto, home)
    goto.say(webinar, ann, POLLS, {})
    goto.shape = lambda operation, item: 7 if operation == POLLS else item
    (data,) = await looked(home)
    assert (LISTS & data.keys(), data["answersComplete"]) == ({"questions", "surveyAnswers"}, False)


async def test_a_list_that_is_not_allowed_is_asked_for_once_a_look(goto, home):
    await attended(goto, home, people=4)
    goto.fail(SURVEYS, lambda: PermissionRefused("403"), times=99)
    told = await looked(home)
    assert (goto.count(SURVEYS), goto.count(POLLS), len(told)) == (1, 4, 4)


@pytest.mark.parametrize(
    ("error", "calls"), [(busy, PATIENCE), (lambda: QuotaExhausted("no call is free"), 1)], ids=["busy", "no quota"]
)
async def test_where_answers_do_not_come_everybody_is_told_without_soon(goto, home, error, calls):
    await attended(goto, home, people=10)
    for operation in (POLLS, QUESTIONS, SURVEYS):
        goto.fail(operation, error, times=99)
    told = await looked(home)
    assert len(told) == 10
    assert not any(LISTS & data.keys() or data["answersComplete"] for data in told)
    assert goto.count(POLLS) + goto.count(QUESTIONS) + goto.count(SURVEYS) == calls


async def test_one_look_asks_for_so_many_attendees_and_tells_all(goto, home):
    await attended(goto, home, people=ATTENDEES + 5)
    told = await looked(home)
    assert [data["answersComplete"] for data in told] == [True] * ATTENDEES + [False] * 5
    await home.clock.advance(HOUR)
    await home.sweep()
    assert len(await home.events("participant.attended")) == ATTENDEES + 5
    assert goto.count(POLLS) == ATTENDEES


async def test_the_calls_count_in_the_journal(goto, home):
    _, session, _ = await attended(goto, home, people=2)
    await looked(home)
    (poll,) = [poll for poll in home.listener.polls if poll.target.scope.kind == "participant"]
    assert (poll.target.scope.parent.partition("/")[2], poll.calls) == (session, 1 + 2 * len(LISTS))


async def test_who_is_told_absent_costs_no_further_call(goto, home):
    webinar, session, _ = await attended(goto, home)
    late = goto.register(webinar, registrationDate=goto.ago(days=1))
    await looked(home)
    for _ in range(3):
        await home.clock.advance(24 * HOUR)
        await home.sweep()
    (absent,) = await home.events("participant.absent")
    assert (absent["data"]["registrantKey"], goto.count(POLLS, late)) == (late, 0)
    assert "answersComplete" not in absent["data"]
    goto.attend(webinar, session, late)
    await home.clock.advance(7 * 24 * HOUR)
    await home.sweep()
    event = (await home.events("participant.attended"))[-1]["data"]
    assert (event["late"], event["answersComplete"]) == (True, True)


async def test_history_is_told_without(goto, clock):
    webinar = goto.webinar(days=-1 / 4)
    ann = goto.register(webinar, registrationDate=goto.ago(days=2))
    session = goto.hold(webinar, startTime=goto.ago(hours=6), endTime=goto.ago(hours=5))
    goto.attend(webinar, session, ann)
    home = await begun(goto, clock, Connection(answers=True, start=Start(history=True)))
    await home.sweep(3)
    (event,) = await home.events("participant.attended")
    assert event["backfill"] is True
    assert "answersComplete" not in event["data"]
    assert goto.count(POLLS) == 0
    await home.close()
