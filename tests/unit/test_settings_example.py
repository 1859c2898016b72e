"""The commented settings file: complete, true to the models, and written without harm."""

from __future__ import annotations

import os
import re
import stat
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from poller.errors import UsageError
from poller.settings import Connection, Engine, GoTo, Http, Limits, Settings, Trigger, Webhooks
from poller.settings.example import example_text, write_example
from poller.sinks.base import SinkSettings
from poller.sinks.registry import sink_settings, sink_types

# The same with all settings switched on: those at their defaults or as examples begin with "#" and no space.
TABLES: dict[str, Any] = tomllib.loads(re.sub(r"^#(?=[\[a-z])", "", example_text(), flags=re.MULTILINE))
SINKS = {sink["type"]: sink for sink in TABLES["sinks"]}

# Keys that have an example instead of a default.
EXAMPLES = {
    "engine": {"key"},
    "goto": {"client_secret", "ca_file"},
    "http": {"api_keys", "read_only_keys"},
    "webhooks": {"secrets"},
    "connections": {"name", "organizer_key", "pat", "client_id", "client_secret"},
    "triggers": {"name", "on", "when", "sinks"},
}
MODELS: dict[str, type[BaseModel]] = {
    "engine": Engine,
    "goto": GoTo,
    "limits": Limits,
    "http": Http,
    "webhooks": Webhooks,
    "connections": Connection,
    "triggers": Trigger,
}


def table(name: str) -> dict[str, Any]:
    found = TABLES[name]
    if isinstance(found, list):
        (found,) = found
    return dict(found)


def test_the_example_among_the_examples_is_the_one_init_writes() -> None:
    example = Path(__file__).parents[2] / "examples" / "poller.toml"
    assert example.read_text(encoding="utf-8") == example_text()


def test_the_example_works_once_the_client_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTO_CLIENT_SECRET", "s3cret")
    monkeypatch.delenv("POLLER_KEY", raising=False)
    path = tmp_path / "poller.toml"
    write_example(path)
    with pytest.raises(UsageError, match=r'goto\.client_id: is needed by connections\[0\]; .* client_id = "…"'):
        Settings.load(path)
    path.write_text(example_text().replace('client_id = ""', 'client_id = "abc"'), encoding="utf-8")
    settings = Settings.load(path)
    assert [connection.name for connection in settings.connections] == ["main"]
    assert [(sink.name, sink.type) for sink in settings.sinks] == [("console", "stdout")]
    assert settings.goto.client_id == "abc"


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_is_in_the_example_and_nothing_else(name: str) -> None:
    assert set(table(name)) == set(MODELS[name].model_fields)


@pytest.mark.parametrize("name", MODELS)
def test_the_example_shows_the_defaults(name: str) -> None:
    model, examples = MODELS[name], EXAMPLES.get(name, set())
    required = {"name": "x"} if "name" in model.model_fields else {}
    shown = {key: value for key, value in table(name).items() if key not in examples}
    assert (model(**required, **shown)) == model(**required)


def test_the_examples_of_the_other_keys_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        "GOTO_CLIENT_SECRET",
        "GOTO_PAT",
        "POLLER_KEY",
        "POLLER_API_KEY",
        "POLLER_READ_ONLY_KEY",
        "GOTO_WEBHOOK_SECRET",
    )
    for name in secrets:
        monkeypatch.setenv(name, "some value")
    settings = Settings.parse({**TABLES, "sinks": [SINKS["stdout"]]})
    assert settings.triggers[0].sinks == (settings.sinks[0].name,)


def test_every_type_of_sink_is_in_the_example() -> None:
    assert sorted(SINKS) == sink_types()


@pytest.mark.parametrize("kind", sink_types())
def test_every_setting_of_a_sink_is_in_the_example_and_valid(kind: str) -> None:
    model = sink_settings(kind)
    own = set(model.model_fields) - set(SinkSettings.model_fields)
    common = set(SinkSettings.model_fields) if kind == "stdout" else {"name", "type"}
    assert set(SINKS[kind]) == own | common
    model.model_validate(SINKS[kind])


def test_init_writes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "poller.toml"
    write_example(path)
    assert path.read_text(encoding="utf-8") == example_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_init_overwrites_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "poller.toml"
    path.write_text("mine")
    with pytest.raises(UsageError) as raised:
        write_example(path)
    assert str(raised.value) == f"{path}: exists already; choose another name, or overwrite it with --force"
    assert path.read_text() == "mine"
    write_example(path, force=True)
    assert path.read_text(encoding="utf-8") == example_text()


def test_init_does_not_replace_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "poller.toml"
    path.symlink_to("elsewhere.toml")
    with pytest.raises(UsageError, match="exists already"):
        write_example(path)
    assert path.is_symlink()


def test_init_by_force_goes_through_a_link_and_keeps_it(tmp_path: Path) -> None:
    path, kept = tmp_path / "poller.toml", tmp_path / "kept.toml"
    kept.write_text("mine")
    path.symlink_to("kept.toml")
    write_example(path, force=True)
    assert path.is_symlink() and kept.read_text(encoding="utf-8") == example_text()


def test_init_by_force_writes_to_a_pipe_or_device_and_never_replaces_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    write_example(pipe, force=True)
    reader.join(timeout=30)
    assert pipe.is_fifo() and read == [example_text()]
    assert list(tmp_path.iterdir()) == [pipe]


def test_init_says_why_it_cannot_write_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        write_example(tmp_path / "nowhere" / "poller.toml")
    assert str(raised.value) == f"{tmp_path}/nowhere/poller.toml: cannot be written: No such file or directory"
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="folder: cannot be written: Is a directory"):
        write_example(tmp_path / "folder", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
