"""The engine inside another program, as the README shows it: consumers, handlers, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import structlog

from poller import Poller, Settings
from poller.errors import Reauthorize, UsageError
from poller.inbox import Inbox
from poller.scheduler import Scheduler
from poller.simulator import Simulator
from poller.sink_loop import SinkLoop
from state.errors import StateUnavailable
from state.records import ConnectionState
from state.sqlite import SqliteStore
from tests.integration.terminal import PATIENCE, Terminal
from tests.integration.terminal_world import LOG, pat_of, register

# No loop of these tests needs time to finish what it was given.
AT_ONCE = 'interval = "200ms"\ngrace = "0s"'
ADDED = ["registrant.added"]


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """As a program finds logging that says nothing about it."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def settings_of(terminal: Terminal, sim: Simulator, more: str = 'start = "all"', engine: str = AT_ONCE) -> Settings:
    terminal.log_in_by_pat(sim, more=f'{more}\n[http]\nlisten = ""', engine=engine)
    return Settings.load(terminal.config)


async def first(engine: Poller, name: str, types: list[str]) -> dict[str, Any]:
    """What the loop gets before it is left."""
    async with asyncio.timeout(PATIENCE):
        async for event in engine.events(name, types=types):
            return event
    raise AssertionError("the engine ended")


async def test_a_loop_that_is_taken_up_again_begins_with_the_event_it_was_left_at(
    terminal: Terminal, sim: Simulator
) -> None:
    async with Poller(settings_of(terminal, sim)) as engine:
        left = await first(engine, "mine", ADDED)
        again = await first(engine, "mine", ADDED)

    assert again == left


async def test_a_loop_that_was_cancelled_while_it_waited_takes_nothing_from_the_next_one(
    terminal: Terminal, sim: Simulator
) -> None:
    async with Poller(settings_of(terminal, sim, "")) as engine:
        await engine.sync()  # the baseline, which tells nothing
        waiting = asyncio.create_task(first(engine, "mine", ADDED))
        await asyncio.wait({waiting}, timeout=0)
        await engine.sync()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        subject = register(sim)

        assert (await first(engine, "mine", ADDED))["subject"] == subject


@pytest.mark.parametrize("is_closed", [False, True])
async def test_one_object_that_is_looped_over_again_begins_with_the_event_it_was_left_at(
    terminal: Terminal, sim: Simulator, is_closed: bool
) -> None:
    async with Poller(settings_of(terminal, sim)) as engine, asyncio.timeout(PATIENCE):
        events = engine.events("mine", types=ADDED)
        left = await anext(events)
        if is_closed:
            await events.aclose()

        assert await anext(aiter(events)) == left


async def test_an_event_that_comes_just_when_its_loop_gives_up_waiting_is_not_lost(
    terminal: Terminal, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[Any] = []

    async def take_too_late(inbox: Inbox) -> Any:
        came.append(await take(inbox))
        waiting.cancel()
        return came[-1]

    take = Inbox.take
    async with Poller(settings_of(terminal, sim)) as engine, asyncio.timeout(PATIENCE):
        events = engine.events("mine", types=ADDED)
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "take", take_too_late)
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.wait({waiting})

        assert waiting.cancelled()
        assert await anext(events) == came[0][0].event


async def test_asking_for_other_types_takes_no_event_from_a_loop_at_work(
    terminal: Terminal, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = SinkLoop.drain
    monkeypatch.setattr(SinkLoop, "drain", lambda loop, _: drain(loop, 0.0))  # a grace that is over at once
    async with Poller(settings_of(terminal, sim)) as engine, asyncio.timeout(PATIENCE):
        at_work = engine.events("mine", types=ADDED)
        in_hand = await anext(at_work)
        other, _ = await engine.read("mine", ["registrant.*"])
        following = asyncio.ensure_future(other.next())
        more = asyncio.ensure_future(anext(at_work))  # it comes back, and has to wait its turn

        assert (await following)["id"] != in_hand["id"]
        other.acknowledge()
        await more


async def test_a_loop_that_could_not_be_written_down_gets_its_events_at_the_second_try(
    terminal: Terminal, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StateUnavailable("the disk is full")

    async with Poller(settings_of(terminal, sim)) as engine:
        with monkeypatch.context() as patched, pytest.raises(StateUnavailable):
            patched.setattr(SqliteStore, "save_consumer", full)
            await first(engine, "mine", ADDED)

        assert await first(engine, "mine", ADDED)


async def test_an_engine_that_was_left_can_be_entered_again_from_another_event_loop(
    terminal: Terminal, sim: Simulator
) -> None:
    engine = Poller(settings_of(terminal, sim))

    async def use() -> dict[str, Any]:
        async with engine:
            return await first(engine, "mine", ADDED)

    left = await asyncio.to_thread(asyncio.run, use())
    assert await asyncio.to_thread(asyncio.run, use()) == left


async def test_leaving_with_an_event_in_hand_waits_for_nobody_and_keeps_the_event(
    terminal: Terminal, sim: Simulator
) -> None:
    settings = settings_of(terminal, sim, engine='interval = "200ms"\ngrace = "1h"')
    async with asyncio.timeout(PATIENCE):
        async with Poller(settings) as engine:
            left = await first(engine, "mine", ADDED)
        async with Poller(settings) as engine, aclosing(engine.events("mine", types=ADDED)) as events:
            again = await anext(events)
        assert again == left


async def test_a_loop_that_is_still_at_work_when_the_engine_is_left_has_its_grace(
    terminal: Terminal, sim: Simulator
) -> None:
    seen: list[str] = []
    has_one, goes_on = asyncio.Event(), asyncio.Event()

    async def work(engine: Poller) -> None:
        async for event in engine.events("mine", types=ADDED):
            seen.append(event["id"])
            has_one.set()
            await goes_on.wait()

    settings = settings_of(terminal, sim, engine='interval = "200ms"\ngrace = "1h"')
    async with asyncio.timeout(PATIENCE):
        async with Poller(settings) as engine:
            working = asyncio.create_task(work(engine))
            await has_one.wait()
            asyncio.get_running_loop().call_later(0.2, goes_on.set)  # while the engine is being left
        await working
        async with Poller(settings) as engine:
            following = await first(engine, "mine", ADDED)
    assert following["id"] not in seen  # it was dealt with within the grace, and is not told again


async def test_a_consumer_is_owed_what_the_command_finds_while_its_program_is_down(
    terminal: Terminal, sim: Simulator
) -> None:
    settings = settings_of(terminal, sim, "")
    async with Poller(settings) as engine:
        await engine.sync()
        register(sim)
        await first(engine, "mine", ADDED)
        subject = register(sim)

    said = await terminal.run("run", "--once")
    listed = await terminal.run("sinks", "list", "--json")

    assert said.code == 0, said  # nothing of it is due here
    [sink] = [row for row in json.loads(listed.out) if row["name"] == "mine"]
    assert (sink["type"], sink["status"], sink["pending"]) == ("consumer", "ok", 2)
    async with Poller(settings) as engine:
        found = []
        async with asyncio.timeout(PATIENCE):
            async for event in engine.events("mine", types=ADDED):
                found.append(event["subject"])
                if len(found) == 2:
                    break
    assert found[1] == subject


async def test_a_sink_that_was_a_consumer_once_fails_a_single_pass_like_any_other(
    terminal: Terminal, sim: Simulator
) -> None:
    async with Poller(settings_of(terminal, sim)) as engine:
        await first(engine, "mine", ADDED)
    nobody = '[[sinks]]\nname = "mine"\ntype = "webhook"\nurl = "http://127.0.0.1:9/"\nallow_private = true'
    terminal.log_in_by_pat(sim, nobody)

    said = await terminal.run("run", "--once")

    assert said.code == 1 and "deliveries remain (mine: " in said.err


async def test_a_consumer_whose_program_is_gone_for_good_is_owed_nothing_once_it_is_dropped(
    terminal: Terminal, sim: Simulator
) -> None:
    async with Poller(settings_of(terminal, sim)) as engine:
        await first(engine, "mine", ADDED)

    async with terminal.engine() as app:
        await terminal.run("sinks", "drop", "mine", "--yes")
        register(sim)
        await app.poll_once()

        assert "mine" not in await app.store.backlog()


async def _handler(_: dict[str, Any]) -> None: ...


MISTAKES: dict[str, tuple[Callable[[Poller], object], str]] = {
    "a type that no event has": (lambda engine: engine.on("registrant.aded", name="crm"), "registrant.added"),
    "a function that is not async": (lambda engine: engine.on("*", name="crm")(lambda _: _handler({})), "async def"),
    "no name": (lambda engine: engine.on("*", name=""), "name"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_handler_that_could_never_work_is_refused_where_it_is_registered(
    terminal: Terminal, sim: Simulator, mistake: str
) -> None:
    engine = Poller(settings_of(terminal, sim))
    make, words = MISTAKES[mistake]

    with pytest.raises(UsageError, match=words):
        make(engine)


async def test_a_consumer_of_a_type_that_no_event_has_is_refused(terminal: Terminal, sim: Simulator) -> None:
    async with Poller(settings_of(terminal, sim)) as engine:
        with pytest.raises(UsageError, match="no event has the type"):
            await first(engine, "mine", ["registrant.aded"])


async def test_a_loop_ends_with_the_reason_where_nothing_can_work_without_a_login(
    terminal: Terminal, sim: Simulator
) -> None:
    settings = settings_of(terminal, sim)
    sim.oauth.revoke(sim.world.organizers[0].organizer_key)
    with pytest.raises(Reauthorize, match="poller login"):
        async with Poller(settings) as engine:
            await first(engine, "mine", ADDED)


async def test_a_check_now_of_an_engine_that_ends_ends_with_it(
    terminal: Terminal, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    said: list[object] = []
    with pytest.raises(RuntimeError, match="a defect"):
        async with Poller(settings_of(terminal, sim)) as engine, asyncio.timeout(PATIENCE):
            await engine.sync()
            monkeypatch.setattr(Scheduler, "_start_due", fail)
            for _ in range(2):  # the one that it is in the midst of, and one that comes too late
                said += await asyncio.gather(engine.sync(), return_exceptions=True)

    assert [str(error) for error in said] == ["a defect", "a defect"]


async def test_an_engine_that_ends_for_want_of_a_login_has_told_so_of_each_connection(
    terminal: Terminal, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SqliteStore.save_connection

    async def save_slowly(store: SqliteStore, state: ConnectionState) -> None:
        await save(store, state)
        for _ in range(20_000 if state.name == "b" else 0):  # what else can go on meanwhile does
            await asyncio.sleep(0)

    both = "".join(f'[[connections]]\nname = "{name}"\npat = "{pat_of(sim, n)}"\n' for n, name in enumerate("ab"))
    terminal.write(both, engine=AT_ONCE)
    settings = Settings.load(terminal.config)
    async with Poller(settings) as engine:
        await engine.sync()
    for organizer in sim.world.organizers:
        sim.oauth.revoke(organizer.organizer_key)
    monkeypatch.setattr(SqliteStore, "save_connection", save_slowly)
    with pytest.raises(Reauthorize):
        async with Poller(settings) as engine:
            await engine.run()

    store = await SqliteStore.read(terminal.state)
    told = [(event.connection, event.type) for event in await store.latest(None, 9)]
    await store.close()
    assert sorted(told) == [(name, "poller.connection.unauthorized") for name in "ab"]


async def test_entering_that_fails_gives_the_state_back(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG, engine=AT_ONCE)
    engine = Poller(Settings.load(terminal.config))
    engine.on("*", name="log")(_handler)
    with pytest.raises(UsageError, match="another name"):
        await engine.__aenter__()

    async with Poller(Settings.load(terminal.config)) as other:
        with pytest.raises(UsageError, match="open already"):
            await other.__aenter__()


async def test_an_embedded_engine_leaves_its_program_s_standard_output_alone(
    terminal: Terminal, sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Poller(settings_of(terminal, sim)) as engine:
        await first(engine, "mine", ADDED)

    said = capsys.readouterr()
    assert said.out == "" and "engine.started" in said.err
