"""The contract of a store, run on SQLite: in a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from state.sqlite import MEMORY, SqliteStore
from state.store import Store
from tests.contracts.store_contract import OpenStore, StoreContract


class TestFile(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        async def open_file(now: object) -> Store:
            return await SqliteStore.open(tmp_path / "state.db", now)  # type: ignore[arg-type]

        return open_file


class TestMemory(StoreContract):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        async def open_memory(now: object) -> Store:
            return await SqliteStore.open(MEMORY, now)  # type: ignore[arg-type]

        return open_memory
