"""The suite that every sink passes, for this one. In this folder: `pip install ".[dev]"`, then `pytest`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drop_folder import DropFolderSettings, DropFolderSink

from poller.ports import Sink
from poller.sinks.base import SinkContext
from poller.testing.sinks import Bench, SinkContract


class Folder(Bench):
    drops_repeats = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path.with_name("aside")

    def sink(self) -> Sink:
        settings = DropFolderSettings(name="inbox", type="drop-folder", folder=self.path)
        return DropFolderSink(settings, SinkContext())

    async def received(self) -> list[str]:
        return [json.loads(path.read_bytes())["id"] for path in sorted(self.path.glob("*.json"))]

    async def cut(self) -> None:
        if self.path.exists():
            self.path.rename(self._aside)
        self.path.write_text("a file stands where the folder should be")

    async def mend(self) -> None:
        self.path.unlink()
        if self._aside.exists():
            self._aside.rename(self.path)


class TestDropFolder(SinkContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        return Folder(tmp_path / "inbox")
