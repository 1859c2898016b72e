"""The commands that change what is owed, paused or kept, with and without an engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3

import aiohttp
import pytest

from poller.simulator import Simulator
from tests.integration.receiver import answering, receiver
from tests.integration.terminal import PATIENCE, Terminal
from tests.integration.terminal_world import LOG, backlog_of, events, journal_of, key_of, register, subjects

# ── dead letters, replay, sinks ───────────────────────────────────────────────────────────────────────────────────────


def hook(url: str) -> str:
    return f'[[sinks]]\nname = "crm"\ntype = "webhook"\nurl = "{url}"\nallow_private = true'


async def test_dead_letters_are_tried_again_with_their_ids_or_given_up(terminal: Terminal, sim: Simulator) -> None:
    answers = [400, 400, 200]

    async def answer(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        return aiohttp.web.Response(status=answers[min(len(crm.bodies) - 1, 2)])

    async with receiver(answer) as crm:
        terminal.log_in_by_pat(sim, hook(crm.url))
        await terminal.run("run", "--once")
        register(sim), register(sim)
        await terminal.run("run", "--once")
        first, second = sorted({json.loads(body)["id"] for body in crm.bodies})
        assert (await backlog_of(terminal))["crm"].dead == 2

        retried = await terminal.run("dead", "retry", first)
        await terminal.run("run", "--once")
        dropped = await terminal.run("dead", "drop", "--sink", "crm", "--type", "registrant.*", "--yes")

    assert "1 dead letters are pending" in retried.out
    assert [json.loads(body)["id"] for body in crm.bodies[2:]] == [first]
    assert "crm: 1" in dropped.err and "1 dead letters dropped" in dropped.out
    found = (await backlog_of(terminal))["crm"]
    assert (found.pending, found.dead, found.delivered) == (0, 0, 1)
    assert (await terminal.run("dead", "retry", second)).code == 1


async def test_replay_sends_stored_events_again_with_their_ids(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    subject = register(sim)
    await terminal.run("run", "--once")

    later = await terminal.run("replay", "--sink", "log", "--from", "2999-01-01")
    other = await terminal.run("replay", "--sink", "log", "--type", "webinar.*")
    again = await terminal.run("replay", "--sink", "log", "--from", "1h", "--type", "registrant.added")
    await terminal.run("run", "--once")

    assert [said.out[0] for said in (later, other, again)] == ["0", "0", "1"]
    assert subjects(terminal) == [subject, subject]
    assert len({event["id"] for event in events(terminal)}) == 1


async def test_a_sample_reaches_a_sink_and_leaves_no_trace_in_the_state(terminal: Terminal) -> None:
    async with receiver(answering(200)) as crm:
        terminal.write(hook(crm.url))
        said = await terminal.run("sinks", "test", "crm")
    async with receiver(answering(413)) as strict:
        terminal.write(hook(strict.url))
        refused = await terminal.run("sinks", "test", "crm", "--type", "webinar.created")

    sent = json.loads(crm.bodies[0])
    assert said.code == 0 and sent["id"] in said.out
    assert sent["sample"] is True and sent["type"] == "com.goto.registrant.added"
    assert refused.code == 1 and "413" in refused.err
    assert json.loads(strict.bodies[0])["type"] == "com.goto.webinar.created"
    assert not terminal.state.exists()


async def test_what_a_removed_sink_is_owed_moves_or_is_dropped(terminal: Terminal, sim: Simulator) -> None:
    async with receiver(answering(500)) as crm:
        terminal.log_in_by_pat(sim, hook(crm.url), more='start = "all"')
        await terminal.run("run", "--once")
        await terminal.run("sinks", "pause", "crm")
        owed = (await backlog_of(terminal))["crm"].pending
    assert owed > 0
    terminal.log_in_by_pat(sim, LOG, more='start = "all"')

    moved = await terminal.run("sinks", "move", "crm", "log")
    assert f"{owed} deliveries moved" in moved.out
    await terminal.run("run", "--once")
    assert len(events(terminal)) == owed

    dropped = await terminal.run("sinks", "drop", "crm")
    assert dropped.code == 0 and "0 pending" in dropped.err
    assert "crm" not in await backlog_of(terminal)


async def test_what_both_sinks_were_owed_is_said_to_be_there_already(terminal: Terminal, sim: Simulator) -> None:
    async with receiver(answering(500)) as crm:
        terminal.log_in_by_pat(sim, hook(crm.url), LOG, more='start = "all"')
        await terminal.run("run", "--once")
        await terminal.run("sinks", "pause", "crm")
    owed = (await backlog_of(terminal))["crm"].pending

    moved = await terminal.run("sinks", "move", "crm", "log")

    assert owed > 0 and f"0 deliveries moved from crm to log; {owed} others" in moved.out
    assert (await backlog_of(terminal))["crm"].pending == 0


async def test_a_wrong_address_is_refused_before_any_word_of_erasing(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)

    said = await terminal.run("forget", "nobody")

    assert said.code == 2 and "erasing" not in said.err


# ── sync ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("running", [False, True])
async def test_what_a_check_now_cannot_reach_is_said_with_and_without_an_engine(
    terminal: Terminal, sim: Simulator, running: bool
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    async with terminal.engine() if running else contextlib.nullcontext():
        unknown = await terminal.run("sync", "--webinar", "123", "--wait")
        await terminal.run("connections", "pause", "acme")
        paused = await terminal.run("sync", "acme")
        history = await terminal.run("backfill", "acme", "--since", "P1Y")

    assert unknown.code == 2 and "webinar 123 is not being polled" in unknown.err
    for said in (paused, history):
        assert said.code == 2 and "poller connections resume acme" in said.err and said.out == ""


async def test_a_check_now_that_fails_says_why_on_stderr(terminal: Terminal, sim: Simulator) -> None:
    terminal.write('[[connections]]\nname = "other"', LOG)
    hopeless = await terminal.run("sync", "--wait")
    terminal.log_in_by_pat(sim, '[[connections]]\nname = "other"', LOG)
    partly = await terminal.run("sync", "--wait")

    assert hopeless.code == 3 and "poller login other" in hopeless.err and hopeless.out == ""
    assert partly.code == 1 and "poller login other" in partly.err
    assert "polls: " in partly.out and "problems" not in partly.out


# ── switches ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_appears_while_a_connection_is_paused_is_told_on_resume_and_the_journal_names_the_gap(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    await terminal.run("connections", "pause", "acme", "--reason", "holiday")
    subject = register(sim)
    await terminal.run("run", "--once")
    assert events(terminal) == []

    said = await terminal.run("connections", "resume", "acme")
    await terminal.run("run", "--once")

    assert "resumed" in said.out and subjects(terminal) == [subject]
    assert "backfill" not in events(terminal)[0]
    gaps = [row for row in await journal_of(terminal) if row.outcome == "skipped"]
    assert [(row.connection, "holiday" in row.note) for row in gaps] == [("acme", True)]


async def test_a_paused_trigger_holds_its_deliveries_until_it_is_resumed(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    await terminal.run("triggers", "pause", "all")
    subject = register(sim)
    await terminal.run("run", "--once")
    assert events(terminal) == [] and (await backlog_of(terminal))["log"].held == 1

    said = await terminal.run("triggers", "resume", "all")
    await terminal.run("run", "--once")

    assert "1 held deliveries go out" in said.out and subjects(terminal) == [subject]


async def test_a_trigger_that_a_flood_holds_is_resumed_like_a_paused_one(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG, '[[triggers]]\nname = "guarded"\nflood = 1\nsinks = ["log"]')
    async with terminal.engine() as app:
        await terminal.run("sync", "--wait")
        told = [register(sim), register(sim)]
        await terminal.run("sync", "--wait")
        assert events(terminal) == []

        said = await terminal.run("triggers", "resume", "guarded")
        await app.watch.until(lambda: app.watch.counts.deliveries["log"] == 2)

    assert "guarded: resumed; 2 held deliveries go out" in said.out and sorted(subjects(terminal)) == sorted(told)


async def test_pauses_reach_a_running_engine_and_are_there_after_a_restart(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.engine():
        await terminal.run("sync", "--wait")
        assert (await terminal.run("sinks", "pause", "log")).code == 0
        subject = register(sim)
        await terminal.run("sync", "--wait")
    async with terminal.engine() as app:
        assert events(terminal) == [] and (await backlog_of(terminal))["log"].pending == 1
        assert (await terminal.run("sinks", "resume", "log")).code == 0
        await app.watch.until(lambda: app.watch.counts.deliveries["log"] == 1)
    assert subjects(terminal) == [subject]


async def test_resuming_a_sink_that_nobody_paused_says_that_it_is_tried_again(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.engine():
        said = await terminal.run("sinks", "resume", "log")
        assert said.code == 0 and "was not paused; what is owed to it is tried again now" in said.out
        assert "tried again" not in (await terminal.run("connections", "resume", "acme")).out


async def test_a_check_asked_of_an_engine_that_has_only_just_started_is_a_real_one(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    sim.faults.latency_seconds = 0.5
    sim.faults.arm("latency", times=1, operation="getMe")
    async with terminal.engine() as app:
        said = await terminal.run("sync", "--wait", "--json")
        assert json.loads(said.out)["polls"] > 1 and sim.faults.struck["latency"] == 1
        subject = register(sim)
        await terminal.run("sync", "--wait")
        await app.watch.until(lambda: app.watch.counts.deliveries["log"] == 1)
    assert subjects(terminal) == [subject]


async def test_webinars_are_still_looked_for_after_the_first_look(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.engine() as app:
        await terminal.run("sync", "--wait")
        made = sim.world.create_webinar()
        while made.organizer_key != key_of(sim):
            made = sim.world.create_webinar()
        found = app.watch.until(lambda: f"webinars/{made.webinar_key}" in subjects(terminal))
        await asyncio.wait_for(found, PATIENCE)
    assert subjects(terminal).count(f"webinars/{made.webinar_key}") == 1


async def test_neither_a_check_now_nor_a_backfill_takes_the_news_of_a_paused_organizer_away(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    await terminal.run("organizers", "pause", key_of(sim))
    webinar = sim.world.create_webinar(key_of(sim)).webinar_key
    for command in (("sync", "acme"), ("backfill", "acme", "--since", "P1Y")):
        said = await terminal.run(*command)
        assert said.code == 2 and f"poller organizers resume {key_of(sim)}" in said.err and said.out == ""

    await terminal.run("organizers", "resume", key_of(sim))
    await terminal.run("run", "--once")

    [event] = [event for event in events(terminal) if event["subject"] == f"webinars/{webinar}"]
    assert "backfill" not in event


async def test_a_paused_organizer_of_an_account_is_left_out(terminal: Terminal, sim: Simulator) -> None:
    admin = sim.world.admin
    goto = f'[[connections]]\nname = "acme"\npat = "{admin.pat}"\naccount = true'
    terminal.write(goto, LOG)
    assert (await terminal.run("run", "--once")).code == 0
    unseen = await terminal.run("organizers", "pause", "123")
    assert unseen.code == 0 and "no connection has seen" in unseen.err
    await terminal.run("organizers", "pause", key_of(sim))
    subject = register(sim)
    assert (await terminal.run("run", "--once")).code == 0
    assert events(terminal) == []

    assert (await terminal.run("organizers", "resume", key_of(sim))).code == 0
    await terminal.run("run", "--once")

    assert subjects(terminal) == [subject]


# ── people and the file ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("beside", [True, False], ids=["beside an engine", "alone"])
async def test_a_forgotten_person_is_erased_and_never_repeated_on_the_screen(
    terminal: Terminal, sim: Simulator, beside: bool
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    register(sim, email="wish.to.leave@example.com")
    await terminal.run("run", "--once")

    if beside:
        async with terminal.engine():
            said = await terminal.run("forget", "Wish.To.Leave@example.com", "--json")
    else:
        said = await terminal.run("forget", "Wish.To.Leave@example.com", "--json")
    await terminal.run("run", "--once")

    assert json.loads(said.out) == {"records": 1, "events": 1, "deliveries": 1}
    assert "backups" in said.err and "log (file)" in said.err and "eave@example" not in said.err
    assert len(events(terminal)) == 1, "it does not come back"
    left = {name: content for name, content in terminal.contents().items() if name.startswith("poller.db")}
    assert all(b"eave@example.com" not in content for content in left.values())


@pytest.mark.parametrize("beside", [True, False], ids=["beside an engine", "alone"])
async def test_a_backup_is_a_state_of_its_own_and_the_key_is_not_forgotten(
    terminal: Terminal, sim: Simulator, beside: bool
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    copy = terminal.folder / "copy.db"

    if beside:
        async with terminal.engine():
            said = await terminal.run("state", "backup", str(copy))
    else:
        said = await terminal.run("state", "backup", str(copy))

    assert said.code == 0 and "poller.db.key" in said.err
    db = sqlite3.connect(copy)
    assert db.execute("SELECT organizer_key FROM connections").fetchall() == [(key_of(sim),)]
    db.close()


async def test_prune_drops_what_is_older_than_the_retention(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    register(sim)
    await terminal.run("run", "--once")
    young = await terminal.run("state", "prune", "--json")
    terminal.log_in_by_pat(sim, LOG, engine='retention = "1ms"')
    old = await terminal.run("state", "prune", "--json")

    assert json.loads(young.out)["events"] == 0 and json.loads(old.out)["events"] == 1
