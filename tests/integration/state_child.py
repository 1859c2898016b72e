"""A process that owns a state file, for tests that kill, stop or starve it.

    python -m tests.integration.state_child VERB PATH

It prints one line per fact that its parent waits for.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from state.errors import StateError, StateUnavailable
from state.sqlite import SqliteStore
from state.store import PollCommit
from tests.contracts.store_samples import PEOPLE, draft, journal_row, owing, row

NOBODY = 65534
PADDING = "x" * 1500
FEW = 50


def numbered(n: int) -> PollCommit:
    """Commit number `n`: one record, one event, one delivery and one journal row, all of that number."""
    told = draft(str(n), padding=PADDING)
    return owing(told, records=[row(str(n), PADDING.encode())], journal=journal_row(float(n)))


async def numbers(store: SqliteStore) -> list[int]:
    """Which commits are there. Fails if what one commit wrote together is not all there or all absent."""
    records = {int(key) for key in (await store.known(PEOPLE)).fingerprints}
    leased = await store.lease("crm", 10**6, 2e9, ordered=False, skip=(), busy=())
    journal = [int(poll.started_at) for poll in await store.polls(10**6)]
    explained = await store.info()
    assert sorted(records) == sorted(int(item.subject.rpartition("/")[2]) for item in leased) == sorted(journal)
    assert explained.counts["events"] == explained.counts["deliveries"] == len(records)
    return sorted(records)


def say(*words: object) -> None:
    print(*words, flush=True)


async def hold(path: str) -> None:
    """Own the state until killed."""
    store = await SqliteStore.open(path)
    say("ready")
    await asyncio.to_thread(sys.stdin.read)
    await store.close()


async def commit(path: str) -> None:
    """Commit number 1, while a failpoint may be armed."""
    store = await SqliteStore.open(path)
    await store.commit_poll(numbered(1))
    say("committed")
    await store.close()


async def write(path: str) -> None:
    """Commit numbers on and on; each is printed once it is durable."""
    store = await SqliteStore.open(path)
    n = 0
    while True:
        await store.commit_poll(numbered(n))
        say(n)
        n += 1


async def write_few(path: str) -> None:
    """Fewer commits than make the log so long that it is moved into the file."""
    store = await SqliteStore.open(path)
    for n in range(FEW):
        await store.commit_poll(numbered(n))
    say("written")
    await asyncio.to_thread(sys.stdin.read)


async def backup(path: str) -> None:
    store = await SqliteStore.open(path)
    await store.backup(Path(path + ".copy"))
    say("done")
    await store.close()


async def abandon(path: str) -> None:
    """End without closing anything, with a reader's and a writer's thread alive."""
    store = await SqliteStore.open(path)
    store.note_poll(journal_row())
    say("abandoned")


async def starve(path: str) -> None:
    """Run into a limit of the file size, as into a full disk; then get room again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = await SqliteStore.open(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    n = 0
    try:
        while True:
            await store.commit_poll(numbered(n))
            n += 1
    except StateUnavailable:
        say("full after", n)
    assert await numbers(store) == list(range(n))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.commit_poll(numbered(n))
    say("went on with", n)
    await store.close()


async def full_at_close(path: str) -> None:
    """The disk is full when the state is closed."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = await SqliteStore.open(path)
    await store.commit_poll(numbered(0))
    await store.checkpoint()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    await store.close()
    say("closed")


async def backup_without_room(path: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = await SqliteStore.open(path)
    for n in range(FEW):
        await store.commit_poll(numbered(n))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        await store.backup(Path(path + ".copy"))
    except StateError as error:
        say(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.commit_poll(numbered(FEW))
    say("went on")
    await store.close()


async def as_nobody(path: str) -> None:
    """Open without any privilege, whoever runs the tests."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        store = await SqliteStore.open(path)
        await store.close()
        say("opened")
    except StateError as error:
        say(type(error).__name__)


VERBS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    verb.__name__: verb
    for verb in (hold, commit, write, write_few, backup, abandon, starve, full_at_close, backup_without_room, as_nobody)
}

if __name__ == "__main__":
    asyncio.run(VERBS[sys.argv[1]](sys.argv[2]))
