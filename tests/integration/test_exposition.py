"""What Prometheus is told of a running engine: the same that the simulated GoTo, the log and the sinks have seen."""

from __future__ import annotations

import json

from poller.app import App
from poller.exposition import Exposition
from poller.settings import Settings
from poller.simulator import Simulator
from tests.exposed import Samples, samples_of
from tests.integration.receiver import answering, receiver
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import LOG, register

EVERYTHING = 'start = "all"'


async def samples(exposition: Exposition) -> Samples:
    return samples_of(await exposition.render())


async def test_a_pass_is_counted_from_the_call_to_the_delivery(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG, "[limits]\nper_day = 1000", more=EVERYTHING)
    app = await App.open(Settings.load(terminal.config))
    try:
        exposition = await Exposition.begin(app)
        await app.once()
        first = await samples(exposition)
        register(sim)
        await app.once()
        second = await samples(exposition)
        again = await samples(exposition)
        written = await app.store.last_sequence()
    finally:
        await app.close()

    assert sum(first["poller_polls_total"].values()) == sum(second["poller_polls_total"].values()) / 2
    assert first["poller_goto_calls_total"]["getWebinars", "200"] >= 1
    assert all(status == "200" for _, status in first["poller_goto_calls_total"])
    assert sum(second["poller_events_total"].values()) == written
    assert again["poller_events_total"] == second["poller_events_total"]
    added = "registrant.added"
    assert second["poller_events_total"][added,] == first["poller_events_total"][added,] + 1
    # History has no delay worth telling; the one news has.
    assert "poller_detection_delay_seconds_count" not in first
    assert second["poller_detection_delay_seconds_count"] == {(added,): 1}
    assert second["poller_deliveries_total"] == {("delivered", "log"): written}
    assert second["poller_delivery_delay_seconds_count"] == {("log",): written}
    assert second["poller_pending_deliveries"] == {("log",): 0}
    assert second["poller_connection_active"] == {("acme",): 1}
    assert second["poller_expected_delay_seconds"].keys() == {("acme",)}
    spent = second["poller_quota_used_calls"]["simulator", "", "day"]
    # Who am I, and the token, are asked once; every other call was a poll's.
    assert spent <= sum(second["poller_goto_calls_total"].values())
    assert second["poller_quota_limit_calls"]["simulator", "", "day"] == 1000


async def test_what_was_there_before_is_not_counted_again(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG, more=EVERYTHING)
    await terminal.run("run", "--once")
    app = await App.open(Settings.load(terminal.config))
    try:
        assert "poller_events_total" not in await samples(await Exposition.begin(app))
    finally:
        await app.close()


async def test_a_sink_in_trouble_shows(terminal: Terminal, sim: Simulator) -> None:
    async with receiver(answering(400)) as crm:
        hook = f'[[sinks]]\nname = "crm"\ntype = "webhook"\nurl = "{crm.url}"\nallow_private = true'
        terminal.log_in_by_pat(sim, hook)
        await terminal.run("run", "--once")
        register(sim)
        app = await App.open(Settings.load(terminal.config))
        try:
            exposition = await Exposition.begin(app)
            await app.once()
            found = await samples(exposition)
        finally:
            await app.close()
    assert found["poller_deliveries_total"] == {("dead", "crm"): 1}
    assert found["poller_dead_letters"] == {("crm",): 1}
    body = json.loads(crm.bodies[0])
    text = str(found)
    assert body["data"]["email"] not in text
    assert body["data"]["registrantKey"] not in text


async def test_a_goto_that_is_gone_shows(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    terminal.url = "http://127.0.0.1:9"  # nobody listens there
    terminal.log_in_by_pat(sim, LOG)
    app = await App.open(Settings.load(terminal.config))
    try:
        exposition = await Exposition.begin(app)
        await app.once()
        found = await samples(exposition)
    finally:
        await app.close()
    assert {status for _, status in found["poller_goto_calls_total"]} == {"none"}
    assert found["poller_connection_active"] == {("acme",): 1}
