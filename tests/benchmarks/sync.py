"""What a first sync, an unchanged sweep and one with news cost, beside floors that do the least anybody could do.

    python -m tests.benchmarks.sync [--webinars 1000] [--registrants 200] [--runs 3] [--sweeps 3]

Every figure comes from a fresh child process of the same interpreter, asking one server in another process for the
same prepared bytes (see prepared_api). CPU is user + system time of the child, all its threads included; the server's
is not counted. The product runs as it does in life (`poller.service`): SQLite with WAL and synchronous=FULL, the limits
off, an interval of 0 s, so that one sweep follows the other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Figures, Phase, machine, median
from tests.benchmarks.prepared_api import FIRST_WEBINAR, GROW, ORGANIZER, PAGE_SIZE

ROOT = Path(__file__).parents[2]
NEWS = 50  # new registrants, each of another webinar
CONCURRENCY = 8  # the product's default poll_concurrency


@dataclass(frozen=True)
class Job:
    """What one child has to do: against which server, over how much, in which folder."""

    base_url: str
    webinars: int
    registrants: int
    sweeps: int
    folder: Path

    @property
    def records(self) -> int:
        return self.webinars * (self.registrants + 1)


# ── floors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def urls(job: Job) -> tuple[list[str], list[str]]:
    """The pages of webinars, and the lists of registrants."""
    root = f"{job.base_url}/G2W/rest/v2/organizers/{ORGANIZER}/webinars"
    window = "fromTime=2026-01-01T00:00:00Z&toTime=2030-01-01T00:00:00Z"
    pages = max(-(-job.webinars // PAGE_SIZE), 1)
    return (
        [f"{root}?{window}&page={page}&size={PAGE_SIZE}" for page in range(pages)],
        [f"{root}/{FIRST_WEBINAR + number}/registrants" for number in range(job.webinars)],
    )


@contextlib.asynccontextmanager
async def fetching() -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
    import aiohttp

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {'t' * 600}"}) as session:

        async def fetch(url: str) -> bytes:
            async with session.get(url) as response:
                return await response.read()

        yield fetch


async def with_each(urls: list[str], work: Callable[[str], Awaitable[None]]) -> None:
    """`work` on every URL, CONCURRENCY at once, with a task per worker and nothing per URL."""
    waiting = iter(urls)

    async def worker() -> None:
        for url in waiting:
            await work(url)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


async def floor_first(job: Job) -> dict[str, Figures]:
    """aiohttp, msgspec, INSERT OR IGNORE in one transaction a page, new records as lines of a file. No promises:
    no diff, no events, no deliveries; a crash between the two writes loses lines."""
    import aiohttp  # noqa: F401 - before the phase begins
    import msgspec

    class Registrant(msgspec.Struct):
        registrantKey: int | str  # noqa: N815 - GoTo's spelling

    items = msgspec.json.Decoder(list[msgspec.Raw])
    page_of = msgspec.json.Decoder(dict[str, Any])
    key_of = msgspec.json.Decoder(Registrant)
    encode = msgspec.json.encode
    state = job.folder / "floor.db"
    phase = Phase()
    db = sqlite3.connect(state, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE records (scope TEXT, key TEXT, body BLOB, PRIMARY KEY (scope, key)) WITHOUT ROWID")

    def store(scope: str, rows: list[tuple[str, str, bytes]]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        out.write(b"".join(row[2] + b"\n" for row in rows))

    async with fetching() as fetch:
        with (job.folder / "floor.jsonl").open("wb") as out:

            async def webinars(url: str) -> None:
                found = page_of.decode(await fetch(url))["_embedded"]["webinars"]
                store("", [("", item["webinarKey"], encode(item)) for item in found])

            async def registrants(url: str) -> None:
                scope = url.rsplit("/", 2)[1]
                found = items.decode(await fetch(url))
                store(scope, [(scope, str(key_of.decode(raw).registrantKey), bytes(raw)) for raw in found])

            pages, lists = urls(job)
            await with_each(pages, webinars)
            await with_each(lists, registrants)
    figures = phase.end(state=state)
    db.close()
    return {"first": figures}


async def floor_sweep(job: Job, *, digests: bool) -> dict[str, Figures]:
    """The same URLs once more and nothing but reading them; with `digests`, telling whether anything changed."""
    from hashlib import blake2b

    known: dict[str, bytes] = {}
    async with fetching() as fetch:

        async def look(url: str) -> None:
            body = await fetch(url)
            if digests:
                digest = blake2b(body, digest_size=16).digest()
                if known.setdefault(url, digest) != digest:
                    raise AssertionError(f"{url} changed")

        pages, lists = urls(job)
        await with_each([*pages, *lists], look)
        phase = Phase()
        for _ in range(job.sweeps):
            await with_each([*pages, *lists], look)
        return {"sweep": phase.end(job.sweeps)}


# ── the product ──────────────────────────────────────────────────────────────────────────────────────────────────────


def settings_of(job: Job, *, start: str, interval: str) -> dict[str, Any]:
    limits = ("per_second", "per_operation_per_second", "per_connection_per_minute", "per_day")
    return {
        "engine": {"state": "poller.db", "interval": interval},
        "goto": {
            "api_url": job.base_url,
            "auth_url": job.base_url,
            "client_id": "benchmark",
            "client_secret": "none",
        },
        "limits": dict.fromkeys(limits, 0),
        "connections": [{"name": "acme", "pat": "any", "start": start}],
        "sinks": [{"name": "out", "type": "file", "path": "events.jsonl"}],
    }


@contextlib.asynccontextmanager
async def living(job: Job, *, start: str, interval: str = "0s") -> AsyncIterator[Any]:
    """The product, opened; it runs from the first `await` on."""
    from poller import log
    from poller.app import App
    from poller.service import serve
    from poller.settings import Settings

    log.configure(level="warning")
    settings = Settings.parse(settings_of(job, start=start, interval=interval), base=job.folder)
    app = await App.open(settings)
    running = asyncio.create_task(serve(app, lambda: settings))
    try:
        yield app
    finally:
        app.stop()
        await running
        await app.close()


async def product_now(job: Job) -> dict[str, Figures]:
    """A silent first sync, then sweeps in which nothing has changed. Without a pause the first sweep begins while the
    last lists of the first sync are being committed, so what is counted is polls."""
    import poller.service  # noqa: F401 - before the phase begins

    targets = job.webinars + 1
    state = job.folder / "poller.db"
    first = Phase()
    async with living(job, start="now") as app:
        polls = app.watch.counts.polls
        await app.watch.until(lambda: polls["changed"] >= targets)
        baseline = first.end(state=state)
        before = polls.total()
        sweeps = Phase()
        await app.watch.until(lambda: polls.total() - before >= targets * job.sweeps)
        swept = sweeps.end(job.sweeps, state)
        _expect(
            {"changed": polls["changed"], "others": polls.total() - polls["unchanged"]},
            {"changed": targets, "others": targets},
        )
        new = min(NEWS, job.webinars)
        news = Phase()
        before = polls.total()
        await grow(job, new)
        await app.watch.until(lambda: polls.total() - before >= targets and app.watch.counts.deliveries["out"] >= new)
        told = news.end(state=state)
        rounds = (polls.total() - before) / targets
        await grow(job, 0)  # whoever asks this server next finds it as it was
    _expect({"told": _lines(job.folder)}, {"told": new})
    return {"first": baseline, "sweep": swept, "news": replace(told, wall=told.wall / rounds, cpu=told.cpu / rounds)}


async def grow(job: Job, webinars: int) -> None:
    """From now on so many webinars have one registrant more than at first."""
    async with fetching() as fetch:
        await fetch(f"{job.base_url}{GROW}{webinars}")


async def product_all(job: Job) -> dict[str, Figures]:
    """Everything told and delivered. Nothing is polled a second time, or sweeps would be counted in."""
    import poller.service  # noqa: F401 - before the phase begins

    first = Phase()
    async with living(job, start="all", interval="1h") as app:
        await app.watch.until(lambda: app.watch.counts.deliveries["out"] >= job.records)
        figures = first.end(state=job.folder / "poller.db")
    _expect({"lines": _lines(job.folder)}, {"lines": job.records})
    return {"first": figures}


def _lines(folder: Path) -> int:
    """Of the sink's file and those it put aside."""
    return sum(_count(path) for path in folder.glob("events.jsonl*"))


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _expect(found: dict[str, int], wanted: dict[str, int]) -> None:
    if found != wanted:
        raise AssertionError(f"the benchmark did something else than it says: {found}, not {wanted}")


ROLES: dict[str, Callable[[Job], Awaitable[dict[str, Figures]]]] = {
    "floor-first": floor_first,
    "floor-fetch": lambda job: floor_sweep(job, digests=False),
    "floor-digest": lambda job: floor_sweep(job, digests=True),
    "product-now": product_now,
    "product-all": product_all,
}

# ── children ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def serving(webinars: int, registrants: int) -> Iterator[str]:
    """The server's base URL, while it lives."""
    command = [sys.executable, "-m", "tests.benchmarks.prepared_api", str(webinars), str(registrants)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def in_child(role: str, base_url: str, args: argparse.Namespace, registrants: int) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory(prefix="poller-benchmark-") as folder:
        numbers = [str(number) for number in (args.webinars, registrants, args.sweeps)]
        command = [sys.executable, "-m", "tests.benchmarks.sync", "--child", role, base_url, *numbers, folder]
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return {name: Figures(**figures) for name, figures in json.loads(answer).items()}


def child(role: str, base_url: str, *rest: str) -> None:
    *numbers, folder = rest
    job = Job(base_url, *(int(number) for number in numbers), Path(folder))
    figures = asyncio.run(ROLES[role](job))  # type: ignore[arg-type]
    print(json.dumps({name: asdict(found) for name, found in figures.items()}))


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(args: argparse.Namespace) -> dict[tuple[str, str], Figures]:
    """By role and phase. Runs of all roles alternate, so that a busy machine is busy for all of them."""
    found: dict[tuple[str, str], list[Figures]] = {}
    with serving(args.webinars, args.registrants) as base_url:
        for _ in range(args.runs):
            for role in ROLES:
                for phase, figures in in_child(role, base_url, args, args.registrants).items():
                    found.setdefault((role, phase), []).append(figures)
    with serving(args.webinars, args.more_registrants) as base_url:
        more = in_child("product-now", base_url, args, args.more_registrants)
    return {**{key: median(runs) for key, runs in found.items()}, **{("more", phase): more[phase] for phase in more}}


def table(args: argparse.Namespace, found: dict[tuple[str, str], Figures]) -> Iterator[str]:
    records = args.webinars * (args.registrants + 1)
    more = args.webinars * (args.more_registrants + 1)
    floor, fetch = found["floor-first", "first"], found["floor-fetch", "sweep"]
    yield f"{'':44}{'wall s':>8}{'CPU s':>8}{'ratio':>7}{'process':>9}{'peak MiB':>10}{'records/s':>11}{'state MB':>10}"
    rows = [
        ("first sync: floor", floor, floor, records),
        ("first sync, start = now", found["product-now", "first"], floor, records),
        ("first sync, start = all, delivered to a file", found["product-all", "first"], floor, records),
        ("sweep: floor, fetch only", fetch, fetch, records),
        ("sweep: floor, digests compared", found["floor-digest", "sweep"], fetch, records),
        ("sweep, nothing changed", found["product-now", "sweep"], fetch, records),
        (f"sweep, {NEWS} new, delivered to a file", found["product-now", "news"], fetch, records),
        (f"start = now, {args.more_registrants} registrants each", found["more", "first"], None, more),
        (f"sweep, {args.more_registrants} registrants each", found["more", "sweep"], None, more),
        (f"sweep, {args.more_registrants} registrants each, {NEWS} new", found["more", "news"], None, more),
    ]
    for name, of, beside, count in rows:
        ratio = "" if beside is None else f"{of.cpu / beside.cpu:.2f}"
        yield (
            f"{name:44}{of.wall:8.2f}{of.cpu:8.2f}{ratio:>7}{of.process_cpu:9.2f}{of.peak_rss / 2**20:10.0f}"
            f"{count / of.wall:11.0f}{of.state_bytes / 1e6:10.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sync", description=__doc__.partition("\n")[0])
    parser.add_argument("--webinars", type=int, default=1000)
    parser.add_argument("--registrants", type=int, default=200, help="per webinar")
    parser.add_argument("--more-registrants", type=int, default=1000, help="per webinar, to see what memory does")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--sweeps", type=int, default=3, help="of which the mean is taken, in one process")
    args = parser.parse_args()
    print(f"{args.webinars} webinars × {args.registrants} registrants, median of {args.runs}. {machine()}")
    for line in table(args, measure(args)):
        print(line)
    print("ratio: CPU beside the floor of the same part. process: CPU of the whole process up to there, imports too.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
