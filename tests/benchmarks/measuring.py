"""What benchmarks measure with: phases of a process, medians of runs, and the machine they ran on."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sqlite3
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figures:
    """Of one phase, imports excluded. Seconds, bytes; `process_cpu` counts all since the start of the child."""

    wall: float
    cpu: float
    process_cpu: float
    peak_rss: int
    state_bytes: int = 0


class Phase:
    """Runs from its making to `end`."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def end(self, times: int = 1, state: Path | None = None) -> Figures:
        """`times`: how often the phase did the same; wall and cpu are then those of one."""
        return Figures(
            (time.perf_counter() - self._wall) / times,
            (time.process_time() - self._cpu) / times,
            time.process_time(),
            peak_rss(),
            0 if state is None else sum(path.stat().st_size for path in state.parent.glob(f"{state.name}*")),
        )


def peak_rss() -> int:
    """Bytes. Not getrusage on Linux: its peak survives exec, so a child would begin with its parent's."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def median(runs: list[Figures]) -> Figures:
    """Field by field."""
    fields = zip(*(asdict(run).values() for run in runs), strict=True)
    return Figures(*(statistics.median(values) for values in fields))  # type: ignore[arg-type]


def machine() -> str:
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores,"
        f" {platform.system()} {platform.machine()}"
    )
