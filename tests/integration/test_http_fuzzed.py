"""What the surface says of itself is what it does, whatever it is sent: schemathesis reads its description and tries.

It must meet no 5xx, no status, header, media type or body that is not described, no description that is refused and no
nonsense that is taken, no path that answers without its key, and nothing that is still there after it was deleted.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from poller.testing.events import draft
from poller.web import gate
from tests.integration.http_house import House, http_house

KEY = "a key of the fuzzer"
SEED = 1
PATIENCE = 100.0  # seconds for what takes ten

# What a description cannot say: which types and connections there are now, that a callback must be public, which
# webinars are polled.
CONFIGURATION = """
[[operations]]
include-operation-id = "readFeed"
parameters = { timeout = 0 }  # long polls would take their time
checks = { positive_data_acceptance = { expected-statuses = ["2xx", 400] } }
[[operations]]
include-operation-id = ["subscribe", "sync"]
checks = { positive_data_acceptance = { expected-statuses = ["2xx", 400] } }
[[operations]]  # of these two descriptions hold, their own and that of operations in general
include-operation-id = ["ListWebinars", "GetWebinar", "ListRegistrations", "GetRegistrant", "AddRegistrant"]
checks.allow_header_conformance.enabled = false
checks.positive_data_acceptance.expected-statuses = ["2xx", 400]
[[operations]]
include-operation-id = ["pollTrigger", "listItems"]
parameters = { trigger = "OnNewRegistration" }  # of other names there is nothing to be had
"""


async def fuzz(house: House, folder: Path, seed: int, examples: int) -> str:
    """What schemathesis prints at the end of a good run; fails with all of it after any other."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration),
        "run", f"{house.surface.url}/openapi.json", "--header", f"X-API-Key: {KEY}",
        "--exclude-operation-id", "streamEvents",  # it has no end; see test_http_feed
        "--seed", str(seed), "--max-examples", str(examples), "--generation-database", "none", "--no-color",
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = "\n".join(line[:1000] for line in out.decode().splitlines())
    assert process.returncode == 0, text
    return text


@pytest.fixture
async def endured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate lets a fuzzer try as many keys as it likes, as fast as it can."""
    for name in ("BURST", "WRONG_BURST"):
        monkeypatch.setattr(gate, name, 1e9)


async def run(folder: Path, seed: int, examples: int) -> str:
    triggers = [{"name": "all"}, {"name": "hooks", "on": ["webhook.joined"]}]
    async with http_house(folder, http={"api_keys": [KEY]}, triggers=triggers) as house:
        await house.tell(*(draft(number) for number in range(1, 21)))
        described = (await house.get("/openapi.json", headers={"X-API-Key": KEY})).json
        found = await fuzz(house, folder, seed, examples)
    operations = sum(len(item) for item in described["paths"].values())
    assert f"Tested: {operations - 2}" in found, "all but the stream and the description itself"
    covered = re.search(r"API Links: +(\d+) covered", found)
    assert covered and int(covered[1]) > 0, "a subscription is made, found at its address, and ended"
    return found


async def test_a_fuzzer_finds_the_surface_to_be_as_described(tmp_path: Path, endured: None) -> None:
    await asyncio.wait_for(run(tmp_path, SEED, 20), PATIENCE)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(1, 4))
async def test_a_fuzzer_with_time_finds_the_surface_to_be_as_described(
    tmp_path: Path, endured: None, seed: int
) -> None:
    await run(tmp_path, seed, 150)
