"""The files under examples/deploy fit the program and each other."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from poller.settings import Engine, Settings
from tests import command_line

CHECKOUT = Path(__file__).parents[1]
DEPLOY = CHECKOUT / "examples" / "deploy"
UNIT = DEPLOY / "goto-poller.service"
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# ── deploy/goto-poller.service ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=True)  # strict: no key of ours stands there twice
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys have capitals
    unit.read(UNIT)
    return unit["Service"]


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/goto-poller/bin/poller", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.stem in line]  # not those about other units
    assert complaints == []


def test_the_unit_runs_a_command_that_exists_and_reloads_by_sighup(service: configparser.SectionProxy) -> None:
    program, *arguments = shlex.split(service["ExecStart"])
    assert PurePosixPath(program).name == "poller"
    assert command_line.parse(arguments) == "run"
    assert service["Type"] == "notify"
    assert service["ExecReload"].endswith("kill -HUP $MAINPID")


def test_the_unit_restarts_what_can_be_mended_by_a_restart_and_nothing_else(
    service: configparser.SectionProxy,
) -> None:
    """2 settings, 3 login, 4 state: these wait for a person."""
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == ["2", "3", "4"]


def test_the_unit_keeps_the_state_where_the_service_may_write(service: configparser.SectionProxy) -> None:
    folder = PurePosixPath("/var/lib") / service["StateDirectory"]
    name, _, state = service["Environment"].partition("=")
    assert name == "POLLER_ENGINE__STATE"
    assert PurePosixPath(state).parent == folder
    assert (service["ProtectSystem"], service["StateDirectoryMode"]) == ("strict", "0700")


def test_stopping_leaves_deliveries_under_way_their_grace(service: configparser.SectionProxy) -> None:
    grace = Engine().grace.total_seconds()
    assert int(service["TimeoutStopSec"].removesuffix("s")) > grace
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert int(compose["services"]["poller"]["stop_grace_period"].removesuffix("s")) > grace


# ── deploy/Dockerfile ────────────────────────────────────────────────────────────────────────────────────────────────


def instructions() -> Iterator[tuple[str, str]]:
    """What the Dockerfile orders, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            order, _, rest = line.strip().partition(" ")
            yield order, rest.strip()


def last(order: str) -> str:
    return [rest for found, rest in instructions() if found == order][-1]


def image_environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(last("ENV")))


def test_the_image_is_built_from_files_of_the_checkout_on_a_python_we_support() -> None:
    for order, rest in instructions():
        if order == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert all((CHECKOUT / source).exists() for source in sources), rest
        if order == "FROM":
            found = re.match(r"python:(\d\.\d+)-slim\b", rest)
            assert found, rest
            assert f"Programming Language :: Python :: {found[1]}" in PROJECT["classifiers"]
    packed = {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "poller", "state"}
    copied = {word for order, rest in instructions() if order == "COPY" for word in rest.split()}
    assert packed <= copied
    extras = re.search(r"/source\[(\w+)\]", last_of_build())
    assert extras
    assert extras[1] in PROJECT["optional-dependencies"]


def last_of_build() -> str:
    return next(rest for order, rest in instructions() if order == "RUN" and "pip install" in rest)


def test_the_container_runs_as_nobody_special_and_keeps_its_state_in_a_volume() -> None:
    state = PurePosixPath(image_environment()["POLLER_ENGINE__STATE"])
    assert last("VOLUME") == str(state.parent)
    assert last("USER") not in ("", "root", "0")
    orders = [order for order, _ in instructions()]
    assert orders.index("USER") < orders.index("ENTRYPOINT")


def test_the_container_runs_and_asks_for_its_health_by_commands_that_exist() -> None:
    assert yaml.safe_load(last("ENTRYPOINT")) == ["poller"]
    assert command_line.parse(yaml.safe_load(last("CMD"))) == "run"
    program, *arguments = yaml.safe_load(last("HEALTHCHECK").partition("CMD ")[2])
    assert program == "poller"
    assert command_line.parse(arguments) == "status"


# ── deploy/compose.yaml ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


def test_compose_builds_our_image_and_mounts_state_and_settings_where_it_looks(
    services: dict[str, dict[str, Any]],
) -> None:
    poller, image = services["poller"], image_environment()
    context = DEPLOY / poller["build"]["context"]
    assert (context / poller["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    volume, settings = poller["volumes"]
    assert volume == f"state:{PurePosixPath(image['POLLER_ENGINE__STATE']).parent}"
    assert settings["target"] == image["POLLER_CONFIG"]
    assert settings["bind"] == {"create_host_path": False}
    assert poller["restart"] == "unless-stopped"


def test_compose_s_simulator_is_the_one_that_the_rehearsal_s_settings_point_to(
    services: dict[str, dict[str, Any]],
) -> None:
    simulator = services["simulator"]
    assert simulator["profiles"] == ["simulator"]
    assert simulator["network_mode"] == "service:poller"
    assert simulator["image"] == services["poller"]["image"]
    assert command_line.parse(simulator["command"]) == "simulate"
    port = simulator["command"][simulator["command"].index("--port") + 1]
    rehearsal = Settings.load(DEPLOY / "rehearsal.toml")
    hosts = {rehearsal.goto.api_url, rehearsal.goto.auth_url, rehearsal.goto.admin_url, rehearsal.goto.room_url}
    assert hosts == {f"http://127.0.0.1:{port}"}
