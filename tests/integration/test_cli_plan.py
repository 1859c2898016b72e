"""`poller plan`: the coming day from the state alone."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from poller.clock import SystemClock
from poller.simulator import Simulator, WorldOptions
from tests.integration.terminal import Terminal

SCARCE = '[limits]\nprofile = "developer"\n'


async def polled(folder: Path) -> Terminal:
    """A state that has seen six webinars once."""
    sim = Simulator(WorldOptions(webinars=6, registrants=60, rate_per_minute=0), clock=SystemClock())
    terminal = Terminal(folder)
    async with sim.serve(ticker=False) as terminal.url:
        terminal.log_in_by_pat(sim, SCARCE)
        assert (await terminal.run("run", "--once")).code == 0
    return terminal


async def test_the_coming_day_is_told_in_calls_and_delays_without_any_call(tmp_path: Path) -> None:
    terminal = await polled(tmp_path)  # GoTo is gone by now
    said = await terminal.run("plan", "--json")
    assert said.code == 0, said.err
    plan = json.loads(said.out)
    (acme,) = plan["connections"]
    assert acme["name"] == "acme" and acme["targets"] == 7
    assert 300 < acme["calls"] <= 500
    assert acme["mean_delay"] > 0 and acme["shortest"] <= acme["longest"]
    assert len(plan["hours"]) == 24 and {row["connection"] for row in plan["hours"]} == {"acme"}
    assert sum(row["calls"] for row in plan["hours"]) <= 500
    assert len(plan["targets"]) == 7
    assert any("webhooks" in line for line in plan["advice"])
    text = (await terminal.run("plan", "--for", "3h")).out
    assert "acme" in text and text.count(" acme ") >= 3


async def test_a_plot_is_a_drawing_with_a_bar_for_each_hour(tmp_path: Path) -> None:
    terminal = await polled(tmp_path)
    plot = tmp_path / "plan.svg"
    assert (await terminal.run("plan", "--for", "12h", "--plot", str(plot))).code == 0
    root = ElementTree.fromstring(plot.read_text())
    bars = [element for element in root.iter() if element.get("class") == "bar"]
    assert len(bars) == 12
    assert all(float(bar.get("height", "0")) > 0 for bar in bars)
    lines = [element for element in root.iter() if element.get("class") == "line"]
    assert len(lines) == 1 and len(lines[0].get("points", "").split()) == 12


async def test_bad_arguments_are_said_with_what_would_do_and_nothing_is_written(tmp_path: Path) -> None:
    terminal = await polled(tmp_path)
    for arguments, words in (
        (["--for", "soon"], "--for"),
        (["--for", "5m"], "an hour"),
        (["--plot", str(tmp_path / "plan.png")], ".svg"),
        (["--plot", str(tmp_path / "absent" / "plan.svg")], "does not exist"),
    ):
        said = await terminal.run("plan", *arguments)
        assert said.code == 2 and words in said.err and "Traceback" not in said.err
    assert not list(tmp_path.glob("plan.*"))


async def test_before_any_login_it_says_that_nothing_is_polled(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.write("")
    said = await terminal.run("plan")
    assert said.code in (0, 4) and "Traceback" not in said.err


async def test_check_says_what_would_shorten_the_delay(tmp_path: Path) -> None:
    sim = Simulator(WorldOptions(webinars=30, registrants=60, rate_per_minute=0), clock=SystemClock())
    terminal = Terminal(tmp_path)
    async with sim.serve(ticker=False) as terminal.url:
        terminal.log_in_by_pat(sim, SCARCE)
        assert (await terminal.run("run", "--once")).code == 0
        rows = json.loads((await terminal.run("check", "--json")).out)
    notes = [row["detail"] for row in rows if row["what"] == "plan"]
    assert any("limits allow" in note for note in notes)
    assert any("count hint" in note for note in notes)
    assert any("webhooks" in note for note in notes)
