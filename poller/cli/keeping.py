"""People and the state file: forget, state backup, state prune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import frame, groups

if TYPE_CHECKING:
    from poller.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(forget)
    groups.state.command()(backup)
    groups.state.command()(prune)


def forget(email: Annotated[str, typer.Argument(help="Of the person to erase.")], as_json: Json = False) -> None:
    """Erase a person from everything the state holds; the next poll does not bring them back."""
    from poller.errors import UsageError

    with frame.exits():
        if "@" not in email:
            raise UsageError("forget takes an e-mail address")
        settings = frame.load_settings()
    typer.echo("erasing this person from records, events, deliveries and dead letters", err=True)
    erased = frame.execute(frame.command(settings, "forget", email=email))
    frame.show_facts(erased, as_json=as_json)
    typer.echo(f"not reached: {'; '.join(_out_of_reach(settings))}", err=True)


def _out_of_reach(settings: Settings) -> list[str]:
    """Copies that somebody else has to see to."""
    state = settings.engine.state
    backups = sorted(path.name for path in state.parent.glob(f"{state.name}*.bak"))
    found = [f"backups of {state.name}" + (f" (such as {', '.join(backups)})" if backups else "")]
    sinks = ", ".join(f"{sink.name} ({sink.type})" for sink in settings.sinks)
    if sinks:
        found.append(f"what sinks were sent before: {sinks}")
    return [*found, "GoTo itself"]


def backup(
    file: Annotated[
        Path, typer.Argument(help="Where to; an older backup there is replaced when the new one is whole.")
    ],
) -> None:
    """Copy the state, safely beside a running engine. The copy holds personal data."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
        _check_place(settings, file)
    frame.execute(_backup(settings, file))
    typer.echo(f"backed up to {file} ({file.stat().st_size} bytes)")
    key_file = settings.engine.state.with_name(settings.engine.state.name + ".key")
    if settings.engine.key is None and key_file.exists():
        typer.echo(f"keep {key_file} too, elsewhere: without it the logins in the copy cannot be opened", err=True)


def _check_place(settings: Settings, file: Path) -> None:
    from poller.errors import UsageError

    beside = {settings.engine.state.with_name(settings.engine.state.name + end) for end in _OWN}
    if file.resolve() in {path.resolve() for path in beside}:
        raise UsageError(f"{file}: belongs to the state itself; name another file")
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; name a file in it")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file}: the folder {file.parent} does not exist; make it first")


_OWN = ("", "-wal", "-shm", ".lock", ".key", ".sock")


async def _backup(settings: Settings, file: Path) -> None:
    from poller.errors import PollerError
    from state.errors import StateNotWritable

    async with frame.looking(settings) as store:
        try:
            await store.backup(file)
        except StateNotWritable as error:  # the state is fine, it is the copy that failed
            raise PollerError(str(error)) from error


def prune(as_json: Json = False) -> None:
    """Drop what is older than the retention and owed to nobody. A running engine does this by itself every hour."""
    with frame.exits():
        settings = frame.load_settings()
    frame.show_facts(frame.execute(frame.command(settings, "prune")), as_json=as_json)
