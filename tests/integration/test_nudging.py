"""GoTo's webhooks at a running engine: what is taken makes it look at once, what is not changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from poller import nudging
from poller.simulator import Simulator
from state.errors import StateUnavailable
from state.store import Committed
from tests.integration.hooked import SLOW, UNHEARD, Hooked, ago, at_port, hooked, write
from tests.integration.terminal import Terminal
from tests.integration.terminal_world import LOG, events, key_of, register, subjects

SECRETS = '[webhooks]\nsecrets = ["a key made elsewhere"]'


@pytest.fixture
async def house(terminal: Terminal, sim: Simulator, unused_tcp_port: int) -> AsyncIterator[Hooked]:
    write(terminal, sim, unused_tcp_port, SECRETS)
    async with hooked(terminal, sim) as house:
        yield house


# ── what is taken ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_registration_is_told_at_once_by_the_poll_that_its_webhook_asks_for(house: Hooked) -> None:
    subject = register(house.sim)
    assert await house.post(house.event("registrant.added", webinarKey=int(subject.split("/")[1]))) == 200
    await house.told(1)
    assert subjects(house.terminal) == [subject]


async def test_a_new_webinar_is_found_at_once_with_its_registrants(house: Hooked) -> None:
    made = house.sim.world.create_webinar()
    person = house.sim.world.register(made.webinar_key)
    told = {"webinarKey": int(made.webinar_key), "organizerKey": int(made.organizer_key)}
    assert made.organizer_key == key_of(house.sim)
    await house.post(house.event("webinar.created", **told))
    await house.told(2)
    webinar = f"webinars/{made.webinar_key}"
    assert subjects(house.terminal) == [webinar, f"{webinar}/registrants/{person.registrant_key}"]


async def test_a_registration_that_overtakes_its_webinar_finds_both(house: Hooked) -> None:
    made = house.sim.world.create_webinar()
    house.sim.world.register(made.webinar_key)
    await house.post(house.event("registrant.added", webinarKey=int(made.webinar_key)))
    await house.told(2)
    assert [event["type"] for event in events(house.terminal)] == [
        "com.goto.webinar.created",
        "com.goto.registrant.added",
    ]


async def test_a_cancelled_webinar_is_told_at_once(house: Hooked) -> None:
    owner = key_of(house.sim)
    webinar = next(found for found in house.sim.world.webinars() if found.organizer_key == owner)
    house.sim.world.cancel_webinar(webinar.webinar_key)
    told = {"status": "DELETED", "organizerKey": int(owner), "webinarKey": int(webinar.webinar_key)}
    await house.post(house.event("webinar.changed", **told))
    await house.told(1)
    assert [event["type"] for event in events(house.terminal)] == ["com.goto.webinar.cancelled"]


async def test_a_repeat_is_welcome_and_costs_no_poll(house: Hooked) -> None:
    subject = register(house.sim)
    event = house.event("registrant.added", webinarKey=int(subject.split("/")[1]))
    await house.post(event)
    await house.told(1)
    before = house.polls
    assert [await house.post(event) for _ in range(3)] == [200, 200, 200]
    assert house.rests(before) and house.outcomes == {"taken": 1, "repeated": 3}


async def test_an_invented_webhook_with_a_good_signature_brings_no_event(house: Hooked) -> None:
    before = house.polls
    assert await house.post(house.event("registrant.added", registrantKey=7, email="nobody@example.com")) == 200
    await house.app.watch.until(lambda: house.polls > before)
    assert events(house.terminal) == []


# ── what is not ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_not_gotos_is_refused_and_changes_nothing(house: Hooked) -> None:
    register(house.sim)
    before, address = house.polls, house.app.callback.address
    event = house.event("registrant.added")
    assert await house.post(event, secret="a guess") == 401
    assert await house.post(event, **{"X-Webhook-Signature": ""}) == 401
    assert await house.post(event, url=address + "x") == 404
    assert await house.post(event, url=address[:-1]) == 404
    assert await house.post(b"<html>") == 400
    assert await house.post(b'{"eventName": "a.b", "x": ' + b"[" * 900 + b"]" * 900 + b"}") == 400
    assert await house.post(house.event("registrant.added", timestamp=ago(minutes=6))) == 400
    assert await house.post(house.event("registrant.added", timestamp=ago(minutes=-6))) == 400
    assert await house.post(house.event("registrant.added", webinarKey=1, webinarCreatorKey=2)) == 200
    assert house.outcomes == {"unsigned": 2, "misdirected": 2, "unreadable": 2, "stale": 2, "foreign": 1}
    assert house.rests(before) and events(house.terminal) == []
    assert (await house.terminal.ask("live"))["webhooks"]["stale"] == 2


async def test_gotos_probe_is_answered_at_the_right_address_alone(house: Hooked) -> None:
    address = house.app.callback.address
    async with aiohttp.ClientSession() as session:
        for url, status in ((address, 200), (address + "0", 404), (address.rpartition("/")[0] + "/guess", 404)):
            async with session.get(url) as response:
                assert response.status == status
    assert len(address.rpartition("/")[2]) >= 32


async def test_without_a_key_everything_is_refused_and_without_verifying_the_address_suffices(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    for table, status in (("", 401), ("[webhooks]\nverify = false", 200)):
        write(terminal, sim, unused_tcp_port, table)
        async with hooked(terminal, sim) as house:
            assert await house.post(house.event("registrant.added"), secret="") == status
            assert await house.post(house.event("registrant.added"), url=house.app.callback.address + "x") == 404


async def test_the_address_is_the_same_after_a_restart_and_another_with_another_key(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    write(terminal, sim, unused_tcp_port)
    found = []
    for _ in range(2):
        async with terminal.engine() as app:
            found.append(app.callback.address)
    (terminal.folder / "poller.db.key").write_text("another key\n")
    async with terminal.engine() as app:
        found.append(app.callback.address)
    assert found[0] == found[1] != found[2]


# ── what no poll can see ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_no_poll_sees_is_told_once_to_triggers_that_name_it(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    everything = '[[triggers]]\nname = "all"\nsinks = ["log"]'
    write(terminal, sim, unused_tcp_port, SECRETS, everything, UNHEARD)
    async with hooked(terminal, sim) as house:
        before = house.polls
        joined = house.event("registrant.joined", registrantKey=77, sessionKey=5, joinTime=1773396062000)
        assert await house.post(joined) == 200
        await house.told(1)
        assert house.rests(before)
    async with hooked(terminal, sim) as house:
        assert await house.post(joined) == 200
        again = {**joined, "eventKey": "came back later"}
        await house.post(again)
        await house.told(1)
    first, second = events(terminal)
    webinar = joined["webinarKey"]
    assert first["type"] == "com.goto.webhook.registrant.joined"
    assert first["subject"] == f"webinars/{webinar}/sessions/5/participants/77" == second["subject"]
    assert first["id"] != second["id"] and first["source"] == f"/organizers/{key_of(sim)}"
    assert first["partitionkey"] == str(webinar) and first["connection"] == "acme"
    assert first["data"]["registrantKey"] == "77" and first["data"]["joinTime"] == 1773396062000


async def test_nobody_is_told_of_webhooks_without_naming_them(house: Hooked) -> None:
    await house.post(house.event("survey.submitted", registrantKey=7))
    assert house.outcomes == {"taken": 1}
    assert await house.app.store.last_sequence() == 0


async def test_a_forgotten_person_does_not_come_back_by_webhook(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    write(terminal, sim, unused_tcp_port, SECRETS, UNHEARD, '[[triggers]]\nname = "all"\nsinks = ["log"]')
    async with hooked(terminal, sim) as house:
        subject = register(sim, email="wish.to.leave@example.com")
        _, webinar, _, key = subject.split("/")
        await house.terminal.run("sync", "--wait")
        await house.terminal.run("forget", "wish.to.leave@example.com")
        last = await house.app.store.last_sequence()
        who = {"webinarKey": int(webinar), "registrantKey": int(key)}
        await house.post(house.event("registrant.joined", **who, email="Wish.to.Leave@example.com"))
        await house.post(house.event("survey.submitted", **who))
        assert house.outcomes["taken"] == 2
        assert await house.app.store.last_sequence() == last
        other = register(sim).split("/")
        await house.terminal.run("sync", "--wait")
        await house.post(house.event("survey.submitted", webinarKey=int(other[1]), registrantKey=int(other[3])))
        assert await house.app.store.last_sequence() == last + 2


async def test_a_paused_connection_is_not_woken(house: Hooked) -> None:
    await house.terminal.run("connections", "pause", "acme")
    register(house.sim)
    before = house.polls
    assert await house.post(house.event("registrant.added")) == 200
    assert house.polls == before and house.outcomes == {"foreign": 1}


async def test_an_account_is_woken_for_any_of_its_organizers_but_those_left_out(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int
) -> None:
    out = f'exclude_organizers = ["{key_of(sim, 1)}"]'
    account = f'[[connections]]\nname = "all"\npat = "{sim.world.admin.pat}"\naccount = true\n{out}'
    terminal.write(account, LOG, SECRETS, at_port(unused_tcp_port), engine=SLOW)
    async with hooked(terminal, sim) as house:
        before = house.polls
        about = {"accountKey": int(house.app.roster.connection("all").account_key)}
        left_out = {"webinarKey": 1, "organizerKey": int(key_of(sim, 1))}
        await house.post(house.event("webinar.created", **about, **left_out))
        strange = {"webinarKey": 1, "organizerKey": int(key_of(sim)), "accountKey": 5}
        await house.post(house.event("webinar.created", **strange))
        assert house.rests(before) and house.outcomes == {"foreign": 2}
        made = sim.world.create_webinar()
        while made.organizer_key != key_of(sim):
            made = sim.world.create_webinar()
        await house.post(house.event("webinar.created", **about, organizerKey=int(made.organizer_key)))
        await house.told(1)
    assert f"webinars/{made.webinar_key}" in subjects(terminal)


async def test_what_cannot_be_stored_may_come_again(
    terminal: Terminal, sim: Simulator, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(terminal, sim, unused_tcp_port, SECRETS, UNHEARD)
    async with hooked(terminal, sim) as house:
        joined = house.event("registrant.joined", registrantKey=7)

        async def full(drafts: object) -> Committed:
            raise StateUnavailable("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(house.app.store, "emit", full)
            assert await house.post(joined) == 503
        assert await house.post(joined) == 200
        await house.told(1)
    assert len(events(terminal)) == 1


async def test_as_many_keys_are_remembered_as_was_said(house: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudging, "REMEMBERED", 2)
    first, *others = (house.event("survey.submitted") for _ in range(3))
    for event in (first, *others, others[-1], first):
        assert await house.post(event) == 200
    assert house.outcomes == {"taken": 4, "repeated": 1}
