"""The stdout sink: one line per event, and a reader that stops reading stops nobody else."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from poller.errors import Refused, Wait
from poller.sinks.base import SinkContext
from poller.sinks.stdout import StdoutSettings, StdoutSink
from poller.testing.events import DATA, outgoing


def make(stream: Any, **options: Any) -> StdoutSink:
    return StdoutSink(StdoutSettings(name="out", type="stdout", **options), SinkContext(stdout=stream))


def test_lines_are_events_and_nothing_else(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    async def main() -> None:
        sink = StdoutSink(StdoutSettings(name="out", type="stdout"), SinkContext())
        await sink.connect()
        await sink.send([outgoing(1), outgoing(2)])
        await sink.close()

    asyncio.run(main())
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["data"] for line in lines] == [DATA, DATA]


async def test_pretty_is_the_same_json_over_several_lines() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader:
        with os.fdopen(write, "wb") as writer:
            await make(writer, pretty=True, format="data").send([outgoing()])
        text = reader.read()
    assert json.loads(text) == DATA
    assert text.count(b"\n") > len(DATA)


async def test_a_template_writes_its_own_lines_and_refuses_what_it_cannot_render() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader:
        with os.fdopen(write, "wb") as writer:
            sink = make(writer, pretty=True, format="template", template="{{ data.nickname }}")
            outcomes = await sink.send([outgoing(1, nickname="Zoë"), outgoing(2)])
            await sink.close()
        assert reader.read() == "Zoë\n".encode()
    assert isinstance(outcomes[1], Refused)


async def test_a_reader_that_went_away_makes_the_sink_wait() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = os.fdopen(write, "wb", buffering=0)
    sink = make(writer)
    with pytest.raises(Wait, match="Broken pipe"):
        await sink.send([outgoing()])
    with pytest.raises(Wait):
        writer.close()
        await sink.check()
    await sink.close()


async def test_a_reader_that_does_not_read_does_not_stop_the_loop() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb") as writer:
        sink = make(writer)
        big = outgoing(1, text="x" * 1_000_000)
        sending = asyncio.create_task(sink.send([big]))
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not sending.done(), "the pipe is full, and we are here all the same"
        line = await asyncio.to_thread(reader.readline)
        assert await sending == [None]
        assert json.loads(line)["id"] == big.id
        await sink.close()
