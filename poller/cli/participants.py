"""Who registered, who came, who did not: participants."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.participants import Recorded
    from poller.settings import Settings


class Group(StrEnum):
    """As poller.participants has it, which takes a while to import."""

    registered = "registered"
    attended = "attended"
    absent = "absent"


class Format(StrEnum):
    csv = "csv"
    json = "json"


def register(app: typer.Typer) -> None:
    app.command()(participants)


def participants(
    webinar: Annotated[str, typer.Argument(help="Its key.")],
    format_: Annotated[Format, typer.Option("--format", help="csv in a time zone of yours, json in UTC.")] = Format.csv,
    group: Annotated[
        Group, typer.Option(help="Everybody, or once attendance has settled who came or who did not.")
    ] = Group.registered,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of the times in a CSV. Default: engine.display_timezone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Registrants of a webinar joined with attendance, as the state knows them; GoTo is not asked."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
        zone = _zone(settings.engine.display_timezone if timezone is None else timezone)
    found = frame.execute(_recorded(settings, webinar))
    from zoneinfo import ZoneInfo

    from poller import participants as joining

    rows, notes = joining.participants(found, joining.Group(group.value))
    if as_json or format_ is Format.json:
        frame.show_json(rows)
    else:
        _show(joining.as_csv(rows, ZoneInfo(zone)))
    for note in notes:
        typer.echo(f"poller: {note}", err=True)


def _zone(name: str) -> str:
    """Raises UsageError."""
    from poller.errors import UsageError
    from poller.fields import FieldError
    from poller.settings.sections import time_zone

    try:
        return time_zone(name)
    except FieldError as error:
        raise UsageError(f"--timezone: {error}") from error


async def _recorded(settings: Settings, webinar: str) -> Recorded:
    from poller.participants import recorded

    async with frame.looking(settings) as store:
        return await recorded(store, webinar)


def _show(table: str) -> None:
    """In UTF-8, whatever the terminal's language; to a terminal nothing that could steer it."""
    if sys.stdout.isatty():
        table = "\r\n".join(map(frame.plain, table.split("\r\n")))
    typer.echo(table.encode(), nl=False)
