"""Events as lines on standard output, for pipes and for people."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from pydantic import Field

from poller.errors import Refused, Wait
from poller.formats import TEXT
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, PositiveCount, Preview, SinkContext, SinkSettings
from poller.sinks.lane import Lane

# Lines written together: a pipe has no batches to choose, it only gets cheaper with them.
_LINES = 100


class StdoutSettings(SinkSettings):
    pretty: bool = Field(default=False, description="indent, for people; programs want one line per event")
    concurrency: PositiveCount = 1  # one stream, one writer


class StdoutSink(BaseSink):
    settings_type = StdoutSettings

    def __init__(self, settings: StdoutSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self.batch = _LINES
        self._pretty = settings.pretty
        self._lane = Lane(f"sink {self.name}")

    async def connect(self) -> None:
        """Nothing to do: the stream was open before we came."""

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        lines: list[bytes] = []
        outcomes: list[Outcome] = []
        for outgoing in batch:
            try:
                lines.append(self._line(outgoing))
                outcomes.append(None)
            except Refused as err:
                outcomes.append(err)
        await self._write(b"".join(lines))
        return outcomes

    async def check(self) -> str:
        await self._write(b"")
        return "standard output is open"

    async def close(self) -> None:
        self._lane.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        return Preview(self._line(outgoing).rstrip(b"\n"), self.format.encode(outgoing).content_type)

    def _line(self, outgoing: Outgoing) -> bytes:
        body, content_type = self.format.encode(outgoing)
        if self._pretty and content_type != TEXT:
            body = msgspec.json.format(body, indent=2)
        return body.rstrip(b"\n") + b"\n"

    async def _write(self, lines: bytes) -> None:
        def work() -> None:
            stream = self.context.standard_output()
            stream.write(lines)
            stream.flush()

        try:
            await self._lane.run(work)
        except (OSError, ValueError) as err:  # ValueError: the stream was closed in this process
            raise Wait(f"standard output: {err}") from err
