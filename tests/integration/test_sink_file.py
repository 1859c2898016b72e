"""The file sink: whole lines only, durable when acknowledged, rotated without loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from poller.errors import Refused, Wait
from poller.sinks.base import SinkContext
from poller.sinks.file import FileSettings, FileSink
from poller.sinks.line_file import LineFile
from poller.testing import FakeClock
from poller.testing.events import outgoing


def lines_of(path: Path) -> list[int]:
    return [int(json.loads(line)["sequence"]) for line in path.read_bytes().splitlines()]


def make(path: Path, clock: FakeClock | None = None, **options: Any) -> FileSink:
    options = {"rotate_age": "0s"} | options  # no test shall depend on where midnight is
    settings = FileSettings(name="log", type="file", path=path, **options)
    return FileSink(settings, SinkContext(clock=clock or FakeClock()))


async def test_a_line_that_a_crash_left_unfinished_is_cut_on_open(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = outgoing(1).body + b"\n"
    path.write_bytes(whole + outgoing(2).body[:-5])
    sink = make(path)
    await sink.connect()
    assert path.read_bytes() == whole
    assert await sink.send([outgoing(2)]) == [None]
    assert lines_of(path) == [1, 2]
    await sink.close()


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 200_000])
def test_an_unfinished_line_of_any_length_is_cut(tmp_path: Path, size: int) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" + b"x" * size)
    file = LineFile(path, rotate_size=0, rotate_age=0, keep=1)
    file.open()
    file.close()
    assert path.read_bytes() == b"{}\n"


async def test_a_missing_folder_is_made_and_a_file_of_ours_is_not_for_everyone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "events.jsonl"
    sink = make(path)
    await sink.connect()
    await sink.send([outgoing(1)])
    assert path.stat().st_mode & 0o007 == 0
    assert str(path) in await sink.check()
    await sink.close()


async def test_every_acknowledged_batch_has_been_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    sink = make(path)
    await sink.connect()
    synced: list[int] = []
    real = os.fsync

    def watched(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_size)

    monkeypatch.setattr(os, "fsync", watched)
    await sink.send([outgoing(1), outgoing(2)])
    assert synced == [path.stat().st_size]
    await sink.close()


async def test_rotation_by_size_keeps_every_line_in_order(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    size = len(outgoing(1).body) + 1
    sink = make(path, rotate_size=3 * size, keep=10)
    await sink.connect()
    for number in range(1, 9):
        await sink.send([outgoing(number)])
    files = sorted(tmp_path.glob("events.jsonl.*"))
    assert [lines_of(file) for file in [*files, path]] == [[1, 2, 3], [4, 5, 6], [7, 8]]
    await sink.close()


async def test_only_the_newest_rotated_files_are_kept_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    (tmp_path / "events.jsonl.notes").write_text("not ours")
    for _ in range(2):  # a restart in the middle
        sink = make(path, rotate_size=1, keep=2)
        await sink.connect()
        for number in range(1, 4):
            await sink.send([outgoing(number)])
        await sink.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["events.jsonl", "events.jsonl.000004", "events.jsonl.000005", "events.jsonl.notes"]


async def test_rotation_by_age_survives_restarts(tmp_path: Path) -> None:
    path, clock = tmp_path / "events.jsonl", FakeClock()
    os_time = clock.now().timestamp()

    async def write(number: int) -> None:
        sink = make(path, clock, rotate_age="1d")
        await sink.connect()
        await sink.send([outgoing(number)])
        await sink.close()
        os.utime(path, (os_time, clock.now().timestamp()))  # the file system lives in real time

    await write(1)
    await clock.advance(3600)
    await write(2)
    await clock.advance(86400)
    await write(3)
    assert lines_of(tmp_path / "events.jsonl.000001") == [1, 2]
    assert lines_of(path) == [3]


async def test_no_rotation_when_both_are_switched_off(tmp_path: Path) -> None:
    path, clock = tmp_path / "events.jsonl", FakeClock()
    sink = make(path, clock, rotate_size=0)
    await sink.connect()
    for number in range(1, 4):
        await sink.send([outgoing(number)])
        await clock.advance(10 * 86400)
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]
    await sink.close()


@pytest.mark.parametrize("how", ["renamed", "removed"])
async def test_a_file_moved_away_by_another_program_is_begun_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "events.jsonl"
    sink = make(path)
    await sink.connect()
    await sink.send([outgoing(1)])
    if how == "renamed":
        path.rename(tmp_path / "taken")
    else:
        path.unlink()
    await sink.send([outgoing(2)])
    assert lines_of(path) == [2]
    await sink.close()


async def test_a_template_that_fails_for_one_event_refuses_that_one_only(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    sink = make(path, format="template", template="{{ data.nickname }}\n")
    await sink.connect()
    outcomes = await sink.send([outgoing(1, nickname="a"), outgoing(2), outgoing(3, nickname="c")])
    assert [type(outcome) for outcome in outcomes] == [type(None), Refused, type(None)]
    assert path.read_text() == "a\nc\n"
    await sink.close()


async def test_a_disk_that_is_always_full_waits_with_the_path_and_the_reason() -> None:
    sink = make(Path("/dev/full"), rotate_size=0)
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(Wait, match=r"/dev/full: No space left on device"):
        await sink.connect()
        await sink.send([outgoing(1)])
    await sink.close()


# A file may not grow beyond the limit, as on a full disk: the write stops in the middle of a line.
_FILLING = """
import asyncio, json, resource, sys
from pathlib import Path
from poller.errors import Wait
from tests.integration.test_sink_file import lines_of, make
from poller.testing.events import outgoing

async def main():
    path = Path(sys.argv[1])
    sink = make(path)
    await sink.connect()
    await sink.send([outgoing(1), outgoing(2)])
    whole = path.read_bytes()
    limit = len(whole) + len(whole) // 4
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        await sink.send([outgoing(3), outgoing(4)])
        raise SystemExit("it should not fit")
    except Wait:
        assert path.read_bytes() == whole, "half a line stayed"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await sink.send([outgoing(3), outgoing(4)])
    assert lines_of(path) == [1, 2, 3, 4]
    await sink.close()

asyncio.run(main())
"""


def test_a_disk_that_fills_up_leaves_no_half_line_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILLING, str(tmp_path / "events.jsonl")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
