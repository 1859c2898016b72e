"""How soon a commit reaches those who wait for it over HTTP, and what a thousand who wait cost.

    python -m tests.benchmarks.pull [--streams 1000] [--commits 200]

The server is a child process: a SQLite state (WAL, synchronous=FULL) and the HTTP surface as in life, without a GoTo.
The delay is from the moment at which the commit is durable to the moment at which a client has read the event; both
processes read one system-wide clock. Memory is what the server's resident set grows by, per client that is connected
and has been served once. "All" is the delay until the last of the streams has the event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from poller.admin import Admin
from poller.app import App
from poller.listening import Surface
from poller.log import configure
from poller.settings import Settings
from poller.testing.events import draft
from tests.benchmarks.measuring import machine

ROOT = Path(__file__).parents[2]


# ── the server, in a child ───────────────────────────────────────────────────────────────────────────────────────────


async def serve(folder: str) -> None:
    """Each line on standard input is a command, answered by a line of JSON."""
    _many_files()
    configure(level="error")  # as in life: to stderr, and standard output is for answers
    engine, http = {"state": str(Path(folder) / "poller.db")}, {"listen": "127.0.0.1:0"}
    app = await App.open(Settings.parse({"engine": engine, "http": http}, Path(folder)))
    surface = Surface(app, Admin(app, lambda: app.settings, running=True))
    await surface.start()
    number = 0
    print(json.dumps(surface.url), flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        answer: Any
        if line == "commit":
            number += 1
            one = draft(number)
            committed = await app.store.emit([(one, app.routing.routes(one, ["acme"]))])
            answer = time.monotonic()
            app.committed(committed.sinks)
        else:
            answer = {"followers": surface.followers, "rss": _resident(), "cpu": time.process_time()}
        print(json.dumps(answer), flush=True)
    await surface.stop()
    await app.close()


def _resident() -> int:
    """Bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass
class Server:
    url: str
    ask: Callable[[str], Any]

    async def until(self, followers: int) -> dict[str, Any]:
        while (found := await asyncio.to_thread(self.ask, "how"))["followers"] != followers:
            await asyncio.sleep(0.01)
        state: dict[str, Any] = found
        return state

    async def commit(self) -> float:
        """When it was durable, by the system's monotonic clock."""
        moment: float = await asyncio.to_thread(self.ask, "commit")
        return moment


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="poller-benchmark-") as folder:
        command = [sys.executable, "-m", "tests.benchmarks.pull", "--child", folder]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as child:
            assert child.stdin is not None and child.stdout is not None
            to, back = child.stdin, child.stdout

            def ask(line: str) -> Any:
                to.write(line + "\n")
                to.flush()
                return json.loads(back.readline())

            yield Server(json.loads(back.readline()), ask)
            to.close()


# ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def long_polls(to: Server, commits: int) -> list[float]:
    """Seconds from each commit to the answer of the long poll that waited for it."""
    delays, last = [], ""
    async with aiohttp.ClientSession() as session:
        for _ in range(commits):

            async def poll(place: str = last) -> tuple[float, str]:
                url = f"{to.url}/v1/feed?timeout=60000&lastEventId={place}"
                async with session.get(url) as response:
                    events = await response.json(content_type=None)
                return time.monotonic(), events[-1]["id"]

            asked = asyncio.create_task(poll())
            await to.until(1)
            durable = await to.commit()
            arrived, last = await asked
            delays.append(arrived - durable)
    return delays


@asynccontextmanager
async def streams(to: Server, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    port = int(to.url.rpartition(":")[2])
    readers, writers = [], []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
        writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"retry: 3000\n\n")
        readers.append(reader)
        writers.append(writer)
    try:
        yield readers
    finally:
        for writer in writers:
            writer.close()


async def idle_streams(to: Server, count: int, rest_seconds: float = 10.0) -> str:
    before = to.ask("how")["rss"]
    async with streams(to, count) as readers:
        delays = []
        for _ in range(5):
            await to.until(count)
            durable = await to.commit()
            await asyncio.gather(*(reader.readuntil(b"}\n\n") for reader in readers))
            delays.append(time.monotonic() - durable)
        served = await to.until(count)
        await asyncio.sleep(rest_seconds)
        rested = await to.until(count)
    each = (served["rss"] - before) / count / 1000
    idle = (rested["cpu"] - served["cpu"]) / rest_seconds
    return (
        f"{count} streams: {each:.0f} kB each; one event to all in {statistics.median(delays) * 1000:.0f} ms;"
        f" idle they take {idle:.1%} of a core, heartbeats included"
    )


def spread(delays: list[float]) -> str:
    cut = statistics.quantiles((delay * 1000 for delay in delays), n=100)
    return f"median {cut[49]:.1f} ms, 95 % {cut[94]:.1f} ms, 99 % {cut[98]:.1f} ms"


async def report(args: argparse.Namespace) -> None:
    _many_files()
    print(machine())
    with server() as to:
        print(
            f"long poll, commit to answer, {args.commits} times: {spread(await long_polls(to, args.commits))}",
            flush=True,
        )
    with server() as to:
        print(await idle_streams(to, args.streams))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pull", description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=200)
    asyncio.run(report(parser.parse_args()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        asyncio.run(serve(sys.argv[2]))
    else:
        main()
