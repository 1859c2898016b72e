"""A poll that is cancelled at any await leaves no task and no open transaction, and the next one goes on as if it had
ended: what was committed is known, what was not is found again."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from poller.testing import FakeClock
from tests.integration.scripted_goto import Goto
from tests.integration.world import Connection, House

CONNECTIONS = (Connection("acme", "1"), Connection("beta", "2"))


async def cut_off(home: House, turns: int) -> bool:
    """Begin a pass over everything and cancel it after so many turns of the loop; whether it was under way."""
    task = asyncio.create_task(home.sweep())
    for turn in range(turns):
        await asyncio.sleep(0.0005 if turn % 3 == 2 else 0)
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return isinstance(outcome, asyncio.CancelledError)


@pytest.mark.parametrize("seed", range(6))
async def test_cancelling_anywhere_loses_and_doubles_nothing(tmp_path, seed):
    random = Random(seed)
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
        cuts += await cut_off(home, random.randrange(30))
        assert asyncio.all_tasks() == tasks
    await home.sweep(2)
    assert await home.events() == []
    webinars: list[str] = []
    people: list[str] = []
    for _ in range(15):
        webinars.append(goto.webinar(organizers=random.choice(["1", "2", "12"])))
        people += [goto.register(random.choice([old, *webinars])) for _ in range(3)]
        cuts += await cut_off(home, random.randrange(40))
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
