"""A sink type of somebody else's: the example package is installed, configured by its type, and passes the contract.

The type is drop_folder_sink/drop_folder.py, its own tests are drop_folder_sink/test_drop_folder.py, and
drop_folder_sink/pyproject.toml makes both known.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "drop_folder_sink"
SETTINGS = """
[[sinks]]
name = "inbox"
type = "drop-folder"
folder = "inbox"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process that has the package."""
    there = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(there))
    done = run([sys.executable, "-m", "pip", "install", *options, str(PACKAGE)], ROOT, os.environ)
    assert done.returncode == 0, done.stderr
    paths = [str(there), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=100)


def poller(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "poller", *arguments], folder, environment)


def test_an_installed_type_is_known_tested_and_shown_by_the_commands(
    installed: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "poller.toml").write_text(SETTINGS)

    tested = poller(tmp_path, installed, "sinks", "test", "inbox")
    shown = poller(tmp_path, installed, "sample", "registrant.added", "--sink", "inbox")

    assert tested.returncode == 0, tested.stderr
    assert shown.returncode == 0 and '"com.goto.registrant.added"' in shown.stdout
    [file] = (tmp_path / "inbox").iterdir()
    assert json.loads(file.read_bytes())["specversion"] == "1.0"


def test_its_mistakes_are_told_like_those_of_any_other_sink(installed: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "poller.toml").write_text(SETTINGS.replace('folder = "inbox"', 'foldr = "inbox"'))

    said = poller(tmp_path, installed, "sinks", "list")

    assert said.returncode == 2 and "foldr" in said.stderr and "folder" in said.stderr
    assert "Traceback" not in said.stderr


def test_without_the_package_the_type_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "poller.toml").write_text(SETTINGS)

    said = poller(tmp_path, os.environ, "sinks", "list")

    assert said.returncode == 2 and "drop-folder" in said.stderr


def test_the_package_passes_the_contract_of_sinks(installed: Mapping[str, str], tmp_path: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(PACKAGE), "-c", "pyproject.toml")

    done = run([sys.executable, "-m", "pytest", *options, "test_drop_folder.py"], PACKAGE, installed)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
