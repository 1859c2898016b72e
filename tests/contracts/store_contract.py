"""What any Store must do. A backend runs it by subclassing `StoreContract` with a fixture `open_store`.

`open_store` is a coroutine function: it takes the store's clock (a callable, POSIX seconds) and returns an empty store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from state.store import Store
from tests.contracts.store_deliveries import Deliveries
from tests.contracts.store_events import Events
from tests.contracts.store_records import Records
from tests.contracts.store_samples import Now
from tests.contracts.store_upkeep import Upkeep

OpenStore = Callable[[Callable[[], float]], Awaitable[Store]]


class StoreContract(Records, Events, Deliveries, Upkeep):
    """All of the protocol of state/store.py that holds for every backend."""

    @pytest.fixture
    def now(self) -> Now:
        return Now()

    @pytest.fixture
    async def store(self, open_store: OpenStore, now: Now) -> AsyncIterator[Store]:
        store = await open_store(now)
        yield store
        await store.close()
