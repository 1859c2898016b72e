"""What many of these tests begin with: an engine whose baseline is taken, or a person at a terminal before a GoTo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from poller.clock import SystemClock
from poller.simulator import Simulator
from poller.testing import FakeClock
from tests.integration.scripted_goto import Goto
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import WORLD
from tests.integration.world import House, begun

# ── one poll at a time ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def goto(clock: FakeClock) -> Goto:
    return Goto(clock)


@pytest.fixture
async def home(goto: Goto, clock: FakeClock) -> AsyncIterator[House]:
    made = await begun(goto, clock)
    yield made
    await made.close()


# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def terminal(tmp_path: Path, unused_tcp_port: int) -> Terminal:
    return Terminal(tmp_path, redirect=f"http://127.0.0.1:{unused_tcp_port}/callback")


@pytest.fixture
async def sim(terminal: Terminal) -> AsyncIterator[Simulator]:
    """The GoTo of the terminal's settings."""
    simulator = Simulator(WORLD, clock=SystemClock())
    async with simulator.serve(ticker=False) as terminal.url:
        yield simulator
