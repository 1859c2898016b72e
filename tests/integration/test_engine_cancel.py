"""A poll that is cancelled at any await leaves no task and no open transaction, and the next one goes on as if it had
ended: what was committed is known, what was not is found again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from poller.testing import FakeClock
from state.sqlite.connection import Connection as StateConnection
from tests.integration.scripted_goto import Goto
from tests.integration.world import Connection, House

CONNECTIONS = (Connection("acme", "1"), Connection("beta", "2"))


class StateThread:
    """What the state's threads are asked and have answered, so that steps of a poll can be told apart by it and not by
    time: a disk may answer at once or take a second."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked = self.answered = 0
        run = StateConnection.run

        async def counted(connection: StateConnection, work: Any) -> Any:
            self.asked += 1
            try:
                return await run(connection, work)
            finally:
                self.answered += 1

        patch.setattr(StateConnection, "run", counted)

    async def step(self) -> None:
        """One turn of the loop, or as many as it takes until the state has answered something."""
        answered = self.answered
        await asyncio.sleep(0)
        while self.asked > self.answered == answered:
            await asyncio.sleep(0)


async def cut_off(home: House, thread: StateThread, steps: int) -> bool:
    """Begin a pass over everything and cancel it after so many steps; whether it was under way."""
    task = asyncio.create_task(home.sweep())
    for _ in range(steps):
        await thread.step()
    if steps % 3 == 2:
        await asyncio.sleep(0.0005)  # what the state was asked just now may have been done by then, or not
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return isinstance(outcome, asyncio.CancelledError)


@pytest.mark.parametrize("seed", range(6))
async def test_cancelling_anywhere_loses_and_doubles_nothing(tmp_path, monkeypatch, seed):
    random = Random(seed)
    thread = StateThread(monkeypatch)
    clock = FakeClock()
    goto = Goto(clock)
    goto.page_size = 3
    old = goto.webinar(organizers="12")
    for _ in range(5):
        goto.register(old, registrationDate=goto.ago(days=3))
    home = await House(goto, clock, *CONNECTIONS, path=tmp_path / "poller.db", page_above=4).open()
    tasks = asyncio.all_tasks()
    cuts = 0
    for _ in range(10):
        cuts += await cut_off(home, thread, random.randrange(12))
        assert asyncio.all_tasks() == tasks
    await home.sweep(2)
    assert await home.events() == []
    webinars: list[str] = []
    people: list[str] = []
    for _ in range(15):
        webinars.append(goto.webinar(organizers=random.choice(["1", "2", "12"])))
        people += [goto.register(random.choice([old, *webinars])) for _ in range(3)]
        cuts += await cut_off(home, thread, random.randrange(20))
        assert asyncio.all_tasks() == tasks
    await home.sweep(2)
    assert sorted(key for _, key in await home.news()) == sorted([*webinars, *people])
    assert cuts > 5
    await home.restart()
    await home.sweep(2)
    assert len(await home.events()) == len(webinars) + len(people)
    assert await home.store.verify() == []
    await home.close()


async def test_a_commit_that_was_cancelled_is_followed_by_what_the_process_knows(monkeypatch):
    """The state says that the baseline of this webinar is over; so must the process, or the next ones are silent."""
    clock = FakeClock()
    goto = Goto(clock)
    webinar = goto.webinar()
    goto.register(webinar)
    home = await House(goto, clock).open()
    await home.walk()
    commit = home.store.commit_poll
    entered, gate = asyncio.Event(), asyncio.Event()

    async def slowly(what):
        done = await commit(what)
        entered.set()
        await gate.wait()
        return done

    monkeypatch.setattr(home.store, "commit_poll", slowly)
    task = asyncio.create_task(home.look(webinar))
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    new = goto.register(webinar)
    await home.sweep()
    assert await home.news() == [("registrant.added", new)]
    await home.close()
