"""A file of whole lines that survives crashes, full disks and rotation. Blocking; see `file` for the sink."""

from __future__ import annotations

import os
import re
from pathlib import Path

_BLOCK = 65536


class LineFile:
    """Appends whole lines, durably or not at all.

    `path` is the file being written; rotation renames it to `path.000001`, `path.000002` … (numbers, because clocks
    jump) and keeps the newest. A file holds the lines of one period of `rotate_age` seconds, counted from the epoch
    (a day is a UTC day), because the age of a file is not known after a restart, but the time of its last write is.
    0 switches either rotation off.
    """

    def __init__(self, path: Path, *, rotate_size: int, rotate_age: float, keep: int) -> None:
        self.path = path
        self._rotate_size = rotate_size
        self._rotate_age = rotate_age
        self._keep = keep
        self._fd: int | None = None
        self._size = 0
        self._period = 0

    def open(self) -> None:
        """Make the file if need be, and cut a last line that a crash left unfinished. Does nothing when open."""
        if self._fd is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            found = os.fstat(fd)
            self._size = end_of_last_line(fd, found.st_size)
            if self._size < found.st_size:
                os.ftruncate(fd, self._size)
            if not found.st_size:
                self._sync_folder()
        except BaseException:
            os.close(fd)
            raise
        self._period = self._period_of(found.st_mtime)
        self._fd = fd

    def append(self, lines: bytes, now: float) -> None:
        """Write `lines` (each with its line end) and wait for the disk. Raises OSError, and then nothing was added."""
        if self._moved_away():
            self.close()
        self.open()
        if self._size and self._is_full(len(lines), now):
            self._rotate()
        assert self._fd is not None
        try:
            _write_all(self._fd, lines)
            os.fsync(self._fd)
        except OSError:
            self._take_back(self._fd)
            raise
        self._size += len(lines)
        self._period = self._period_of(now)

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def rotated(self) -> list[Path]:
        """The files put aside, oldest first."""
        ending = re.compile(re.escape(self.path.name) + r"\.(\d{6,})")
        found = [(int(match[1]), path) for path in self.path.parent.iterdir() if (match := ending.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def _is_full(self, more: int, now: float) -> bool:
        too_large = 0 < self._rotate_size < self._size + more
        return too_large or self._period_of(now) != self._period

    def _period_of(self, moment: float) -> int:
        return int(moment // self._rotate_age) if self._rotate_age else 0

    def _rotate(self) -> None:
        self.close()
        before = self.rotated()
        last = int(before[-1].name.rpartition(".")[2]) if before else 0
        self.path.rename(self.path.with_name(f"{self.path.name}.{last + 1:06d}"))
        for old in self.rotated()[: -self._keep]:
            old.unlink(missing_ok=True)
        self.open()

    def _moved_away(self) -> bool:
        """Whether another program renamed or removed the file: what is written to it then, nobody finds."""
        if self._fd is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return True

    def _take_back(self, fd: int) -> None:
        """Cut what a failed write left. If even that fails, the next `open` cuts at least the half line."""
        try:
            os.ftruncate(fd, self._size)
        except OSError:
            self.close()

    def _sync_folder(self) -> None:
        """A new name is durable only with its folder."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def end_of_last_line(fd: int, size: int) -> int:
    """The offset just behind the last line end; 0 if there is none."""
    while size:
        start = max(size - _BLOCK, 0)
        found = os.pread(fd, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
