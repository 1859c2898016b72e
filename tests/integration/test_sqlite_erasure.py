"""A forgotten person is not in the bytes of the files either: not in free pages, not in gaps, not in the log."""

from __future__ import annotations

import random
from pathlib import Path

from state.delivery import DeliveryState
from state.sqlite import SqliteStore
from state.store import PollCommit, Select
from tests.contracts.store_samples import PEOPLE, T0, WEBINARS, body_of, draft, leased, owing, row, settled, target

WHO = "ana.perez"
EMAIL = f"{WHO}@example.com"


def bytes_beside(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


async def fill(store: SqliteStore) -> None:
    """Many people whose rows grow, move between pages and are pruned; every seventh of them is the same person."""
    chance = random.Random(7)
    assert store._connection is not None
    # Thousands of commits; what is in the files does not depend on when the disk has it.
    await store._connection.run(lambda db: db.execute("PRAGMA synchronous = OFF").fetchall())
    await store.commit_poll(PollCommit(WEBINARS, targets=[target(ends_at=None)]))
    keys = [str(chance.randrange(10**9)) for _ in range(700)]
    for size in (0, 900, 100, 3000):
        for n, key in enumerate(keys):
            email = EMAIL if n % 7 == 0 else f"someone-{n}@example.com"
            body = body_of(email=email, responses=[{"answer": "z" * chance.randrange(size + 1)}])
            told = draft(key, revision=size + 1, email=email)
            # One row a commit, in any order: pages split and leave old copies of their rows behind.
            await store.commit_poll(owing(*([told] if n % 50 == 0 else []), records=[row(key, body)]))


async def test_no_byte_of_the_files_tells_of_a_forgotten_person(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path, lambda: T0)
    await fill(store)
    await store.settle_deliveries([settled(item, DeliveryState.DELIVERED) for item in await leased(store, limit=1000)])
    await store.prune(T0 + 1)  # frees pages with the person's events in them
    await store.commit_poll(owing(draft("late", email=EMAIL)))
    assert WHO.encode() in bytes_beside(path)

    erased = await store.forget(b"hash", EMAIL)

    assert erased == {"records": 100, "events": 1, "deliveries": 1}
    assert WHO.encode() not in bytes_beside(path)
    assert b"someone-1@" in bytes_beside(path)
    assert len((await store.known(PEOPLE)).fingerprints) == 700
    assert await store.events(Select()) == []
    assert await store.verify() == []
    await store.close()
    assert WHO.encode() not in bytes_beside(path)


async def test_sequences_go_on_after_the_file_was_rebuilt(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.commit_poll(owing(draft("1", email=EMAIL)))
    await store.forget(b"hash", EMAIL)
    assert (await store.commit_poll(owing(draft("2")))).first_sequence == 2
    await store.close()
