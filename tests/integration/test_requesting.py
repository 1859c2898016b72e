"""How a raw request is repeated, and that calls count against the same limits as polls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from poller.app import App
from poller.calling import call_operation
from poller.errors import UsageError, Wait
from poller.goto.operations.raw import Raw, Retry
from poller.requesting import send_raw
from poller.settings import Settings
from poller.testing import FakeClock
from tests.integration.recording_goto import CUT, RecordingGoto, recording
from tests.integration.terminal import Terminal

READ = Raw("GET", "/x")
FREE = "[limits]\nper_second = 0\nper_operation_per_second = 0\nper_connection_per_minute = 0"


class HastyClock(FakeClock):
    """Sleeps take no time at all, and are remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
async def goto() -> AsyncIterator[RecordingGoto]:
    async with recording() as made:
        yield made


@pytest.fixture
async def app(goto: RecordingGoto, terminal: Terminal, clock: HastyClock) -> AsyncIterator[App]:
    terminal.url = goto.url
    terminal.write('[[connections]]\nname = "acme"\npat = "pat"', FREE)
    made = await App.open(Settings.load(terminal.config), clock=clock)
    yield made
    await made.close()


@pytest.mark.parametrize("answer", [(503, b""), CUT])
async def test_attempts_are_as_far_apart_as_asked(
    answer: Any, app: App, goto: RecordingGoto, clock: HastyClock
) -> None:
    goto.say(answer)
    with pytest.raises(Wait):
        await send_raw(app, READ, retry=Retry(3, delay=2.5))
    assert clock.sleeps == [2.5, 2.5, 2.5] and len(goto.asked) == 4


async def test_with_backoff_they_grow_apart(app: App, goto: RecordingGoto, clock: HastyClock) -> None:
    goto.say((503, b""))
    with pytest.raises(Wait):
        await send_raw(app, READ, retry=Retry(4, backoff=True))
    bounds = zip(clock.sleeps, (1, 2, 4, 8), strict=True)
    assert all(longest / 2 <= seconds <= longest for seconds, longest in bounds)


async def test_the_time_that_goto_asks_for_is_kept(app: App, goto: RecordingGoto, clock: HastyClock) -> None:
    goto.say((503, b"", {"Retry-After": "7"}), {"a": 1})
    answer = await send_raw(app, READ, retry=Retry(1))
    assert clock.sleeps == [7.0] and answer.body == b'{"a": 1}'


async def test_what_will_not_get_better_is_not_repeated(app: App, goto: RecordingGoto, clock: HastyClock) -> None:
    goto.say((400, b""))
    with pytest.raises(Exception, match="400"):
        await send_raw(app, READ, retry=Retry(3))
    assert clock.sleeps == [] and len(goto.asked) == 1


async def test_calls_count_against_the_limits_by_their_operations(goto: RecordingGoto, terminal: Terminal) -> None:
    terminal.url = goto.url
    terminal.write('[[connections]]\nname = "acme"\npat = "pat"', "[limits]\nper_day = 500")
    app = await App.open(Settings.load(terminal.config))
    try:
        goto.say({"webinarKey": 4})
        await call_operation(app, "getWebinar", None, {"webinarKey": "4"})
        await send_raw(app, Raw("GET", "/G2W/rest/v2/organizers/55/webinars/4"))
        limiter = app.limiters["simulator"]
        windows = {view.name: view.used for view in limiter.peek()}
    finally:
        await app.close()
    assert windows["day"] == 3, "two calls and one who-am-I"
    assert "operation getWebinar" in windows and windows["connection acme"] == 3


async def test_a_connection_that_is_switched_off_cannot_be_called(goto: RecordingGoto, terminal: Terminal) -> None:
    terminal.url = goto.url
    terminal.write('[[connections]]\nname = "acme"\npat = "pat"\nactive = false')
    app = await App.open(Settings.load(terminal.config))
    try:
        with pytest.raises(UsageError, match="active = false"):
            await call_operation(app, "getWebhooks", "acme")
        with pytest.raises(UsageError, match="none is active"):
            await call_operation(app, "getWebhooks")
    finally:
        await app.close()
