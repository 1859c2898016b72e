"""How fast a backlog goes out to real servers, beside the bare driver publishing the same bytes.

    python -m tests.benchmarks.drain [SINK …] [--events 20000] [--runs 3] [--backlog 100000]

Sinks: file webhook redis rabbitmq nats kafka mqtt postgres sqs; without any, all whose server is to be had here. Every
figure comes from a fresh child process. The product drains a SQLite state (WAL, synchronous=FULL) as in life: it
leases, sends, and writes each outcome down before that webinar's next event. The bare driver reads nothing and writes
nothing down, with the same guarantee from the server (confirms, acknowledgements, acks=all), the same number at once
and in groups of the same size. CPU is user + system time of the child; the server's is not counted. At the end, peak
memory of a process that drains `--backlog` events beside one that drains a tenth of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from poller.clock import SystemClock
from poller.dispatcher import Dispatcher
from poller.sinks.base import SinkContext
from poller.sinks.registry import build_sink, sink_settings
from poller.testing.events import draft, outgoing
from state.sqlite import SqliteStore
from state.store import Route
from tests.benchmarks.bare import DRIVERS, Load, spread
from tests.benchmarks.measuring import Figures, Phase, machine, median

ROOT = Path(__file__).parents[2]
WEBINARS = 2000
# For throughput; the ratio is what counts, so both sides get the same.
BATCH = {"webhook": 1, "mqtt": 1, "sqs": 10}
USUAL_BATCH = 1000
CONCURRENCY = {"webhook": 32, "mqtt": 32, "file": 1}
USUAL_CONCURRENCY = 4
FEWER = {"sqs": 10}  # so many times fewer events: its stand-in takes a hundredth of what others take


@asynccontextmanager
async def served(sink: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The sink's own settings, leading to a server that is there for as long as this lasts."""
    async with AsyncExitStack() as stack:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        match sink:
            case "file":
                yield {"path": str(folder / "events.jsonl"), "rotate_size": "1000GB"}
            case "webhook":
                command = [sys.executable, "-m", "tests.benchmarks.hook"]
                child = stack.enter_context(
                    subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                )
                assert child.stdin is not None and child.stdout is not None
                stack.callback(child.stdin.close)
                yield {"url": f"http://127.0.0.1:{int(child.stdout.readline())}/", "allow_private": True}
            case _:
                from tests.benchmarks import places

                yield await stack.enter_async_context(getattr(places, sink)(name, folder))


def load_of(sink: str, settings: dict[str, Any], folder: Path) -> Load:
    return Load(settings, folder, BATCH.get(sink, USUAL_BATCH), CONCURRENCY.get(sink, USUAL_CONCURRENCY))


# ── children ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def drain_bare(sink: str, load: Load, count: int) -> Figures:
    events = [outgoing(number, webinar=f"w{number % WEBINARS}") for number in range(1, count + 1)]
    async with DRIVERS[sink](load) as publish:
        await publish(events[:1])  # connected, imported
        phase = Phase()
        await spread(load, events[1:], publish)
        return phase.end()


async def drain_product(sink: str, load: Load, count: int) -> Figures:
    clock, done, delivered = SystemClock(), asyncio.Event(), 0
    store = await SqliteStore.open(load.folder / "poller.db", now=lambda: clock.now().timestamp())
    await store.register_sinks(["out"])
    for first in range(1, count + 1, 1000):
        numbers = range(first, min(first + 1000, count + 1))
        await store.emit([(draft(number, webinar=f"w{number % WEBINARS}"), [Route("out")]) for number in numbers])
    more = {"batch": load.batch} if load.batch > 1 else {}
    settings = sink_settings(sink)(name="out", type=sink, concurrency=load.concurrency, **more, **load.settings)

    def observe(event: str, /, **fields: Any) -> None:
        nonlocal delivered
        if event in ("delivery.failed", "delivery.dead", "delivery.unexpected"):
            raise SystemExit(f"{sink}: {event} {fields}")
        delivered += event == "delivery.completed"
        if delivered == count:
            done.set()

    out = build_sink(settings, SinkContext(base=load.folder))
    await out.connect()
    dispatcher = Dispatcher(store, [out], clock, Random(1), observe)
    phase = Phase()
    running = asyncio.create_task(dispatcher.run())
    await done.wait()
    figures = phase.end(state=load.folder / "poller.db")
    await dispatcher.drain(5)
    await running
    await store.close()
    return figures


def child(role: str, sink: str, count: str, folder: str, settings: str) -> None:
    load = load_of(sink, json.loads(settings), Path(folder))
    work = drain_product if role == "product" else drain_bare
    print(json.dumps(asdict(asyncio.run(work(sink, load, int(count))))))


async def in_child(role: str, sink: str, count: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="poller-benchmark-") as folder:
        async with served(sink, Path(folder)) as settings:
            arguments = ("--child", role, sink, str(count), folder, json.dumps(settings))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.benchmarks.drain", *arguments, cwd=ROOT, stdout=subprocess.PIPE
            )
            answer, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{role} {sink} failed")
    return Figures(**json.loads(answer))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def measure(sinks: list[str], args: argparse.Namespace) -> AsyncIterator[str]:
    yield f"{'':10}{'events/s':>10}{'bare':>10}{'ratio':>7}{'CPU µs':>9}{'bare':>7}{'at once':>9}{'batch':>7}"
    for sink in sinks:
        count = args.events // FEWER.get(sink, 1)
        runs: dict[str, list[Figures]] = {"product": [], "bare": []}
        for _ in range(args.runs):  # in turns, so that a busy machine is busy for both
            for role, found in runs.items():
                found.append(await in_child(role, sink, count))
        ours, bare = median(runs["product"]), median(runs["bare"])
        load = load_of(sink, {}, Path())
        yield (
            f"{sink:10}{count / ours.wall:10.0f}{count / bare.wall:10.0f}{bare.wall / ours.wall:7.2f}"
            f"{ours.cpu / count * 1e6:9.0f}{bare.cpu / count * 1e6:7.0f}{load.concurrency:9}{load.batch:7}"
        )


async def memory(args: argparse.Namespace) -> str:
    few, many = args.backlog // 10, args.backlog
    peaks = [(await in_child("product", "file", count)).peak_rss / 2**20 for count in (few, many)]
    return f"peak memory: {peaks[0]:.0f} MiB draining {few} events, {peaks[1]:.0f} MiB draining {many}"


async def available(sinks: list[str]) -> list[str]:
    """Those whose server can be had, or all that were asked for."""
    from tests.benchmarks import places

    found = []
    for sink in sinks:
        with tempfile.TemporaryDirectory(prefix="poller-benchmark-") as folder:
            if sink in ("file", "webhook") or await places.is_there(sink, Path(folder)):
                found.append(sink)
    return found


async def report(args: argparse.Namespace) -> None:
    sinks = await available(args.sinks or list(DRIVERS))
    print(f"{args.events} events of {WEBINARS} webinars, median of {args.runs}. {machine()}")
    async for line in measure(sinks, args):
        print(line, flush=True)
    if args.backlog:
        print(await memory(args))
    if missing := [sink for sink in args.sinks or DRIVERS if sink not in sinks]:
        print(f"no server here: {', '.join(missing)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drain", description=__doc__.partition("\n")[0])
    parser.add_argument("sinks", nargs="*", metavar="SINK", choices=[*DRIVERS, []])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--backlog", type=int, default=100_000, help="events of the memory run; 0 leaves it out")
    asyncio.run(report(parser.parse_args()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
