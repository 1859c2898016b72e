"""Starting and ending the processes of state_child.py."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def child(verb: str, path: Path, failpoints: str = "") -> Iterator[subprocess.Popen[str]]:
    """A child at work; it is killed on the way out if it has not ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.state_child", verb, str(path)],
        cwd=ROOT,
        env={**os.environ, "POLLER_FAILPOINTS": failpoints},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line the child says; empty once it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run_to_end(verb: str, path: Path, failpoints: str = "") -> tuple[int, list[str]]:
    """The child's exit status (negative: the signal that ended it) and everything it said."""
    with child(verb, path, failpoints) as process:
        said, _ = process.communicate(timeout=60)
        return process.returncode, said.splitlines()
