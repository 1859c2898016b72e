"""What is written about the program is true, and everything there is, is written about."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from poller.calling import operation_named
from poller.goto.operations import OPERATIONS
from poller.settings import Settings
from poller.settings.event_types import pattern
from poller.sinks.registry import sink_types
from tests import command_line

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def section(title: str) -> str:
    """The text below a heading, up to the next heading of its rank or a higher one."""
    found = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert found, f"README.md has no section {title!r}"
    rest = README[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(title: str) -> dict[str, str]:
    """The first table of a section: the code in the first cell → the other cells."""
    table = re.search(r"^\|[ :|-]+\|\n((?:\|.*\n)+)", section(title), re.MULTILINE)
    assert table, f"README.md, {title}: no table"
    cells = [line.split("|", 2)[1:] for line in table[1].splitlines()]
    return {code: rest for first, rest in cells for code in spans(first)}


def spans(text: str) -> list[str]:
    """Inline code, blocks left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_the_readme_has_a_row_for_every_command_and_for_no_other() -> None:
    assert set(rows("Commands")) == {f"poller {name}" for name in command_line.commands()}


@pytest.mark.parametrize("group", [name for name in command_line.commands() if command_line.verbs(name)])
def test_the_readme_names_the_verbs_of_every_group(group: str) -> None:
    assert set(spans(rows("Commands")[f"poller {group}"])) == command_line.verbs(group)


def test_every_command_line_in_the_readme_can_be_typed() -> None:
    """`poller login acme --pat` and the like; the options of a command mentioned alone are known to it too."""
    for span in spans(README):
        words = span.split()
        if words[0] != "poller" or len(words) < 2:
            continue
        command = command_line.commands().get(words[1])
        assert command is not None, span
        for verb in command_line.verbs(words[1]) & set(words[2:3]):
            command = command.commands[verb]
        options = {spelling for option in command.params for spelling in option.opts}
        assert {word for word in words[2:] if word.startswith("--")} <= options, span


def test_options_named_beside_a_command_exist() -> None:
    for command, text in rows("Commands").items():
        known = {o for option in command_line.commands()[command.split()[1]].params for o in option.opts}
        assert {span for span in spans(text) if span.startswith("--")} <= known, command


def test_the_readme_names_every_settings_section_and_no_other() -> None:
    tables = {f"[[{name}]]" if is_list(name) else f"[{name}]" for name in Settings.model_fields}
    assert set(rows("Settings")) == tables


def is_list(name: str) -> bool:
    return bool(Settings.model_fields[name].default == ())


def test_settings_named_in_the_readme_exist() -> None:
    keys: dict[str, Any] = {name: field.annotation for name, field in Settings.model_fields.items()}
    keys = {name: model for name, model in keys.items() if not is_list(name)}
    for span in spans(README):
        dotted = re.fullmatch(r"(\w+)\.(\w+)", span)
        if dotted and dotted[1] in keys:
            assert dotted[2] in keys[dotted[1]].model_fields, span
    for name, key in re.findall(r"POLLER_([A-Z]+)__([A-Z_]+)", README):
        assert key.lower() in keys[name.lower()].model_fields, f"POLLER_{name}__{key}"


def test_the_readme_names_every_sink_type_and_no_other() -> None:
    assert set(rows("Sinks")) == set(sink_types())


def test_the_readme_names_every_extra_and_no_other() -> None:
    extras = set(PROJECT["optional-dependencies"])
    assert extras <= set(spans(README))
    installed = re.findall(r"(?:\.|goto-poller)\[([a-z, ]+)\]", README)
    named = {name.strip() for names in installed for name in names.split(",")}
    assert named | set(re.findall(r"extras? `(\w+)`", README)) <= extras


def test_the_events_of_the_readme_can_be_asked_for_in_triggers() -> None:
    for type_ in rows("What you get"):
        assert pattern(type_) == type_


def test_paths_links_and_modules_in_the_readme_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    paths = [span for span in spans(README) if re.fullmatch(r"(poller|state|tests|examples)/[\w./]*", span)]
    for path in [*links, *paths]:
        assert (CHECKOUT / path).exists(), path
    for module in re.findall(r"-m ((?:tests|poller)[\w.]*)", README):
        file = CHECKOUT / Path(*module.split("."))
        assert file.with_suffix(".py").exists() or (file / "__main__.py").exists(), module


def test_python_in_the_readme_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_two_commands_stand_in_the_readme_once_each() -> None:
    """The runner in .ci takes the second from there."""
    found = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [line.rpartition(" && ")[2] for line in found] == [".venv/bin/poller demo", ".venv/bin/python -m pytest"]


def test_the_changelog_begins_with_the_version_there_is() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?(\d[^\]\s]*)\]? - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    assert versions[0] == PROJECT["version"]


def test_every_example_is_named_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py") if path.name != "test_docs.py")
    for example in shipped("examples"):
        assert example.relative_to("examples").as_posix() in tests, example


# ── the wheel ────────────────────────────────────────────────────────────────────────────────────────────────────────


def shipped(folder: str) -> list[Path]:
    """The files of a folder but what git ignores, relative to the checkout; without git, but what Python leaves."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        return [path for line in listed.stdout.splitlines() if (CHECKOUT / (path := Path(line))).exists()]
    return [
        path.relative_to(CHECKOUT)
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel, built as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(CHECKOUT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_holds_both_packages_whole_and_nothing_else(wheel: list[str]) -> None:
    packages = {path.as_posix() for folder in ("poller", "state") for path in shipped(folder)}
    info = f"goto_poller-{PROJECT['version']}.dist-info"
    about = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert set(wheel) == packages | about


@pytest.mark.parametrize(
    "name",
    [
        "poller/py.typed",
        "state/py.typed",
        "poller/settings/example.toml",
        "poller/web/templates/overview.html",
        "poller/web/static/dashboard.css",
        "state/sqlite/migrations/0001_first.sql",
    ],
)
def test_the_wheel_holds_what_is_not_python(wheel: list[str], name: str) -> None:
    assert name in wheel


def test_the_names_of_other_connectors_lead_where_the_readme_says() -> None:
    table = re.findall(r"^\| ([A-Z][^|`]+) \| (`.+) \|$", section("Calling GoTo"), re.MULTILINE)
    told = {name.split(" (")[0]: spans(text)[0] for names, text in table for name in re.split(r", (?=[A-Z])", names)}
    assert told.pop("Raw Request") == "poller call"
    assert {name: operation_named(name).name for name in told} == told
    aliases = {alias for operation in OPERATIONS.values() for alias in operation.aliases}
    assert aliases <= set(told)
