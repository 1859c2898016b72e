"""Does everything that the settings name work? check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Settings, then one real call to every connection and sink. Sends no event."""
    with frame.exits():
        settings = frame.load_settings()
    rows = frame.execute(frame.command(settings, "check"))
    columns = ("what", "name", "result", "detail")
    table = [_settings_row(settings), *([row[column] for column in columns] for row in rows)]
    frame.show_table(columns, table, as_json=as_json)
    failed = [row for row in rows if row["result"] == "failed"]
    if failed:
        names = ", ".join(f"{row['what']} {row['name']}" for row in failed)
        frame.fail(f"failed: {names}", 3 if all(row["login"] for row in failed) else 1)


def _settings_row(settings: Settings) -> list[Any]:
    counts = (
        (len(settings.connections), "connections"),
        (len(settings.effective_triggers()), "triggers"),
        (len(settings.sinks), "sinks"),
    )
    return ["settings", str(settings.path), "ok", ", ".join(f"{count} {what}" for count, what in counts)]
