"""Commands that look at what is owed and at the file itself: deliveries, dead list, state info and verify."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame, groups
from poller.cli.values import Table
from poller.shown import Shown

if TYPE_CHECKING:
    from collections.abc import Collection

    from poller.settings import Settings
    from state.store import DeliveryView, Info, Select

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OfSink = Annotated[str | None, typer.Option("--sink", metavar="NAME", help="Only to this sink.")]
OfType = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only such events: registrant.added, webinar.*")
]
AtMost = Annotated[int, typer.Option("--limit", min=1, help="So many at most, the oldest first.")]


class Condition(StrEnum):
    """The states of state.delivery, as words."""

    pending = "pending"
    held = "held"
    dead = "dead"
    delivered = "delivered"


def register(app: typer.Typer) -> None:
    app.command()(deliveries)
    groups.dead.command("list")(list_dead)
    groups.state.command()(info)
    groups.state.command()(verify)


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────────


def deliveries(
    sink: OfSink = None,
    types: OfType = None,
    states: Annotated[
        list[Condition] | None, typer.Option("--state", help="May be repeated. Default: all but delivered.")
    ] = None,
    limit: AtMost = 200,
    as_json: Json = False,
) -> None:
    """What is owed to sinks: pending, held back and dead, with the last failure of each."""
    wanted = states or [Condition.pending, Condition.held, Condition.dead]
    settings, found = _found(sink, types, wanted, limit)
    shown = Shown(settings.engine.display_timezone, as_json=as_json)
    deliveries_table(found, shown).print(as_json=as_json)


def list_dead(sink: OfSink = None, types: OfType = None, limit: AtMost = 200, as_json: Json = False) -> None:
    """Dead letters, each with the reason."""
    settings, found = _found(sink, types, [Condition.dead], limit)
    shown = Shown(settings.engine.display_timezone, as_json=as_json)
    rows = [_dead_row(view, shown) for view in found]
    columns = ("sink", "sequence", "id", "type", "subject", "attempts", "died", "reason")
    Table(columns, rows, "no dead letters").print(as_json=as_json)


def _found(
    sink: str | None, types: list[str] | None, states: Collection[str], limit: int
) -> tuple[Settings, list[DeliveryView]]:
    from state.store import Select

    with frame.exits():
        settings = frame.load_settings(secrets=False)
        from poller.cli.eventlog import full_types

        select = Select(sink=sink, types=full_types(types or []), limit=limit)
    return settings, frame.execute(found_deliveries(settings, select, states))


async def found_deliveries(settings: Settings, select: Select, states: Collection[str]) -> list[DeliveryView]:
    from poller.errors import UsageError
    from poller.settings.nearest import suggestion

    async with frame.looking(settings) as store:
        if select.sink is not None:
            known = sorted({*(sink.name for sink in settings.sinks), *await store.backlog()})
            if select.sink not in known:
                raise UsageError(f'there is no sink "{select.sink}"{suggestion(select.sink, known)}')
        return await store.deliveries(select, states)


def deliveries_table(found: list[DeliveryView], shown: Shown) -> Table:
    columns = ("sink", "sequence", "id", "type", "subject", "state", "attempts", "next_try", "held_by", "reason")
    rows = [
        (
            view.sink,
            view.sequence,
            view.id,
            _short(view.type),
            view.subject,
            view.state,
            view.attempts,
            shown.time(view.due_at or None) if view.state == "pending" else None,
            view.held_by or None,
            view.error,
        )
        for view in found
    ]
    return Table(columns, rows, "nothing is owed")


def _dead_row(view: DeliveryView, shown: Shown) -> tuple[Any, ...]:
    died = shown.time(view.updated_at)
    return view.sink, view.sequence, view.id, _short(view.type), view.subject, view.attempts, died, view.error


def _short(type_: str) -> str:
    from state.events import short_type

    return short_type(type_)


# ── the file itself ──────────────────────────────────────────────────────────────────────────────────────────────────


def info(as_json: Json = False) -> None:
    """The state file: where it is, which life of it this is, how large, how many rows."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
    found = frame.execute(_info(settings))
    facts = {"path": found.path, "epoch": found.epoch, "schema": found.schema, "size": found.size}
    if as_json:
        frame.show_json({**facts, "counts": found.counts})
    else:
        frame.show_facts({**facts, "size": f"{found.size / 1e6:.1f} MB", **found.counts}, as_json=False)


async def _info(settings: Settings) -> Info:
    async with frame.looking(settings) as store:
        return await store.info()


def verify(as_json: Json = False) -> None:
    """Read the whole state file through; exit code 4 if anything is wrong with it."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
    problems = frame.execute(_verify(settings))
    if as_json:
        frame.show_json({"path": str(settings.engine.state), "sound": not problems, "problems": problems})
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        frame.fail(f"{settings.engine.state}: damaged: {problems[0]}{more}; restore a backup", 4)
    if not as_json:
        typer.echo(f"{settings.engine.state}: sound")


async def _verify(settings: Settings) -> list[str]:
    async with frame.looking(settings) as store:
        return await store.verify()
