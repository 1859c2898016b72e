"""Every client under examples/ that talks to a running engine does what its first lines say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from poller.testing.events import draft
from tests.integration.http_house import House, http_house, until
from tests.integration.receiver import answering, receiver
from tests.node_packages import install, node
from tests.servers.base import free_port, lacking

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60.0  # seconds for what takes few
KEY = "a key"
POLL = "/v1/triggers/OnNewRegistration/poll"


@contextlib.asynccontextmanager
async def guarded(folder: Path, **more: Any) -> AsyncIterator[House]:
    """A surface that wants a key; it asks readers to come back after a second."""
    folder.mkdir(exist_ok=True)
    http = {"api_keys": [KEY], **more.pop("http", {})}
    async with http_house(folder, http=http, engine={"interval": "1s", "nudge_interval": "1s"}, **more) as house:
        yield house


@contextlib.asynccontextmanager
async def program(*command: str, folder: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A child that knows the key; it is killed on the way out if it has not ended by then."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**os.environ, "API_KEY": KEY, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line it prints. A program that ended instead fails the test with what it said."""
    assert process.stdout is not None and process.stderr is not None
    found = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    if not found:
        pytest.fail((await process.stderr.read()).decode())
    return found.decode().strip()


def noted(place: Path) -> str:
    """Where a reader has noted to be; what it has printed before that does not come again."""
    return place.read_text().strip() if place.exists() else ""


def require(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            lacking(f"{name} is not installed")


# ── curl ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_shell_prints_each_registration_once_although_it_was_down(tmp_path: Path) -> None:
    require("curl", "jq")
    async with guarded(tmp_path) as house:
        await house.people(2)
        command = ("/bin/sh", str(EXAMPLES / "poll.sh"), f"{house.surface.url}{POLL}?limit=2", "place.txt")
        place = tmp_path / "place.txt"
        async with program(*command, folder=tmp_path) as process:
            await until(lambda: "triggerState" in noted(place))
            seen = await house.people(5, first=3)
            assert [json.loads(await line(process))["id"] for _ in seen] == seen
            await until(lambda: noted(place).endswith("-7"))
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert (process.returncode, out, err) == (0, b"", b"")
        assert KEY not in noted(place) and "limit=2" in noted(place)
        missed = await house.people(1, first=8)
        async with program(*command, folder=tmp_path) as process:
            assert json.loads(await line(process))["id"] == missed[0]


async def test_the_shell_ends_at_an_answer_that_no_waiting_mends(tmp_path: Path) -> None:
    require("curl", "jq")
    async with guarded(tmp_path) as house:
        command = ("/bin/sh", str(EXAMPLES / "poll.sh"), f"{house.surface.url}{POLL}", "place.txt")
        async with program(*command, folder=tmp_path, API_KEY="wrong") as process:
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1 and json.loads(err)["status"] == 401


# ── Python ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_goes_on_behind_its_last_event_when_the_engine_was_away(tmp_path: Path) -> None:
    """And when the reader itself was killed."""
    state, address = tmp_path / "state", f"127.0.0.1:{free_port()}"
    command = (sys.executable, str(EXAMPLES / "python/stream.py"))
    async with contextlib.AsyncExitStack() as stack:
        async with guarded(state, http={"listen": address}) as house:
            reader = (*command, f"{house.surface.url}/v1/stream", "place.txt")
            process = await stack.enter_async_context(program(*reader, folder=tmp_path))
            await until(lambda: house.surface.followers == 1)
            await house.people(1)
            assert await line(process) == "com.goto.registrant.added webinars/w1/registrants/1"
        async with guarded(state, http={"listen": address}) as house:
            await house.people(2, first=2)
            assert [(await line(process))[-1] for _ in range(2)] == ["2", "3"]
            await until(lambda: noted(tmp_path / "place.txt").endswith("-3"))
            process.kill()
            await process.communicate()
            await house.people(1, first=4)
            async with program(*reader, folder=tmp_path) as process:
                assert (await line(process))[-1] == "4"


async def test_the_feed_is_read_to_its_end_in_batches_by_the_sdk_of_cloudevents(tmp_path: Path) -> None:
    async with guarded(tmp_path) as house:
        told = await house.people(501)  # one more than a batch
        command = (sys.executable, str(EXAMPLES / "python/feed.py"), f"{house.surface.url}/v1/feed")
        async with program(*command, folder=tmp_path) as process:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0, err.decode()
        rows = [text.split() for text in out.decode().splitlines()]
        assert [row[0] for row in rows] == told
        assert rows[0][1:] == ["2026-03-01", "09:15:42+00:00", "com.goto.registrant.added", "webinars/w1/registrants/1"]
        async with program(*command, told[-2], folder=tmp_path) as process:
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert out.decode().split()[0] == told[-1]


# ── Zapier ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def integration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Zapier integration, and what it needs beside it."""
    folder = tmp_path_factory.mktemp("zapier")
    for name in ("zapier/index.js", "zapier/package.json"):
        shutil.copy(EXAMPLES / name, folder)
    install(folder)
    return folder


async def zapier(integration: Path, method: str, **bundle: Any) -> Any:
    """What Zapier's own library makes of a step. It checks the results, too, and what it minds fails the test."""
    script, out = Path(__file__).with_name("zapier_user.js"), integration / "results.json"
    command = (node(), str(script), str(integration), method, json.dumps(bundle), str(out))
    async with program(*command, folder=integration, NODE_ENV="test") as process:
        _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, err.decode()
    assert b"Zapier check" not in err, err.decode()
    return json.loads(out.read_text())


def account(house: House, key: str = KEY) -> dict[str, str]:
    return {"url": house.surface.url, "apiKey": key}


async def test_zapier_finds_nothing_wrong_with_its_integration(integration: Path) -> None:
    assert await zapier(integration, "validate") == []


async def test_zapier_polls_new_webinars_and_tells_a_wrong_key(integration: Path, tmp_path: Path) -> None:
    async with guarded(tmp_path) as house:
        await house.people(1)
        told = await house.tell(*(replace(draft(n), type="com.goto.webinar.created") for n in (2, 3)))
        found = await zapier(integration, "triggers.new_webinar.operation.perform", authData=account(house))
        assert [item["id"] for item in found] == told[::-1]
        names = await zapier(integration, "triggers.trigger_list.operation.perform", authData=account(house))
        assert {"id": "OnNewRegistration", "name": "OnNewRegistration"} in names
        with pytest.raises(AssertionError, match="does not know this API key"):
            await zapier(integration, "authentication.test", authData=account(house, "wrong"))


async def test_zapier_s_hook_gets_the_items_of_its_list_until_it_is_taken_away(
    integration: Path, tmp_path: Path
) -> None:
    step = "triggers.any_event.operation."
    async with (
        receiver(answering(200)) as server,
        guarded(tmp_path, http={"allow_private": True}, deliver=True) as house,
    ):
        common = {"authData": account(house), "inputData": {"trigger": "OnNewRegistration", "webinarKey": ""}}
        hook = await zapier(integration, step + "performSubscribe", targetUrl=server.url, **common)
        told = await house.people(1)
        await until(lambda: server.bodies)
        received = json.loads(server.bodies[0])
        performed = await zapier(integration, step + "perform", cleanedRequest=received, **common)
        assert performed == await zapier(integration, step + "performList", **common)
        assert [item["id"] for item in performed] == told
        await zapier(integration, step + "performUnsubscribe", subscribeData=hook, **common)
        assert (await house.get("/v1/subscriptions", headers={"X-API-Key": KEY})).json == []


# ── Node-RED ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FLOW: list[dict[str, Any]] = json.loads((EXAMPLES / "node_red_flow.json").read_text(encoding="utf-8"))
BY_ID = {entry["id"]: entry for entry in FLOW}


def perform(function: str, msg: Mapping[str, Any], **kept: str) -> tuple[Any, dict[str, str]]:
    """What a function node of the flow returns, and what the flow has kept by then."""
    script = """
        const [code, msg, kept] = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
        const flow = { get: (name) => kept[name], set: (name, value) => { kept[name] = value; } };
        const env = { get: (name) => process.env[name] };
        const node = { warn: () => {} };
        const found = new Function('msg', 'flow', 'env', 'node', code)(msg, flow, env, node);
        console.log(JSON.stringify([found, kept]));
    """
    done = subprocess.run(
        [node(), "-e", script], input=json.dumps([BY_ID[function]["func"], msg, kept]),
        env={**os.environ, "POLLER_URL": "http://poller", "POLLER_API_KEY": KEY},
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    found, kept = json.loads(done.stdout)
    return found, kept


def leads(start: str, output: int = 0) -> str:
    """The type of the one node that an output leads to."""
    (target,) = BY_ID[start]["wires"][output]
    return str(target)


def test_the_flow_is_a_circle_that_begins_by_itself() -> None:
    assert [entry["id"] for entry in FLOW if entry.get("once")] == ["start"]
    assert leads("start") == leads("pause") == "first" and leads("first") == "ask" and leads("ask") == "read"
    assert leads("read", 0) == "each" and leads("read", 1) == "pause"
    assert BY_ID["ask"]["type"] == "http request" and BY_ID["ask"]["url"] == "", "the message says what to ask for"
    assert BY_ID["pause"]["pauseType"] == "delayv", "the message says how long"


def test_the_flow_follows_location_after_retry_after() -> None:
    asked, _ = perform("first", {})
    assert asked["url"] == f"http://poller{POLL}" and asked["headers"] == {"X-API-Key": KEY}
    headers = {"location": "http://poller/next", "retry-after": "7"}
    body = json.dumps({"value": [{"id": "1", "eventType": "registrant.added"}, {"id": "2"}]})
    (items, again), kept = perform("read", {"statusCode": 200, "headers": headers, "payload": body})
    assert [item["payload"]["id"] for item in items] == ["1", "2"] and again == {"delay": 7000}
    assert perform("first", again, **kept)[0]["url"] == "http://poller/next"
    headers["retry-after"] = "0"
    (items, again), _ = perform("read", {"statusCode": 202, "headers": headers, "payload": ""}, **kept)
    assert items == [] and again == {"delay": 0}


def test_the_flow_keeps_its_place_while_nobody_answers() -> None:
    lost = {"statusCode": "ECONNREFUSED", "payload": "RequestError: connect ECONNREFUSED"}
    (items, again), kept = perform("read", lost, place="http://poller/next")
    assert items == [] and again["delay"] > 0 and kept == {"place": "http://poller/next"}


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_node_red_runs_the_flow(tmp_path: Path) -> None:
    install(tmp_path, "node-red@4")
    (tmp_path / "flows.json").write_text(json.dumps(FLOW))
    (tmp_path / "settings.js").write_text(
        "module.exports = { uiPort: 0, uiHost: '127.0.0.1', httpAdminRoot: false, telemetry: { enabled: false } }"
    )
    command = (node(), str(tmp_path / "node_modules/node-red/red.js"), "--userDir", str(tmp_path), "flows.json")
    with structlog.testing.capture_logs() as log:
        async with guarded(tmp_path / "state") as house:
            known = {"POLLER_URL": house.surface.url, "POLLER_API_KEY": KEY}
            async with program(*command, folder=tmp_path, **known) as process:
                await until(lambda: any(entry.get("status") == 202 for entry in log))  # that first poll has no history
                for number in (1, 2):
                    [told] = await house.people(1, first=number)
                    while told not in await line(process):
                        pass
