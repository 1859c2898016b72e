"""The function sink and the registry: a coroutine of the user's own, found by name or given; sinks of third parties."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from poller.errors import Gone, Refused, UsageError, Wait
from poller.sinks import registry
from poller.sinks.base import SinkContext, SinkSettings
from poller.sinks.file import FileSink
from poller.sinks.function import FunctionSettings, FunctionSink
from poller.testing.events import DATA, outgoing


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """A module beside the settings file."""
    before = list(sys.path)
    path = tmp_path / "users_own_sink.py"
    path.write_text(
        "got = []\nasync def take(event): got.append(event)\ndef plain(event): pass\n"
        "class Box:\n    @staticmethod\n    async def take(event): got.append(event)\n"
    )
    importlib.invalidate_caches()
    yield path
    sys.path[:] = before
    sys.modules.pop("users_own_sink", None)


def make(call: str, base: Path = Path(), **options: Any) -> FunctionSink:
    return FunctionSink(FunctionSettings(name="f", type="function", call=call, **options), SinkContext(base=base))


@pytest.mark.parametrize("name", ["take", "Box.take"])
async def test_a_coroutine_beside_the_settings_is_found_and_called(module: Path, name: str) -> None:
    sink = make(f"users_own_sink:{name}", module.parent)
    await sink.connect()
    assert await sink.send([outgoing(7)]) == [None]
    assert sys.modules["users_own_sink"].got == [outgoing(7).event]
    assert "users_own_sink" in await sink.check()


async def test_the_function_gets_the_format_that_was_chosen(module: Path) -> None:
    for options, expected in [
        ({"format": "data"}, DATA),
        ({"format": "template", "template": "{{ data.firstName }}"}, "Zoë"),
    ]:
        sink = make("users_own_sink:take", module.parent, **options)
        await sink.connect()
        await sink.send([outgoing()])
        assert sys.modules["users_own_sink"].got[-1] == expected


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("no_such_module_at_all:take", "cannot be imported"),
        ("users_own_sink:nothing", "cannot be imported"),
        ("users_own_sink:plain", "not a coroutine function"),
    ],
)
async def test_what_cannot_be_called_says_so_with_sink_and_setting(module: Path, call: str, words: str) -> None:
    with pytest.raises(UsageError, match=f'sink "f", call: {call} .*{words}'):
        await make(call, module.parent).connect()


@pytest.mark.parametrize("call", ["", "module", "module:", ":f", "a b:c"])
def test_a_call_is_written_as_module_colon_name(call: str) -> None:
    with pytest.raises(ValidationError):
        FunctionSettings(name="f", type="function", call=call)


@pytest.mark.parametrize("error", [Refused("no"), Gone("never"), Wait("later", retry_after=5)])
async def test_the_function_may_say_what_its_failure_means(error: Exception) -> None:
    async def take(event: Any) -> None:
        raise error

    sink = FunctionSink(FunctionSettings(name="f", type="function", call="a:b"), SinkContext(), take)
    await sink.connect()
    assert await sink.send([outgoing()]) == [error]


async def test_any_other_exception_waits_and_tells_the_place_but_not_the_text() -> None:
    async def take(event: Any) -> None:
        raise ValueError(f"bad address {event['data']['email']}")

    sink = FunctionSink(FunctionSettings(name="f", type="function", call="a:b"), SinkContext(), take)
    [outcome] = await sink.send([outgoing()])
    assert isinstance(outcome, Wait)
    assert "ValueError at test_sink_function.py:" in str(outcome)
    assert "zoe" not in str(outcome)


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_plain_install_has_its_four_sinks_and_each_is_built_from_its_settings(tmp_path: Path) -> None:
    assert {"file", "function", "stdout", "webhook"} <= set(registry.sink_types())
    settings = registry.sink_settings("file")(name="log", type="file", path=tmp_path / "x")  # type: ignore[call-arg]
    sink = registry.build_sink(settings, SinkContext())
    assert isinstance(sink, FileSink)
    assert (sink.name, sink.concurrency, sink.batch, sink.ordered) == ("log", 1, 500, True)


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.sink_settings("carrier-pigeon")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("pigeon_sink", None)


def third_party(folder: Path, source: str) -> None:
    """Install a distribution that brings a sink, as far as importlib.metadata is concerned."""
    info = folder / "pigeon-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[poller.sinks]\npigeon = pigeon_sink:PigeonSink\nfile = pigeon_sink:PigeonSink\n"
    )
    (folder / "pigeon_sink.py").write_text(source)


_PIGEON = """
from poller.sinks.base import BaseSink, SinkSettings

class PigeonSettings(SinkSettings):
    loft: str

class PigeonSink(BaseSink):
    settings_type = PigeonSettings
"""


def test_a_third_party_adds_a_type_and_cannot_replace_one_of_ours(site: Path) -> None:
    third_party(site, _PIGEON)
    assert "pigeon" in registry.sink_types()
    settings = registry.sink_settings("pigeon").model_validate({"name": "p", "type": "pigeon", "loft": "roof"})
    assert type(registry.build_sink(settings, SinkContext())).__name__ == "PigeonSink"
    assert registry.sink_settings("file").__name__ == "FileSettings"


@pytest.mark.parametrize("source", ["raise ImportError('no driver')", "PigeonSink = object"])
def test_a_third_partys_broken_sink_is_named(site: Path, source: str) -> None:
    third_party(site, source)
    with pytest.raises(UsageError, match='"pigeon"'):
        registry.sink_settings("pigeon")


# ── common settings ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"template": "x"}, 'add format = "template"'),
        ({"format": "template"}, "add template"),
        ({"format": "template", "template": "{{ data."}, 'of sink "crm" is not a Jinja2 template'),
        ({"concurrency": 0}, "greater than 0"),
        ({"concurrency": True}, "valid integer"),
        ({"batch": 5}, "Extra inputs"),
        ({"timeout": "0s"}, "longer than 0"),
    ],
)
def test_mistakes_in_the_common_settings_are_told_at_the_start(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SinkSettings(name="crm", type="x", **options)
