"""Programs of Node.js that tests run, installed by npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.servers.base import lacking

SECONDS = 100.0  # for packages that npm does not have in its cache


def node() -> str:
    """Where it is; skips (in CI: fails) without it."""
    found = shutil.which("node")
    if found is None:
        lacking("node is not installed")
    assert found is not None
    return found


def install(folder: Path, *packages: str) -> None:
    """Into `folder`; without names, what the package.json there wants. Skips (in CI: fails) where it cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        return lacking("npm is not installed")
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error", "--prefer-offline")
    try:
        done = subprocess.run(
            [npm, "install", *quiet, *packages], cwd=folder, env={**os.environ, "NODE_ENV": ""},
            capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return lacking(f"npm could not install {packages} within {SECONDS:g} s")
    if done.returncode:
        lacking(f"npm could not install {packages}: {done.stderr[-500:]}")
    return None
