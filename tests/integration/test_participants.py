"""Registrants joined with attendance: `poller participants` and its path, from what polls have left in the state."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from poller.cli.participants import Group as Groups
from poller.participants import COLUMNS, Group, as_csv, recorded
from poller.participants import participants as joined
from poller.simulator import Simulator
from poller.testing import FakeClock
from poller.web.surface import GROUP
from tests.integration.http_house import http_house
from tests.integration.scripted_goto import Goto
from tests.integration.terminal import Said, Terminal
from tests.integration.terminal_world import LOG, events
from tests.integration.world import House, begun

HOUR, DAY = 3600.0, 86_400.0
BERLIN = 'display_timezone = "Europe/Berlin"'


@pytest.fixture
async def home(goto: Goto, clock: FakeClock, terminal: Terminal) -> AsyncIterator[House]:
    """The engine whose state is the terminal's; commands look at it while it is in use."""
    made = await begun(goto, clock, path=terminal.state)
    terminal.write(engine=BERLIN)
    yield made
    await made.close()


async def over(goto: Goto, home: House, people: int = 2, **fields: Any) -> tuple[str, str, list[str]]:
    """A webinar that has just ended, its session, and its registrants, a minute between two of them."""
    webinar = goto.webinar(days=1 / 24)
    keys = []
    for _ in range(people):
        keys.append(goto.register(webinar, **fields))
        await home.clock.advance(60)
    await home.sweep()
    await home.clock.advance(2 * HOUR)
    session = goto.hold(webinar)
    await looked(home, 120)
    return webinar, session, keys


async def looked(home: House, *seconds: float) -> None:
    for pause in seconds:
        await home.clock.advance(pause)
        await home.sweep()


async def rows(home: House, webinar: str, group: str = "registered") -> list[dict[str, Any]]:
    return joined(await recorded(home.store, webinar), Group(group)).rows


async def who(home: House, webinar: str, group: str = "registered") -> list[tuple[str, str | None, bool | None]]:
    """Registrant, session, and whether they came."""
    return [(row["registrantKey"], row["sessionKey"], row["attended"]) for row in await rows(home, webinar, group)]


async def said(terminal: Terminal, *arguments: str) -> Said:
    found = await terminal.run("participants", *arguments)
    assert found.code == 0, found.err
    return found


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# ── joining ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_before_a_session_everybody_is_registered_and_nothing_known_of_attendance(goto, clock, home):
    webinar = goto.webinar()
    late, early = goto.register(webinar), goto.register(webinar, registrationDate=goto.ago(hours=1))
    await home.sweep()
    assert await who(home, webinar) == [(early, None, None), (late, None, None)]
    assert await who(home, webinar, "attended") == await who(home, webinar, "absent") == []


async def test_groups_fill_once_attendance_has_settled_and_not_before(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann, minutes=42)
    await looked(home, 360)
    assert await who(home, webinar) == [(ann, session, True), (bob, session, None)]
    found = joined(await recorded(home.store, webinar), Group.attended)
    assert found.rows == []
    assert session in found.notes[0] and "not settled" in found.notes[0]
    await looked(home, DAY)
    assert await who(home, webinar, "attended") == [(ann, session, True)]
    assert await who(home, webinar, "absent") == [(bob, session, False)]
    assert await who(home, webinar) == [(ann, session, True), (bob, session, False)]
    assert joined(await recorded(home.store, webinar), Group.attended).notes == []


async def test_where_everybody_came_it_is_settled_too(goto, clock, home):
    webinar, session, people = await over(goto, home)
    for person in people:
        goto.attend(webinar, session, person)
    await looked(home, 360)
    assert await who(home, webinar, "attended") == [(person, session, True) for person in people]


async def test_a_row_tells_minutes_the_first_join_the_last_leave_and_every_stay(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    stays = [
        {"joinTime": "2026-03-01T10:30:00Z", "leaveTime": "2026-03-01T10:50:00.5Z"},
        {"joinTime": "2026-03-01T10:05:00Z", "leaveTime": "2026-03-01T10:20:00Z"},
    ]
    goto.attend(webinar, session, ann, minutes=35, attendance=stays)
    await looked(home, 360)
    row = (await rows(home, webinar))[0]
    assert tuple(row) == COLUMNS
    assert (row["webinarKey"], row["sessionKey"], row["registrantKey"]) == (webinar, session, ann)
    assert (row["email"], row["status"], row["registrationDate"]) == (
        f"{ann}@example.com", "APPROVED", "2026-03-01T09:00:00Z",
    )  # fmt: skip
    assert (row["attended"], row["attendanceMinutes"]) == (True, 35)
    assert (row["joinTime"], row["leaveTime"]) == ("2026-03-01T10:05:00Z", "2026-03-01T10:50:00.500Z")
    assert [stay["joinTime"][11:16] for stay in row["intervals"]] == ["10:30", "10:05"]


async def test_each_session_of_a_sequence_has_rows_of_its_own(goto, clock, home):
    webinar = goto.webinar(recurrenceType="sequence", times=[goto.span(1), goto.span(8)])
    ann = goto.register(webinar)
    await home.sweep()
    await clock.advance(DAY + HOUR)
    first = goto.hold(webinar)
    goto.attend(webinar, first, ann)
    await looked(home, 120, DAY)
    bob = goto.register(webinar)  # who was not invited to the first one
    await home.sweep()
    assert await who(home, webinar) == [(ann, first, True), (bob, None, None)]
    await clock.advance(6 * DAY)
    second = goto.hold(webinar)
    await looked(home, 120, DAY)
    assert await who(home, webinar) == [(ann, first, True), (ann, second, False), (bob, second, False)]
    assert await who(home, webinar, "attended") == [(ann, first, True)]
    assert await who(home, webinar, "absent") == [(ann, second, False), (bob, second, False)]


async def test_who_came_without_a_registration_is_there_and_who_waits_is_in_no_group(goto, clock, home):
    webinar, session, (ann,) = await over(goto, home, people=1, status="WAITING")
    goto.attend(webinar, session, "99")
    await looked(home, 360, DAY)
    assert await who(home, webinar) == [(ann, None, None), ("99", session, True)]
    assert await who(home, webinar, "attended") == [("99", session, True)]
    assert await who(home, webinar, "absent") == []


async def test_who_shows_up_late_changes_the_group(goto, clock, home):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, DAY)
    goto.attend(webinar, session, bob)
    await looked(home, DAY)
    assert await who(home, webinar, "attended") == [(ann, session, True), (bob, session, True)]
    assert await who(home, webinar, "absent") == []


async def test_names_are_those_of_the_registration_as_it_is_now(goto, clock, home):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann, firstName="A.")
    await looked(home, 360)
    goto.alter(webinar, ann, firstName="Ann")
    await looked(home, 60)
    assert (await rows(home, webinar))[0]["firstName"] == "Ann"


async def test_who_was_removed_is_not_registered_any_more(goto, clock, home):
    webinar = goto.webinar()
    ann, bob = goto.register(webinar), goto.register(webinar)
    await home.sweep()
    goto.leave(webinar, ann)
    await home.settled()
    assert [key for key, _, _ in await who(home, webinar)] == [bob]


async def test_the_forgotten_are_in_no_group_and_only_counted(goto, clock, home, terminal):
    webinar, session, (ann, bob) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 360, DAY)
    await home.store.forget(b"ann", f"{ann}@example.com")
    await home.store.forget(b"bob", f"{bob}@example.com")
    for group in Group:
        found = await said(terminal, webinar, "--group", group.value, "--format", "json")
        assert json.loads(found.out) == []
        assert "erased" in found.err and found.err.rstrip().endswith("2")
        assert ann not in found.err and bob not in found.err


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_table_has_local_times_and_json_utc(goto, clock, home, terminal):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann, minutes=20)
    await looked(home, 360, DAY)
    ann_row, bob_row = table((await said(terminal, webinar)).out)
    assert ann_row["registrationDate"] == "2026-03-01T10:00:00+01:00"
    assert (ann_row["attended"], ann_row["attendanceMinutes"]) == ("true", "20")
    assert json.loads(ann_row["intervals"]) == [{"joinTime": ann_row["joinTime"], "leaveTime": ann_row["leaveTime"]}]
    assert ann_row["joinTime"].endswith("+01:00")
    assert (bob_row["attended"], bob_row["attendanceMinutes"], bob_row["joinTime"]) == ("false", "0", "")
    elsewhere, _ = table((await said(terminal, webinar, "--timezone", "America/New_York")).out)
    assert elsewhere["registrationDate"] == "2026-03-01T04:00:00-05:00"
    found = json.loads((await said(terminal, webinar, "--format", "json", "--timezone", "Asia/Tokyo")).out)
    assert found == await rows(home, webinar) == json.loads((await said(terminal, webinar, "--json")).out)
    assert (found[0]["registrationDate"], found[0]["attended"]) == ("2026-03-01T09:00:00Z", True)


async def test_what_is_not_known_yet_says_unknown_and_why_a_group_is_empty(goto, clock, home, terminal):
    webinar, session, _ = await over(goto, home)
    found = table((await said(terminal, webinar)).out)
    assert [(row["attended"], row["attendanceMinutes"], row["intervals"]) for row in found] == [("unknown", "", "")] * 2
    empty = await said(terminal, webinar, "--group", "absent")
    assert table(empty.out) == [] and empty.out.startswith("webinarKey,sessionKey,")
    assert session in empty.err
    planned = goto.webinar()
    await home.sweep()
    assert "no completed session" in (await said(terminal, planned, "--group", "attended")).err


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@cmd", "'@cmd"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ('Bo "B", Jr.\nII', 'Bo "B", Jr.\nII'),
        ("Zoë 李", "Zoë 李"),
    ],
)
async def test_no_cell_is_a_formula_and_every_other_text_comes_through(goto, clock, home, name, cell):
    webinar = goto.webinar()
    goto.register(webinar, firstName=name, lastName=name)
    await home.sweep()
    found = await rows(home, webinar)
    assert found[0]["firstName"] == name
    text = as_csv(found, ZoneInfo("UTC"))
    assert text.count("\r\n") == 2 and text.endswith("\r\n")
    assert (table(text)[0]["firstName"], table(text)[0]["lastName"]) == (cell, cell)


async def test_the_table_is_utf_8_whatever_the_terminal_speaks(goto, clock, home, terminal):
    webinar = goto.webinar()
    goto.register(webinar, firstName="Zoë")
    await home.sweep()
    terminal.environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    async with terminal.process("participants", webinar) as process:
        found = await terminal.ended(process)
    assert found.code == 0
    assert "Zoë" in found.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["4711"], 1, "no webinar 4711 is known"),
        (["4711", "--timezone", "Europe/Berlim"], 2, "Europe/Berlin"),
        (["4711", "--timezone", ""], 2, "is no time zone"),
        (["4711", "--group", "everyone"], 2, "registered"),
        (["4711", "--format", "xlsx"], 2, "csv"),
    ],
)
async def test_what_cannot_be_shown_is_said(home, terminal, arguments, code, words):
    found = await terminal.run("participants", *arguments)
    assert (found.code, found.out) == (code, "")
    assert words in found.err


async def test_without_a_state_it_says_so(terminal):
    terminal.write()
    found = await terminal.run("participants", "4711")
    assert found.code == 4
    assert "there is no state yet" in found.err


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_path_answers_as_the_command_does(goto, clock, home, terminal):
    webinar, session, (ann, _) = await over(goto, home)
    goto.attend(webinar, session, ann)
    await looked(home, 360, DAY)
    expected = {group: await rows(home, webinar, group) for group in Group}
    printed = (await said(terminal, webinar)).out
    await home.close()
    async with http_house(terminal.folder, engine={"display_timezone": "Europe/Berlin"}) as house:
        path = f"/v1/webinars/{webinar}/participants"
        reply = await house.get(path)
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
        assert reply.json == expected["registered"]
        for group, found in expected.items():
            assert (await house.get(f"{path}?group={group}")).json == found
        reply = await house.get(f"{path}?format=csv")
        assert reply.headers["Content-Type"].startswith("text/csv")
        assert table(reply.text) == table(printed)
        for query in ("group=everyone", "format=xlsx", "Group=attended"):
            reply = await house.get(f"{path}?{query}")
            assert reply.status == 400
            assert reply.json["detail"]
        reply = await house.get("/v1/webinars/4711/participants")
        assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")
        assert (await house.get("/v1/webinars/Intro/participants")).status == 400


def test_command_path_and_state_have_the_same_groups() -> None:
    assert [*Group] == [*Groups] == [*GROUP.choices]


# ── details, by the settings ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_setting_enrich_brings_details_of_newcomers(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG, more="enrich = true")
    assert (await terminal.run("run", "--once")).code == 0
    webinar = next(found for found in sim.world.webinars() if found.hosted_by(sim.world.organizers[0].organizer_key))
    person = sim.world.register(webinar.webinar_key)
    assert (await terminal.run("run", "--once")).code == 0
    (data,) = [event["data"] for event in events(terminal) if event["type"] == "com.goto.registrant.added"]
    assert (data["registrantKey"], data["enriched"]) == (person.registrant_key, True)
    assert data["organization"] and data["jobTitle"]
