"""The first sync of a large account with a crash in its middle, and settings that change between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.stage import Plan, Stage, staged
from tests.acceptance.verdict import Verdict

FREE = {"per_second": 0, "per_operation_per_second": 0, "per_connection_per_minute": 0}


def _large(start: str, registrants: int) -> Plan:
    return Plan(
        seed=41,
        webinars=50,
        registrants=registrants,
        start=start,
        interval="0s",
        windows=(),
        limits=FREE,
        sink={"concurrency": 16},
        engine={"poll_concurrency": 2},
    )


async def _crash_in_the_middle(stage: Stage) -> None:
    """Twice: after the fifth and after the twentieth commit of what there was."""
    for commits in (5, 20):
        await stage.engine.start(failpoints=f"commit.done=kill@{commits}")
        assert await stage.engine.ended(60.0) == -9
        stage.engine.kills += 1
    read = stage.rows("SELECT count(*) FROM targets WHERE polled_at IS NOT NULL")[0][0]
    assert 0 < read < 51, "the crash was to be in the middle"


async def _nothing_old_is_told(folder: Path, registrants: int) -> Verdict:
    async with staged(folder, _large("now", registrants)) as stage:
        await _crash_in_the_middle(stage)
        await stage.begin()
        assert stage.rows("SELECT count(*) FROM events") == [(0,)]
        await stage.told(stage.register(50))
        await stage.drain()
        [verdict] = stage.assert_clean()
        print(f"{registrants} registrants\n{verdict}")
        return verdict


async def _everything_is_told_once(folder: Path, registrants: int) -> Verdict:
    async with staged(folder, _large("all", registrants)) as stage:
        await _crash_in_the_middle(stage)
        await stage.engine.start()
        await stage.until(lambda: len(stage.hook().taken) >= registrants + 50, registrants / 100 + 30.0)
        await stage.drain(registrants / 100 + 30.0)
        [verdict] = stage.assert_clean()
        print(f"{registrants} registrants\n{verdict}")
        assert verdict["D1"] <= stage.engine.kills * 16
        assert all(receipt.event["backfill"] is True for receipt in stage.hook().taken)
        return verdict


async def test_a_first_sync_that_crashes_tells_nothing_old_with_start_now(tmp_path: Path) -> None:
    verdict = await _nothing_old_is_told(tmp_path, 5_000)
    assert verdict.clean and verdict.events == 50  # those who registered afterwards


async def test_a_first_sync_that_crashes_tells_each_once_with_start_all(tmp_path: Path) -> None:
    verdict = await _everything_is_told_once(tmp_path, 2_000)
    assert verdict.clean and verdict.events == 2_050  # the webinars too


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_fifty_thousand_existing_registrants_with_start_now(tmp_path: Path) -> None:
    verdict = await _nothing_old_is_told(tmp_path, 50_000)
    assert verdict.clean and verdict.events == 50  # those who registered afterwards


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_fifty_thousand_existing_registrants_with_start_all(tmp_path: Path) -> None:
    verdict = await _everything_is_told_once(tmp_path, 50_000)
    assert verdict.clean and verdict.events == 50_050  # the webinars too


async def _settled(stage: Stage) -> None:
    await stage.until(lambda: stage.backlog() == 0)


async def test_changed_settings_send_nothing_again_and_drop_nothing_silently(tmp_path: Path) -> None:
    """Over restarts: a sink more, one less, one back again; a trigger more, renamed, with another condition."""
    async with staged(tmp_path, Plan(webinars=3, hooks=("crm", "late", "audit"))) as stage:
        del stage.sinks["late"], stage.sinks["audit"]
        stage.write_settings()
        await stage.begin()
        first = stage.register(3)
        await stage.told(first)
        await _settled(stage)

        stage.add_hook("late")  # a sink more: it gets what happens from now on
        await _restart(stage)
        second = stage.register(3)
        await stage.told(second)
        await stage.told(second, "late")
        await _settled(stage)
        assert len(stage.hook("crm").receipts) == 6 and len(stage.hook("late").receipts) == 3

        stage.triggers = [{"name": "people", "on": ["registrant.*"], "sinks": ["crm", "late"]}]
        await _restart(stage)
        stage.triggers = [
            {"name": "renamed", "on": ["registrant.*"], "when": "data.status != 'NOBODY'", "sinks": ["late", "crm"]},
            {"name": "audit", "on": ["*"], "sinks": ["audit", "crm"]},
        ]
        stage.add_hook("audit")
        await _restart(stage)
        third = stage.register(3)
        for name in ("crm", "late", "audit"):
            await stage.told(third, name)
        await _settled(stage)
        assert len(stage.hook("crm").receipts) == 9, "two triggers to one sink make one delivery"
        assert len(stage.hook("late").receipts) == 6
        assert len(stage.hook("audit").receipts) == 3
        ids = [receipt.id for receipt in stage.hook("crm").receipts]
        assert len(set(ids)) == 9


async def test_what_a_removed_sink_is_owed_stays_and_is_delivered_when_it_returns(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(webinars=3, hooks=("crm", "late"))) as stage:
        stage.hook("late").chances = {"500": 1.0}
        await stage.begin()
        owed = stage.register(6)
        await stage.told(owed)
        await stage.until(lambda: stage.backlog("late") == 6)
        kept = stage.sinks.pop("late")
        await _restart(stage)
        attempts = len(stage.hook("late").receipts)
        stage.hook("late").heal()  # now that nobody is left who might try again by the old settings
        later = stage.register(3)
        await stage.told(later)
        assert stage.backlog("late") == 6
        assert len(stage.hook("late").receipts) == attempts
        shown = await stage.engine.command("deliveries")
        assert shown.code == 0 and "late" in shown.out
        stage.sinks["late"] = kept
        await _restart(stage)
        await stage.engine.ask("resume", kind="sink", name="late")
        await stage.told(owed, "late")
        await _settled(stage)
        assert {receipt.event["subject"] for receipt in stage.hook("late").taken} == set(owed)


async def test_a_renamed_sink_gets_the_old_ones_deliveries_when_they_are_moved(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(webinars=3, hooks=("old", "new"))) as stage:
        del stage.sinks["new"]
        stage.write_settings()
        stage.hook("old").chances = {"500": 1.0}
        await stage.begin()
        owed = stage.register(6)
        await stage.until(lambda: stage.backlog("old") == 6)
        del stage.sinks["old"]
        stage.add_hook("new")
        await _restart(stage)
        assert stage.backlog("old") == 6 and not stage.hook("new").receipts
        assert (await stage.engine.command("sinks", "move", "old", "new")).code == 0
        await stage.told(owed, "new")
        await _settled(stage)
        assert len(stage.hook("new").receipts) == 6


async def _restart(stage: Stage) -> None:
    assert await stage.engine.stop() == 0
    stage.write_settings()
    await stage.engine.start()
    await stage.engine.ready()
