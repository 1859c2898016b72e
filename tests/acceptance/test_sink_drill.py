"""All sinks at once: their servers come and go at random under live arrivals, and the engine is killed as well."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.places import ALL, Mosquitto, Nats, Place, Postgres, Redis
from tests.acceptance.stage import Plan, Stage, staged

# Delivered again with the same id: what was on its way when an engine or a server died. A sink has `concurrency`
# batches on their way at once.
IN_FLIGHT = 4 * 100

# Events a second: the stand-in for SQS looks through all it has for every message of a FIFO queue.
SLOWEST = 3.0


async def _drill(folder: Path, kinds: tuple[type[Place], ...], *, seconds: float, kills: int, seed: int) -> None:
    plan = Plan(seed=seed, rate=600.0, with_file=True, world={"change_share": 0.05, "removal_share": 0.03})
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(kind(folder).running()) for kind in kinds]
        stage = await stack.enter_async_context(staged(folder, plan))
        stage.sinks.update({place.name: {"timeout": "5s", **place.settings()} for place in places})
        stage.write_settings()
        await stage.begin()
        await _torment(stage, places, seconds, kills, Random(f"{seed}:drill"))
        await stage.drain(60.0 + stage.backlog() / SLOWEST)
        assert await stage.engine.stop() == 0
        for place in places:
            stage.readings[place.name] = await place.read()
        verdicts = stage.verdicts()
        print(*verdicts, *(f"{place.name}: harmed {place.harmed} times" for place in places), sep="\n")
        stage.assert_clean()
        assert stage.engine.kills == kills and all(place.harmed for place in places)
        blows = {place.name: kills + place.harmed for place in places}
        for verdict in verdicts:
            assert verdict.events >= 1000 if seconds >= 120 else verdict.events > 5 * seconds
            assert verdict["D1"] <= blows.get(verdict.sink, kills) * IN_FLIGHT


async def _torment(stage: Stage, places: list[Place], seconds: float, kills: int, random: Random) -> None:
    until = time.monotonic() + seconds

    async def harm(place: Place) -> None:
        while True:
            await asyncio.sleep(random.uniform(1.0, 6.0))
            if place.harmed and time.monotonic() > until:
                return
            await place.harm(random)

    async def kill() -> None:
        for number in range(kills):
            moment = until - seconds + (number + random.random()) * seconds / kills
            await asyncio.sleep(max(moment - time.monotonic(), 0.0))
            await stage.engine.kill()
            await stage.engine.start()

    async with asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(harm(place))
        group.create_task(kill())


@pytest.mark.timeout(180)
async def test_servers_that_come_and_go_lose_and_double_nothing(tmp_path: Path) -> None:
    await _drill(tmp_path, (Redis, Postgres, Nats, Mosquitto), seconds=15.0, kills=2, seed=1)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
async def test_all_servers_killed_at_random_for_two_minutes_and_the_engine_ten_times(tmp_path: Path, seed: int) -> None:
    await _drill(tmp_path, ALL, seconds=120.0, kills=10, seed=seed)
