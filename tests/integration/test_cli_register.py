"""`poller register`: a file of people becomes registrants, each once, however often and however badly it is run."""

from __future__ import annotations

import contextlib
import csv
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from poller.simulator import Simulator
from tests.integration.recording_goto import Asked, RecordingGoto, recording
from tests.integration.terminal import Said, Terminal
from tests.integration.terminal_world import LOG, key_of

PEOPLE = "firstName,lastName,email,organization\nBo,Lind,bo@example.com,Kite\nEva,Adam,eva@example.com,\n"
BESIDE = pytest.mark.parametrize("beside", [True, False], ids=["beside an engine", "alone"])


class Registry:
    """Answers registrations, and keeps who is registered."""

    def __init__(self) -> None:
        self.people: dict[str, int] = {}
        self.refuses: dict[str, int] = {}  # e-mail address → status

    def __call__(self, asked: Asked) -> Any:
        if asked.method != "POST":
            return {"page": {"totalElements": 0, "totalPages": 0}}
        email = asked.json["email"]
        if email in self.refuses:
            return self.refuses[email], {"errorCode": "X", "description": f"{email} is no good"}
        known = email in self.people
        key = self.people.setdefault(email, 100 + len(self.people))
        answer = {"registrantKey": key, "joinUrl": f"https://example.com/join/{key}"}
        return (409 if known else 201), {**answer, "status": "APPROVED"}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def goto(terminal: Terminal, registry: Registry) -> AsyncIterator[RecordingGoto]:
    async with recording() as goto:
        goto.say(registry)
        terminal.url = goto.url
        terminal.write('[[connections]]\nname = "acme"\npat = "pat"', LOG)
        yield goto


def posts(goto: RecordingGoto) -> list[Any]:
    return [asked.json for asked in goto.asked if asked.method == "POST"]


def result(terminal: Terminal) -> list[dict[str, str]]:
    with (terminal.folder / "people.registered.csv").open(newline="") as file:
        return list(csv.DictReader(file))


async def register(terminal: Terminal, text: str | bytes = PEOPLE, webinar: str = "4") -> Said:
    path = terminal.folder / "people.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return await terminal.run("register", webinar, str(path))


@BESIDE
async def test_people_are_registered_and_their_links_stand_beside_them(
    terminal: Terminal, sim: Simulator, beside: bool
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    webinar = max(sim.world.webinars(key_of(sim)), key=lambda found: found.times[0].start).webinar_key
    async with terminal.engine() if beside else contextlib.nullcontext():
        said = await register(terminal, webinar=webinar)
    assert said.code == 0 and "2 registered" in said.out, said
    rows = {row["email"]: row for row in result(terminal)}
    assert list(rows) == ["bo@example.com", "eva@example.com"]
    assert rows["bo@example.com"]["organization"] == "Kite"
    known = {person.registrant_key: person for person in sim.world.registrants(webinar).values()}
    assert all(known[row["registrantKey"]].email == email for email, row in rows.items())
    assert stat.S_IMODE((terminal.folder / "people.registered.csv").stat().st_mode) == 0o600


async def test_a_second_run_asks_for_nobody_again(goto: RecordingGoto, terminal: Terminal) -> None:
    await register(terminal)
    first = result(terminal)
    said = await register(terminal, PEOPLE + "Mia,Berg,mia@example.com,\n")
    assert [person["email"] for person in posts(goto)] == ["bo@example.com", "eva@example.com", "mia@example.com"]
    assert result(terminal)[:2] == first and len(result(terminal)) == 3
    assert "1 registered" in said.out and "2 stood in the file" in said.out
    assert "organization" not in posts(goto)[1], "an empty cell is no value"


async def test_an_outage_ends_the_run_and_the_next_one_goes_on(
    goto: RecordingGoto, terminal: Terminal, registry: Registry
) -> None:
    registry.refuses["eva@example.com"] = 503
    broken = await register(terminal)
    assert broken.code == 1 and [row["email"] for row in result(terminal)] == ["bo@example.com"]
    registry.refuses.clear()
    mended = await register(terminal)
    assert mended.code == 0 and [row["email"] for row in result(terminal)] == ["bo@example.com", "eva@example.com"]
    assert [person["email"] for person in posts(goto)].count("bo@example.com") == 1


async def test_half_a_row_left_by_a_crash_is_made_whole(goto: RecordingGoto, terminal: Terminal) -> None:
    await register(terminal)
    path = terminal.folder / "people.registered.csv"
    path.write_bytes(path.read_bytes()[:-20])
    said = await register(terminal)
    assert "1 were registered already" in said.out and "1 stood in the file" in said.out
    assert [row["registrantKey"] for row in result(terminal)] == ["100", "101"]


async def test_whoever_goto_refuses_does_not_keep_the_others_out(
    goto: RecordingGoto, terminal: Terminal, registry: Registry
) -> None:
    registry.refuses["bo@example.com"] = 400
    said = await register(terminal)
    assert said.code == 1 and "line 2" in said.err and "bo@" not in said.err
    assert [row["email"] for row in result(terminal)] == ["eva@example.com"]


async def test_a_file_from_a_spreadsheet_is_read(goto: RecordingGoto, terminal: Terminal) -> None:
    text = '\ufeffFirst Name;Last Name;E-Mail;Job Title\r\n Bo ;Lind;bo@example.com;"Head, of\r\nKites"\r\n;;;\r\n'
    said = await register(terminal, text)
    assert said.code == 0, said
    assert posts(goto) == [
        {"firstName": "Bo", "lastName": "Lind", "email": "bo@example.com", "jobTitle": "Head, of\nKites"}
    ]
    assert result(terminal)[0]["Job Title"] == "Head, of Kites"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("firstName, lastName, email",)),
        ("firstName,email\nBo,bo@example.com\n", ("lacks the columns lastName",)),
        ("firstName,lastName,email\n", ("nobody",)),
        (PEOPLE + "Mia,,mia\n,Berg,m@example.com,\n", ("nobody was registered", "line 4: row lacks", "line 5")),
        (PEOPLE + "Mia,Berg,mia,\n", ("line 4", "e-mail")),
        ("firstName,lastName,email\nBo,Lind,bo@example.com,x\n", ("line 2", "more cells")),
        ("firstName,lastName,email,email\nBo,Lind,b@example.com,c@example.com\n", ("name of its own",)),
        ("firstName,lastName,email,status\nBo,Lind,b@example.com,x\n", ("status",)),
        (b"firstName,lastName,email\nB\xf6,Lind,bo@example.com\n", ("UTF-8",)),
        ('firstName,lastName,email\n"Bo,Lind,bo@example.com\n', ("line",)),
    ],
)  # fmt: skip
async def test_a_file_that_makes_no_sense_registers_nobody(
    goto: RecordingGoto, terminal: Terminal, text: str | bytes, words: tuple[str, ...]
) -> None:
    said = await register(terminal, text)
    assert said.code == 2 and all(word in said.err for word in ("people.csv", *words)), said.err
    assert "@example" not in said.err
    assert posts(goto) == [] and not (terminal.folder / "people.registered.csv").exists()


async def test_a_result_of_another_file_is_not_mixed_with_this_one(goto: RecordingGoto, terminal: Terminal) -> None:
    await register(terminal)
    said = await register(terminal, "firstName,lastName,email\nMia,Berg,mia@example.com\n")
    assert said.code == 2 and "other columns" in said.err and len(posts(goto)) == 2


async def test_the_webinar_is_named_by_its_key_and_the_file_has_to_be_there(
    goto: RecordingGoto, terminal: Terminal
) -> None:
    assert "no key" in (await register(terminal, webinar="Kites")).err
    gone = await terminal.run("register", "4", str(Path("nowhere.csv")))
    assert gone.code == 1 and "nowhere.csv" in gone.err
