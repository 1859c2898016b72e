"""GoTo's own webhooks, which make the engine look at once: webhooks subscribe, list, unsubscribe."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from poller.cli import frame, groups

Connection = Annotated[str | None, typer.Option(metavar="NAME", help="Of this connection alone.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(_: typer.Typer) -> None:
    groups.webhooks.command("subscribe")(subscribe)
    groups.webhooks.command("list")(list_webhooks)
    groups.webhooks.command("unsubscribe")(unsubscribe)


def subscribe(
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="NAME", help="May be repeated. Default: all that GoTo has.")
    ] = None,
    connection: Connection = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Have GoTo make another secret key, which it signs with from then on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have GoTo call the running engine whenever something happens. Safe to repeat: what does not work is mended."""
    _perform("webhooks_subscribe", as_json, events=events or [], connection=connection, new_key=new_key)


def list_webhooks(connection: Connection = None, as_json: Json = False) -> None:
    """What GoTo has been told to call here, and whether it does."""
    _perform("webhooks_list", as_json, connection=connection)


def unsubscribe(
    connection: Connection = None,
    delete_webhooks: Annotated[
        bool, typer.Option(help="The webhooks too, with everybody's subscriptions to them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take the engine's own subscriptions away, and nobody else's."""
    if delete_webhooks:
        with frame.exits():
            _agreed(yes)
    _perform("webhooks_unsubscribe", as_json, connection=connection, delete_webhooks=delete_webhooks)


def _agreed(yes: bool) -> None:
    from poller.errors import UsageError

    typer.echo(
        "poller: a webhook that leads here belongs to the OAuth client: whoever else is subscribed to it,"
        " another user or another program, loses that subscription with it",
        err=True,
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was changed: where nobody can be asked, --yes is needed")
    if not typer.confirm("go on?", err=True):
        raise UsageError("nothing was changed")


def _perform(command: str, as_json: bool, **arguments: Any) -> None:
    """Print the rows; what went wrong with a connection is said on stderr, and ends with 1."""
    with frame.exits():
        settings = frame.load_settings()
    rows = frame.execute(frame.command(settings, command, **arguments))
    shown = [row for row in rows if row["event"] or row["subscription"]]
    columns = ["connection", "event", "webhook", "subscription", *([] if command == "webhooks_list" else ["done"])]
    problems = [
        f"{row['connection']}{', ' if row['event'] else ''}{row['event']}: {row['problem']}"
        for row in rows
        if row["problem"]
    ]
    if shown or as_json or not problems:  # what could not be asked for may be there
        empty = "no webhook leads here; `poller webhooks subscribe` makes them"
        frame.show_table(columns, [[row[name] for name in columns] for row in shown], as_json=as_json, empty=empty)
    if problems:
        frame.fail("; ".join(problems))
