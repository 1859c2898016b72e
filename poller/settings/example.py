"""The commented settings file that `poller init` writes."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Final

from poller.errors import UsageError
from poller.files import write_whole

_RESOURCE: Final = "example.toml"


def example_text() -> str:
    """A settings file that explains every key, and works once the OAuth client's id is filled in."""
    return files(__package__).joinpath(_RESOURCE).read_text(encoding="utf-8")


def write_example(path: Path, force: bool = False) -> None:
    """Write the example to `path`, readable by its owner only, whole or not at all.

    Raises UsageError if something is there already and `force` does not allow replacing it.
    """
    if not force and os.path.lexists(path):
        raise UsageError(f"{path}: exists already; choose another name, or overwrite it with --force")
    try:
        write_whole(path, example_text())  # mode 0600, which suits a file that may hold secrets
    except OSError as err:
        raise UsageError(f"{path}: cannot be written: {err.strerror}") from err
