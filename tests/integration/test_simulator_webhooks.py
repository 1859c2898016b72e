"""GoTo's webhooks over real sockets: how they are set up, what is posted and signed, and all that goes wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from poller.simulator import Simulator, WebhookOptions, WorldOptions
from poller.simulator.hooks import EVENTS
from poller.testing import FakeClock
from tests.integration.receiver import answering, receiver
from tests.integration.simulator_guest import BASIC, visiting

V2 = "/G2W/rest/v2"
PRODUCT = {"product": "g2w"}
QUIET = WorldOptions(
    organizers=2, webinars=2, registrants=20, rate_per_minute=0, manual_share=0, series_share=0, sequence_share=0
)


@dataclass
class Subscriber:
    """A guest with a callback of its own. `posts` are headers (lower case) and bodies as they came."""

    guest: object
    clock: FakeClock
    url: str
    posts: asyncio.Queue[tuple[dict[str, str], bytes]] = field(default_factory=asyncio.Queue)

    @property
    def world(self):
        return self.guest.sim.world

    async def call(self, method, path, status, **more):
        reply = await self.guest.call(method, V2 + path, **more)
        assert reply.status == status, reply.body
        return reply.json if reply.body else None

    async def make_secret(self, **body):
        return (await self.call("POST", "/webhooks/secretkey", 200, json=body))["value"]

    async def make_webhook(self, name, *, state="ACTIVE"):
        new = {"callbackUrl": self.url, "eventName": name, "eventVersion": "1.0.0", **PRODUCT}
        (made,) = (await self.call("POST", "/webhooks", 200, json=[new]))["_embedded"]["webhooks"]
        assert made["state"] == "INACTIVE"
        key = made["webhookKey"]
        await self.call("PUT", "/webhooks", 204, json=[{"webhookKey": key, "state": state}])
        return key

    async def subscribe(self, *names, **more):
        wanted = [{"webhookKey": await self.make_webhook(name), **more} for name in names]
        made = await self.call("POST", "/userSubscriptions", 200, json=wanted)
        return made["_embedded"]["userSubscriptions"]

    async def next_post(self):
        headers, body = await asyncio.wait_for(self.posts.get(), 30)
        return headers, json.loads(body), body

    async def next_event(self):
        return (await self.next_post())[1]

    async def noted(self, count):
        """The log once so many are in it, or the sender sleeps by the clock: it notes a post when its answer is there,
        which is later than the post is here."""
        while len(self.log) < count and not self.clock.sleepers:
            await asyncio.sleep(0)
        return self.log

    async def register(self, count=1):
        """That many registrations, all at one moment; their keys."""
        people = [self.world.register(self.webinar.webinar_key) for _ in range(count)]
        return [int(person.registrant_key) for person in people]

    @property
    def webinar(self):
        owner = self.world.organizers[0].organizer_key
        return next(w for w in self.world.webinars() if w.organizer_key == owner)

    @property
    def log(self):
        return list(self.guest.sim.postings)


@contextlib.asynccontextmanager
async def subscriber(options=QUIET, **webhooks):
    clock = FakeClock()
    async with visiting(Simulator(options, clock=clock, webhooks=WebhookOptions(**webhooks))) as guest:
        posts: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

        async def take(request):
            if request.method == "POST":
                headers = {name.lower(): value for name, value in request.headers.items()}
                await posts.put((headers, await request.read()))
            return web.Response()

        async with receiver(take) as callback:
            yield Subscriber(guest, clock, callback.url, posts)


# ---- setting up


async def test_a_callback_is_probed_for_a_request_without_a_port_too():
    sim = Simulator(QUIET, clock=FakeClock())
    form = f"grant_type=personal_access_token&pat={sim.world.organizers[0].pat}"
    token = json.loads((await sim.receive("POST", "/oauth/token", {}, BASIC, form.encode())).body)["access_token"]
    authorization = {"Authorization": f"Bearer {token}"}
    for answer, status in ((200, 200), (204, 400)):
        async with receiver(answering(answer)) as callback:
            new = {"callbackUrl": callback.url, "eventName": "registrant.added", "eventVersion": "1.0.0", **PRODUCT}
            reply = await sim.receive("POST", f"{V2}/webhooks", {}, authorization, json.dumps([new]).encode())
        assert (reply.status, callback.methods) == (status, ["GET"])


async def test_a_callback_is_probed_with_a_get_and_refused_unless_it_answers_200():
    async with subscriber() as me, receiver(answering(200)) as good, receiver(answering(204)) as bad:
        new = {"callbackUrl": good.url, "eventName": "registrant.added", "eventVersion": "1.0.0", **PRODUCT}
        (webhook,) = (await me.call("POST", "/webhooks", 200, json=[new]))["_embedded"]["webhooks"]
        assert good.methods == ["GET"]
        key = {"webhookKey": webhook["webhookKey"]}
        await me.call("PUT", "/webhooks", 204, json=[{**key, "callbackUrl": good.url}])
        made = await me.call("POST", "/userSubscriptions", 200, json=[{**key, "callbackUrl": good.url}])
        both = {**key, "userSubscriptionKey": made["_embedded"]["userSubscriptions"][0]["userSubscriptionKey"]}
        await me.call("PUT", "/userSubscriptions", 204, json=[{**both, "callbackUrl": good.url}])
        assert good.methods == ["GET"] * 4
        for url in (bad.url, "http://127.0.0.1:1/closed"):
            await me.call("POST", "/webhooks", 400, json=[{**new, "callbackUrl": url}])
            await me.call("PUT", "/webhooks", 400, json=[{**key, "callbackUrl": url}])
            await me.call("POST", "/userSubscriptions", 400, json=[{**key, "callbackUrl": url}])
            await me.call("PUT", "/userSubscriptions", 400, json=[{**both, "callbackUrl": url}])
        (listed,) = (await me.call("GET", "/webhooks", 200, params=PRODUCT))["_embedded"]["webhooks"]
        assert listed["callbackUrl"] == good.url


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "ftp://127.0.0.1/x", "nonsense", "http://[::1", "https://127.0.0.1:99999/x"]
)
async def test_only_https_is_taken_and_http_on_loopback_unless_the_option_forbids_it(url):
    async with subscriber() as me:
        new = {"callbackUrl": url, "eventName": "registrant.added", "eventVersion": "1.0.0", **PRODUCT}
        await me.call("POST", "/webhooks", 400, json=[new])
    async with subscriber(http_on_loopback=False) as me:
        await me.call("POST", "/webhooks", 400, json=[{**new, "callbackUrl": me.url}])


@pytest.mark.parametrize(
    "change",
    [{"eventName": "registrant.sneezed"}, {"eventVersion": "2.0.0"}, {"product": "g2m"}, {"callbackUrl": None}],
)
async def test_a_webhook_for_something_that_is_not_offered_is_refused(change):
    async with subscriber() as me:
        new = {"callbackUrl": me.url, "eventName": "registrant.added", "eventVersion": "1.0.0", **PRODUCT}
        await me.call("POST", "/webhooks", 400, json=[{**new, **change}])


async def test_lists_need_the_product_and_show_only_ones_own():
    async with subscriber() as me:
        (mine,) = await me.subscribe("registrant.added")
        for path in ("/webhooks", "/userSubscriptions"):
            await me.call("GET", path, 400)
            await me.call("GET", path, 400, params={"product": "g2m"})
        await me.guest.log_in(me.world.organizers[1].pat)
        assert (await me.call("GET", "/webhooks", 200, params=PRODUCT))["_embedded"]["webhooks"] == []
        theirs = await me.call("GET", "/userSubscriptions", 200, params=PRODUCT)
        assert theirs["_embedded"]["userSubscriptions"] == []
        await me.call("GET", f"/webhooks/{mine['webhookKey']}", 404)
        await me.call("GET", f"/userSubscriptions/{mine['userSubscriptionKey']}", 404)
        await me.call("DELETE", "/webhooks", 404, json=[mine["webhookKey"]])
        await me.call("DELETE", "/userSubscriptions", 404, json=[mine["userSubscriptionKey"]])


async def test_a_subscription_is_active_only_while_it_and_its_webhook_both_are():
    async with subscriber() as me:
        (made,) = await me.subscribe("registrant.added")
        both = {name: made[name] for name in ("webhookKey", "userSubscriptionKey")}
        one = f"/userSubscriptions/{made['userSubscriptionKey']}"

        async def set_states(webhook, subscription):
            await me.call("PUT", "/webhooks", 204, json=[{"webhookKey": made["webhookKey"], "state": webhook}])
            change = {**both, "userSubscriptionState": subscription}
            await me.call("PUT", "/userSubscriptions", 204, json=[change])
            await me.register()
            return (await me.call("GET", one, 200))["activationState"]

        assert await set_states("INACTIVE", "ACTIVE") == "INACTIVE"
        assert await set_states("ACTIVE", "INACTIVE") == "INACTIVE"
        assert me.log == []
        assert await set_states("ACTIVE", "ACTIVE") == "ACTIVE"
        assert (await me.next_event())["eventName"] == "registrant.added"


async def test_a_deleted_webhook_takes_its_subscriptions_along_and_a_deleted_subscription_leaves_the_rest():
    async with subscriber() as me:
        first, second = await me.subscribe("registrant.added", "webinar.created")
        await me.call("DELETE", "/userSubscriptions", 202, json=[second["userSubscriptionKey"]])
        await me.call("DELETE", "/webhooks", 202, json=[first["webhookKey"]])
        listed = await me.call("GET", "/userSubscriptions", 200, params=PRODUCT)
        assert listed["_embedded"]["userSubscriptions"] == []
        (left,) = (await me.call("GET", "/webhooks", 200, params=PRODUCT))["_embedded"]["webhooks"]
        assert left["webhookKey"] == second["webhookKey"]
        await me.register()
        assert me.log == []


async def test_another_user_of_the_application_subscribes_to_the_same_webhook_and_gets_only_own_events():
    async with subscriber() as me:
        key = await me.make_webhook("registrant.added")
        await me.guest.log_in(me.world.organizers[1].pat)
        await me.call("POST", "/userSubscriptions", 200, json=[{"webhookKey": key}])
        await me.register()
        theirs = next(w for w in me.world.webinars() if w.organizer_key == me.world.organizers[1].organizer_key)
        person = me.world.register(theirs.webinar_key)
        assert (await me.next_event())["registrantKey"] == int(person.registrant_key)
        assert me.posts.empty()


async def test_an_own_callback_of_a_subscription_goes_before_the_webhooks():
    async with subscriber() as me, receiver(answering(200)) as other:
        await me.subscribe("registrant.added", callbackUrl=other.url)
        await me.register()
        while other.methods.count("POST") == 0:
            await asyncio.sleep(0)
        assert me.posts.empty()


# ---- what is posted


async def test_every_event_is_posted_with_its_fields_and_keys_as_numbers():
    options = WorldOptions(
        webinars=1, registrants=4, rate_per_minute=0, manual_share=0, series_share=0, sequence_share=0,
        attendance_share=1.0, survey_share=1.0, rejoin_share=0.0,
    )  # fmt: skip
    async with subscriber(options) as me:
        await me.subscribe(*EVENTS)
        webinar, world = me.webinar, me.world
        (key,) = await me.register()
        added = await me.next_event()
        assert (added["eventName"], added["registrantKey"], added["status"]) == ("registrant.added", key, "APPROVED")
        assert added["webinarKey"] == int(webinar.webinar_key)
        assert added["webinarCreatorKey"] == int(webinar.organizer_key)
        assert added["joinUrl"].startswith("https://")
        assert added["registrationDate"].endswith(".000Z")
        world.change_webinar(webinar.webinar_key, subject="Other words")
        changed = await me.next_event()
        assert (changed["eventName"], changed["status"]) == ("webinar.changed", "UPDATED")
        assert changed["webinarTitle"] == "Other words"
        new = world.create_webinar()
        created = await me.next_event()
        assert (created["eventName"], created["status"]) == ("webinar.created", "NEW")
        assert (created["webinarKey"], created["recurrenceKey"]) == (int(new.webinar_key), None)
        world.cancel_webinar(new.webinar_key)
        assert (await me.next_event())["status"] == "DELETED"
        await me.clock.advance((webinar.ends - world.now).total_seconds())
        world.catch_up()
        joined = [await me.next_event() for _ in range(5)]
        (session,) = world.sessions.completed([webinar], world.now)
        times = {int(one.key): one.stays[0].start.timestamp() * 1000 for one in world.sessions.everybody(session)}
        assert {event["registrantKey"]: event["joinTime"] for event in joined} == times
        assert {event["sessionKey"] for event in joined} == {int(session.session_key)}
        await me.clock.advance(3600)
        world.catch_up()
        surveys = [await me.next_event() for _ in range(5)]
        assert {event["eventName"] for event in surveys} == {"survey.submitted"}
        assert {event["registrantKey"] for event in surveys} == set(times)
        every = [added, changed, created, *joined, *surveys]
        assert {(event["eventVersion"], event["product"]) for event in every} == {("1.0.0", "g2w")}
        assert len({event["eventKey"] for event in every}) == len(every)


async def test_what_becomes_of_meetings_is_posted_to_nobody():
    async with subscriber() as me:
        await me.subscribe("registrant.added")
        me.world.meetings.hold(me.world.meetings.create().meeting_id)
        (key,) = await me.register()
        assert (await me.next_event())["registrantKey"] == key
        assert len(await me.noted(1)) == 1


async def test_somebody_who_waits_for_approval_has_no_join_url_yet():
    async with subscriber() as me:
        await me.subscribe("registrant.added")
        me.world.register(me.webinar.webinar_key, status="WAITING")
        event = await me.next_event()
        assert event["status"] == "WAITING"
        assert "joinUrl" not in event


# ---- the signature


def digest(secret, content):
    return hmac.new(secret.encode(), content, hashlib.sha256)


async def test_the_signature_is_hmac_sha256_over_the_raw_body_in_hex():
    async with subscriber() as me:
        secret = await me.make_secret()
        await me.subscribe("registrant.added")
        await me.register()
        headers, _, body = await me.next_post()
        assert headers["x-webhook-signature"] == digest(secret, body).hexdigest()
        assert "x-webhook-timestamp" not in headers


async def test_the_signature_may_be_base64_and_over_a_timestamp_too():
    options = {"encoding": "base64", "signed": "timestamp.body", "timestamp_header": "X-When"}
    async with subscriber(**options) as me:
        secret = await me.make_secret()
        await me.subscribe("registrant.added")
        await me.register()
        headers, _, body = await me.next_post()
        assert headers["x-when"] == str(int(me.world.now.timestamp()))
        content = headers["x-when"].encode() + b"." + body
        assert headers["x-webhook-signature"] == base64.b64encode(digest(secret, content).digest()).decode()


async def test_without_a_secret_key_nothing_is_signed_and_a_new_key_counts_from_its_date():
    async with subscriber() as me:
        await me.subscribe("registrant.added")
        await me.register()
        assert "x-webhook-signature" not in (await me.next_post())[0]
        old = await me.make_secret()
        new = await me.make_secret(validFrom="2026-03-01T10:30:00+01:00")
        for seconds, secret in ((0, old), (1799, old), (1, new)):
            await me.clock.advance(seconds)
            await me.register()
            headers, _, body = await me.next_post()
            assert headers["x-webhook-signature"] == digest(secret, body).hexdigest()


# ---- everything that goes wrong


async def test_lost_events_are_never_posted_and_are_in_the_log():
    async with subscriber(loss=0.5) as me:
        await me.subscribe("registrant.added")
        keys = await me.register(40)
        lost = [posting for posting in me.log if posting.fate == "lost"]
        assert 10 <= len(lost) <= 30
        came = [(await me.next_event())["registrantKey"] for _ in range(40 - len(lost))]
        assert came == [key for key in keys if key in came]
        report = (await me.guest.get("/_simulator/limits")).json
        assert report["webhooks"]["lost"] == len(lost)


async def test_repeated_events_come_twice_with_one_event_key():
    async with subscriber(duplication=1.0) as me:
        await me.subscribe("registrant.added")
        await me.register(3)
        events = [await me.next_event() for _ in range(6)]
        assert events[0::2] == events[1::2]
        assert len({event["eventKey"] for event in events}) == 3


async def test_delayed_events_come_by_the_simulated_clock():
    async with subscriber(delay_seconds=60) as me:
        await me.subscribe("registrant.added")
        await me.register(20)
        await me.noted(20)
        assert me.posts.empty()
        for _ in range(60):
            await me.clock.advance(1)
            await me.noted(20)
        came = [await me.next_event() for _ in range(20)]
        assert len({event["eventKey"] for event in came}) == 20
        assert len({posting.at for posting in me.log}) > 10


async def test_reordered_events_are_overtaken_by_later_ones():
    async with subscriber(reordering=0.5, reordering_seconds=30) as me:
        await me.subscribe("registrant.added")
        keys = await me.register(20)
        for _ in range(31):
            await me.clock.advance(1)
        came = [(await me.next_event())["registrantKey"] for _ in range(20)]
        assert came != keys
        assert sorted(came) == sorted(keys)


async def test_forged_events_name_nobody_who_exists_and_fail_every_check_of_the_signature():
    async with subscriber(forgery=1.0) as me:
        secret = await me.make_secret()
        await me.subscribe("registrant.added")
        keys = await me.register(10)
        posts = [await me.next_post() for _ in range(20)]
        genuine = {body for headers, _, body in posts if is_signed(secret, headers, body)}
        assert sorted(json.loads(body)["registrantKey"] for body in genuine) == sorted(keys)
        forged = [(headers, event) for headers, event, body in posts if body not in genuine]
        known = me.world.registrants(me.webinar.webinar_key)
        assert not any(str(event["registrantKey"]) in known for _, event in forged)
        assert {"x-webhook-signature" in headers for headers, _ in forged} == {True, False}
        assert {posting.fate for posting in await me.noted(20)} == {"sent", "forged"}


def is_signed(secret, headers, body):
    return headers.get("x-webhook-signature") == digest(secret, body).hexdigest()


async def test_the_same_seed_gives_the_same_fates():
    async def fates():
        async with subscriber(loss=0.3, duplication=0.3, forgery=0.3) as me:
            await me.subscribe("registrant.added")
            await me.register(30)
            first = [posting.event_key for posting in me.log]
            sent = 30 - len(first)
            events = [await me.next_event() for _ in range(sent)]
            return first, [event["eventKey"] for event in events]

    assert await fates() == await fates()


async def test_what_a_receiver_refuses_is_in_the_log_with_its_status_and_not_sent_again():
    async with subscriber() as me:
        answers = iter([200, 500, 200])

        async def answer(request):
            return web.Response(status=next(answers))

        async with receiver(answer) as moody:
            await me.subscribe("registrant.added", callbackUrl=moody.url)
            await me.register(2)
            await me.noted(2)
        shown = (await me.guest.get("/_simulator/webhooks")).json
        assert [(one["fate"], one["status"]) for one in shown] == [("sent", 500), ("sent", 200)]
        await me.register()
        await me.noted(3)
        assert (await me.guest.get("/_simulator/webhooks")).json[-1]["status"] is None


async def test_nothing_is_posted_once_the_simulator_is_closed():
    async with subscriber() as me:
        await me.subscribe("registrant.added")
    await me.register()
    assert me.log == []


@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"forgery": -0.1}, {"delay_seconds": -1.0}])
def test_shares_beyond_0_and_1_are_refused(wrong):
    with pytest.raises(ValueError, match="webhooks"):
        WebhookOptions(**wrong)
