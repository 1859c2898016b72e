"""`enrich = true`: what a new registrant's own GET says beyond the list, without risk to the event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from poller import enriching
from poller.admission import Start
from poller.backfill import Backfill
from poller.errors import Malformed, NotFound, PermissionRefused, QuotaExhausted, Reauthorize
from poller.inquiry import CONFIRMATIONS
from poller.testing import FakeClock
from state.errors import StateUnavailable
from tests.integration.scripted_goto import REGISTRANT, Client, Goto
from tests.integration.world import Connection, Event, House, Trigger, begun

ENRICHED = Connection(enrich=True)


@pytest.fixture
async def home(goto: Goto, clock: FakeClock) -> AsyncIterator[House]:
    made = await begun(goto, clock, ENRICHED)
    yield made
    await made.close()


async def added(home: House) -> list[Event]:
    return [event["data"] for event in await home.events("registrant.added")]


def answers(goto: Goto, operation: str, **fields: object) -> None:
    """From now on this operation says these fields of everybody."""
    goto.shape = lambda asked, item: {**item, **fields} if asked == operation else item


async def test_the_fields_of_the_detail_arrive_with_the_event(goto, clock, home):
    webinar = goto.webinar()
    goto.register(webinar)
    answers(goto, REGISTRANT, responses=[{"questionText": "Why?", "answerText": ["Yes"]}], startUrl="https://secret")
    await home.sweep()
    (data,) = await added(home)
    assert (data["organization"], data["responses"][0]["answerText"]) == ("Kite", ["Yes"])
    assert (data["enriched"], data["webinarSubject"]) == (True, goto.webinars[webinar].body["subject"])
    assert "startUrl" not in data


async def test_what_the_list_shows_stays_as_it_is(goto, clock, home):
    """Later changes are told against it."""
    webinar = goto.webinar()
    key = goto.register(webinar, status="WAITING", firstName="Bo")
    answers(goto, REGISTRANT, status="APPROVED", firstName="Bob")
    await home.sweep(2)
    (data,) = await added(home)
    assert (data["status"], data["firstName"], data["enriched"]) == ("WAITING", "Bo", True)
    goto.shape = lambda asked, item: item
    goto.alter(webinar, key, status="APPROVED")
    await home.sweep()
    (change,) = await home.events("registrant.changed")
    assert change["data"]["previous"] == {"status": "WAITING"}


async def test_without_the_setting_nothing_is_asked_and_nothing_said(goto, clock):
    home = await begun(goto, clock)
    goto.register(goto.webinar())
    await home.sweep()
    (data,) = await added(home)
    assert "enriched" not in data
    assert goto.count(REGISTRANT) == 0
    await home.close()


async def test_the_calls_stand_in_the_journal(goto, clock, home):
    webinar = goto.webinar()
    for _ in range(3):
        goto.register(webinar)
    await home.sweep()
    rows = [row for row in await home.store.polls(100) if row.scope.parent == webinar and row.added]
    assert [(row.added, row.calls) for row in rows] == [(3, 1 + 3)]


@pytest.mark.parametrize("error", [NotFound, Malformed])
async def test_one_without_readable_details_is_told_without_and_the_next_with(goto, clock, home, error):
    webinar = goto.webinar()
    first, second = goto.register(webinar), goto.register(webinar)
    goto.fail(REGISTRANT, lambda: error("not this one"))
    await home.sweep()
    told = {data["registrantKey"]: (data["enriched"], data.get("organization")) for data in await added(home)}
    assert told == {first: (False, None), second: (True, "Kite")}


async def test_somebody_elses_details_are_not_taken(goto, clock, home):
    goto.register(goto.webinar())
    answers(goto, REGISTRANT, registrantKey=99)
    await home.sweep()
    (data,) = await added(home)
    assert data["enriched"] is False
    assert "organization" not in data


@pytest.mark.parametrize("error", [QuotaExhausted, Reauthorize, PermissionRefused])
async def test_where_asking_is_of_no_use_it_ends_and_every_event_comes_at_once(goto, clock, home, error):
    webinar = goto.webinar()
    keys = [goto.register(webinar) for _ in range(4)]
    goto.fail(REGISTRANT, lambda: error("not now"), skip=1)
    assert await home.sweep() == []
    assert [(data["registrantKey"], data["enriched"]) for data in await added(home)] == [
        (key, index == 0) for index, key in enumerate(keys)
    ]
    assert goto.count(REGISTRANT) == 2
    await home.sweep()
    assert len(await added(home)) == 4


async def test_one_poll_asks_for_so_many_at_most(goto, clock, home):
    webinar = goto.webinar()
    keys = [goto.register(webinar) for _ in range(CONFIRMATIONS + 5)]
    await home.sweep()
    assert goto.count(REGISTRANT) == CONFIRMATIONS
    told = await added(home)
    assert [data["registrantKey"] for data in told] == keys
    assert [data["enriched"] for data in told] == [True] * CONFIRMATIONS + [False] * 5


async def test_details_that_do_not_come_in_time_are_done_without(goto, clock, home, monkeypatch):
    """None of the calls suspends but the one that hangs, so the time that is set here is no race."""
    webinar = goto.webinar()
    keys = [goto.register(webinar) for _ in range(3)]
    answer = Client.registrant

    async def hangs(self: Client, organizer: str, webinar: str, registrant: str, **how: object) -> object:
        found = await answer(self, organizer, webinar, registrant, **how)
        if registrant == keys[1]:
            await asyncio.Event().wait()
        return found

    monkeypatch.setattr(Client, "registrant", hangs)
    monkeypatch.setattr(enriching, "ENRICHING", 0.01)
    assert await home.sweep() == []
    assert [(data["registrantKey"], data["enriched"]) for data in await added(home)] == [
        (keys[0], True), (keys[1], False), (keys[2], False),
    ]  # fmt: skip


async def test_order_and_ids_are_those_of_a_poll_that_asks_nothing(goto, clock, home):
    other = await begun(goto, clock)
    webinar = goto.webinar()
    for minutes in (3, 1, 2):
        goto.register(webinar, registrationDate=(goto.now() + timedelta(minutes=minutes)).isoformat())
    goto.fail(REGISTRANT, lambda: NotFound("gone"), skip=1)
    await home.sweep()
    await other.sweep()
    assert [event["id"] for event in await home.events()] == [event["id"] for event in await other.events()]
    assert [data["enriched"] for data in await added(home)] == [True, False, True]
    await other.close()


async def test_history_is_never_asked_for(goto, clock):
    webinar = goto.webinar()
    goto.register(webinar, registrationDate=goto.ago(days=2))
    home = await begun(goto, clock, Connection(enrich=True, start=Start(history=True)))
    (data,) = await added(home)
    assert "enriched" not in data
    assert goto.count(REGISTRANT) == 0
    await home.close()


async def test_neither_a_baseline_nor_its_backfill_is(goto, clock):
    webinar = goto.webinar()
    goto.register(webinar, registrationDate=goto.ago(days=2))
    home = await begun(goto, clock, ENRICHED)
    since = goto.now() - timedelta(days=30)
    await Backfill(home.engine, home.roster, clock, "acme", since).run(lambda _: None)
    (event,) = await home.events("registrant.added")
    assert event["backfill"] is True
    assert goto.count(REGISTRANT) == 0
    await home.close()


async def test_whom_somebody_asked_to_forget_nobody_asks_for(goto, clock, home):
    webinar = goto.webinar()
    goto.register(webinar, email="zoe@example.com")
    home.forgotten.add("zoe@example.com")
    await home.sweep()
    assert await added(home) == []
    assert goto.count(REGISTRANT) == 0


@pytest.mark.parametrize(
    ("trigger", "calls"),
    [
        (Trigger(on=["registrant.removed"]), 0),
        (Trigger(on=["registrant.added"], webinars=["Another"]), 0),
        (Trigger(on=["registrant.added"], when="data.organization == 'Kite'"), 1),
    ],
)
async def test_only_what_some_trigger_could_match_is_asked_for(goto, clock, trigger, calls):
    """A condition may be about the details themselves."""
    everything = Trigger("rest", on=["webinar.*", "registrant.changed"])
    home = await begun(goto, clock, ENRICHED, triggers=[everything, trigger])
    goto.register(goto.webinar())
    await home.sweep()
    (data,) = await added(home)
    assert (goto.count(REGISTRANT), data["enriched"]) == (calls, bool(calls))
    assert len(await home.owed()) == 1 + calls
    await home.close()


async def test_a_poll_that_cannot_be_committed_after_asking_loses_nothing_and_doubles_nothing(
    goto, clock, tmp_path, monkeypatch
):
    home = await begun(goto, clock, ENRICHED, path=tmp_path / "poller.db")
    webinar = goto.webinar()
    await home.sweep()
    key = goto.register(webinar)

    async def full(*_: object) -> None:
        raise StateUnavailable("the disk is full")

    monkeypatch.setattr(home.store, "commit_poll", full)
    (error,) = await home.sweep()
    assert isinstance(error, StateUnavailable)
    assert goto.count(REGISTRANT) == 1
    await home.crash(tmp_path / "after")
    await home.sweep(2)
    assert [(data["registrantKey"], data["enriched"]) for data in await added(home)] == [(key, True)]
    assert goto.count(REGISTRANT) == 2
    await home.close()
