"""The command `poller`. Each group of commands is a file; what a command needs is imported when it runs."""

from __future__ import annotations

import contextlib
import signal
import sys


def main() -> None:
    """Entry point of the console script; ends the process with the contract's exit codes."""
    with contextlib.suppress(ValueError):  # only the main thread may
        # Until a command has its own way to end: SIGTERM is no failure, also while modules are still being imported.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from poller.cli.root import run

    try:
        run()
    except SystemExit as ended:
        if not _unread(ended):
            raise
        sys.exit(0)
    finally:
        with contextlib.suppress(ValueError):
            # The interpreter takes a moment to go, in which a signal would still kill it and spoil the exit code.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _unread(ended: SystemExit) -> bool:
    """Whether it ended because whoever read its output went away, as in `poller status | head -1`: no failure.

    Typer and rich end the process with 1 when a write meets a closed pipe. Where that write was to tell of an error,
    the failure stays one.
    """
    broken = ended.__context__
    return isinstance(broken, BrokenPipeError) and broken.__context__ is None
