"""The command line as it is, for tests of what is written about it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import typer.main

from poller.cli.root import app


@cache
def root() -> Any:
    """The group of all commands, an object of the library below typer, whose name depends on typer's version."""
    return typer.main.get_command(app)


def commands() -> dict[str, Any]:
    """The commands and groups that a person sees."""
    return {name: command for name, command in root().commands.items() if not command.hidden}


def verbs(command: str) -> set[str]:
    """The commands in a group; none in a plain command."""
    return {name for name, verb in getattr(commands()[command], "commands", {}).items() if not verb.hidden}


def parse(arguments: Sequence[str]) -> str:
    """Check a whole command line (without `poller`), but run nothing; the command's name. Raises if it is wrong."""
    known = commands()
    at = next(place for place, word in enumerate(arguments) if word in known)
    options = {spelling for option in root().params for spelling in option.opts}
    unknown = {word for word in arguments[:at] if word.startswith("-")} - options
    assert not unknown, f"poller has no {unknown}"
    known[arguments[at]].make_context(arguments[at], list(arguments[at + 1 :]))
    return arguments[at]
