"""SIGKILL at any moment loses nothing, invents nothing, doubles no fact and breaks neither order nor limits."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance import campaign
from tests.acceptance.stage import Plan, staged

WAY_OF_AN_EVENT = ("poll.fetched", "commit.inside", "commit.done", "send.before", "send.after", "deliver.settled")


def _hold_to_the_bar(result: campaign.Result, least_events: int) -> None:
    print(result)
    assert result.clean, str(result)
    assert not result.unstruck, f"never struck: {result.unstruck}"
    assert result.events >= least_events
    for verdict in result.verdicts:
        assert verdict["D1"] <= result.kills * campaign.IN_FLIGHT[verdict.sink] + result.answers_lost


@pytest.mark.timeout(400)
async def test_kills_at_random_moments_amid_faults_of_api_and_receivers(tmp_path: Path) -> None:
    result = await campaign.run(tmp_path, kills=20, seed=11, least_events=600)
    _hold_to_the_bar(result, 600)
    assert result.clean and result.kills >= 20


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [101, 102])
async def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    _hold_to_the_bar(await campaign.run(tmp_path, kills=200, seed=seed, least_events=1000), 1000)


async def test_a_kill_at_each_point_on_the_way_of_an_event(tmp_path: Path) -> None:
    """While people register; after the last kill everybody was told once."""
    async with staged(tmp_path, Plan(seed=21, rate=1500.0, world={"removal_share": 0.1})) as stage:
        await stage.begin()
        for point in WAY_OF_AN_EVENT:
            await stage.engine.kill()
            await stage.engine.start(failpoints=f"{point}=kill@4")
            assert await stage.engine.ended() == -9, point
            stage.engine.kills += 1
            await stage.engine.start()
        await stage.hook().until(lambda: len(stage.hook().ids) > 100)
        await stage.drain()
        [verdict] = stage.assert_clean()
        print(f"kills={stage.engine.kills}\n{verdict}")
        assert verdict.events > 100
        assert verdict["D1"] <= stage.engine.kills * 4


async def test_kills_during_the_baseline_make_nothing_old_news(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(seed=22, registrants=300)) as stage:
        for point in ("poll.fetched=kill@1", "commit.done=kill@1", "commit.inside=kill@2", "commit.done=kill@3"):
            await stage.engine.start(failpoints=point)
            assert await stage.engine.ended() == -9, point
        await stage.begin()
        assert stage.rows("SELECT count(*) FROM events") == [(0,)]
        await stage.told(stage.register(6))
        await stage.drain()
        stage.assert_clean()


async def test_a_kill_in_the_first_migration_leaves_no_half_made_state(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.engine.start(failpoints="migrate.inside=kill")
        assert await stage.engine.ended() == -9
        await stage.begin()
        await stage.told(stage.register(3))
        await stage.drain()
        stage.assert_clean()


async def test_a_kill_during_a_backup_leaves_the_engine_alone_and_no_half_backup(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(registrants=600)) as stage:
        await stage.begin()
        backup = tmp_path / "backup.db"
        killed = await stage.engine.command("state", "backup", str(backup), failpoints="backup.inside=kill")
        assert killed.code == -9
        assert not backup.exists()
        await stage.told(stage.register(3))
        assert (await stage.engine.command("state", "backup", str(backup))).code == 0
        with closing(sqlite3.connect(backup)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        await stage.drain()
        stage.assert_clean()


async def test_a_kill_at_the_end_of_a_shutdown_repeats_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.engine.start(failpoints="shutdown=kill")
        await stage.until(stage.has_baseline)
        stage.silent_until = len(stage.simulator.world.truth.facts)
        await stage.told(stage.register(12))
        await stage.until(lambda: not stage.backlog())
        assert await stage.engine.stop() == -9
        await stage.engine.start()
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert not verdict["D1"]
