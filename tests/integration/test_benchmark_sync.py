"""The benchmark of first sync and sweep does what it says, at a size at which nothing is measured."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.sync import ROLES, Figures, Job, in_child, serving, table

WEBINARS, REGISTRANTS, SWEEPS = 3, 5, 2
PHASES = {
    "floor-first": {"first"},
    "floor-fetch": {"sweep"},
    "floor-digest": {"sweep"},
    "product-now": {"first", "sweep", "news"},
    "product-all": {"first"},
}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with serving(WEBINARS, REGISTRANTS) as url:
        yield url


@pytest.mark.parametrize("role", ROLES)
async def test_every_part_does_its_work_and_says_what_it_cost(role: str, base_url: str, tmp_path: Path) -> None:
    """What the product polled and delivered is counted by the parts themselves."""
    figures = await ROLES[role](Job(base_url, WEBINARS, REGISTRANTS, SWEEPS, tmp_path))

    assert figures.keys() == PHASES[role]
    assert all(found.wall > 0 and found.peak_rss > 0 for found in figures.values())
    assert all(found.state_bytes > 0 for phase, found in figures.items() if phase == "first")


def test_a_part_can_be_measured_in_a_child_of_its_own(base_url: str) -> None:
    found = in_child("floor-fetch", base_url, Namespace(webinars=WEBINARS, sweeps=SWEEPS), REGISTRANTS)
    assert 0 < found["sweep"].cpu < found["sweep"].process_cpu


def test_the_table_shows_every_part_beside_its_floor() -> None:
    once, twice = Figures(1.0, 1.0, 2.0, 2**20), Figures(2.0, 2.0, 3.0, 2**20, 10**6)
    found = {(role, phase): once if "floor" in role else twice for role in ROLES for phase in PHASES[role]}
    more = {("more", phase): twice for phase in PHASES["product-now"]}
    lines = list(table(Namespace(webinars=3, registrants=5, more_registrants=9), {**found, **more}))

    assert len(lines) == 1 + len(found) + len(more)
    assert sum("2.00   2.00" in line for line in lines) == 4  # CPU and its ratio, of what is no floor
