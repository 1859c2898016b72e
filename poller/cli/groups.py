"""Groups of commands that have verbs in several files: `poller dead list`, `poller dead retry`."""

from __future__ import annotations

import typer


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True)


dead = _group("Dead letters: events that a sink refused, or that grew too old.")
connections = _group("Organizers' and accounts' credentials.")
organizers = _group("Organizers found by the connections.")
triggers = _group("Which events go to which sinks.")
sinks = _group("Where events go.")
webhooks = _group("GoTo's own webhooks, which make the engine look at once.")
state = _group("The state file.")


def register(app: typer.Typer) -> None:
    app.add_typer(dead, name="dead")
    app.add_typer(connections, name="connections")
    app.add_typer(organizers, name="organizers")
    app.add_typer(triggers, name="triggers")
    app.add_typer(sinks, name="sinks")
    app.add_typer(webhooks, name="webhooks")
    app.add_typer(state, name="state")
