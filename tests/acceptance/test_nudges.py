"""Webhooks that get lost, doubled, forged, late and out of order: news is found soon, and the promises hold."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from statistics import mean

import pytest

from poller.app import App
from poller.clock import SystemClock
from poller.simulator import Fact, LimitOptions, Simulator, WebhookOptions, WorldOptions
from poller.simulator.truth import ADDED
from tests.acceptance.verdict import Delivered, Truth, judge
from tests.integration.hooked import hooked, write
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import events
from tests.servers.base import free_port

WORLD = WorldOptions(seed=7, organizers=1, webinars=4, registrants=40, rate_per_minute=150)
BAD = WebhookOptions(loss=0.3, duplication=0.2, forgery=0.05, reordering=0.2, reordering_seconds=2.0, delay_seconds=0.5)
ADDITIONS = 30
FREE = "per_second = 0\nper_operation_per_second = 0\nper_connection_per_minute = 0"

# Of the additions, found by polls that webhooks asked for, before anybody else asked; without webhooks it is none.
SOON = 0.5


async def test_bad_webhooks_make_news_early_and_never_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sim = Simulator(WORLD, clock=SystemClock(), limits=LimitOptions(), webhooks=BAD)
    sim.world.pause_arrivals()
    terminal = Terminal(tmp_path)
    async with sim.serve() as terminal.url:
        # By itself the engine looks once an hour; nudges come through every two seconds.
        write(terminal, sim, free_port(), f"[limits]\n{FREE}", engine='interval = "1h"')
        async with hooked(terminal, sim) as house:
            silent_until = len(sim.world.truth.facts)
            assert (await terminal.run("webhooks", "subscribe")).code == 0
            sim.world.resume_arrivals()
            await happened(sim, ADDITIONS)
            sim.world.pause_arrivals()
            soon = await house.app.store.last_sequence()
            for _ in range(2):
                assert (await terminal.run("sync", "--wait")).code == 0
            await everything_is_delivered(house.app)
            counts = house.outcomes
    told = events(terminal)
    facts = [fact for fact in sim.world.truth.facts if fact.number > silent_until]
    verdict = judge("log", Truth.of(sim.world.truth.all(), silent_until=silent_until), delivered(terminal))
    added = {event["subject"]: event for event in told if event["type"] == "com.goto.registrant.added"}
    visible = {fact.subject: fact.visible_at for fact in facts if fact.kind == ADDED}
    early = [event for event in added.values() if int(event["sequence"]) <= soon]
    delays = [seen(event, visible[subject]) for subject, event in added.items()]
    with capsys.disabled():
        print(f"\nwebhooks: {mean(delays):.2f} s on average, {max(delays):.1f} s at most, {len(delays)} additions,")
        print(f"{len(early)} before the last look; received {dict(counts)}; {verdict}")
    assert verdict.clean and verdict["D1"] == 0
    assert counts["unsigned"] > 0 and counts["repeated"] > 0 and counts["taken"] > 0
    assert {one.fate for one in sim.postings} == {"sent", "repeated", "forged", "lost"}
    assert len(added) > 15 and len(early) >= SOON * len(added)


async def happened(sim: Simulator, additions: int) -> None:
    enough = asyncio.Event()
    left = iter(range(additions))

    def count(fact: Fact) -> None:
        if fact.kind == ADDED and next(left, None) is None:
            enough.set()

    sim.world.truth.subscribe(count)
    await enough.wait()
    sim.world.truth.unsubscribe(count)


async def everything_is_delivered(app: App) -> None:
    last = await app.store.last_sequence()
    await app.watch.until(lambda: app.watch.counts.deliveries["log"] >= last)


def delivered(terminal: Terminal) -> list[Delivered]:
    return [Delivered(line) for line in (terminal.folder / "out.jsonl").read_bytes().splitlines()]


def seen(event: dict[str, str], visible: datetime) -> float:
    """Seconds from the moment at which the API showed it."""
    return (datetime.fromisoformat(event["observedtime"]) - visible).total_seconds()
