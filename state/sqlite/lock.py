"""One owner for a state file: an advisory lock that the kernel gives back when the owner dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from state.errors import StateInUse, StateNotWritable, StateUnavailable


class Lock:
    """flock(2) on `<state>.lock`. Its first line is the owner's process id, for messages; for more see opening.py."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._handle: int | None = None

    def acquire(self) -> None:
        """Raises StateInUse at once if somebody else has it, StateNotWritable if the folder refuses the file."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateNotWritable(
                f"{self.path}: cannot be written ({error.strerror}); the folder of the state must be writable"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(handle, 32).decode(errors="replace").partition("\n")[0] or "unknown"
            os.close(handle)
            raise StateInUse(f"{self.path}: the state is in use by another engine (process {owner})") from error
        self._handle = handle

    def read(self) -> str:
        """What the last owner left, except its process id."""
        assert self._handle is not None, "acquire first"
        return os.pread(self._handle, 4096, 0).decode(errors="replace").partition("\n")[2]

    def write(self, line: str) -> None:
        """Leave `line` for the next owner. Overwritten in place: a kill in between must not leave an empty file."""
        assert self._handle is not None, "acquire first"
        text = f"{os.getpid()}\n{line}\n".encode()
        try:
            os.pwrite(self._handle, text, 0)
            os.ftruncate(self._handle, len(text))
            os.fsync(self._handle)
        except OSError as error:
            raise StateUnavailable(f"{self.path}: cannot be written ({error.strerror})") from error

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
