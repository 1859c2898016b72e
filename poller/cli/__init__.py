"""The command `poller`. Each group of commands is a file; what a command needs is imported when it runs."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys


def main() -> None:
    """Entry point of the console script; ends the process with the contract's exit codes."""
    with contextlib.suppress(ValueError):  # only the main thread may
        # Until a command has its own way to end: SIGTERM is no failure, also while modules are still being imported.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _prepare_streams()
    from poller.cli.root import run

    try:
        run()
    except SystemExit as ended:
        if not _unread(ended):
            raise
        sys.exit(0)
    except OSError as error:  # what was to be shown could not be: the disk behind standard output is full, for one
        sys.exit(f"poller: {error.filename or 'output'}: {error.strerror or error}")
    finally:
        _let_go()
        with contextlib.suppress(ValueError):
            # The interpreter takes a moment to go, in which a signal would still kill it and spoil the exit code.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _prepare_streams() -> None:
    """Output is UTF-8 whatever the locale says: JSON and CSV have to be, and a title must not end a command.

    A stream that is closed (`>&-`) gets something in its place, or else the next file that is opened would take its
    number. What stands for standard output cannot be written to: results and events must not vanish unnoticed.
    """
    for number, (name, mode) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, mode)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _let_go() -> None:
    """What standard output has not taken by now it never will; Python would try again at its end, and fail with 120."""
    from poller.cli import frame

    try:
        sys.stdout.flush()
    except OSError:
        frame.stop_talking(sys.stdout)


def _unread(ended: SystemExit) -> bool:
    """Whether it ended because whoever read its output went away, as in `poller status | head -1`: no failure.

    Typer and rich end the process with 1 when a write meets a closed pipe. Where that write was to tell of an error,
    the failure stays one.
    """
    broken = ended.__context__
    return isinstance(broken, BrokenPipeError) and broken.__context__ is None
