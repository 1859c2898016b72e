"""Events as lines of a file (JSON Lines), each line on the disk before its event counts as delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from poller.errors import Refused, Wait
from poller.fields import Duration, LocalPath, Size
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, BatchSettings, PositiveCount, SinkContext
from poller.sinks.lane import Lane
from poller.sinks.line_file import LineFile


class FileSettings(BatchSettings):
    path: LocalPath = Field(description="the file; its folder is made if need be")
    rotate_size: Annotated[Size, Field(ge=0)] = Field(default=64_000_000, description="a new file beyond it; 0 = never")
    rotate_age: Duration = Field(default=timedelta(days=1), description="a new file every so long (UTC); 0s = never")
    keep: PositiveCount = Field(default=30, description="rotated files to keep")
    concurrency: PositiveCount = 1  # one file, one writer
    batch: PositiveCount = Field(default=500, le=100_000, description="lines per wait for the disk, at most")


class FileSink(BaseSink):
    settings_type = FileSettings

    def __init__(self, settings: FileSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._file = LineFile(
            settings.path,
            rotate_size=settings.rotate_size,
            rotate_age=settings.rotate_age.total_seconds(),
            keep=settings.keep,
        )
        self._lane = Lane(f"sink {self.name}")

    async def connect(self) -> None:
        try:
            await self._lane.run(self._file.open)
        except OSError as err:
            raise self._failure(err) from err

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        lines: list[bytes] = []
        outcomes: list[Outcome] = []
        for outgoing in batch:
            try:
                lines.append(self.format.encode(outgoing).body.rstrip(b"\n") + b"\n")
                outcomes.append(None)
            except Refused as err:
                outcomes.append(err)
        await self._append(b"".join(lines))
        return outcomes

    async def check(self) -> str:
        await self.connect()
        size, rotated = await self._lane.run(lambda: (self._file.path.stat().st_size, len(self._file.rotated())))
        return f"{self._file.path} can be written ({size} bytes, {rotated} rotated files)"

    async def close(self) -> None:
        await self._lane.run(self._file.close)
        self._lane.close()

    async def _append(self, lines: bytes) -> None:
        now = self.context.clock.now().timestamp()
        try:
            await self._lane.run(lambda: self._file.append(lines, now))
        except OSError as err:
            raise self._failure(err) from err

    def _failure(self, err: OSError) -> Wait:
        return Wait(f"{self._file.path}: {err.strerror or err}")
