"""What is in an event: every attribute and field, ids that any other state would give too, revisions."""

from __future__ import annotations

import re

import pytest

from poller.admission import Start
from poller.testing import FakeClock
from tests.integration.scripted_goto import REGISTRANTS, WEBINARS
from tests.integration.world import Connection, House, begun


@pytest.fixture
async def home(home: House, clock: FakeClock) -> House:
    await clock.advance(58.123)
    return home


async def test_an_added_registrant_in_full(goto, clock, home):
    """Names and shapes are those of the public interface; keys are strings, times end in Z, unknown fields pass."""
    webinar = goto.webinar(key="4255157664015486000", subject="Introduction")
    await home.walk()
    goto.register(
        webinar,
        key="6820277626085326123",
        status="waiting",
        registrationDate="2026-03-01T10:15:42+01:00",
        planet="Mars",
    )
    await home.look(webinar)
    created, event = await home.events()
    assert re.fullmatch("[0-9a-f]{32}", event["id"])
    assert {**event, "id": "…"} == {
        "specversion": "1.0",
        "id": "…",
        "type": "com.goto.registrant.added",
        "source": "/organizers/1",
        "subject": f"webinars/{webinar}/registrants/6820277626085326123",
        "time": "2026-03-01T09:15:42Z",
        "observedtime": "2026-03-01T09:00:58.123Z",
        "connection": "acme",
        "sequence": "00000000000000000002",
        "partitionkey": webinar,
        "datacontenttype": "application/json",
        "data": {
            "organizerKey": "1",
            "webinarKey": webinar,
            "webinarSubject": "Introduction",
            "lastName": "Lind",
            "email": "6820277626085326123@example.com",
            "firstName": "Bo 123",
            "registrantKey": "6820277626085326123",
            "registrationDate": "2026-03-01T10:15:42+01:00",
            "status": "WAITING",
            "joinUrl": f"https://example.com/join/{webinar}/6820277626085326123",
            "timeZone": "Europe/Berlin",
            "planet": "Mars",
        },
    }
    assert created["sequence"] < event["sequence"]


async def test_a_created_webinar_in_full(goto, clock, home):
    """Times sorted, in UTC; one spelling of the id; the moment is that of the poll, as GoTo names none."""
    webinar = goto.webinar(
        times=[
            {"startTime": "2026-04-02T12:00:00+02:00", "endTime": "2026-04-02T13:00:00+02:00"},
            {"startTime": "2026-04-01T10:00:00Z", "endTime": "2026-04-01T11:00:00.000Z"},
        ],
        status="new",
        recurrenceType="SEQUENCE",
        experienceType="CLASSIC",
        hostURL="https://secret.example.com",
        startUrl="https://secret.example.com",
        organizerKey=1,
        coorganizers=[{"memberKey": 9007199254740993, "startUrl": "https://secret.example.com"}],
    )
    await home.walk()
    (event,) = await home.events()
    assert event["type"] == "com.goto.webinar.created"
    assert event["subject"] == f"webinars/{webinar}"
    assert event["partitionkey"] == webinar
    assert event["source"] == "/organizers/1"
    assert event["time"] == event["observedtime"] == "2026-03-01T09:00:58.123Z"
    data = event["data"]
    assert data["times"] == [
        {"startTime": "2026-04-01T10:00:00Z", "endTime": "2026-04-01T11:00:00Z"},
        {"startTime": "2026-04-02T10:00:00Z", "endTime": "2026-04-02T11:00:00Z"},
    ]
    assert (data["webinarKey"], data["organizerKey"], data["accountKey"]) == (webinar, "1", "77")
    assert data["webinarID"] == webinar[-9:]
    assert "webinarId" not in data
    assert (data["status"], data["recurrenceType"], data["experienceType"]) == ("NEW", "sequence", "classic")
    assert data["coorganizers"] == [{"memberKey": "9007199254740993"}]
    assert not {"inSession", "numberOfRegistrants"} & data.keys()
    assert "secret.example.com" not in str(await home.stored())


async def test_a_change_names_what_changed_and_what_it_was(goto, clock, home):
    webinar = goto.webinar()
    person = goto.register(webinar, status="WAITING", joinUrl="")
    await home.sweep()
    goto.alter(webinar, person, status="APPROVED", joinUrl="https://example.com/join/1")
    await clock.advance(60)
    await home.sweep()
    event = (await home.events())[-1]
    assert event["type"] == "com.goto.registrant.changed"
    assert event["data"]["changed"] == ["status", "joinUrl"]
    assert event["data"]["previous"] == {"status": "WAITING", "joinUrl": ""}
    assert event["data"]["status"] == "APPROVED"
    assert event["time"] == event["observedtime"] == "2026-03-01T09:01:58.123Z"


async def test_a_removal_carries_what_was_last_known(goto, clock, home):
    webinar = goto.webinar(subject="Before")
    person = goto.register(webinar)
    await home.sweep()
    goto.alter(webinar, person, firstName="Ada")
    goto.change(webinar, subject="After")
    await home.sweep()
    goto.leave(webinar, person)
    await home.sweep()
    goto.cancel(webinar)
    await home.sweep()
    removed, cancelled = (await home.events())[-2:]
    assert removed["type"] == "com.goto.registrant.removed"
    assert (removed["data"]["firstName"], removed["data"]["webinarSubject"]) == ("Ada", "After")
    assert "changed" not in removed["data"]
    assert cancelled["type"] == "com.goto.webinar.cancelled"
    assert cancelled["data"]["subject"] == "After"


async def test_the_oldest_registration_comes_first_within_one_poll(goto, clock, home):
    webinar = goto.webinar()
    dates = ["2026-03-01T09:00:30Z", "2026-03-01T09:00:30.250Z", "2026-03-01T08:59:00Z", "2026-03-01T11:00:10+02:00"]
    keys = [goto.register(webinar, registrationDate=date) for date in dates]
    await home.sweep()
    assert [key for _, key in await home.news()] == [webinar, keys[2], keys[3], keys[0], keys[1]]


# ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_appearance_has_the_same_id_in_every_state_and_for_every_organizer(goto, clock, tmp_path):
    """Two states that have seen different things before, two organizers, news here and history there."""
    first = await begun(goto, clock, path=tmp_path / "one.db")
    webinar = goto.webinar(organizers="12")
    person = goto.register(webinar)
    await first.sweep()
    goto.webinar(organizers="2")
    other = Connection("beta", organizer="2", start=Start(history=True))
    second = await begun(goto, clock, other, path=tmp_path / "two.db")
    one = {event["subject"]: event["id"] for event in await first.events()}
    two = {event["subject"]: event["id"] for event in await second.events()}
    assert set(one) == {f"webinars/{webinar}", f"webinars/{webinar}/registrants/{person}"}
    assert one.items() <= two.items()
    await first.close()
    await second.close()


async def test_who_comes_back_under_the_same_key_gets_a_new_id(goto, clock, home):
    webinar = goto.webinar()
    person = goto.register(webinar)
    await home.sweep()
    for _ in range(2):
        entry = goto.leave(webinar, person)
        await home.sweep()
        goto.webinars[webinar].people[person] = entry
        await home.sweep()
    told = [
        (event["type"].rpartition(".")[2], event["id"]) for event in await home.events() if person in event["subject"]
    ]
    assert [kind for kind, _ in told] == ["added", "removed", "added", "removed", "added"]
    assert len({id_ for _, id_ in told}) == 5


async def test_a_status_that_flaps_gets_a_new_id_each_time(goto, clock, home):
    webinar = goto.webinar()
    person = goto.register(webinar, status="WAITING")
    await home.sweep()
    for status in ("APPROVED", "WAITING", "APPROVED", "WAITING"):
        goto.alter(webinar, person, status=status)
        await home.sweep()
    changes = await home.events("registrant.changed")
    assert [event["data"]["status"] for event in changes] == ["APPROVED", "WAITING", "APPROVED", "WAITING"]
    assert [event["data"]["previous"]["status"] for event in changes] == ["WAITING", "APPROVED", "WAITING", "APPROVED"]
    assert len({event["id"] for event in changes}) == 4


async def test_revisions_outlive_a_restart(goto, clock, tmp_path):
    home = await begun(goto, clock, path=tmp_path / "poller.db")
    webinar = goto.webinar()
    person = goto.register(webinar, status="WAITING")
    await home.sweep()
    for status in ("APPROVED", "WAITING", "APPROVED"):
        goto.alter(webinar, person, status=status)
        await home.restart()
        await home.sweep()
    assert len({event["id"] for event in await home.events()}) == 5
    await home.close()


async def test_a_cancelled_webinar_that_is_back_is_created_again(goto, clock, home):
    webinar = goto.webinar()
    person = goto.register(webinar)
    await home.sweep()
    kept = goto.cancel(webinar)
    await home.sweep()
    goto.webinars[webinar] = kept
    new = goto.register(webinar)
    await home.sweep(2)
    assert await home.news() == [
        ("webinar.created", webinar),
        ("registrant.added", person),
        ("webinar.cancelled", webinar),
        ("webinar.created", webinar),
        ("registrant.added", new),
    ]
    assert len({event["id"] for event in await home.events()}) == 5


async def test_keys_as_numbers_and_as_text_are_the_same_key(goto, clock, home):
    webinar = goto.webinar()
    goto.register(webinar)
    await home.sweep()
    count = len(await home.events())

    def other_types(operation, item):
        if operation == WEBINARS:
            return {**item, "webinarKey": int(item["webinarKey"]), "accountKey": 77}
        if operation == REGISTRANTS:
            return {**item, "registrantKey": str(item["registrantKey"])}
        return item

    goto.shape = other_types
    await home.sweep(2)
    assert len(await home.events()) == count


async def test_an_account_names_the_organizer_of_each_webinar(goto, clock):
    home: House = await begun(goto, clock, Connection("all", organizer="account"))
    webinar = goto.webinar(organizers="5")
    goto.register(webinar)
    await home.sweep()
    assert [(e["source"], e["data"]["organizerKey"]) for e in await home.events()] == [("/organizers/5", "5")] * 2
    await home.close()
