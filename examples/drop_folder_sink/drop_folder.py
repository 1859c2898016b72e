"""A sink of the type "drop-folder": every event is a file of its own, for programs that watch a folder.

    [[sinks]]
    name = "inbox"
    type = "drop-folder"
    folder = "inbox"

A file appears whole or not at all, and sorts by name in the order of events. A repetition has the name of the first
one, so whoever deletes files only after their work is done gets each event once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from poller.errors import Refused, Wait
from poller.fields import LocalPath
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, SinkContext


class DropFolderSettings(BatchSettings):
    folder: LocalPath = Field(description="where the files go; made if need be")
    suffix: str = Field(default=".json", description="the end of their names")


class DropFolderSink(BaseSink):
    settings_type = DropFolderSettings

    def __init__(self, settings: DropFolderSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._folder: Path = settings.folder
        self._suffix = settings.suffix

    async def connect(self) -> None:
        """Raise `Wait` for what may pass: the engine tries again, later and later, and loses nothing meanwhile."""
        try:
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        except OSError as err:
            raise Wait(f"{self._folder}: {err.strerror or err}") from err

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        """One answer per event: None once its file is on the disk, `Refused` for one that can never be written.

        A cancelled call is finished by its thread; that harms nothing, for a repetition writes the same file.
        """
        try:
            return await asyncio.to_thread(self._write_all, batch)
        except OSError as err:
            raise Wait(f"{self._folder}: {err.strerror or err}") from err

    async def check(self) -> str:
        await self.connect()
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise Wait(f"{self._folder}: files cannot be made there; change its owner or its mode")
        return f"{self._folder} takes files"

    async def close(self) -> None:
        """Nothing stays open between two files."""

    def _write_all(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for outgoing in batch:
            try:
                body = self.format.encode(outgoing).body
            except Refused as err:  # its template cannot be rendered for this event
                outcomes.append(err)
                continue
            self._write(self._folder / f"{outgoing.sequence:020d}-{outgoing.id}{self._suffix}", body)
            outcomes.append(None)
        _sync(self._folder)  # the names, too, survive a power cut
        return outcomes

    def _write(self, path: Path, body: bytes) -> None:
        unfinished = path.with_name(f".{path.name}.part")
        with unfinished.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
