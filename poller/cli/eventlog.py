"""The event log on stdout: events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import frame
from poller.cli.values import moment
from poller.shown import Shown

if TYPE_CHECKING:
    from poller.settings import Settings
    from state.sqlite import SqliteStore
    from state.store import Select, StoredEvent

# Between two looks of `--follow`, in seconds.
LOOK_AGAIN = 0.5

# Rows that a terminal gets unless somebody asks for another number.
SCREENFUL = 100


def register(app: typer.Typer) -> None:
    app.command()(events)


def events(
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="registrant.added, com.goto.webinar.*; may be repeated."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Seen since a date, a time, or a length back from now: 2h")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most, the newest; 100 on a terminal.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too.")] = False,
) -> None:
    """Events in their order: one CloudEvent a line, or on a terminal one short line each."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
        select = _select(types or [], since)
    short = sys.stdout.isatty() and not as_json
    if short and limit is None:
        limit = SCREENFUL
    shown = Shown(settings.engine.display_timezone, as_json=not short)
    told = frame.execute(_print(settings, select, limit, follow, shown))
    if short and not told:
        typer.echo("no events yet; is the engine running? `poller run`" if not (types or since) else "no such events")


def _select(types: list[str], since: str) -> Select:
    from datetime import UTC, datetime

    from state.store import Select

    from_ = moment("--since", since, datetime.now(UTC)).timestamp() if since else None
    return Select(types=full_types(types), since=from_)


def full_types(patterns: Iterable[str]) -> list[str]:
    """Short or full types and globs, as the full types they stand for; `*` is no condition, as is none at all.

    Raises UsageError where nothing can match. GoTo names its webhooks itself, so a glob cannot be resolved to them.
    """
    from fnmatch import fnmatchcase

    from poller.settings.event_types import BY_NAME, FACTS, OPERATIONAL, WEBHOOK, pattern
    from state.events import GOTO

    wanted = [pattern(text) for text in patterns]
    if "*" in wanted:
        return []
    full = {**{name: GOTO + name for name in (*FACTS, *BY_NAME)}, **{name: name for name in OPERATIONAL}}
    full |= {name: GOTO + name for name in wanted if name.startswith(WEBHOOK)}
    return [type_ for name, type_ in full.items() if any(fnmatchcase(name, glob) for glob in wanted)]


async def _print(settings: Settings, select: Select, limit: int | None, follow: bool, shown: Shown) -> int:
    """Returns how many were printed."""
    told = 0
    async with frame.looking(settings) as store:
        last = await store.last_sequence()  # what comes meanwhile is told by the next look
        async for event in _stored(store, select, limit, last):
            _tell(event, shown)
            told += 1
        while follow:
            await asyncio.sleep(LOOK_AGAIN)
            for event in await store.events(replace(select, after=last)):
                _tell(event, shown)
                last = event.sequence
    return told


async def _stored(store: SqliteStore, select: Select, limit: int | None, last: int) -> AsyncIterator[StoredEvent]:
    from state.store import walk_events

    if limit is not None:
        for event in await _newest(store, select, limit, last):
            yield event
        return
    async for event in walk_events(store, select):
        if event.sequence > last:
            return
        yield event


async def _newest(store: SqliteStore, select: Select, limit: int, last: int) -> list[StoredEvent]:
    """Looks back further and further, because nobody knows how rare the chosen ones are."""
    from state.store import walk_events

    span = limit
    while True:
        chosen = replace(select, after=max(0, last - span))
        found = [event async for event in walk_events(store, chosen) if event.sequence <= last]
        if len(found) >= limit or span >= last:
            return found[-limit:]
        span *= 8


def _tell(event: StoredEvent, shown: Shown) -> None:
    typer.echo(event.body.decode() if shown.as_json else _line(event, shown))


def _line(event: StoredEvent, shown: Shown) -> str:
    import json

    from state.events import short_type

    found = json.loads(event.body)
    history = "  (backfill)" if found.get("backfill") else ""
    seen = shown.iso(found["observedtime"])
    return frame.plain(f"{seen}  {event.sequence:>8}  {short_type(event.type):<20}  {event.subject}{history}")
