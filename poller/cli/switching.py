"""Pauses: connections, organizers, triggers and sinks, each with pause and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import typer

from poller.cli import frame, groups

_KINDS: Final = (
    ("connection", groups.connections, "No poll of it begins; what appears meanwhile is told on resume."),
    ("organizer", groups.organizers, "The account's walk leaves them out; what appears meanwhile is told on resume."),
    ("trigger", groups.triggers, "Its deliveries are held; nothing is dropped."),
    ("sink", groups.sinks, "Nothing is sent to it; what is owed waits."),
)


def register(_: typer.Typer) -> None:
    for kind, group, meaning in _KINDS:
        group.command("pause", help=f"Pause a {kind}. {meaning}")(_pause(kind))
        group.command("resume", help=_RESUME.get(kind, f"Go on with a paused {kind}."))(_resume(kind))


_RESUME: Final = {
    "organizer": "Go on with a paused organizer.",
    "trigger": "Go on with a trigger that was paused, or held by its flood guard; what it held is sent.",
    "sink": "Send again, also to a receiver that had asked never to be called.",
}

Name = Annotated[str, typer.Argument(help="Its name in the settings; for an organizer, the organizerKey.")]


def _pause(kind: str) -> Callable[..., None]:
    def pause(
        name: Name,
        reason: Annotated[str, typer.Option(help="For whoever finds it paused.")] = "",
    ) -> None:
        with frame.exits():
            settings = frame.load_settings()
        result = frame.execute(frame.command(settings, "pause", kind=kind, name=name, reason=reason))
        typer.echo(f"{kind} {name}: paused")
        if not result["known"]:
            typer.echo(f"poller: no connection has seen {kind} {name} so far", err=True)

    return pause


def _resume(kind: str) -> Callable[..., None]:
    def resume(name: Name) -> None:
        with frame.exits():
            settings = frame.load_settings()
        result = frame.execute(frame.command(settings, "resume", kind=kind, name=name))
        held = f"; {result['released']} held deliveries go out" if result["released"] else ""
        if result["was_paused"]:
            typer.echo(f"{kind} {name}: resumed{held}")
        else:  # a sink that waits for its next try, or was told to go away, is called at once all the same
            again = "; what is owed to it is tried again now" if kind == "sink" else ""
            typer.echo(f"{kind} {name}: was not paused{again}{held}")

    return resume
