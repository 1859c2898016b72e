"""An API that throttles, fails, lies and answers garbage: polls wait as told, and the events tell only what is true."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from poller.simulator.limits import ABSURD_RETRY_AFTER
from tests.acceptance.campaign import GARBAGE
from tests.acceptance.stage import Plan, Stage, staged
from tests.acceptance.verdict import Verdict

LIES = ("moved-items", "repeated-items", "short-page", "total-lies", "missing-item", "empty-list", "stale")


# Nothing is polled but what is asked for: the call that is throttled is the only one under way.
ASKED = Plan(interval="1h")


async def _silence_after(stage: Stage, fault: str, calls: int = 5) -> list[float]:
    """Strike once, then have everything polled; seconds from that answer to each of the next calls."""
    simulator = stage.simulator
    simulator.faults.arm(fault, times=1)
    first = simulator.world.webinars()[0].webinar_key
    struck = await stage.engine.ask("sync", webinar=first, wait=True)
    assert struck["problems"], "the engine has read the answer by now"
    at = max(call.monotonic for call in simulator.calls if call.status == "429")
    await stage.engine.ask("sync", wait=True)
    later = [call.monotonic - at for call in simulator.calls if call.monotonic > at]
    assert len(later) >= calls
    return later[:calls]


async def _tells_as_before(stage: Stage) -> None:
    subjects = stage.register(2)
    await stage.engine.ask("sync")
    await stage.told(subjects)
    await stage.drain()
    stage.assert_clean()


async def test_after_a_429_no_call_comes_before_the_stated_time_and_then_one_at_a_time(tmp_path: Path) -> None:
    async with staged(tmp_path, ASKED) as stage:
        stage.simulator.faults.retry_after_seconds = 2.0
        await stage.begin()
        # An HTTP date has whole seconds; without a usable time the engine's own back-off is at least half a second.
        for fault, floor in (("429-seconds", 2.0), ("429-date", 1.5), ("429", 0.45)):
            silence = await _silence_after(stage, fault)
            print(fault, [round(seconds, 2) for seconds in silence])
            assert silence[0] >= floor, fault
            gaps = [after - before for before, after in pairwise(silence)]
            assert min(gaps) >= 0.1, f"{fault}: a herd: {silence}"
        await _tells_as_before(stage)


async def test_a_retry_after_that_makes_no_sense_neither_hastens_nor_stops_polling(tmp_path: Path) -> None:
    """Negative, a word, three thousand years, infinity, nothing: the engine's own pause, over a kill too."""
    async with staged(tmp_path, ASKED) as stage:
        await stage.begin()
        for _ in ABSURD_RETRY_AFTER:
            [first, *_] = await _silence_after(stage, "429-absurd", calls=2)
            assert first >= 0.45
        await stage.engine.kill()
        await stage.engine.start()
        await stage.engine.ready()
        await _tells_as_before(stage)


async def test_detection_comes_back_by_itself_after_an_outage(tmp_path: Path) -> None:
    """5xx, cut connections and hanging calls for seconds, while people register; nobody needs to do anything."""
    async with staged(tmp_path, Plan(engine={"poll_timeout": "2s"})) as stage:  # shorter than a call hangs
        await stage.begin()
        for fault in ("500", "reset", "hang"):
            stage.simulator.faults.arm(fault)
            subjects = stage.register(3)
            await asyncio.sleep(2.0)
            await stage.until(lambda fault=fault: stage.simulator.faults.struck[fault] > 0)
            stage.simulator.faults.clear()
            assert stage.engine.running
            await stage.told(subjects)
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict.events == 9


async def test_an_api_that_cannot_be_found_or_trusted_ends_nothing(tmp_path: Path) -> None:
    """No such host, no TLS behind the port: the engine stays, and goes on once the address is right."""
    async with staged(tmp_path) as stage:
        await stage.begin()
        right = stage.base_url
        for wrong in ("https://api.invalid", right.replace("http:", "https:")):
            stage.base_url = wrong
            stage.write_settings()
            await stage.engine.ask("reload")
            subjects = stage.register(2)
            checked = await stage.engine.ask("sync", wait=True)
            assert checked["problems"], f"{wrong} was never asked"
            assert stage.engine.running
            stage.base_url = right
            stage.write_settings()
            await stage.engine.ask("reload")
            await stage.told(subjects)
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict.events == 4


async def _under(
    folder: Path, faults: Iterable[str], *, seed: int, seconds: float, chance: float, plan: Plan
) -> Verdict:
    """While people register. Each of the faults strikes, most of what happens is told, and none of it wrongly."""
    async with staged(folder, plan) as stage:
        await stage.begin()
        for fault in faults:
            stage.simulator.faults.arm(fault, probability=chance)
        await asyncio.sleep(seconds)
        for fault in [fault for fault in faults if not stage.simulator.faults.struck[fault]]:
            stage.simulator.faults.clear()
            stage.simulator.faults.arm(fault, times=1)
            await stage.until(lambda fault=fault: stage.simulator.faults.struck[fault] > 0)
        assert stage.engine.running
        # Whoever was missing from a lying list and answered "still here" is asked again after a minute, or by a
        # restart; without it this would be a long wait for removals.
        assert await stage.engine.stop() == 0
        await stage.engine.start()
        await stage.drain()
        struck = stage.simulator.faults.struck
        print(f"seed={seed} struck={dict(struck)} calls={stage.simulator.report().calls}")
        print(*stage.verdicts(), sep="\n")
        [verdict] = stage.assert_clean()
        assert set(faults) <= set(+struck), "a fault that never struck proves nothing"
        assert verdict.events >= plan.rate / 60 * seconds / 2, "too little happened to prove anything"
        return verdict


def _garbage_plan(seed: int) -> Plan:
    return Plan(seed=seed, rate=1200.0, world={"removal_share": 0.05, "change_share": 0.02, "creation_share": 0.01})


def _paging_plan(seed: int) -> Plan:
    """More registrants than one page holds, and lists read page by page."""
    return Plan(
        seed=seed,
        webinars=3,
        registrants=750,
        rate=900.0,
        page_above=100,
        world={"removal_share": 0.05, "creation_share": 0.002},
    )


async def test_garbage_is_never_a_crash_a_removal_or_a_phantom(tmp_path: Path) -> None:
    faults = (*GARBAGE, "wrong-types", "unknown-enum")
    verdict = await _under(tmp_path, faults, seed=31, seconds=6.0, chance=0.04, plan=_garbage_plan(31))
    assert verdict.clean, str(verdict)


async def test_pages_that_lie_make_one_event_of_one_fact(tmp_path: Path) -> None:
    verdict = await _under(tmp_path, LIES, seed=32, seconds=8.0, chance=0.05, plan=_paging_plan(32))
    assert verdict.clean, str(verdict)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
async def test_garbage_and_lies_for_minutes(tmp_path: Path, seed: int) -> None:
    faults = (*GARBAGE, "wrong-types", "unknown-enum", *LIES, "late-visibility", "500", "429-seconds")
    verdict = await _under(tmp_path, faults, seed=seed, seconds=60.0, chance=0.02, plan=_paging_plan(seed))
    assert verdict.clean, str(verdict)


async def test_registrations_seen_late_out_of_order_and_with_old_dates_are_all_told(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.begin()
        now, world = datetime.now(UTC), stage.simulator.world
        keys = [webinar.webinar_key for webinar in world.webinars()]
        subjects = [
            world.register(
                keys[number % 6],
                visible_in=timedelta(seconds=(number * 7 % 5) / 2),
                registered=now - timedelta(seconds=number * 30),
            ).path
            for number in range(20)
        ]
        await stage.told(subjects)
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict.events == 20
