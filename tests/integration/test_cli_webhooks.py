"""poller webhooks: what is set up at GoTo, mended, listed and taken away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from poller import enrolling
from poller.goto.webhooks import EVENTS
from poller.simulator import Simulator
from tests.integration.hooked import Hooked, at_port, hooked, write
from tests.integration.receiver import answering, receiver
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import pat_of, register, subjects

V2 = "/G2W/rest/v2"
HOOKS, SUBSCRIPTIONS = f"{V2}/webhooks?product=g2w", f"{V2}/userSubscriptions?product=g2w"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolling, "ACTIVATION_PAUSE", 0.0)


@pytest.fixture
async def house(terminal: Terminal, sim: Simulator, unused_tcp_port: int) -> AsyncIterator[Hooked]:
    write(terminal, sim, unused_tcp_port)
    async with hooked(terminal, sim) as house:
        yield house


async def rows(terminal: Terminal, *arguments: str) -> list[dict[str, Any]]:
    said = await terminal.run("webhooks", *arguments, "--json")
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


async def at_goto(house: Hooked, path: str) -> list[dict[str, Any]]:
    """What GoTo lists for the first organizer."""
    said = await house.terminal.run("call", "GET", path)
    (found,) = json.loads(said.out)["_embedded"].values()
    return list(found)


async def change(house: Hooked, method: str, path: str, body: Any) -> Any:
    said = await house.terminal.run("call", method, f"{V2}/{path}", "--body", json.dumps(body))
    assert said.code == 0, said.err
    return json.loads(said.out) if said.out else None


async def subscribe_elsewhere(house: Hooked, url: str, webhook: str = "") -> str:
    """As another program of the same user does, to a webhook of its own or to this one; the subscription's key."""
    if not webhook:
        new = {"callbackUrl": url, "eventName": "registrant.added", "eventVersion": "1.0.0", "product": "g2w"}
        (made,) = (await change(house, "POST", "webhooks", [new]))["_embedded"]["webhooks"]
        webhook = made["webhookKey"]
    asked = [{"webhookKey": webhook, "callbackUrl": url}]
    (made,) = (await change(house, "POST", "userSubscriptions", asked))["_embedded"]["userSubscriptions"]
    return str(made["userSubscriptionKey"])


def of(found: list[dict[str, Any]], key: str) -> dict[str, Any]:
    return {row["event"]: row[key] for row in found}


def secret_keys_made(sim: Simulator) -> int:
    return sum(call.operation == "createSecretKey" for call in sim.calls)


# ── subscribing ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_after_subscribing_goto_wakes_the_engine_at_once(house: Hooked) -> None:
    found = await rows(house.terminal, "subscribe")
    assert of(found, "done") == dict.fromkeys(EVENTS, "made")
    assert of(found, "subscription") == dict.fromkeys(EVENTS, "ACTIVE") == of(found, "webhook")
    subject = register(house.sim)
    await house.told(1)
    assert subjects(house.terminal) == [subject] and house.outcomes == {"taken": 1}


async def test_subscribing_again_changes_nothing_and_makes_no_other_secret_key(house: Hooked) -> None:
    await rows(house.terminal, "subscribe")
    before = await at_goto(house, HOOKS), await at_goto(house, SUBSCRIPTIONS)
    found = await rows(house.terminal, "subscribe")
    assert of(found, "done") == dict.fromkeys(EVENTS, "kept")
    assert (await at_goto(house, HOOKS), await at_goto(house, SUBSCRIPTIONS)) == before
    assert secret_keys_made(house.sim) == 1


async def test_some_events_can_be_chosen_and_more_added(house: Hooked) -> None:
    await rows(house.terminal, "subscribe", "--event", "registrant.added")
    found = await rows(house.terminal, "subscribe", "--event", "webinar.created", "--event", "registrant.added")
    assert of(found, "done") == {"webinar.created": "made", "registrant.added": "kept"}
    assert {one["eventName"] for one in await at_goto(house, SUBSCRIPTIONS)} == {"webinar.created", "registrant.added"}


async def test_what_is_switched_off_missing_or_led_elsewhere_is_mended(house: Hooked) -> None:
    await rows(house.terminal, "subscribe")
    hooks = {one["eventName"]: one for one in await at_goto(house, HOOKS)}
    subscribed = {one["eventName"]: one for one in await at_goto(house, SUBSCRIPTIONS)}
    both = {name: {key: one[key] for key in ("webhookKey", "userSubscriptionKey")} for name, one in subscribed.items()}
    stale = house.app.callback.address[:-8] + "00000000"

    off = {"webhookKey": hooks["registrant.added"]["webhookKey"], "state": "INACTIVE"}
    await change(house, "PUT", "webhooks", [off])
    await change(house, "PUT", "userSubscriptions", [{**both["webinar.changed"], "userSubscriptionState": "INACTIVE"}])
    await change(house, "DELETE", "userSubscriptions", [subscribed["webinar.created"]["userSubscriptionKey"]])
    await change(house, "DELETE", "webhooks", [hooks["survey.submitted"]["webhookKey"]])
    for subscription in house.sim._hooks._subscriptions.values():  # GoTo itself would not take it
        if subscription.webhook.event_name == "registrant.joined":
            subscription.callback_url = subscription.webhook.callback_url = stale

    found = await rows(house.terminal, "subscribe")
    assert of(found, "done") == {
        "registrant.added": "mended",
        "registrant.joined": "mended",
        "webinar.created": "made",
        "webinar.changed": "mended",
        "survey.submitted": "made",
    }
    left = await at_goto(house, SUBSCRIPTIONS)
    assert {one["activationState"] for one in left} == {"ACTIVE"} and len(left) == len(EVENTS)
    assert {one["callbackUrl"] for one in left} == {house.app.callback.address}
    assert of(await rows(house.terminal, "subscribe"), "done") == dict.fromkeys(EVENTS, "kept")


async def test_a_new_address_takes_the_place_of_the_old_one(
    terminal: Terminal, sim: Simulator, unused_tcp_port_factory: Any
) -> None:
    for done in ("made", "mended"):
        port = unused_tcp_port_factory()
        write(terminal, sim, port)
        async with hooked(terminal, sim) as house:
            assert set(of(await rows(terminal, "subscribe"), "done").values()) == {done}
            assert len(await at_goto(house, HOOKS)) == len(await at_goto(house, SUBSCRIPTIONS)) == len(EVENTS)
            register(sim)
            await house.told(1)


async def test_the_secret_key_is_kept_sealed_and_opens_after_a_restart(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    write(terminal, sim, unused_tcp_port)
    async with hooked(terminal, sim) as house:
        await rows(terminal, "subscribe")
        (key,) = house.app.callback.terms().secrets
    assert all(key.encode() not in content for content in terminal.contents().values())
    async with hooked(terminal, sim) as house:
        register(sim)
        await house.told(1)
        assert house.outcomes == {"taken": 1}


async def test_a_lost_key_of_the_state_costs_a_new_address_and_a_new_secret_key_and_nothing_else(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    write(terminal, sim, unused_tcp_port)
    async with hooked(terminal, sim):
        await rows(terminal, "subscribe")
    (terminal.folder / "poller.db.key").write_text("another key\n")
    async with hooked(terminal, sim) as house:
        assert not house.app.callback.terms().secrets
        assert set(of(await rows(terminal, "subscribe"), "done").values()) == {"mended"}
        register(sim)
        await house.told(1)
        assert house.outcomes == {"taken": 1}


async def test_another_secret_key_is_used_from_then_on_and_the_former_one_stays_good(house: Hooked) -> None:
    await rows(house.terminal, "subscribe")
    await rows(house.terminal, "subscribe", "--new-key")
    await rows(house.terminal, "subscribe", "--new-key")
    newest, former = house.app.callback.terms().secrets
    assert secret_keys_made(house.sim) == 3
    register(house.sim)
    await house.told(1)
    assert await house.post(house.event("registrant.added"), secret=former) == 200
    assert house.outcomes == {"taken": 2} and newest != former


async def test_a_webhook_is_switched_on_some_time_after_it_was_made(
    house: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "ACTIVATION_PAUSE", 0.3)
    await rows(house.terminal, "subscribe")
    at = {call.operation: call.at for call in house.sim.calls}
    assert at["updateWebhooks"] - at["createWebhooks"] >= timedelta(seconds=0.3)


async def test_every_connection_has_its_own_and_one_that_fails_does_not_stop_the_others(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    dead = '[[connections]]\nname = "dead"\npat = "no such token"'
    other = f'[[connections]]\nname = "other"\npat = "{pat_of(sim, 1)}"'
    write(terminal, sim, unused_tcp_port, dead, other)
    async with hooked(terminal, sim) as house:
        said = await terminal.run("webhooks", "subscribe", "--event", "registrant.added", "--json")
        assert said.code == 1 and "dead: " in said.err
        assert [(row["connection"], row["done"]) for row in json.loads(said.out)] == [
            ("acme", "made"),
            ("other", "made"),
        ]
        assert secret_keys_made(sim) == 1, "both are of one OAuth client"
        owner = sim.world.organizers[1].organizer_key
        webinar = next(found for found in sim.world.webinars() if found.organizer_key == owner)
        person = sim.world.register(webinar.webinar_key)
        await house.told(1)
    assert subjects(terminal) == [f"webinars/{webinar.webinar_key}/registrants/{person.registrant_key}"]


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ("[http]\nlisten = ''", "public_url is not set"),
        ("[http]\npublic_url = 'https://me.example'\nlisten = ''", "nothing takes webhooks in"),
        ("[http]\npublic_url = 'http://me.example'", "https:// addresses only"),
    ],
)
async def test_an_address_that_goto_could_not_call_is_refused_before_anything_is_made(
    terminal: Terminal, sim: Simulator, http: str, words: str
) -> None:
    write(terminal, sim, 0, http=http)
    async with terminal.engine():
        said = await terminal.run("webhooks", "subscribe")
    assert said.code == 2 and words in said.err
    assert secret_keys_made(sim) == 0


async def test_without_a_running_engine_nobody_could_answer_gotos_look(terminal: Terminal, sim: Simulator) -> None:
    write(terminal, sim, 1)
    said = await terminal.run("webhooks", "subscribe")
    assert said.code == 2 and "poller run" in said.err and secret_keys_made(sim) == 0


async def test_where_nobody_is_logged_in_a_login_is_asked_for(terminal: Terminal, sim: Simulator) -> None:
    terminal.write('[[connections]]\nname = "acme"')

    said = await terminal.run("webhooks", "list")

    assert said.code == 3 and "poller login acme" in said.err and said.out == ""


async def test_an_address_where_nobody_answers_is_named_as_the_reason(
    terminal: Terminal, sim: Simulator, unused_tcp_port_factory: Any
) -> None:
    port, other = unused_tcp_port_factory(), unused_tcp_port_factory()
    write(terminal, sim, 0, http=at_port(port, listen=other))
    async with terminal.engine() as app:
        said = await terminal.run("webhooks", "subscribe")
        assert said.code == 1 and "reached from outside" in said.err and said.out == ""
        assert app.callback.address.rpartition("/")[2] not in said.err
        write(terminal, sim, other)
        await terminal.run("reload")
        assert set(of(await rows(terminal, "subscribe"), "done").values()) == {"made"}
    assert secret_keys_made(sim) == 1


async def test_misspelt_events_and_connections_are_refused_with_the_right_spelling(house: Hooked) -> None:
    event = await house.terminal.run("webhooks", "subscribe", "--event", "registrant.add")
    connection = await house.terminal.run("webhooks", "list", "--connection", "acmee")
    assert event.code == 2 and '"registrant.added"' in event.err
    assert connection.code == 2 and '"acme"' in connection.err


# ── looking and taking away ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_list_says_what_leads_here_and_what_goto_thinks_of_it(house: Hooked) -> None:
    none = await house.terminal.run("webhooks", "list")
    assert none.code == 0 and "subscribe" in none.out
    await rows(house.terminal, "subscribe", "--event", "registrant.added", "--event", "webinar.created")
    (hook,) = [one for one in await at_goto(house, HOOKS) if one["eventName"] == "webinar.created"]
    await change(house, "PUT", "webhooks", [{"webhookKey": hook["webhookKey"], "state": "INACTIVE"}])
    found = await rows(house.terminal, "list")
    assert of(found, "webhook") == {"registrant.added": "ACTIVE", "webinar.created": "INACTIVE"}
    assert of(found, "subscription") == {"registrant.added": "ACTIVE", "webinar.created": "INACTIVE"}


async def test_unsubscribing_takes_away_only_what_leads_here(house: Hooked) -> None:
    async with receiver(answering(200)) as other:
        theirs = await subscribe_elsewhere(house, other.url)
        await rows(house.terminal, "subscribe")
        listed = await house.terminal.run("webhooks", "list")
        assert "1 that lead elsewhere" in listed.out
        found = await rows(house.terminal, "unsubscribe")
        assert of(found, "done") == dict.fromkeys(EVENTS, "deleted")
        assert [one["userSubscriptionKey"] for one in await at_goto(house, SUBSCRIPTIONS)] == [theirs]
        assert len(await at_goto(house, HOOKS)) == len(EVENTS) + 1
        before = house.polls
        register(house.sim)
        assert house.rests(before)
    again = await rows(house.terminal, "subscribe")
    assert of(again, "done") == dict.fromkeys(EVENTS, "made") and len(await at_goto(house, HOOKS)) == len(EVENTS) + 1


async def test_webhooks_are_deleted_only_with_a_yes_and_never_those_that_lead_elsewhere(house: Hooked) -> None:
    async with receiver(answering(200)) as other:
        await subscribe_elsewhere(house, other.url)
        await rows(house.terminal, "subscribe")
        asked = await house.terminal.run("webhooks", "unsubscribe", "--delete-webhooks")
        assert asked.code == 2 and "loses that subscription" in asked.err and "--yes" in asked.err
        assert len(await at_goto(house, SUBSCRIPTIONS)) == len(EVENTS) + 1
        await rows(house.terminal, "unsubscribe", "--delete-webhooks", "--yes")
        assert [one["callbackUrl"] for one in await at_goto(house, HOOKS)] == [other.url]
        assert [one["callbackUrl"] for one in await at_goto(house, SUBSCRIPTIONS)] == [other.url]


async def test_subscriptions_can_be_taken_away_without_an_engine(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    write(terminal, sim, unused_tcp_port)
    async with hooked(terminal, sim):
        await rows(terminal, "subscribe")
    assert len(await rows(terminal, "list")) == len(EVENTS)
    await rows(terminal, "unsubscribe")
    assert of(await rows(terminal, "list"), "subscription") == dict.fromkeys(EVENTS, "")
    db = sqlite3.connect(terminal.state)
    (memory,) = db.execute("SELECT value FROM meta WHERE key = 'memory webhooks'").fetchone()
    db.close()
    assert json.loads(memory)["made"]["acme"]["subscriptions"] == []


async def test_webhooks_are_advised_until_they_are_there(house: Hooked) -> None:
    async def advised() -> bool:
        plan = json.loads((await house.terminal.run("plan", "--json")).out)
        return any("webhooks" in line for line in plan["advice"])

    assert await advised()
    await rows(house.terminal, "subscribe", "--event", "registrant.added")
    assert not await advised()
    await rows(house.terminal, "unsubscribe")
    assert await advised()


async def test_check_says_which_webhooks_wake_a_connection(house: Hooked) -> None:
    before = await house.terminal.run("check")
    await rows(house.terminal, "subscribe", "--event", "webinar.created")
    after = await house.terminal.run("check")
    assert "woken by" not in before.out and "woken by webhooks (webinar.created)" in after.out
