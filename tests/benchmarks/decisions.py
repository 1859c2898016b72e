"""What a decision of the plan costs, however many targets there are.

    python -m tests.benchmarks.decisions [--targets 1000 10000 100000] [--decisions 20000]

Fifty connections of one client under GoTo's published limits; rates learnt from polls, spread as a Pareto law spreads
them. A decision is: which target is polled next (`pop`), and when again after it was (`again`). Settling, once a
minute, and the review of all targets, every ten minutes, are told beside it. Each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from poller.pacing import Calls, Pacing
from poller.planner import Quota
from poller.rates import DAY, Experience
from poller.roster import Roster
from poller.testing import FakeClock
from state.records import Scope, Target
from tests.benchmarks.measuring import machine

ROOT = Path(__file__).parents[2]
CONNECTIONS = 50
STEP = 0.11  # seconds between two calls at about 10 a second


class SteppedClock(FakeClock):
    def step(self, seconds: float) -> None:
        self._move_to(self._monotonic + seconds)


def roster_of(count: int, now: float) -> Roster:
    random, roster = Random(1), Roster()
    for number in range(count):
        roster.put(
            Target(
                f"connection {number % CONNECTIONS}",
                Scope("registrant", str(4_255_157_664_000_000_000 + number)),
                polled_at=now - random.random() * 3600,
                exposure=random.random() * 10 * DAY,
                news=random.paretovariate(0.8) * 0.2,
                ends_at=now + random.random() * 30 * DAY,
                size=100,
            )
        )
    return roster


def measure(targets: int, decisions: int) -> str:
    clock = SteppedClock()
    roster = roster_of(targets, clock.now().timestamp())
    quota = Quota(10, 10, 100, 0)
    calls = Calls(lambda name: "client", lambda client: quota, lambda client: [0.0] * 24, lambda target: 1.0)
    pacing = Pacing(roster, Experience(), calls, clock, floor=120.0, ceiling=3600.0)
    keys = [(target.connection, target.scope) for target in roster]
    began = time.process_time()
    pacing.review(keys)
    pacing.settle()
    review = time.process_time() - began
    for key in keys:
        pacing.begin(key)
    gc.freeze()  # as the process does in life
    spent = 0.0
    done = 0
    while done < decisions:
        clock.step(STEP)
        began = time.process_time()
        found = pacing.pop(clock.monotonic(), {})
        spent += time.process_time() - began
        if found is None:
            continue
        target = roster.target(*found)
        assert target is not None
        roster.put(replace(target, polled_at=clock.now().timestamp()))
        began = time.process_time()
        pacing.again(found)
        spent += time.process_time() - began
        done += 1
    began = time.process_time()
    pacing.settle()
    settle = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{targets:>9}{spent / done * 1e6:>17.1f}{settle * 1e3:>12.1f}{review * 1e3:>12.0f}{memory:>12.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.decisions", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--targets", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--decisions", type=int, default=20_000)
    args = parser.parse_args()
    if len(args.targets) == 1:
        print(measure(args.targets[0], args.decisions), flush=True)
        return
    print(machine())
    print(f"{'targets':>9}{'decision CPU µs':>17}{'settle ms':>12}{'review ms':>12}{'peak MiB':>12}", flush=True)
    for count in args.targets:
        command = [sys.executable, "-m", "tests.benchmarks.decisions", "--targets", str(count)]
        subprocess.run([*command, "--decisions", str(args.decisions)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
