"""`poller connector`: both files, for the address in the settings, and never in the place of others."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.integration.terminal import Terminal

FILES = ["apiDefinition.swagger.json", "apiProperties.json"]


@pytest.fixture(autouse=True)
def _at_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative folders are taken from where the command is typed."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    (tmp_path / "poller.toml").write_text('[http]\npublic_url = "https://poller.example.com/goto"\n')
    return Terminal(tmp_path)


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


async def test_both_files_are_written_for_the_public_address(terminal: Terminal) -> None:
    said = await terminal.run("connector", "made/here")
    assert (said.code, said.err) == (0, "")
    files = written(terminal.folder / "made/here")
    assert list(files) == FILES
    definition = json.loads(files["apiDefinition.swagger.json"])
    assert (definition["schemes"], definition["host"]) == (["https"], "poller.example.com")
    assert definition["basePath"] == "/goto"
    assert "connectionParameters" in json.loads(files["apiProperties.json"])["properties"]


async def test_an_address_given_with_the_command_needs_no_settings(tmp_path: Path) -> None:
    said = await Terminal(tmp_path).run("connector", "out", "--public-url", "https://other.example.com")
    assert said.code == 0
    assert json.loads(written(tmp_path / "out")[FILES[0]])["host"] == "other.example.com"


async def test_without_a_public_address_the_connector_names_the_local_one_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "poller.toml").write_text('[http]\nlisten = "127.0.0.1:9000"\n')
    said = await Terminal(tmp_path).run("connector", "out")
    assert said.code == 0
    assert "public_url" in said.err
    assert json.loads(written(tmp_path / "out")[FILES[0]])["host"] == "127.0.0.1:9000"


@pytest.mark.parametrize("mine", FILES)
async def test_what_is_there_stays_unless_forced(terminal: Terminal, mine: str) -> None:
    folder = terminal.folder / "out"
    folder.mkdir()
    (folder / mine).write_text("my own")
    refused = await terminal.run("connector", "out")
    assert refused.code == 2
    assert mine in refused.err and "--force" in refused.err
    assert written(folder) == {mine: "my own"}
    assert (await terminal.run("connector", "out", "--force")).code == 0
    assert list(written(folder)) == FILES
    assert "my own" not in written(folder).values()


async def test_a_folder_that_cannot_be_written_to_is_named(terminal: Terminal) -> None:
    (terminal.folder / "file").write_text("")
    for folder in ("file", "file/below", "/proc/nowhere"):
        said = await terminal.run("connector", folder)
        assert said.code == 2
        assert folder in said.err and "Traceback" not in said.err


async def test_a_write_that_fails_leaves_what_was_there(terminal: Terminal) -> None:
    folder = terminal.folder / "out"
    (folder / FILES[1]).mkdir(parents=True)  # cannot be replaced by a file
    said = await terminal.run("connector", "out", "--force")
    assert said.code == 2
    assert sorted(path.name for path in folder.iterdir()) == FILES  # and no temporary file


async def test_an_address_that_is_none_is_refused(terminal: Terminal) -> None:
    for url in ("poller.example.com", "ftp://poller.example.com"):
        said = await terminal.run("connector", "out", "--public-url", url)
        assert (said.code, "public_url" in said.err) == (2, True)
    assert not (terminal.folder / "out").exists()


async def test_the_files_are_their_owners(terminal: Terminal) -> None:
    await terminal.run("connector", "out")
    for name in FILES:
        assert stat.S_IMODE((terminal.folder / "out" / name).stat().st_mode) == 0o600
