"""Commands that look: what they tell is true, for people and for programs, and they change nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poller import drafting
from poller.cli import frame
from poller.clock import SystemClock
from poller.errors import UsageError
from poller.scheduler import Scheduler
from poller.settings import Settings
from poller.simulator import Simulator, WorldOptions
from state.sqlite import SqliteStore
from tests.integration.looked_at import Known, fill, is_rfc_3339_utc, rows, told
from tests.integration.terminal import ROOT, Said, Terminal, line_of

EVERY_LOOK = [
    ["status"],
    ["polls"],
    ["explain", "1"],
    ["events"],
    ["deliveries"],
    ["dead", "list"],
    ["connections", "list"],
    ["organizers", "list"],
    ["triggers", "list"],
    ["sinks", "list"],
    ["state", "info"],
    ["state", "verify"],
]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    with pytest.MonkeyPatch.context() as patch:
        yield asyncio.run(fill(tmp_path_factory.mktemp("looked"), patch))


@pytest.fixture
def terminal(known: Known) -> Terminal:
    """Where the secrets are not."""
    return Terminal(known.config.parent)


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found}


# ── status and lists ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_status_is_one_json_document_with_everything(terminal: Terminal, known: Known) -> None:
    found = await rows(terminal, "status")
    assert (found["running"], found["state"]) == (False, str(terminal.state))
    connections = by_name(found["connections"])
    acme = connections["acme"]
    assert (acme["status"], acme["webinars"], acme["registrants"], acme["polled"]) == ("active", 2, 9, 3)
    assert is_rfc_3339_utc(acme["baseline"])
    assert is_rfc_3339_utc(acme["last_poll"])
    assert connections["beta"]["status"] == "unauthorized"
    assert connections["later"]["status"] == "off"
    sinks = by_name(found["sinks"])
    assert (sinks["crm"]["pending"], sinks["crm"]["delivered"]) == (1, 2)
    assert (sinks["queue"]["held"], sinks["strict"]["dead"]) == (1, 2)
    triggers = by_name(found["triggers"])
    assert (triggers["quiet"]["status"], triggers["quiet"]["held"]) == ("paused", 1)
    assert (triggers["everything"]["status"], triggers["everything"]["held"]) == ("active", 0)


async def test_status_for_people_says_what_to_do_in_their_time_zone(terminal: Terminal) -> None:
    text = await told(terminal, "status")
    assert "not running; `poller run` starts it" in text
    assert "poller login beta" in text
    assert " CET" in text or " CEST" in text
    assert "for the test" in text, "the reason of a pause"


async def test_a_pace_that_the_limits_do_not_allow_is_a_warning_with_the_delay_to_expect(terminal: Terminal) -> None:
    # Three targets at 30 calls a minute, of which polls may take 95 %, against an interval of 5 s.
    found = await rows(terminal, "status")
    acme = by_name(found["connections"])["acme"]
    assert acme["interval"] == pytest.approx(3 / (0.5 * 0.95), rel=0.1)
    assert acme["interval"] / 4 < acme["mean_delay"] <= acme["interval"] / 2 * 1.01
    (warning,) = [note["note"] for note in found["notes"] if "limits" in note["note"]]
    assert "targets" in warning
    assert f"{acme['interval']:.1f}s on average" in warning
    assert f"{acme['mean_delay']:.1f}s on average" in warning


async def test_status_beside_a_running_engine_shows_its_pace_and_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = Simulator(WorldOptions(webinars=2, registrants=4, rate_per_minute=0), clock=SystemClock())
    terminal = Terminal(tmp_path)
    async with sim.serve(ticker=False) as terminal.url:
        terminal.log_in_by_pat(sim, '[[sinks]]\nname = "log"\ntype = "file"\npath = "out.jsonl"')
        async with terminal.engine() as app:
            await app.watch.until(lambda: app.watch.counts.polls.total() >= 3)
            pace = app.scheduler.outlooks  # as it is now: it changes while commands are on their way
            monkeypatch.setattr(Scheduler, "outlooks", property(lambda scheduler: pace))
            found = await rows(terminal, "status")
            text = await told(terminal, "status")
            listed = await rows(terminal, "connections", "list")
    intervals = [shown[0]["interval"] for shown in (found["connections"], listed)]
    assert intervals == [pytest.approx(pace["acme"].mean_interval, rel=0.01)] * 2
    assert found["running"] is True
    assert {window["client"] for window in found["limits"]} == {"simulator"}
    assert max(window["used"] for window in found["limits"]) > 0
    assert "engine: running" in text


async def test_lists_show_each_thing_once_with_its_state(terminal: Terminal, known: Known) -> None:
    assert list(by_name(await rows(terminal, "connections", "list"))) == ["acme", "beta", "later"]
    organizers = await rows(terminal, "organizers", "list")
    assert [(row["connection"], row["webinars"]) for row in organizers] == [("acme", 2), ("beta", 3)]
    triggers = by_name(await rows(terminal, "triggers", "list"))
    assert triggers["everything"]["sinks"] == ["log", "crm", "strict"]
    assert is_rfc_3339_utc(triggers["quiet"]["since"])
    assert list(by_name(await rows(terminal, "sinks", "list"))) == ["log", "crm", "strict", "queue"]


async def test_a_sink_gone_from_the_settings_stays_visible_with_what_it_is_owed(known: Known, tmp_path: Path) -> None:
    without = known.config.read_text().replace('"poller.db"', f'"{known.config.parent}/poller.db"')
    without = without.replace('sinks = ["log", "crm", "strict"]', 'sinks = ["log", "crm"]')
    before, _, after = without.partition('[[sinks]]\nname = "strict"')
    terminal = Terminal(tmp_path)
    terminal.config.write_text(before + "[[sinks]]" + after.partition("[[sinks]]")[2])
    strict = by_name(await rows(terminal, "sinks", "list"))["strict"]
    assert (strict["status"], strict["dead"], strict["type"]) == ("removed", 2, None)
    assert "sinks move" in strict["reason"]


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_polls_come_newest_last_and_can_be_chosen(terminal: Terminal, known: Known) -> None:
    everything = await rows(terminal, "polls")
    assert everything[0]["started"] < everything[-1]["started"]
    assert sorted(row["connection"] for row in everything[:2]) == ["acme", "beta"], "the baseline's lists, read at once"
    assert (await rows(terminal, "polls", "--limit", "2")) == everything[-2:]
    assert {row["connection"] for row in await rows(terminal, "polls", "--connection", "beta")} == {"beta"}
    of_webinar = await rows(terminal, "polls", "--webinar", known.webinar)
    assert [(row["added"], row["removed"]) for row in of_webinar] == [(0, 0), (1, 0), (0, 0)]
    (failed,) = [row for row in everything if row["outcome"] == "failed"]
    assert "invalid_grant" in failed["note"]


async def test_no_polls_are_said_in_words(terminal: Terminal, tmp_path: Path) -> None:
    assert "no such polls" in await told(terminal, "polls", "--webinar", "1")
    empty = Terminal(tmp_path)
    empty.write()
    await (await SqliteStore.open(empty.state)).close()
    assert "is the engine running? `poller run`" in await told(empty, "polls")
    assert json.loads(await told(empty, "polls", "--json")) == []


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def types_of(terminal: Terminal, *arguments: str) -> list[str]:
    events = [json.loads(line) for line in (await told(terminal, "events", *arguments)).splitlines()]
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    return [event["type"].removeprefix("com.goto.") for event in events]


ALL = ["poller.connection.unauthorized", "registrant.added", "registrant.removed", "webinar.cancelled"]


async def test_events_are_one_cloudevent_a_line_in_their_order(terminal: Terminal) -> None:
    assert await types_of(terminal) == ALL


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--type", "registrant.added"], ALL[1:2]),
        (["--type", "com.goto.registrant.added"], ALL[1:2]),
        (["--type", "registrant.*", "--type", "webinar.cancelled"], ALL[1:]),
        (["--type", "poller.*"], ALL[:1]),
        (["--type", "*"], ALL),
        (["--limit", "1"], ALL[3:]),
        (["--type", "registrant.*", "--limit", "1"], ALL[2:3]),
        (["--since", "2h"], ALL),
        (["--since", "2026-01-01"], ALL),
        (["--since", "2199-01-01T00:00:00+01:00"], []),
    ],
)
async def test_events_can_be_chosen(terminal: Terminal, arguments: list[str], expected: list[str]) -> None:
    assert await types_of(terminal, *arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--type", "registrant.aded"], 'did you mean "registrant.added"?'),
        (["--type", "attendee.*"], 'no event has the type "attendee.*"'),
        (["--since", "yesterday"], "2026-01-31"),
        (["--since", "2x"], "2h"),
    ],
)
async def test_a_choice_that_makes_no_sense_is_wrong_usage(
    terminal: Terminal, arguments: list[str], words: str
) -> None:
    said = await terminal.run("events", *arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


async def test_follow_tells_new_events_until_interrupted(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.write()
    store = await SqliteStore.open(terminal.state)
    try:
        async with terminal.process("events", "--follow", "--type", "poller.sink.*") as process:
            for number in (1, 2):
                draft = drafting.operational(
                    "poller.sink.recovered",
                    f"sinks/s{number}",
                    connection="",
                    at=SystemClock().now(),
                    data={"sink": f"s{number}"},
                )
                await store.emit([(draft, [])])
                line = json.loads(await line_of(process.stdout, f"sinks/s{number}"))
                assert line["subject"] == f"sinks/s{number}"
            said = await terminal.ended(process, signal.SIGINT)
    finally:
        await store.close()
    assert said == Said(0, "", "")


async def test_a_reader_that_goes_away_ends_events_quietly(terminal: Terminal) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", "--config", str(terminal.config), "events", "--follow"),
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")


async def on_a_screen(terminal: Terminal, *arguments: str, columns: int = 80) -> list[str]:
    """The lines of a command on a terminal so wide."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "poller", "--config", str(terminal.config), *arguments),
        cwd=ROOT,
        stdout=theirs,
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # Linux's way to say that it ends
        while part := await asyncio.wait_for(asyncio.to_thread(screen.read, 65536), 30):
            shown += part
    assert await asyncio.wait_for(process.wait(), 30) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


async def test_on_a_terminal_an_event_is_one_short_line(terminal: Terminal, known: Known) -> None:
    lines = await on_a_screen(terminal, "events", "--type", "registrant.*")
    assert ["registrant.added" in lines[0], "registrant.removed" in lines[1], len(lines)] == [True, True, 2]
    assert f"registrants/{known.newcomer}" in lines[0]
    assert "{" not in lines[0]


@pytest.mark.parametrize("columns", [40, 80])
async def test_a_table_that_is_wider_than_the_terminal_has_its_rows_below_one_another(
    terminal: Terminal, columns: int
) -> None:
    """Side by side, its columns would be a few letters wide, and no word in them whole."""
    lines = await on_a_screen(terminal, "sinks", "list", columns=columns)
    assert max(map(len, lines)) <= columns
    blocks = "\n".join(line.rstrip() for line in lines).split("\n\n")
    names = [dict(re.split(" {2,}", line, maxsplit=1) for line in block.splitlines())["name"] for block in blocks]
    assert names == [row["name"] for row in await rows(terminal, "sinks", "list")]


async def test_a_table_that_fits_the_terminal_has_one_line_a_row(terminal: Terminal) -> None:
    lines = await on_a_screen(terminal, "sinks", "list", columns=300)
    assert len(lines) == 1 + len(await rows(terminal, "sinks", "list"))


# ── owed ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_deliveries_are_what_is_owed_and_failed(terminal: Terminal) -> None:
    found = await rows(terminal, "deliveries")
    states = sorted((row["sink"], row["type"], row["state"]) for row in found)
    assert states == [
        ("crm", "webinar.cancelled", "pending"),
        ("log", "webinar.cancelled", "pending"),
        ("queue", "registrant.added", "held"),
        ("strict", "registrant.added", "dead"),
        ("strict", "registrant.removed", "dead"),
        ("strict", "webinar.cancelled", "pending"),
    ]
    assert [row["held_by"] for row in found if row["state"] == "held"] == ["quiet"]
    assert len(await rows(terminal, "deliveries", "--sink", "strict")) == 3
    assert len(await rows(terminal, "deliveries", "--type", "registrant.*")) == 3
    assert len(await rows(terminal, "deliveries", "--state", "delivered")) == 4


async def test_dead_letters_are_listed_with_id_and_reason(terminal: Terminal) -> None:
    found = await rows(terminal, "dead", "list")
    assert [(row["sink"], row["type"]) for row in found] == [
        ("strict", "registrant.added"),
        ("strict", "registrant.removed"),
    ]
    assert all("400" in row["reason"] and len(row["id"]) == 32 for row in found)
    assert "no dead letters" in await told(terminal, "dead", "list", "--sink", "crm")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_state_info_and_verify_tell_of_a_sound_file(terminal: Terminal) -> None:
    info = await rows(terminal, "state", "info")
    assert (info["path"], info["counts"]["events"], info["counts"]["polls"]) == (str(terminal.state), 4, 16)
    assert info["size"] > 0
    assert len(info["epoch"]) == 8
    assert await told(terminal, "state", "verify") == f"{terminal.state}: sound\n"


async def test_state_verify_ends_with_4_for_a_damaged_file(terminal: Terminal, tmp_path: Path) -> None:
    damaged = Terminal(tmp_path)
    damaged.write()
    whole = bytearray(terminal.state.read_bytes())
    whole[-8192:-2048] = b"\xff" * 6144
    damaged.state.write_bytes(bytes(whole))
    said = await damaged.run("state", "verify")
    assert said.code == 4
    assert "restore a backup" in said.err
    assert said.err.count("\n") == 1
    as_json = await damaged.run("state", "verify", "--json")
    assert as_json.code == 4


@pytest.mark.parametrize("command", EVERY_LOOK, ids=" ".join)
async def test_without_a_state_each_names_the_command_that_makes_it(tmp_path: Path, command: list[str]) -> None:
    empty = Terminal(tmp_path)
    empty.write()
    said = await empty.run(*command)
    assert (said.code, said.out) == (4, "")
    assert "`poller run` makes it" in said.err
    assert not empty.state.exists()


async def test_looking_changes_nothing(terminal: Terminal) -> None:
    before = terminal.contents()
    for command in EVERY_LOOK:
        assert (await terminal.run(*command)).code == 0, command
    after = terminal.contents()
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {
        "poller.db-shm",
        "poller.db-wal",
    }


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["polls", "--connection", "acm"], 'there is no connection "acm"; did you mean "acme"?'),
        (["deliveries", "--sink", "lgo"], 'there is no sink "lgo"; did you mean "log"?'),
        (["dead", "list", "--type", "webinar.canceled"], 'did you mean "webinar.cancelled"?'),
        (["sample", "registrant.added", "--sink", "cmr"], 'there is no sink "cmr"'),
        (["sample", "regstrant.added"], 'did you mean "registrant.added"?'),
    ],
)
async def test_an_unknown_name_is_wrong_usage_with_the_nearest_right_one(
    terminal: Terminal, command: list[str], words: str
) -> None:
    said = await terminal.run(*command)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_a_strangers_text_cannot_steer_a_terminal_or_vanish_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    frame.show_table(("title",), [("[red]now[/red] \x1b[2J\x07 :smile:",)], as_json=False)
    shown = capsys.readouterr().out
    assert "[red]now[/red]" in shown
    assert ":smile:" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


# ── help ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_IMPORTED = """
import sys
from poller.cli import main
try:
    main()
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"], ["dead", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"aiohttp", "aiosqlite", "cryptography", "jinja2", "jmespath", "pydantic_settings", "sqlite3"}
    if len(arguments) == 1:
        heavy.add("pydantic")  # typer itself reads the arguments of a command with it
    result = subprocess.run(
        [sys.executable, "-c", _IMPORTED, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage:" in result.stdout
    assert heavy & set(result.stderr.split()) == set()


def test_settings_of_the_tests_name_every_secret_by_its_source(known: Known) -> None:
    """What the tests above rest on: looking works where no secret can be had."""
    with pytest.raises(UsageError, match="TEST_CRM_SECRET is not set"):
        Settings.load(known.config)
