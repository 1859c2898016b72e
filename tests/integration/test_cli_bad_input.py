"""What a person can get wrong ends in one line that says what to mend, in the right exit code, and changes nothing."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.control import socket_path
from poller.simulator import Simulator, WorldOptions
from state.sqlite import SqliteStore
from state.sqlite.lock import Lock
from tests.integration.terminal import Terminal

FILE = '[[sinks]]\nname = "log"\ntype = "file"\npath = "out.jsonl"'
CONNECTION = '[[connections]]\nname = "acme"\npat = "{}"'.format


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
async def sim(terminal: Terminal) -> AsyncIterator[Simulator]:
    simulator = Simulator(WorldOptions(webinars=2, registrants=4, rate_per_minute=0), clock=SystemClock())
    async with simulator.serve(ticker=False) as terminal.url:
        yield simulator


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Mistake:
    """A settings file that cannot work, and words that the answer must have."""

    text: str
    words: tuple[str, ...]


MISTAKES = {
    "no TOML": Mistake("[engine\ninterval", ("poller.toml:1", "not valid TOML")),
    "unknown key": Mistake('[engine]\nintervall = "1s"', ("poller.toml:2", "engine.intervall", '"interval"')),
    "unknown sink type": Mistake('[[sinks]]\nname = "a"\ntype = "fiel"', ("poller.toml:3", '"fiel"', '"file"')),
    "two sinks of one name": Mistake(f"{FILE}\n{FILE}", ("sinks[1].name", '"log" is taken')),
    "unknown event type": Mistake(
        f'{FILE}\n[[triggers]]\nname = "t"\non = ["registrant.aded"]\nsinks = ["log"]',
        ('"registrant.aded"', '"registrant.added"'),
    ),
    "unknown sink": Mistake(f'{FILE}\n[[triggers]]\nname = "t"\nsinks = ["lok"]', ('no sink "lok"', '"log"')),
    "no client": Mistake('[[connections]]\nname = "acme"', ("goto.client_id", "connections[0]")),
    "client without secret": Mistake(
        '[goto]\nclient_id = "x"\n[[connections]]\nname = "acme"', ('"acme"', "client_secret")
    ),
    "a secret that is not there": Mistake(
        '[goto]\nclient_id = "x"\nclient_secret = "env:NOT_SET_ANYWHERE"\n[[connections]]\nname = "acme"',
        ("goto.client_secret", "NOT_SET_ANYWHERE"),
    ),
    "an interval without a unit": Mistake("[engine]\ninterval = 5", ("engine.interval", '"5s"')),
    "no such certificate": Mistake('[goto]\nca_file = "nowhere.pem"', ("ca_file", "nowhere.pem")),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_a_wrong_settings_file_is_refused_before_anything_else_happens(
    terminal: Terminal, mistake: Mistake
) -> None:
    terminal.config.write_text(mistake.text)
    before = terminal.contents()

    said = await terminal.run("run")

    assert said.code == 2, said
    assert said.out == "" and "Traceback" not in said.err
    assert all(word in said.err for word in mistake.words), said.err
    assert files_only(terminal) == files_of(before)


@pytest.mark.parametrize(
    "command",
    ["run", "run --once", "check", "reload", "sync", "login acme --pat", "replay --sink log", "forget a@example.com"],
)
async def test_without_a_settings_file_every_command_says_how_to_get_one(terminal: Terminal, command: str) -> None:
    said = await terminal.run(*command.split(), answer="token")

    assert said.code == 2
    assert "there is no such settings file" in said.err and "poller init" in said.err
    assert terminal.contents() == {}


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sink(keys: str) -> str:
    return f'[[sinks]]\nname = "out"\n{keys}'


SINK_MISTAKES = {
    "a template that is none": ('type = "mqtt"\ntopic = "a/{{ data.x }"', ("sinks[0].topic", "Jinja2")),
    "a template of what no event has": ('type = "nats"\nsubject = "{{ webinar }}"', ("sinks[0].subject", "webinar")),
    "another scheme": ('type = "redis"\nurl = "http://127.0.0.1"', ('"out", url', "redis://")),
    "an address in a variable that is not set": (
        'type = "rabbitmq"\nurl = "env:NOT_SET_ANYWHERE"',
        ("url", "NOT_SET_ANYWHERE"),
    ),
    "no address": ('type = "postgres"', ("sinks[0].url", "missing")),
    "a number that is no choice": ('type = "mqtt"\nqos = 5', ("sinks[0].qos", "0, 1 or 2")),
    "more than a request holds": (
        'type = "sqs"\nqueue_url = "https://sqs.example.com/1/q"\nbatch = 11',
        ("sinks[0].batch", "at most 10"),
    ),
    "no such certificate": ('type = "kafka"\nbootstrap_servers = "a:1"\nca_file = "no.pem"', ("ca_file", "no.pem")),
    "a misspelt key": ('type = "nats"\nstreem = "x"', ("sinks[0].streem", '"stream"')),
}


@pytest.mark.parametrize(("keys", "words"), SINK_MISTAKES.values(), ids=SINK_MISTAKES)
async def test_a_sink_that_cannot_work_is_refused_at_the_start(
    terminal: Terminal, keys: str, words: tuple[str, ...]
) -> None:
    terminal.config.write_text(sink(keys))

    said = await terminal.run("run")

    assert said.code == 2, said
    assert "Traceback" not in said.err and all(word in said.err for word in words), said.err


UNREACHED = {
    "an unknown host": ('type = "redis"\nurl = "redis://nowhere.invalid"', "nowhere.invalid"),
    "nobody there": ('type = "mqtt"\nurl = "mqtt://127.0.0.1:9"', "127.0.0.1:9: Connection refused"),
    "a field that no example has": (
        'type = "file"\npath = "out.jsonl"\nformat = "template"\ntemplate = "{{ data.registrantKey }}"',
        "webinar.created cannot be sent: the template failed",
    ),
    "a folder that cannot be": ('type = "file"\npath = "/proc/none/out.jsonl"', "/proc/none"),
}


@pytest.mark.parametrize(("keys", "words"), UNREACHED.values(), ids=UNREACHED)
async def test_check_names_a_sink_that_cannot_be_reached_and_why(terminal: Terminal, keys: str, words: str) -> None:
    terminal.config.write_text(sink(keys))

    said = await terminal.run("check")

    assert said.code == 1 and "Traceback" not in said.err
    [row] = [line for line in said.out.splitlines() if line.startswith("sink")]
    assert " out " in row and "failed" in row and words in row


async def test_a_template_that_lacks_a_field_is_warned_of_when_the_engine_starts(terminal: Terminal) -> None:
    keys = 'type = "file"\npath = "out.jsonl"\nformat = "template"\ntemplate = "{{ data.registrantKey }}"'
    terminal.config.write_text(sink(keys))
    async with terminal.process("run", "--for", "1s") as process:
        said = await terminal.ended(process)
    assert said.code == 0 and "sink.misfit" in said.err and "registrantKey" in said.err
    assert "registrant.added cannot be sent" not in said.err


# ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def in_use(terminal: Terminal) -> Iterator[None]:
    """By an engine that has no control socket yet, or none any more."""
    lock = Lock(terminal.state)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def newer(terminal: Terminal) -> Iterator[None]:
    asyncio.run(_made(terminal.state))
    db = sqlite3.connect(terminal.state)
    db.execute("PRAGMA user_version = 999")
    db.close()
    yield


@contextmanager
def notes(terminal: Terminal) -> Iterator[None]:
    terminal.state.write_text("these are my notes\n" * 500)
    yield


@contextmanager
def gone(terminal: Terminal) -> Iterator[None]:
    asyncio.run(_made(terminal.state))
    terminal.state.unlink()
    yield


async def _made(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.close()


STATES = {
    "in use": (in_use, ("poller.db.lock", "another engine")),
    "newer": (newer, ("poller.db", "newer version", "upgrade")),
    "no database": (notes, ("poller.db", "restore a backup")),
    "gone": (gone, ("poller.db", "restore a backup")),
}


@pytest.mark.parametrize("command", ["run", "run --once", "check", "dead retry", "state prune"])
@pytest.mark.parametrize("trouble", STATES)
def test_a_state_that_cannot_be_used_is_left_alone(
    terminal: Terminal, trouble: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.write(FILE)
    monkeypatch.setattr("poller.cli.frame.HANDOVER", 0.0)  # nobody is starting or ending here
    make, words = STATES[trouble]
    with make(terminal):
        before = terminal.contents()
        said = asyncio.run(terminal.run(*command.split()))
        after = terminal.contents()

    assert said.code == 4, said
    assert said.out == "" and "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err
    assert after == before


async def test_an_engine_that_does_not_answer_is_not_waited_for(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped, or hangs; whoever asks is told so, and nobody takes its state."""
    terminal.write(FILE)
    monkeypatch.setattr("poller.control.request.__defaults__", (lambda _: None, 0.05))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(silent, socket_path(terminal.state)):
        said = await terminal.run("connections", "pause", "acme")

    assert said.code == 1 and "does not answer" in said.err and "Traceback" not in said.err
    assert not terminal.state.exists()


async def test_a_folder_that_does_not_exist_is_named(terminal: Terminal) -> None:
    terminal.write(FILE, engine='state = "nowhere/poller.db"')

    said = await terminal.run("run")

    assert said.code == 4
    assert "nowhere" in said.err and "Traceback" not in said.err
    assert terminal.contents().keys() == {"poller.toml"}


async def test_a_folder_that_cannot_be_written_is_named(terminal: Terminal) -> None:
    locked = terminal.folder / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):  # nothing is locked for root, but for a file system of the kernel's
        locked = Path("/sys/kernel")
    if not locked.is_dir():
        pytest.skip("root may write everywhere here")
    terminal.write(FILE, engine=f'state = "{locked}/poller.db"')

    said = await terminal.run("run")

    assert said.code == 4, said
    assert str(locked) in said.err and "writable" in said.err and "Traceback" not in said.err


@pytest.mark.parametrize("command", ["run", "check", "login acme --pat"])
async def test_a_wrong_key_for_the_tokens_is_refused(terminal: Terminal, sim: Simulator, command: str) -> None:
    """The stored login stays as it is, for the day when the right key comes back."""
    terminal.write('[[connections]]\nname = "acme"', engine='key = "the right one"')
    pat = sim.world.organizers[0].pat
    assert (await terminal.run("login", "acme", "--pat", answer=pat)).code == 0
    terminal.write('[[connections]]\nname = "acme"', engine='key = "another one"')

    said = await terminal.run(*command.split(), answer=pat)

    assert said.code == 2, said
    assert "engine.key" in said.err and "--replace" in said.err and "Traceback" not in said.err
    terminal.write('[[connections]]\nname = "acme"', engine='key = "the right one"')
    assert (await terminal.run("check")).code == 0


# ── GoTo ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_host_that_cannot_be_reached_is_named_with_its_setting(terminal: Terminal) -> None:
    terminal.write(CONNECTION("x"), FILE)

    once = await terminal.run("run", "--once")
    checked = await terminal.run("check")
    terminal.write('[[connections]]\nname = "acme"', FILE)
    login = await terminal.run("login", "acme", "--pat", answer="x")

    assert [once.code, checked.code, login.code] == [1, 1, 1]
    for text in (once.err, checked.out, login.err):
        assert "127.0.0.1" in text and "auth_url" in text and "Traceback" not in text


async def test_the_engine_outlives_a_host_that_cannot_be_reached(terminal: Terminal) -> None:
    terminal.write(CONNECTION("x"), FILE)

    said = await terminal.run("run", "--for", "100ms")

    assert said.code == 0, said


async def test_a_wrong_api_host_is_named_with_its_setting(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, FILE)
    terminal.config.write_text(
        terminal.config.read_text().replace(f'api_url = "{terminal.url}"', 'api_url = "http://127.0.0.1:9"')
    )

    said = await terminal.run("run", "--once")

    assert said.code == 1 and "api_url" in said.err and "auth_url" not in said.err


@pytest.mark.parametrize("command", ["run", "run --once", "check"])
async def test_a_refused_token_asks_for_a_login(terminal: Terminal, sim: Simulator, command: str) -> None:
    terminal.write(CONNECTION("not-a-token"), FILE)

    said = await terminal.run(*command.split())

    assert said.code == 3, said
    assert "acme" in said.err and "Traceback" not in said.err
    assert "invalid_grant" in said.out + said.err or command == "run"


@pytest.mark.parametrize("command", ["run", "run --once", "check"])
async def test_a_login_that_was_revoked_meanwhile_asks_for_another(
    terminal: Terminal, sim: Simulator, command: str
) -> None:
    terminal.write('[[connections]]\nname = "acme"', FILE)
    organizer = sim.world.organizers[0]
    assert (await terminal.run("login", "acme", "--pat", answer=organizer.pat)).code == 0
    sim.oauth.revoke(organizer.organizer_key)

    said = await terminal.run(*command.split())

    assert said.code == 3, said
    assert "poller login" in said.out + said.err


async def test_a_wrong_client_is_told_from_a_wrong_login(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, FILE)
    terminal.config.write_text(terminal.config.read_text().replace("simulator-secret", "misspelt"))

    said = await terminal.run("run", "--once")

    assert said.code == 3
    assert "client_secret" in said.err and "misspelt" not in said.err


async def test_a_connection_that_works_is_polled_though_another_has_no_login(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, '[[connections]]\nname = "other"', FILE, more='start = "all"')

    said = await terminal.run("run", "--once")

    assert said.code == 1
    assert "poller login other" in said.err
    assert (terminal.folder / "out.jsonl").read_text().count("\n") == 6


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────

ARGUMENTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "frobnicate": (2, ("frobnicate",)),
    "run --for soon": (2, ('"soon"', "duration")),
    "run --config": (2, ("--config",)),
    "backfill acme --since 2999-12-31": (2, ("2999-12-31", "lies ahead")),
    "sample nonsense": (2, ("nonsense", "registrant.added")),
    "sinks move log log": (2, ('"log"',)),
    "dead retry --sink lok": (2, ('"lok"', '"log"')),
    "dead drop --sink lok --yes": (2, ('"lok"', '"log"')),
    "replay --sink log --from 1h --to 2h": (2, ("--from", "--to")),
    "simulate --port 70000": (2, ("--port", "65535")),
    "login acmee --pat": (2, ('"acmee"', '"acme"')),
    "sync acmee": (2, ('"acmee"', '"acme"')),
    "backfill acme --since yesterday": (2, ("yesterday",)),
    "connections pause acmee": (2, ('"acmee"', '"acme"')),
    "triggers resume al": (2, ('"al"', '"all"')),
    "sinks pause lok": (2, ('"lok"', '"log"')),
    "sinks test lok": (2, ('"lok"', '"log"')),
    "sinks test log --type registrant.aded": (2, ("registrant.aded", "registrant.added")),
    "sinks move old lok": (2, ('"lok"', '"log"')),
    "sinks move old log": (1, ("old", "poller sinks list")),
    "sinks drop log": (2, ('"log"', "settings")),
    "sinks drop old": (1, ("old", "poller sinks list")),
    "dead drop": (2, ("--yes",)),
    "dead drop --type registrant.aded --yes": (2, ('"registrant.added"',)),
    "dead retry 0123": (1, ("0123", "poller dead list")),
    "dead drop 0123 --yes": (1, ("0123", "poller dead list")),
    "replay --sink lok": (2, ('"lok"', '"log"')),
    "replay --sink log --from noon": (2, ("--from", "noon")),
    "forget nobody": (2, ("e-mail",)),
    "state backup poller.db": (2, ("poller.db", "name another file")),
    "state backup nowhere/copy.db": (2, ("nowhere",)),
    "reload": (1, ("no engine is running", "poller run")),
    "simulate --fault nonsense": (2, ("nonsense", "429")),
    "simulate --limits much": (2, ("much",)),
    "simulate --webhooks-loss 2": (2, ("--webhooks-loss",)),
    "simulate --webhooks-delay soon": (2, ("soon",)),
    "simulate --webhooks-encoding rot13": (2, ("rot13",)),
    "simulate --attendance-delay later": (2, ("later",)),
}


@pytest.mark.parametrize("command", ARGUMENTS)
async def test_a_wrong_argument_is_named_with_the_nearest_right_one(
    terminal: Terminal, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.write('[[connections]]\nname = "acme"', FILE)
    await _made(terminal.state)
    monkeypatch.chdir(terminal.folder)
    before = terminal.contents()
    code, words = ARGUMENTS[command]

    said = await terminal.run(*command.split(), answer="token")

    assert said.code == code, said
    assert said.out == "" and "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err
    assert files_only(terminal) == files_of(before)


async def test_commands_about_deliveries_make_no_state_where_there_is_none(terminal: Terminal) -> None:
    terminal.write(FILE)

    for command in ("dead drop --yes", "state backup copy.db", "sinks drop old"):
        said = await terminal.run(*command.split())
        assert said.code == 4 and "there is no state yet" in said.err
    assert terminal.contents().keys() == {"poller.toml"}


async def test_a_port_in_use_is_named(terminal: Terminal) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        port = str(server.sockets[0].getsockname()[1])

        said = await terminal.run("simulate", "--port", port)

    assert said.code == 1
    assert port in said.err and "--port" in said.err and "Traceback" not in said.err


async def test_init_overwrites_nothing_unless_told_to(terminal: Terminal) -> None:
    mine = terminal.folder / "mine.toml"
    mine.write_text("# mine")

    refused = await terminal.run("init", str(mine))
    assert refused.code == 2 and "--force" in refused.err and mine.read_text() == "# mine"
    forced = await terminal.run("init", str(mine), "--force")
    assert forced.code == 0 and "[[connections]]" in mine.read_text()
    nowhere = await terminal.run("init", str(terminal.folder / "nowhere" / "poller.toml"))
    assert nowhere.code == 2 and "nowhere" in nowhere.err
    assert terminal.contents().keys() == {"mine.toml"}


def files_of(contents: dict[str, bytes]) -> dict[str, bytes]:
    """What people wrote: an owner counts its openings in the state file."""
    return {name: content for name, content in contents.items() if not name.startswith("poller.db")}


def files_only(terminal: Terminal) -> dict[str, bytes]:
    left = terminal.contents()
    known = {"poller.db", "poller.db-wal", "poller.db-shm"}
    assert not {name for name in left if name.startswith("poller.db")} - known, "something half-written"
    return files_of(left)
