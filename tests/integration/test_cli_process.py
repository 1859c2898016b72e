"""The commands as processes: signals, reloads, full disks, output that nobody reads."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from poller.simulator import Simulator
from tests.integration.receiver import answering, receiver
from tests.integration.terminal import PATIENCE, Terminal, line_of
from tests.integration.terminal_world import LOG, events, register, subjects
from tests.signals import send_signal


async def test_sighup_and_reload_take_good_files_refuse_bad_ones_and_send_nothing_again(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    async with terminal.process("--log-level", "debug", "run") as process:
        await line_of(process.stderr, "engine.started")
        first = register(sim)
        await line_of(process.stderr, "delivery.completed")

        terminal.config.write_text(terminal.config.read_text().replace('type = "file"', 'type = "fiel"'))
        send_signal(process, signal.SIGHUP)
        assert '"file"' in await line_of(process.stderr, "settings.refused")
        refused = await terminal.run("reload")
        second = register(sim)
        await line_of(process.stderr, "delivery.completed")

        terminal.log_in_by_pat(sim, LOG.replace("out.jsonl", "new.jsonl"), engine='interval = "300ms"')
        send_signal(process, signal.SIGHUP)
        assert "sinks.log" in await line_of(process.stderr, "settings.reloaded")
        accepted = await terminal.run("reload")
        third = register(sim)
        await line_of(process.stderr, "delivery.completed")
        said = await terminal.ended(process, signal.SIGTERM)

    assert refused.code == 2 and '"file"' in refused.err and "poller.toml:" in refused.err
    assert accepted.code == 0 and "nothing" in accepted.out
    assert said.code == 0 and "Traceback" not in said.err
    assert subjects(terminal) == [first, second]
    assert [event["subject"] for event in events(terminal, "new.jsonl")] == [third]


async def test_a_file_that_would_need_a_restart_is_refused_as_a_whole(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.engine() as app:
        before = app.settings
        # The engine keeps listening beside the old state, so it is asked there.
        for more in ('state = "other.db"', 'key = "another"'):
            terminal.log_in_by_pat(sim, LOG.replace("out", "new"), engine=f'interval = "5s"\n{more}')
            with pytest.raises(Exception, match="restart"):
                await terminal.ask("reload")
        assert app.settings is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_engine_with_0_and_frees_the_state(
    terminal: Terminal, sim: Simulator, number: signal.Signals
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.process("run") as process:
        await line_of(process.stderr, "poll.completed")
        said = await terminal.ended(process, number)

    assert said.code == 0, said
    assert (await terminal.run("run", "--once")).code == 0


@pytest.mark.parametrize("option", ["--config=other.toml", "--config other.toml"])
async def test_general_options_may_stand_behind_the_command(terminal: Terminal, option: str) -> None:
    async with terminal.process("status", "--json", *option.split(), "--log-level", "error") as process:
        said = await terminal.ended(process)

    assert said.code == 2 and "other.toml: there is no such settings file" in said.err


async def test_what_stands_behind_two_dashes_is_no_option(terminal: Terminal) -> None:
    terminal.write('[[connections]]\nname = "acme"')
    async with terminal.process("connections", "resume", "--", "--config") as process:
        said = await terminal.ended(process)

    assert said.code == 2 and 'no connection "--config"' in said.err


async def test_sigterm_ends_the_simulator_with_0(terminal: Terminal) -> None:
    async with terminal.process("simulate", "--port", "0") as process:
        await line_of(process.stdout, "listens")
        assert (await terminal.ended(process, signal.SIGTERM)).code == 0


async def test_the_simulator_has_held_webinars_and_loses_webhooks_as_told(terminal: Terminal) -> None:
    options = ("--port", "0", "--past-share", "0.5", "--rate", "0", "--webhooks-loss", "1")
    async with terminal.process("simulate", *options) as process, receiver(answering(200)) as callback:
        url = (await line_of(process.stdout, "listens")).split()[5].rstrip(";")
        async with aiohttp.ClientSession(url) as session:

            async def ask(method: str, path: str, **more: Any) -> Any:
                async with session.request(method, path, **more) as response:
                    return await response.json()

            (organizer, _) = await ask("GET", "/_simulator/organizers")
            form = {"grant_type": "personal_access_token", "pat": organizer["pat"]}
            client = {"client_id": Simulator.client_id, "client_secret": Simulator.client_secret}
            token = (await ask("POST", "/oauth/token", data={**form, **client}))["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            new = {"callbackUrl": callback.url, "eventName": "registrant.added", "eventVersion": "1.0.0"}
            made = await ask("POST", "/G2W/rest/v2/webhooks", json=[{**new, "product": "g2w"}], headers=headers)
            key = {"webhookKey": made["_embedded"]["webhooks"][0]["webhookKey"]}
            active = [{**key, "state": "ACTIVE"}]
            await session.put("/G2W/rest/v2/webhooks", json=active, headers=headers)
            await ask("POST", "/G2W/rest/v2/userSubscriptions", json=[key], headers=headers)
            await ask("POST", "/_simulator/actions", json={"action": "register"})
            assert [one["fate"] for one in await ask("GET", "/_simulator/webhooks")] == ["lost"]
            held = await ask("GET", "/_simulator/truth", params={"kind": "webinar.session.completed"})
            assert 3 < len(held["facts"]) < 17
    assert callback.methods == ["GET"]


async def test_the_simulator_has_as_many_meetings_as_were_asked_for(terminal: Terminal) -> None:
    arguments = ("--webinars", "0", "--meetings", "9", "--meeting-rate", "60", "--speed", "100")
    async with terminal.process("simulate", "--port", "0", *arguments) as process, aiohttp.ClientSession() as session:
        said = await line_of(process.stdout, "listens")
        (base_url,) = re.findall(r"at (http://[\d.:]+);", said)

        async def meetings(initial: str) -> set[str]:
            async with session.get(f"{base_url}/_simulator/truth", params={"initial": initial}) as reply:
                return {fact["subject"].split("/")[1] for fact in (await reply.json())["facts"]}

        first = await meetings("only")
        assert len(first) == 9
        async with asyncio.timeout(PATIENCE):
            while not await meetings("no") - first:
                await asyncio.sleep(0.05)
        assert (await terminal.ended(process, signal.SIGTERM)).code == 0


async def test_an_interrupted_demo_still_says_what_came_of_it(terminal: Terminal) -> None:
    async with terminal.process("demo", "--for", "10m", "--speed", "600") as process:
        await line_of(process.stderr, "people register from now on")
        await line_of(process.stdout, "com.goto.registrant.added")
        said = await terminal.ended(process, signal.SIGINT)
    assert said.code == 0, said.err
    assert "lost 0, doubled 0" in said.out


async def test_an_engine_on_a_full_disk_goes_on_and_catches_up_when_there_is_room(
    terminal: Terminal, sim: Simulator
) -> None:
    """A file that may not grow stands in for the disk; nothing is lost, doubled, or needs a restart."""
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    async with terminal.process("--log-level", "debug", "run") as process:
        await line_of(process.stderr, "engine.started")
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, hard))
        subject = register(sim)
        failed = await line_of(process.stderr, "poll.failed")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await line_of(process.stderr, "delivery.completed")
        said = await terminal.ended(process, signal.SIGTERM)

    assert "nothing was written" in failed
    assert said.code == 0 and "Traceback" not in said.err
    assert subjects(terminal) == [subject]


async def test_one_pass_on_a_full_disk_fails_and_the_next_one_makes_up_for_it(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    assert (await terminal.run("run", "--once")).code == 0
    people = [register(sim) for _ in range(300)]
    room = terminal.state.stat().st_size + 10_000

    def starved() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    async with terminal.process("run", "--once", preexec_fn=starved) as process:
        said = await terminal.ended(process)
    assert said.code == 1 and "Traceback" not in said.err and "poller.db" in said.err
    assert events(terminal) == []

    assert (await terminal.run("run", "--once")).code == 0
    assert sorted(subjects(terminal)) == sorted(people)


# ── output that nobody reads ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def buffered(terminal: Terminal) -> None:
    """Output is kept back as it is for most people: what could not be written is then met again at the very end."""
    terminal.environment["PYTHONUNBUFFERED"] = ""


@contextmanager
def _unread() -> Iterator[int]:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.usefixtures("buffered")
async def test_commands_whose_reader_has_gone_end_quietly(terminal: Terminal, sim: Simulator) -> None:
    """As behind `| head -0`: that is no failure, and nothing is said of it."""
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    register(sim)
    await terminal.run("run", "--once")
    looks = ("status", "status --json", "events", "deliveries --json", "sinks list", "state verify")
    for line in (*looks, "--version", "--help", "status --help", "simulate --port 0"):
        with _unread() as nobody:
            async with terminal.process(*line.split(), stdout=nobody) as process:
                said = await terminal.ended(process)
        assert (said.code, said.err) == (0, ""), line


@pytest.mark.usefixtures("buffered")
async def test_a_reader_that_goes_after_the_first_line_has_that_line_and_no_complaint(
    terminal: Terminal, sim: Simulator
) -> None:
    """As with `| head -1`, of more events than a pipe holds."""
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    people = [register(sim) for _ in range(300)]
    await terminal.run("run", "--once")

    reading, writing = os.pipe()
    async with terminal.process("events", stdout=writing) as process:
        os.close(writing)
        with os.fdopen(reading) as output:
            line = await asyncio.wait_for(asyncio.to_thread(output.readline), PATIENCE)
        said = await terminal.ended(process)

    assert json.loads(line)["subject"] in people
    assert (said.code, said.err) == (0, "")


@pytest.mark.usefixtures("buffered")
async def test_a_failure_whose_words_nobody_reads_is_still_one(terminal: Terminal) -> None:
    terminal.write(LOG)
    codes = {}
    for line in ("status", "statsu"):
        with _unread() as nobody:
            async with terminal.process(line, stdout=nobody, stderr=nobody) as process:
                codes[line] = (await terminal.ended(process)).code
    assert codes["status"] == 4, "there is no state yet"
    assert codes["statsu"] != 0


# ── output that cannot be written ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("buffered")
async def test_output_that_cannot_be_written_is_said_in_one_line(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    register(sim)
    await terminal.run("run", "--once")
    full = os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else None  # macOS has none
    ways: list[dict[str, Any]] = [
        {"preexec_fn": lambda: os.close(1)},
        *([{"stdout": full}] if full is not None else []),
    ]
    for line in ("status", "events", "check", "sinks list --json", "sample registrant.added", "--version", "--help"):
        for way in ways:
            async with terminal.process(*line.split(), **way) as process:
                said = await terminal.ended(process)
            assert said.code == 1 and re.fullmatch(r"poller: .+\n", said.err), (line, way, said)
    if full is not None:
        os.close(full)


async def test_where_nobody_hears_complaints_everything_else_works(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    for line in ("run --once", "status", "events"):
        async with terminal.process(*line.split(), preexec_fn=lambda: os.close(2)) as process:
            said = await terminal.ended(process)
        assert said.code == 0 and (said.out or line != "status"), (line, said)


async def test_events_for_a_closed_standard_output_stay_owed(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, '[[sinks]]\nname = "screen"\ntype = "stdout"')
    await terminal.run("run", "--once")
    subject = register(sim)
    async with terminal.process("run", "--once", preexec_fn=lambda: os.close(1)) as process:
        said = await terminal.ended(process)
    assert said.code == 1 and "screen: 1" in said.err and "Traceback" not in said.err
    [owed] = json.loads((await terminal.run("deliveries", "--json")).out)
    assert owed["sink"] == "screen" and subject in (await terminal.run("events")).out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_output_is_utf8_whatever_the_locale_says(terminal: Terminal, sim: Simulator, encoding: str) -> None:
    terminal.log_in_by_pat(sim, LOG, '[[triggers]]\nname = "some"\nwebinars = ["Größe ☃ *"]\nsinks = ["log"]')
    await terminal.run("run", "--once")
    terminal.environment["PYTHONIOENCODING"] = encoding
    for line in ("triggers list", "triggers list --json"):
        async with terminal.process(*line.split()) as process:
            said = await terminal.ended(process)
        assert said.code == 0 and "Größe ☃" in said.out, said
