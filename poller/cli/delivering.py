"""What is owed to sinks, changed by hand: dead retry, dead drop, replay, sinks test, sinks move, sinks drop."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame, groups

if TYPE_CHECKING:
    from poller.ports import Outgoing
    from poller.settings import Settings
    from poller.sinks.base import SinkSettings

Ids = Annotated[list[str] | None, typer.Argument(help="Event ids, as `poller dead list` shows them. None: all.")]
OfSink = Annotated[str | None, typer.Option("--sink", metavar="NAME", help="Only to this sink.")]
OfType = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only such events: registrant.added, webinar.*")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    groups.dead.command("retry")(dead_retry)
    groups.dead.command("drop")(dead_drop)
    app.command()(replay)
    groups.sinks.command("test")(sinks_test)
    groups.sinks.command("move")(sinks_move)
    groups.sinks.command("drop")(sinks_drop)


# ── dead letters and stored events ───────────────────────────────────────────────────────────────────────────────────


def dead_retry(ids: Ids = None, sink: OfSink = None, types: OfType = None) -> None:
    """Dead letters become pending again, with their original ids."""
    with frame.exits():
        settings, chosen = frame.load_settings(), _selection(ids, sink, types)
    result = frame.execute(frame.command(settings, "dead_retry", **chosen))
    typer.echo(f"{result['retried']} dead letters are pending again")


def dead_drop(ids: Ids = None, sink: OfSink = None, types: OfType = None, yes: Yes = False) -> None:
    """Give up dead letters for good."""
    with frame.exits():
        settings, chosen = frame.load_settings(), _selection(ids, sink, types)
    counts = frame.execute(_dead_letters(settings, chosen))
    told = ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"
    typer.echo(f"dead letters to be dropped for good: {told}", err=True)
    with frame.exits():
        _agreed(yes, must=True)
    result = frame.execute(frame.command(settings, "dead_drop", **chosen))
    typer.echo(f"{result['dropped']} dead letters dropped")


def _selection(ids: list[str] | None, sink: str | None, types: list[str] | None) -> dict[str, Any]:
    from poller.cli.eventlog import full_types

    return {"ids": ids or [], "sink": sink, "types": full_types(types or [])}


async def _dead_letters(settings: Settings, chosen: dict[str, Any]) -> Counter[str]:
    from poller.admin import MANY
    from poller.cli.owed import found_deliveries
    from state.store import Select

    return Counter(view.sink for view in await found_deliveries(settings, Select(**chosen, limit=MANY), ["dead"]))


def replay(
    sink: Annotated[str, typer.Option(help="The sink that gets them again.")],
    since: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Observed from then on: a date, a time, or 2h (ago).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="T", help="Observed before then.")] = None,
    types: OfType = None,
) -> None:
    """Send stored events again, with their original ids: those that the triggers of now give to this sink."""
    from datetime import UTC, datetime

    from poller.cli.values import moment

    with frame.exits():
        settings = frame.load_settings()
        now = datetime.now(UTC)
        arguments = {
            "sink": sink,
            "since": None if since is None else moment("--from", since, now).timestamp(),
            "until": None if until is None else moment("--to", until, now).timestamp(),
            "types": _selection(None, None, types)["types"],
        }
        _check_span(arguments["since"], arguments["until"])
    result = frame.execute(frame.command(settings, "replay", **arguments))
    typer.echo(f"{result['replayed']} events are pending for {sink} again")


def _check_span(since: float | None, until: float | None) -> None:
    from poller.errors import UsageError

    if since is not None and until is not None and since >= until:
        raise UsageError("--to has to be later than --from: a length counts back from now, so --from 2h --to 1h")


# ── sinks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sinks_test(
    name: Annotated[str, typer.Argument(help="Its name in the settings.")],
    type_: Annotated[str, typer.Option("--type", metavar="TYPE", help="The event to send.")] = "registrant.added",
) -> None:
    """Send one sample event (marked `sample: true`) to a sink, now. Neither state nor engine is touched."""
    from poller.cli.sampling import sample_of

    with frame.exits():
        settings = frame.load_settings()
        chosen, outgoing = frame.named("sink", name, settings.sinks), _marked(sample_of(type_))
    frame.execute(_send(settings, chosen, outgoing))
    typer.echo(f"{name}: took the sample event {outgoing.id}", err=chosen.type == "stdout")


def _marked(outgoing: Outgoing) -> Outgoing:
    """With an id of its own: a receiver that drops what it had before would not show it twice."""
    import secrets
    from dataclasses import replace

    import msgspec

    id_ = f"sample-{secrets.token_hex(8)}"
    body = msgspec.json.encode({**outgoing.event, "id": id_, "sample": True})
    return replace(outgoing, id=id_, body=body, _cache={})


async def _send(settings: Settings, chosen: SinkSettings, outgoing: Outgoing) -> None:
    from pathlib import Path

    from poller.checking import reached
    from poller.sinks.base import SinkContext

    base = settings.path.parent if settings.path is not None else Path.cwd()
    (outcome,) = await reached(chosen, SinkContext(base=base), lambda sink: sink.send([outgoing]))
    if outcome is not None:
        raise outcome


def sinks_move(
    old: Annotated[str, typer.Argument(help="A sink that the state knows, in the settings or not.")],
    new: Annotated[str, typer.Argument(help="A sink of the settings.")],
) -> None:
    """Give what one sink is still owed to another one."""
    with frame.exits():
        settings = frame.load_settings()
    result = frame.execute(frame.command(settings, "sinks_move", old=old, new=new))
    had = f"; {result['had']} others {new} had already" if result["had"] else ""
    typer.echo(f"{result['moved']} deliveries moved from {old} to {new}{had}")


def sinks_drop(
    name: Annotated[str, typer.Argument(help="A sink that is no longer in the settings.")], yes: Yes = False
) -> None:
    """Forget a removed sink, and give up what it is still owed."""
    with frame.exits():
        settings = frame.load_settings()
    owed = frame.execute(_owed(settings, name))
    typer.echo(f"sink {name} and its undelivered events are to be dropped for good: {owed}", err=True)
    with frame.exits():
        _agreed(yes, must=False)
    result = frame.execute(frame.command(settings, "sinks_drop", name=name))
    typer.echo(f"sink {name}: dropped with {result['dropped']} undelivered events")


async def _owed(settings: Settings, name: str) -> str:
    from poller.errors import UsageError
    from state.store import Backlog

    if name in {sink.name for sink in settings.sinks}:
        raise UsageError(f'sink "{name}" still stands in the settings; remove it there first')
    async with frame.looking(settings) as store:
        found = (await store.backlog()).get(name, Backlog())
    return f"{found.pending} pending, {found.held} held, {found.dead} dead"


def _agreed(yes: bool, *, must: bool) -> None:
    """Ask on a terminal. Elsewhere `must` says that silence is no consent."""
    from poller.errors import UsageError

    if yes:
        return
    if sys.stdin.isatty():
        if not typer.confirm("go on?", err=True):
            raise UsageError("nothing was changed")
    elif must:
        raise UsageError("nothing was changed: where nobody can be asked, --yes is needed")
