"""Reading SQLite's write-ahead log as far as a test of power cuts needs it: https://www.sqlite.org/fileformat2.html#walformat."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = 32  # bytes of the log's header
FRAME_HEADER = 24


@dataclass(frozen=True)
class Log:
    """The valid part of a log: where each of its transactions ends, as an offset in bytes."""

    commits: list[int]

    @property
    def end(self) -> int:
        """Behind this offset nothing counts: frames of an unfinished transaction, or of an earlier round."""
        return self.commits[-1] if self.commits else HEADER


def read_log(data: bytes) -> Log:
    """Frames count while they carry the salts of the header; one with a database size ends a transaction."""
    if len(data) < HEADER:
        return Log([])
    page_size = struct.unpack(">I", data[8:12])[0]
    salts = data[16:24]
    commits = []
    at = HEADER
    while at + FRAME_HEADER + page_size <= len(data):
        size_after, frame_salts = data[at + 4 : at + 8], data[at + 8 : at + 16]
        if frame_salts != salts:
            break
        at += FRAME_HEADER + page_size
        if size_after != b"\0\0\0\0":
            commits.append(at)
    return Log(commits)
