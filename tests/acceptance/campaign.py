"""The campaign of kills: SIGKILL at random moments, faults of the API and of the receivers mixed in, then the figures.

python -m tests.acceptance.campaign --kills 200 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random

from poller.errors import PollerError
from tests.acceptance.receivers import MISCHIEF
from tests.acceptance.stage import FILE, FUNCTION, Plan, Stage, staged
from tests.acceptance.verdict import Verdict

OUTAGES = ("500", "502", "503", "reset", "hang", "latency", "answer-lost")
THROTTLES = ("429", "429-seconds", "429-date", "429-absurd")
GARBAGE = ("truncated", "html", "null-keys", "unknown-fields", "huge-page", "deep-nesting", "mixed-keys")
LIES = ("moved-items", "repeated-items", "short-page", "total-lies", "missing-item", "empty-list", "stale")
API_FAULTS = (*OUTAGES, *THROTTLES, *GARBAGE, *LIES, "late-visibility", "token-rejected", "unknown-enum")

# Deliveries under way at once, by sink: what one kill can double at most. A file takes whole batches.
IN_FLIGHT = {"steady": 4, "flaky": 4, FILE: 500, FUNCTION: 4}


# Deliveries a second that a drain must at least make, over all sinks, on a machine with much else to do.
SLOWEST = 30


@dataclass(frozen=True)
class Result:
    kills: int
    seconds: float
    verdicts: list[Verdict]
    breaches: int
    calls: int
    peaks: dict[str, int]
    struck: Counter[str]
    unstruck: list[str]
    answers_lost: int

    @property
    def events(self) -> int:
        return max(verdict.events for verdict in self.verdicts)

    @property
    def clean(self) -> bool:
        return all(verdict.clean for verdict in self.verdicts) and not self.breaches

    def __str__(self) -> str:
        struck = " ".join(f"{name}×{times}" for name, times in sorted(self.struck.items()))
        return "\n".join(
            [
                f"kills={self.kills} in {self.seconds:.1f} s, events={self.events}, calls={self.calls},"
                f" B={self.breaches}",
                f"peaks of the limits: {self.peaks}",
                f"struck: {struck}",
                *([f"never struck: {' '.join(self.unstruck)}"] if self.unstruck else []),
                *map(str, self.verdicts),
            ]
        )


def plan_of(seed: int) -> Plan:
    return Plan(
        seed=seed,
        rate=1500.0,
        hooks=("steady", "flaky"),
        with_file=True,
        with_function=True,
        world={"creation_share": 0.003, "cancellation_share": 0.001, "change_share": 0.005},
        engine={"poll_timeout": "2s"},  # shorter than a call hangs
    )


async def run(folder: Path, *, kills: int, seed: int, least_events: int) -> Result:
    """Raises AssertionError only for what makes the run worthless; what it found is in the result."""
    random = Random(f"{seed}:campaign")
    began = time.monotonic()
    async with staged(folder, plan_of(seed)) as stage:
        stage.add_hook("flaky", timeout="1s")  # shorter than it holds a request back
        stage.write_settings()
        await stage.begin()
        await _torment(stage, random, kills)
        await _let_every_fault_strike(stage)
        await _enough(stage, least_events)
        await stage.engine.kill()
        await stage.engine.start()
        with contextlib.suppress(TimeoutError):  # what has not come by then is lost, and the result says so
            await stage.drain(60.0 + stage.backlog() / SLOWEST)
        assert await stage.engine.stop() == 0
        return _result(stage, time.monotonic() - began)


async def _torment(stage: Stage, random: Random, kills: int) -> None:
    """The faults take turns; each waits until it strikes, also in a later life."""
    api, mischief = cycle(API_FAULTS), cycle(MISCHIEF)
    flaky = stage.hook("flaky")
    stage.hook("steady").chances = {"latency": 0.1}
    while stage.engine.kills < kills:
        for _ in range(2):
            stage.simulator.faults.arm(next(api), times=1, probability=0.3)
        if not flaky.script:
            flaky.script.append(next(mischief))
        await _live(stage, random)
        await stage.engine.kill()
        await stage.engine.start()


async def _live(stage: Stage, random: Random) -> None:
    """Until a random moment: one in four while the engine starts, the others after its first call."""
    if random.random() < 0.25:
        await asyncio.sleep(random.uniform(0.1, 1.0))
        return
    calls = len(stage.simulator.calls)
    await stage.until(lambda: len(stage.simulator.calls) > calls)
    await asyncio.sleep(random.uniform(0.0, 0.8))


async def _let_every_fault_strike(stage: Stage) -> None:
    """Those that chance has spared strike the next call they fit."""
    flaky, faults = stage.hook("flaky"), stage.simulator.faults
    flaky.script.clear()
    flaky.script.extend(name for name in MISCHIEF if not flaky.struck[name])
    faults.clear()
    for name in [name for name in API_FAULTS if not faults.struck[name]]:
        faults.arm(name, times=1)
    deadline = time.monotonic() + 90.0
    while (faults.armed or flaky.script) and time.monotonic() < deadline:
        if flaky.script:  # somebody asks the engine to look at the sink again
            with contextlib.suppress(PollerError, OSError):
                await stage.engine.ask("resume", kind="sink", name="flaky")
        await asyncio.sleep(0.2)


async def _enough(stage: Stage, events: int) -> None:
    """Facts go on until a sink was told of so many: what was undone between two polls is none of them."""
    stage.heal()
    steady = stage.hook("steady")
    if len(steady.ids) < events:
        stage.simulator.world.resume_arrivals()
        await stage.until(lambda: len(steady.ids) >= events, 120.0)
    stage.simulator.world.pause_arrivals()


def _result(stage: Stage, seconds: float) -> Result:
    report = stage.simulator.report()
    received = Counter({f"sink:{name}": times for name, times in stage.hook("flaky").struck.items() if name != "ok"})
    struck = Counter(report.faults) + received
    planned = [*API_FAULTS, *(f"sink:{name}" for name in MISCHIEF)]
    lost = sum(receiver.struck["lost"] for receiver in stage.receivers.by_name.values())
    return Result(
        kills=stage.engine.kills,
        seconds=seconds,
        verdicts=stage.verdicts(),
        breaches=stage.breaches + stage.receivers.trapped,
        calls=report.calls,
        peaks=dict(report.peaks),
        struck=struck,
        unstruck=[name for name in planned if not struck[name]],
        answers_lost=lost,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the engine again and again, and count what got lost.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=1000, help="a run with fewer does not count")
    parser.add_argument("--keep", type=Path, help="a folder for state, settings and output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(run(folder, kills=arguments.kills, seed=arguments.seed, least_events=arguments.events))
    print(result)
    return 0 if result.clean and not result.unstruck and result.events >= arguments.events else 1


if __name__ == "__main__":
    sys.exit(main())
