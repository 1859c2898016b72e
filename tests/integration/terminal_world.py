"""What a test of the command line asks about its simulated GoTo, its sinks and its state."""

from __future__ import annotations

import json
from typing import Any

from poller.simulator import Simulator, WorldOptions
from state.records import ConnectionState
from state.sqlite import SqliteStore
from state.store import Backlog, PollRow
from tests.integration.terminal import Terminal

ACME = '[[connections]]\nname = "acme"'
LOG = '[[sinks]]\nname = "log"\ntype = "file"\npath = "out.jsonl"'
WORLD = WorldOptions(organizers=2, webinars=4, registrants=12, rate_per_minute=0)


def pat_of(sim: Simulator, number: int = 0) -> str:
    return sim.world.organizers[number].pat


def key_of(sim: Simulator, number: int = 0) -> str:
    return sim.world.organizers[number].organizer_key


def register(sim: Simulator, **fields: str) -> str:
    """Somebody registers for a webinar of the first organizer; the subject of the event to come."""
    webinar = next(found for found in sim.world.webinars() if found.hosted_by(key_of(sim)))
    person = sim.world.register(webinar.webinar_key, **fields)
    return f"webinars/{webinar.webinar_key}/registrants/{person.registrant_key}"


def events(terminal: Terminal, name: str = "out.jsonl") -> list[dict[str, Any]]:
    path = terminal.folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def subjects(terminal: Terminal) -> list[str]:
    return [event["subject"] for event in events(terminal)]


async def connection_of(terminal: Terminal, name: str = "acme") -> ConnectionState:
    store = await SqliteStore.read(terminal.state)
    try:
        return next(state for state in await store.connections() if state.name == name)
    finally:
        await store.close()


async def backlog_of(terminal: Terminal) -> dict[str, Backlog]:
    store = await SqliteStore.read(terminal.state)
    try:
        return await store.backlog()
    finally:
        await store.close()


async def journal_of(terminal: Terminal) -> list[PollRow]:
    store = await SqliteStore.read(terminal.state)
    try:
        return await store.polls(1000)
    finally:
        await store.close()
