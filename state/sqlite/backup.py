"""A consistent copy of a state file that may be in use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from state.errors import StateNotWritable
from state.failpoints import hit
from state.sqlite import switches
from state.sqlite.connection import translate, uri

# Pages copied at once; between two steps the source may be written.
STEP = 2000


def backup_file(source: str, path: Path) -> None:
    """Copy the state file `source`, which its engine may be writing to, to `path`."""
    if path.resolve() == Path(source).resolve():
        raise StateNotWritable(f"{path}: this is the state itself; name another file for the backup")
    try:
        reader = sqlite3.connect(uri(source, "ro"), uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise translate(error, source) from error
    try:
        # One snapshot for the whole copy: without it every commit in between would send it back to the first page.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        backup(reader, path)
    finally:
        reader.close()


def backup(source: sqlite3.Connection, path: Path) -> None:
    """Copy `source` to `path`: complete or not there at all. The copy is stamped, so that it begins a new epoch."""
    if path.exists() and not path.is_file():
        raise StateNotWritable(f"{path}: this is no file; name one for the backup")
    if path.is_symlink():
        path = path.resolve()  # the link stays
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            source.backup(copy, pages=STEP, progress=lambda *_: hit("backup.inside"))
            copy.execute("PRAGMA journal_mode = DELETE")
            switches.set_meta(copy, "backup", "1")
        finally:
            copy.close()
        _make_durable(part, path)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StateNotWritable(f"{path}: the backup could not be written ({error})") from error


def _make_durable(part: Path, path: Path) -> None:
    handle = os.open(part, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name must outlive a power cut too
    finally:
        os.close(folder)
