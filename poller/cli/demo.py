"""The demo: a simulated GoTo, an engine and a stdout sink in one process, checked against the simulator's truth."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import mean, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import typer

from poller.admin import Admin
from poller.app import App
from poller.cli.frame import on_signals
from poller.clock import ScaledClock
from poller.listening import Surface
from poller.roster import WEBINARS
from poller.settings import Settings
from poller.simulator import LimitOptions, Simulator, WorldOptions
from poller.sinks.base import SinkContext

# Live arrivals per real second, whatever the speed: enough to watch, slow enough to read.
ARRIVALS_PER_SECOND = 3.0

# How long the end may take to catch up with the last arrivals, in real seconds.
PATIENCE = 30.0


class Tap(io.BytesIO):
    """Standard output that also remembers each event's type, subject and id as it was delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered: list[dict[str, Any]] = []

    def write(self, lines: Any) -> int:
        text = bytes(lines)
        self.delivered += [json.loads(line) for line in text.splitlines()]
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return len(text)


@dataclass
class Verdict:
    """What the demo saw, held against what was true."""

    events: Counter[str] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)  # simulated seconds from visible to seen
    lost: int = 0
    doubled: int = 0


async def demo(seconds: float, speed: float, http: str = "") -> Verdict:
    """Run it for so many real seconds and print the summary. `http`: where its HTTP surface listens, "" for nowhere."""
    clock = ScaledClock(speed)
    rate = ARRIVALS_PER_SECOND * 60 / speed
    world = WorldOptions(seed=Random().randrange(10**6), webinars=20, registrants=300, rate_per_minute=rate)  # noqa: S311
    simulator = Simulator(world, clock=clock, limits=LimitOptions.profile("published"))
    simulator.world.pause_arrivals()
    tap = Tap()
    with TemporaryDirectory(prefix="goto-poller-demo-") as folder:
        async with simulator.serve() as url:
            settings = _settings(simulator, url, Path(folder), http)
            app = await App.open(settings, clock=clock, context=SinkContext(clock=clock, stdout=tap))
            surface = Surface(app, Admin(app, lambda: settings, running=True))
            try:
                await surface.start()
                if surface.url:
                    typer.echo(
                        f"events can be fetched at {surface.url}/v1/feed; what else: {surface.url}/v1/triggers",
                        err=True,
                    )
                await _run(app, simulator, tap, seconds)
            finally:
                await surface.stop()
                await app.close()
            verdict = judge(simulator, tap.delivered)
            _summary(verdict, simulator, app, seconds, speed)
    return verdict


def _settings(simulator: Simulator, url: str, folder: Path, http: str) -> Settings:
    """The settings that a person would write, with everything left at its default but the hosts."""
    return Settings.parse(
        {
            "engine": {"state": str(folder / "poller.db")},
            "goto": {
                "api_url": url,
                "auth_url": url,
                "client_id": simulator.client_id,
                "client_secret": simulator.client_secret,
            },
            "http": {"listen": http},
            "connections": [{"name": "demo", "pat": simulator.world.organizers[0].pat}],
            "sinks": [{"name": "screen", "type": "stdout"}],
        },
        folder,
    )


async def _run(app: App, simulator: Simulator, tap: Tap, seconds: float) -> None:
    running = asyncio.create_task(app.run())
    stopped = asyncio.Event()
    on_signals((signal.SIGINT,), stopped.set)  # an early end has its summary, too
    typer.echo("a simulated GoTo with 20 webinars and 300 registrants; taking the baseline …", err=True)
    await app.watch.until(lambda: _has_baseline(app))
    typer.echo("baseline taken; people register from now on", err=True)
    simulator.world.resume_arrivals()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
    simulator.world.pause_arrivals()
    typer.echo("no more arrivals; waiting for the last ones to be noticed …", err=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await _catch_up(app)
    app.stop()
    await running


def _has_baseline(app: App) -> bool:
    lists = [target for target in app.roster if target.scope.kind == "registrant"]
    return bool(lists) and all(target.polled_at is not None for target in lists)


async def _catch_up(app: App) -> None:
    """One more poll of everything, then every delivery."""
    for stage in (WEBINARS, None):
        keys = [key for key in app.scheduler.worth_asking() if stage is None or key[1] == stage]
        await asyncio.gather(*(app.scheduler.nudged(*key) for key in keys), return_exceptions=True)
    await app.dispatcher.idle()


def judge(simulator: Simulator, delivered: list[dict[str, Any]]) -> Verdict:
    """Every addition that lasted must have been delivered, and no event twice."""
    verdict = Verdict(Counter(event["type"].removeprefix("com.goto.") for event in delivered))
    ids = Counter(event["id"] for event in delivered)
    verdict.doubled = sum(count - 1 for count in ids.values())
    told: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in delivered:
        told.setdefault((event["type"].removeprefix("com.goto."), event["subject"]), []).append(event)
    for fact in simulator.world.truth.lasting_additions():
        events = told.get((fact.kind, fact.subject), [])
        verdict.lost += not events
        if events:
            seen = datetime.fromisoformat(events[-1]["observedtime"])
            verdict.delays.append(max(0.0, (seen - fact.visible_at.astimezone(UTC)).total_seconds()))
    return verdict


def _summary(verdict: Verdict, simulator: Simulator, app: App, seconds: float, speed: float) -> None:
    report = simulator.report()
    typer.echo(f"\n{seconds:g} s at {speed:g} times real speed = {timedelta(seconds=round(seconds * speed))} simulated")
    for kind, count in sorted(verdict.events.items()):
        typer.echo(f"  {count:5d}  {kind}")
    peaks = ", ".join(f"{peak} of {window}" for window, peak in report.peaks.items()) or "no limit"
    typer.echo(f"API calls: {report.calls}; at the busiest: {peaks}; limits breached: {len(report.breaches)}")
    if verdict.delays:
        worst = quantiles(verdict.delays, n=20)[-1] if len(verdict.delays) > 1 else verdict.delays[0]
        interval = app.settings.interval.total_seconds()
        typer.echo(
            f"detection delay: {mean(verdict.delays):.0f} s on average, 95 % within {worst:.0f} s"
            f" (simulated time, polling every {interval:g} s)"
        )
    typer.echo(f"lost {verdict.lost}, doubled {verdict.doubled}")
