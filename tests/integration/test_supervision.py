"""What those who watch over the engine hear: systemd that it lives, the dead-man switch that all is well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from poller.maintenance import Maintenance, cancelled
from poller.testing import FakeClock


class Shelf:
    """The one thing of a store that housekeeping asks for."""

    def __init__(self) -> None:
        self.pruned: list[float] = []

    async def prune(self, before: float) -> dict[str, int]:
        self.pruned.append(before)
        return {}


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notify socket, for a unit with WatchdogSec=30s."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield receiver


def heard(receiver: socket.socket) -> list[bytes]:
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(receiver.recv(100))
    return said


@contextlib.asynccontextmanager
async def keeping_house(clock: FakeClock, shelf: Shelf, pings: list[float], well: bool) -> AsyncIterator[None]:
    async def ping() -> None:
        pings.append(clock.monotonic())

    upkeep = Maintenance(shelf, clock, timedelta(days=30), lambda: well, ping)  # type: ignore[arg-type]
    loop = asyncio.create_task(upkeep.run())
    try:
        yield
    finally:
        await cancelled(loop)


async def test_an_outage_silences_the_dead_man_switch_but_systemd_does_not_restart_the_engine(
    supervisor: socket.socket,
) -> None:
    clock, pings = FakeClock(), list[float]()
    async with keeping_house(clock, Shelf(), pings, well=False):
        for _ in range(10):
            await clock.advance(30)
            assert b"WATCHDOG=1" in heard(supervisor)
    assert pings == []


async def test_a_supervisor_that_does_not_listen_holds_nobody_up(supervisor: socket.socket) -> None:
    """The kernel keeps a few datagrams for it; what comes then is dropped."""
    clock, pings = FakeClock(), list[float]()
    async with keeping_house(clock, Shelf(), pings, well=True):
        await clock.advance(10_000)
    assert len(pings) > 100


async def test_while_all_is_well_the_dead_man_switch_hears_of_it_every_minute() -> None:
    clock, pings = FakeClock(), list[float]()
    async with keeping_house(clock, Shelf(), pings, well=True):
        await clock.advance(180)
    assert pings == [0, 60, 120, 180]


async def test_what_is_older_than_the_retention_is_pruned_every_hour() -> None:
    clock, shelf = FakeClock(), Shelf()
    start = clock.now().timestamp()
    async with keeping_house(clock, shelf, [], well=True):
        await clock.advance(7200)
    month = timedelta(days=30).total_seconds()
    assert shelf.pruned == [start + hour * 3600 - month for hour in range(3)]
