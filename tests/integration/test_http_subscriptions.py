"""REST hooks: webhook sinks made at run time, with the promises of any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from standardwebhooks import Webhook

from poller.overview import overview
from poller.settings import Settings
from poller.testing.events import draft
from state.records import Scope, Target
from state.store import Backlog
from tests.integration.http_house import House, Reply, http_house, until
from tests.integration.receiver import Receiver, answering, receiver

PATH = "/v1/subscriptions"
OWN_NETWORK = {"allow_private": True}


async def subscribe(house: House, url: str, **more: Any) -> Reply:
    return await house.ask("POST", PATH, json={"callbackUrl": url, **more})


def ids(server: Receiver) -> list[str]:
    return [json.loads(body)["id"] for body in server.bodies]


async def idle(house: House) -> None:
    await house.app.dispatcher.idle()


async def test_a_subscription_is_made_with_an_id_a_location_and_its_secret_once(tmp_path: Path) -> None:
    async with receiver(answering(204)) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        made = await subscribe(house, server.url, trigger="OnNewRegistration")
        assert made.status == 201
        id_, secret = made.json["id"], made.json["secret"]
        assert made.headers["Location"] == f"{house.surface.url}{PATH}/{id_}"
        shown = await house.get(made.headers["Location"])
        assert shown.json["callbackUrl"] == server.url and shown.json["trigger"] == "OnNewRegistration"
        listed = await house.get(PATH)
        assert [one["id"] for one in listed.json] == [id_]
        assert secret.startswith("whsec_") and secret not in shown.text + listed.text

        told = await house.people(2)
        await house.tell(replace(draft(7), type="com.goto.webinar.created"))
        await until(lambda: len(server.bodies) == 2)
        await idle(house)
        items = (await house.get("/v1/triggers/OnNewRegistration/items")).json
    assert ids(server) == told
    assert [json.loads(body) for body in server.bodies] == items[::-1], "the same item shape as by polling"
    assert Webhook(secret).verify(server.bodies[0], server.headers[0])["id"] == told[0]
    assert server.headers[0]["webhook-id"] == told[0]


@pytest.mark.parametrize("name", ["callbackUrl", "targetUrl", "hookUrl"])
async def test_platforms_have_three_names_for_the_url(tmp_path: Path, name: str) -> None:
    async with http_house(tmp_path) as house:
        made = await house.ask("POST", PATH, json={name: "https://example.com/hook"})
        assert made.status == 201 and made.json["callbackUrl"] == "https://example.com/hook"
        refused = await house.ask("POST", PATH, json={name: "ftp://example.com"})
        assert refused.status == 400 and refused.json["parameter"] == "callbackUrl"


async def test_a_url_subscribed_twice_has_two_ids_and_gets_each_event_once_signed_for_both(tmp_path: Path) -> None:
    async with receiver(answering(200)) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        one = await subscribe(house, server.url)
        two = await subscribe(house, server.url, trigger="OnNewRegistration", format="cloudevent")
        assert one.json["id"] != two.json["id"]
        told = await house.people(3)
        await until(lambda: len(server.bodies) == 3)
        await idle(house)
        assert ids(server) == told
        assert json.loads(server.bodies[0])["specversion"] == "1.0", "the newest wish says the format"
        for made in (one, two):
            Webhook(made.json["secret"]).verify(server.bodies[0], server.headers[0])

        assert (await house.ask("DELETE", f"{PATH}/{one.json['id']}")).status == 204
        more = await house.people(1, first=4)
        await until(lambda: len(server.bodies) == 4)
    assert ids(server) == [*told, *more]
    with pytest.raises(Exception, match="signature"):
        Webhook(one.json["secret"]).verify(server.bodies[3], server.headers[3])


async def test_unsubscribing_ends_it_and_is_answered_alike_when_it_is_gone(tmp_path: Path) -> None:
    busy = answering(503, {"Retry-After": "3600"})  # so that no second attempt comes before the end
    async with receiver(busy) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        made = await subscribe(house, server.url)
        sink = made.json["sink"]
        await house.people(1)
        await until(lambda: server.bodies)
        for _ in range(2):
            gone = await house.ask("DELETE", f"{PATH}/{made.json['id']}")
            assert (gone.status, gone.text) == (204, "")
        assert (await house.ask("DELETE", f"{PATH}/never-there")).status == 204
        assert (await house.get(made.headers["Location"])).status == 404
        await house.people(1, first=2)
        await idle(house)
        assert sink not in await house.app.store.backlog(), "nobody wants what was owed to it"
    assert len(server.bodies) == 1


async def test_subscriptions_survive_a_restart_with_what_is_owed_to_them(tmp_path: Path) -> None:
    async with receiver(answering(200)) as server:
        async with http_house(tmp_path, http=OWN_NETWORK) as house:
            made = await subscribe(house, server.url, webinarKey="77")
            before, _ = await house.tell(
                draft(1, webinar="77", webinarKey="77"), draft(2, webinar="78", webinarKey="78")
            )
        async with http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
            after = await house.people(1, first=3, webinar="77", webinarKey="77")
            await until(lambda: len(server.bodies) == 2)
            assert (await house.get(PATH)).json == [{k: v for k, v in made.json.items() if k != "secret"}]
    assert ids(server) == [before, *after]
    assert Webhook(made.json["secret"]).verify(server.bodies[1], server.headers[1])


async def test_neither_url_nor_secret_lie_open_in_the_state(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        made = await subscribe(house, "https://example.com/hush-hush")
    contents = b"".join(path.read_bytes() for path in tmp_path.glob("poller.db*") if path.suffix != ".key")
    assert b"hush-hush" not in contents and made.json["secret"].encode() not in contents


async def test_what_another_key_sealed_is_left_alone_and_can_be_deleted(tmp_path: Path) -> None:
    async with http_house(tmp_path, engine={"key": "one key"}) as house:
        made = await subscribe(house, "https://example.com/hook")
    with structlog.testing.capture_logs() as lines:
        async with http_house(tmp_path, engine={"key": "another key"}) as house:
            assert (await house.get(PATH)).json == []
            await house.ask("DELETE", f"{PATH}/{made.json['id']}")
            assert await house.app.store.subscriptions() == []
    assert "subscription.unreadable" in [line["event"] for line in lines]


# ── what may be called ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://localhost/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[::ffff:127.0.0.1]/hook",
        "https://2130706433/hook",
        "https://169\uff61254\uff61169\uff61254/hook",
        "https://\U0001fbf1\U0001fbf2\U0001fbf7\u3002\U0001fbf0\u3002\U0001fbf0\u3002\U0001fbf1/hook",
        "https://user:password@127.0.0.1/hook",
        f"https://{64 * 'a'}.example/hook",
        "https://a..example/hook",
        "https://",
        "example.com/hook",
        "",
    ],
)
async def test_only_https_and_public_addresses_are_called(tmp_path: Path, url: str) -> None:
    async with http_house(tmp_path) as house:
        refused = await subscribe(house, url)
        assert refused.status == 400 and refused.json["parameter"] == "callbackUrl"
        assert (await house.get(PATH)).json == []


async def test_a_permission_taken_back_by_a_reload_stops_what_it_allowed(tmp_path: Path) -> None:
    async with receiver(answering(200)) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        await subscribe(house, server.url)
        engine, listen = {"state": str(tmp_path / "poller.db")}, {"listen": "127.0.0.1:0"}
        await house.app.reload(Settings.parse({"engine": engine, "http": listen}, tmp_path))
        told = await house.people(1)
        await idle(house)
        assert not server.bodies
        await house.app.reload(Settings.parse({"engine": engine, "http": {**listen, **OWN_NETWORK}}, tmp_path))
        await until(lambda: server.bodies)
    assert ids(server) == told, "what it was owed meanwhile"


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "callbackUrl"),
        ({"callbackUrl": 5}, "callbackUrl"),
        ({"callbackUrl": "https://a.example", "hookUrl": "https://b.example"}, "hookUrl"),
        ({"callbackUrl": "https://a.example", "trigger": "nobody"}, "trigger"),
        ({"callbackUrl": "https://a.example", "types": ["registrant.aded"]}, "types"),
        ({"callbackUrl": "https://a.example", "types": "registrant.added"}, "types"),
        ({"callbackUrl": "https://a.example", "types": ["*"], "trigger": "all"}, "types"),
        ({"callbackUrl": "https://a.example", "format": "template"}, "format"),
        ({"callbackUrl": "https://a.example", "webinarKey": "x' || '1"}, "webinarKey"),
        ({"callbackUrl": "https://a.example", "webinar": "77"}, "webinar"),
    ],
)
async def test_a_wish_that_cannot_be_understood_is_refused_with_the_field(
    tmp_path: Path, body: dict[str, Any], parameter: str
) -> None:
    async with http_house(tmp_path) as house:
        refused = await house.ask("POST", PATH, json=body)
        assert refused.status == 400 and refused.json["parameter"] == parameter
        assert (await house.get(PATH)).json == []


# ── as any other sink ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_receiver_that_wants_no_more_is_left_alone_until_it_subscribes_again(tmp_path: Path) -> None:
    status = 410

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with receiver(answer) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        sink = (await subscribe(house, server.url)).json["sink"]
        [told] = await house.people(1)
        await until(lambda: house.app.dispatcher.states()[sink].disabled)
        [down] = (await house.get("/readyz")).json["sinks"]
        assert down["sink"] == sink
        status = 200
        await subscribe(house, server.url)
        await until(lambda: len(server.bodies) == 2)
    assert ids(server) == [told, told]


async def test_it_is_listed_paused_and_kept_from_being_dropped_by_mistake(tmp_path: Path) -> None:
    async with receiver(answering(200)) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        app, admin = house.app, house.admin
        sink = (await subscribe(house, server.url)).json["sink"]
        [view] = (await overview(app.settings, app.store, app.clock)).sinks
        assert (view.name, view.type, view.status) == (sink, "subscription", "ok")

        await admin.pause("sink", sink)
        told = await house.people(1)
        await idle(house)
        assert not server.bodies
        await admin.resume("sink", sink)
        await until(lambda: server.bodies)
        with pytest.raises(Exception, match="belongs to a subscription"):
            await admin.sinks_drop(sink)
    assert ids(server) == told


async def test_pausing_the_trigger_holds_what_its_subscriptions_want(tmp_path: Path) -> None:
    async with receiver(answering(200)) as server, http_house(tmp_path, http=OWN_NETWORK, deliver=True) as house:
        sink = (await subscribe(house, server.url, trigger="all")).json["sink"]
        await house.admin.pause("trigger", "all")
        told = await house.people(1)
        assert (await house.app.store.backlog())[sink] == Backlog(held=1)
        await house.admin.resume("trigger", "all")
        await until(lambda: server.bodies)
    assert ids(server) == told


async def test_a_subscription_makes_its_webinars_worth_polling(tmp_path: Path) -> None:
    """Even where no trigger of the settings is about registrants."""
    trigger = {"name": "webinars", "on": ["webinar.*"]}
    async with http_house(tmp_path, triggers=[trigger]) as house:

        def wants(webinar: str) -> bool:
            target = Target("acme", Scope("registrant", webinar), title="Intro")
            return house.app.routing.wants(target, ["acme"])

        assert not wants("77")
        made = await subscribe(house, "https://example.com/hook", trigger="OnNewRegistration", webinarKey="77")
        assert wants("77") and not wants("78")
        await house.ask("DELETE", f"{PATH}/{made.json['id']}")
        assert not wants("77")
