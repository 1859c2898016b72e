"""The floors of the house, as written down in pyproject.toml, hold for every import there is."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from importlinter import api  # noqa: F401  # importing it prepares the library
from importlinter.application.use_cases import lint_imports

CHECKOUT = Path(__file__).parents[1]

# What a declared library's own interface is made of, and cannot be without.
PARTS = {"yarl": "aiohttp", "pydantic-core": "pydantic"}


def test_every_import_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    kept = lint_imports(config_filename=str(CHECKOUT / "pyproject.toml"), cache_dir=None)
    assert kept, capsys.readouterr().out


def test_every_library_that_is_imported_is_a_dependency_or_in_an_extra() -> None:
    """The tests' own libraries bring others along, which a plain install lacks."""
    graph = grimp.build_graph("poller", "state", include_external_packages=True, cache_dir=None)
    outside = {module for module in graph.modules if graph.is_module_squashed(module)} - sys.stdlib_module_names
    installed = packages_distributions()
    imported = {canonical(installed.get(module, [module])[0]) for module in outside}
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [listed for name, listed in project["optional-dependencies"].items() if name != "dev"]
    declared = {canonical(text) for listed in [project["dependencies"], *extras] for text in listed}
    # The contract of sinks is run by pytest, so whoever imports it has that.
    assert graph.find_modules_that_directly_import("pytest") == {"poller.testing.sinks"}
    assert {PARTS.get(name, name) for name in imported} - {"pytest"} <= declared


def canonical(requirement: str) -> str:
    """The name in a requirement, spelt as package indexes compare names."""
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()
