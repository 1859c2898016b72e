"""The HTTP surface of an engine that polls: check now, readiness, and news from the registration to the reader."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from poller.roster import WEBINARS
from poller.simulator import Simulator
from tests.integration.receiver import receiver
from tests.integration.terminal import PATIENCE, Terminal, line_of
from tests.integration.terminal_world import LOG, key_of, register


class Surface:
    """What a caller sees of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(method, url, **how) as response:
            self.headers = response.headers
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def is_ready(self) -> bool:
        return (await self.ask("GET", "/readyz"))[0] == 200

    async def until_ready(self, ready: bool) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.is_ready() is not ready:
                await asyncio.sleep(0.02)


@pytest.fixture
async def surface(unused_tcp_port_factory: Any) -> AsyncIterator[Surface]:
    async with aiohttp.ClientSession() as session:
        yield Surface(f"http://127.0.0.1:{unused_tcp_port_factory()}", session)


def http(surface: Surface, more: str = "") -> str:
    return f'[http]\nlisten = "{surface.url.removeprefix("http://")}"\n{more}'


async def test_a_registration_reaches_a_poller_and_a_check_is_answered_after_the_commit(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    terminal.log_in_by_pat(sim, LOG, http(surface), engine='interval = "10m"\nnudge_interval = "0s"')
    async with terminal.engine():
        await surface.until_ready(True)
        await surface.ask("POST", "/v1/sync", json={"wait": True})
        status, _ = await surface.ask("GET", "/v1/triggers/OnNewRegistration/poll")
        location, wait = surface.headers["Location"], int(surface.headers["Retry-After"])
        assert status == 202 and 1 <= wait <= 600

        subject = register(sim)
        status, counts = await surface.ask("POST", "/v1/sync", json={"connection": "acme", "wait": True})
        assert status == 200 and (counts["added"], counts["problems"]) == (1, [])
        status, found = await surface.ask("GET", location)
        assert status == 200
        [item] = found["value"]
        assert item["registrantKey"] == subject.rpartition("/")[2] and item["organizerKey"] == key_of(sim)
        calls = len(sim.calls)
        for _ in range(20):
            await surface.ask("GET", location)
        assert len(sim.calls) == calls, "readers never cost a call"

        again = register(sim)
        key = again.split("/")[1]
        assert await surface.ask("POST", "/v1/sync", json={"webinarKey": key}) == (202, {"nudged": 1})
        status, found = await surface.ask("GET", f"/v1/feed?lastEventId={item['id']}&timeout=30000")
        assert [event["subject"] for event in found] == [again]


@pytest.mark.parametrize(
    "body", [{"connection": "nobody"}, {"webinarKey": "999"}, {"webinarKey": "Intro"}, {"wait": 1}, {"nonsense": 1}]
)
async def test_a_check_that_makes_no_sense_is_refused(
    terminal: Terminal, sim: Simulator, surface: Surface, body: dict[str, Any]
) -> None:
    terminal.log_in_by_pat(sim, LOG, http(surface))
    async with terminal.engine():
        await surface.until_ready(True)
        status, told = await surface.ask("POST", "/v1/sync", json=body)
    assert status == 400 and told["detail"]


async def test_readiness_names_the_trigger_that_can_have_no_news_until_it_can_again(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    trigger = '[[triggers]]\nname = "signups"\nsinks = ["log"]'
    terminal.log_in_by_pat(sim, LOG, trigger, http(surface))
    async with terminal.engine():
        await surface.until_ready(True)
        sim.faults.arm("500", probability=1)
        await surface.until_ready(False)
        status, told = await surface.ask("GET", "/readyz")
        assert surface.headers["Content-Type"] == "application/problem+json"
        assert status == 503 and [one["trigger"] for one in told["stalled"]] == ["signups"]
        assert (await surface.ask("GET", "/healthz"))[0] == 200
        sim.faults.clear()
        await surface.until_ready(True)


async def test_readiness_fails_without_a_login(terminal: Terminal, sim: Simulator, surface: Surface) -> None:
    """A second connection is fine, so the engine goes on; its trigger is the only one that has news."""
    good = f'[[connections]]\nname = "good"\npat = "{sim.world.organizers[1].pat}"'
    triggers = [f'[[triggers]]\nname = "of-{name}"\nconnections = ["{name}"]' for name in ("acme", "good")]
    terminal.write('[[connections]]\nname = "acme"', good, *triggers, http(surface))
    async with terminal.engine():
        async with asyncio.timeout(PATIENCE):
            while True:
                status, told = await surface.ask("GET", "/readyz")
                if [one["trigger"] for one in told["stalled"]] == ["of-acme"]:
                    break
                await asyncio.sleep(0.02)
    assert status == 503


async def test_a_port_that_is_taken_ends_the_run_if_somebody_asked_for_it(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    with socket.create_server(("127.0.0.1", int(surface.url.rpartition(":")[2]))):
        terminal.log_in_by_pat(sim, LOG, http(surface))
        async with terminal.process("run") as process:
            said = await terminal.ended(process)
    assert said.code == 1 and "[http] listen" in said.err and "Traceback" not in said.err
    assert (await terminal.run("run", "--once")).code == 0, "one pass needs no port, and the state is free"


async def test_sigterm_ends_open_streams_and_the_process_with_0(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    terminal.log_in_by_pat(sim, LOG, http(surface))
    async with terminal.process("run") as process:
        await line_of(process.stderr, "http.listening")
        async with aiohttp.ClientSession() as session, session.get(f"{surface.url}/v1/stream") as stream:
            assert (await stream.content.readline()).startswith(b"retry")
            said = await terminal.ended(process, signal.SIGTERM)
            with contextlib.suppress(aiohttp.ClientError):
                await stream.read()
    assert said.code == 0 and "Traceback" not in said.err


async def test_who_waits_for_a_check_when_the_engine_ends_is_told_so(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    terminal.log_in_by_pat(sim, LOG, http(surface), engine='interval = "10m"\nnudge_interval = "0s"')
    async with terminal.engine() as app:
        await surface.until_ready(True)
        await surface.ask("POST", "/v1/sync", json={"wait": True})
        sim.faults.arm("hang")
        asked = asyncio.create_task(surface.ask("POST", "/v1/sync", json={"wait": True}))
        async with asyncio.timeout(PATIENCE):
            while app.scheduler.due(("acme", WEBINARS)) is not None:
                await asyncio.sleep(0.01)  # until GoTo is asked
    status, told = await asked
    assert status == 503 and "stopped" in told["detail"] and int(surface.headers["Retry-After"]) > 0


async def test_streams_end_at_once_while_deliveries_under_way_have_their_grace(
    terminal: Terminal, sim: Simulator, surface: Surface
) -> None:
    """Or else whoever reads slowly would take its time after all the others have had theirs."""
    may_answer = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response()

    async with receiver(answer) as hook:
        sink = f'[[sinks]]\nname = "hook"\ntype = "webhook"\nurl = "{hook.url}"\nallow_private = true'
        engine = 'interval = "10m"\nnudge_interval = "0s"\ngrace = "1h"'
        terminal.log_in_by_pat(sim, sink, http(surface), engine=engine)
        async with terminal.engine() as app, aiohttp.ClientSession() as session:
            try:
                await surface.until_ready(True)
                await surface.ask("POST", "/v1/sync", json={"wait": True})
                register(sim)
                await surface.ask("POST", "/v1/sync", json={"wait": True})
                async with asyncio.timeout(PATIENCE), session.get(f"{surface.url}/v1/stream") as stream:
                    while not hook.bodies:
                        await asyncio.sleep(0.01)
                    app.stop()
                    assert (await stream.read()).startswith(b"retry")
            finally:
                may_answer.set()
    assert len(hook.bodies) == 1


async def test_the_demo_can_be_asked_over_http(terminal: Terminal, surface: Surface) -> None:
    address = surface.url.removeprefix("http://")
    async with terminal.process("demo", "--for", "10m", "--speed", "600", "--http", address) as process:
        assert surface.url in await line_of(process.stderr, "/v1/feed")
        await line_of(process.stdout, "com.goto.registrant.added")
        status, found = await surface.ask("GET", "/v1/triggers/OnNewRegistration/items?limit=1")
        assert status == 200 and found[0]["eventType"] == "registrant.added"
        status, webinars = await surface.ask("GET", "/v1/operations/ListWebinars")
        assert status == 200 and webinars
        person = {"firstName": "Bo", "lastName": "Lind", "email": "bo.lind@example.com"}
        path = f"/v1/operations/AddRegistrant?webinarKey={webinars[0]['webinarKey']}"
        status, made = await surface.ask("POST", path, json=person)
        assert status == 200
        assert made["registrantKey"] in await line_of(process.stdout, made["registrantKey"]), (
            "it is news like any other"
        )
        said = await terminal.ended(process, signal.SIGINT)
    assert said.code == 0 and "lost 0, doubled 0" in said.out


@pytest.mark.parametrize("address", ["here", "0.0.0.0:8470", "192.0.2.1:8470"])
async def test_an_address_that_is_none_or_open_to_others_is_refused_by_the_demo(
    terminal: Terminal, address: str
) -> None:
    async with terminal.process("demo", "--http", address) as process:
        said = await terminal.ended(process)
    assert said.code == 2 and "listen" in said.err and "Traceback" not in said.err


async def test_a_port_that_is_taken_ends_the_demo(terminal: Terminal, surface: Surface) -> None:
    with socket.create_server(("127.0.0.1", int(surface.url.rpartition(":")[2]))):
        async with terminal.process("demo", "--http", surface.url.removeprefix("http://")) as process:
            said = await terminal.ended(process)
    assert said.code == 1 and "listen" in said.err and "Traceback" not in said.err
