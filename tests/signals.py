"""Signals to the processes of tests."""

from __future__ import annotations

import asyncio
import contextlib
import os


def send_signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Like the process's own method, but it leaves the exit code to the loop; one that is gone is no failure.

    The method of the standard library asks first whether the process has ended. If it just has, that question takes
    the exit code, and the loop, which then finds none, reports 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
