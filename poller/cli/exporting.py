"""Files for other programs: connector."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(connector)


def connector(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")],
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where Power Automate reaches the engine. Default: [http] public_url."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a Power Automate custom connector for this engine: its definition and its properties."""
    from importlib.metadata import version

    from poller.web.connector import DEFINITION_FILE, PROPERTIES_FILE, definition, properties

    with frame.exits():
        url = public_url or _public_url(frame.load_settings(secrets=False))
        contents = {DEFINITION_FILE: definition(url, version("goto-poller")), PROPERTIES_FILE: properties()}
        _write(folder, contents, force)
    typer.echo(f"wrote {' and '.join(contents)} to {folder}; import them under Power Automate's custom connectors")


def _public_url(settings: Settings) -> str:
    """Where the settings say the engine is reached; without a word, where it listens."""
    if settings.http.public_url:
        return settings.http.public_url
    url = f"http://{settings.http.listen or '127.0.0.1:8470'}"
    typer.echo(
        f"poller: [http] public_url is not set, so the connector names {url}, which Power Automate cannot reach",
        err=True,
    )
    return url


def _write(folder: Path, contents: dict[str, dict[str, Any]], force: bool) -> None:
    """All or, as far as can be seen before, none. Raises UsageError."""
    from poller.errors import UsageError
    from poller.files import write_whole

    paths = {folder / name: content for name, content in contents.items()}
    there = [str(path) for path in paths if os.path.lexists(path)]
    if there and not force:
        raise UsageError(f"{', '.join(there)}: exists already; choose another folder, or overwrite it with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in paths.items():
            write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    except OSError as err:
        raise UsageError(f"{folder}: cannot be written to: {err.strerror}") from err
