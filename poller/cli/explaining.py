"""Telling everything that is known about one webinar, registrant, meeting or event: explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import frame
from poller.shown import Shown

if TYPE_CHECKING:
    from poller.explaining import Account
    from poller.settings import Settings

HINT = (
    "it takes the key of a webinar, registrant or meeting, a subject such as webinars/W/registrants/R, an event's id or"
    " its sequence; `poller events` shows them, and `poller polls` whether anything was polled"
)


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    key: Annotated[str, typer.Argument(metavar="KEY|EVENT", help="A key, a subject, an event's id or sequence.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Everything known about one webinar, registrant, meeting or event, each delivery attempt included."""
    with frame.exits():
        settings = frame.load_settings(secrets=False)
    account = frame.execute(_account(settings, key, Shown(settings.engine.display_timezone, as_json=as_json)))
    if account.is_empty:
        frame.fail(f"nothing is known of {key}; {HINT}")
    if as_json:
        frame.show_json({"key": key, **account.as_dict()})
        return
    for line in account.lines():
        typer.echo(frame.plain(line))


async def _account(settings: Settings, key: str, shown: Shown) -> Account:
    from poller.clock import SystemClock
    from poller.explaining import account

    async with frame.looking(settings) as store:
        return await account(settings, store, SystemClock(), key, shown)
