"""The command line as a whole: global options, and which group of commands lives in which file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from poller.cli import (
    calling,
    checking,
    delivering,
    exporting,
    frame,
    groups,
    keeping,
    looking,
    participants,
    registering,
    running,
    setting_up,
    simulating,
    subscribing,
    switching,
)

app = typer.Typer(
    name="poller",
    help="Notices every new webinar and registrant of GoTo, and tells other systems about each of them as promised.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class LogFormat(StrEnum):
    console = "console"
    json = "json"


class LogLevel(StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("goto-poller"))
        raise typer.Exit


@app.callback()
def options(
    config: Annotated[
        Path | None, typer.Option(help="Settings file. Default: $POLLER_CONFIG, else ./poller.toml", show_default=False)
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look; they go to stderr.")] = LogFormat.console,
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.info,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    frame.options.config = config
    frame.options.log_format = log_format.value
    frame.options.log_level = log_level.value


setting_up.register(app)
checking.register(app)
running.register(app)
looking.register(app)
participants.register(app)
delivering.register(app)
calling.register(app)
registering.register(app)
subscribing.register(app)
switching.register(app)
keeping.register(app)
simulating.register(app)
exporting.register(app)
groups.register(app)


def run() -> None:
    """Exit codes: typer's 2 for wrong usage, as for wrong settings; the rest is in poller.errors.exit_code."""
    app(args=general_first(sys.argv[1:]))


# The options of `options` that take a value; no command has one of these names.
_GENERAL = ("--config", "--log-format", "--log-level")


def general_first(words: Sequence[str]) -> list[str]:
    """`poller run --config FILE` says the same as `poller --config FILE run`; typer knows only the second."""
    general: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            return [*general, *rest, word, *waiting]
        if word.partition("=")[0] not in _GENERAL:
            rest.append(word)
            continue
        value = [] if "=" in word else list(islice(waiting, 1))
        (general if value or "=" in word else rest).extend([word, *value])
    return [*general, *rest]
