"""Webhooks and user subscriptions. Shapes and rules: the vendor's OpenAPI document, tag Webhooks, and its guide.

Every callback that is given is probed with a GET before anything is made or changed; 200 is the only good answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC
from functools import partial
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from poller.simulator.answers import Answer, bad_request, json_answer, unknown
from poller.simulator.desk import Operation, Visit
from poller.simulator.hook_events import millis
from poller.simulator.hook_sender import HookSender
from poller.simulator.hooks import EVENTS, Hooks, State, Subscription, Webhook
from poller.simulator.oauth import LOOPBACK
from poller.simulator.options import WebhookOptions
from poller.simulator.roster import UnknownKeyError
from poller.simulator.shapes import JsonObject
from poller.simulator.webinar_request import Moment, decode

VERSION, PRODUCT = "1.0.0", "g2w"

Found = TypeVar("Found")


class NewSecret(msgspec.Struct, rename="camel"):
    valid_from: Moment | None = None


class NewWebhook(msgspec.Struct, rename="camel"):
    callback_url: str
    event_name: str
    event_version: Literal["1.0.0"]
    product: Literal["g2w"]


class WebhookChange(msgspec.Struct, rename="camel"):
    webhook_key: str
    callback_url: str | None = None
    state: State | None = None


class NewSubscription(msgspec.Struct, rename="camel"):
    webhook_key: str
    callback_url: str | None = None
    user_subscription_state: State = "ACTIVE"


class SubscriptionChange(msgspec.Struct, rename="camel"):
    webhook_key: str
    user_subscription_key: str
    callback_url: str | None = None
    user_subscription_state: State | None = None


class HookApi:
    def __init__(self, hooks: Hooks, sender: HookSender, options: WebhookOptions) -> None:
        self._hooks, self._sender, self._options = hooks, sender, options

    def operations(self) -> list[Operation]:
        v2 = "/G2W/rest/v2"
        webhooks, subscriptions = f"{v2}/webhooks", f"{v2}/userSubscriptions"
        one = f"{subscriptions}/{{userSubscriptionsKey}}"
        return [
            Operation("createSecretKey", "POST", f"{webhooks}/secretkey", self._add_secret),
            Operation("createWebhooks", "POST", webhooks, self._add_webhooks),
            Operation("updateWebhooks", "PUT", webhooks, self._change_webhooks),
            Operation("getWebhooks", "GET", webhooks, self._webhooks),
            Operation("deleteWebhooks", "DELETE", webhooks, self._drop_webhooks),
            Operation("getWebhook", "GET", f"{webhooks}/{{webhookKey}}", self._webhook),
            Operation("createUserSubscriptions", "POST", subscriptions, self._subscribe),
            Operation("updateUserSubscriptions", "PUT", subscriptions, self._change_subscriptions),
            Operation("getUserSubscriptions", "GET", subscriptions, self._subscriptions),
            Operation("deleteUserSubscriptions", "DELETE", subscriptions, self._unsubscribe),
            Operation("getUserSubscription", "GET", one, self._subscription),
        ]

    def _add_secret(self, visit: Visit) -> Answer:
        wanted = decode(visit.body, NewSecret).valid_from
        secret = self._hooks.add_secret(wanted.astimezone(UTC) if wanted else visit.now)
        return json_answer({"value": secret.value, "validFrom": millis(secret.valid_from), "id": secret.number})

    # ---- webhooks

    async def _add_webhooks(self, visit: Visit) -> Answer:
        wanted = decode(visit.body, list[NewWebhook])
        for one in wanted:
            if one.event_name not in EVENTS:
                raise bad_request(f"eventName is not one of {', '.join(EVENTS)}.")
        await self._probe(one.callback_url for one in wanted)
        owner = visit.caller.person.organizer_key
        made = [self._hooks.add_webhook(owner, one.event_name, one.callback_url, visit.now) for one in wanted]
        return json_answer({"_embedded": {"webhooks": [_webhook(webhook) for webhook in made]}})

    async def _change_webhooks(self, visit: Visit) -> Answer:
        wanted = decode(visit.body, list[WebhookChange])
        found = [self._own_webhook(visit, one.webhook_key) for one in wanted]
        await self._probe(one.callback_url for one in wanted)
        for webhook, one in zip(found, wanted, strict=True):
            webhook.callback_url = one.callback_url or webhook.callback_url
            webhook.state = one.state or webhook.state
        return Answer(204)

    def _webhooks(self, visit: Visit) -> Answer:
        _require_product(visit)
        mine = self._hooks.webhooks(visit.caller.person.organizer_key)
        return json_answer({"_embedded": {"webhooks": [_webhook(webhook) for webhook in mine]}})

    def _webhook(self, visit: Visit) -> Answer:
        return json_answer(_webhook(self._own_webhook(visit, visit.path["webhookKey"])))

    def _drop_webhooks(self, visit: Visit) -> Answer:
        for key in {self._own_webhook(visit, key).key for key in decode(visit.body, list[str])}:
            self._hooks.drop_webhook(key)
        return Answer(202)

    def _own_webhook(self, visit: Visit, key: str) -> Webhook:
        return _known(partial(self._hooks.webhook, key, visit.caller.person.organizer_key), "Webhook")

    # ---- user subscriptions

    async def _subscribe(self, visit: Visit) -> Answer:
        """To a webhook of anybody under the same application."""
        wanted = decode(visit.body, list[NewSubscription])
        webhooks = [_known(partial(self._hooks.webhook, one.webhook_key), "Webhook") for one in wanted]
        await self._probe(one.callback_url for one in wanted)
        user = visit.caller.person.organizer_key
        made = [
            self._hooks.add_subscription(
                user, webhook, visit.now, callback_url=one.callback_url, state=one.user_subscription_state
            )
            for webhook, one in zip(webhooks, wanted, strict=True)
        ]
        return json_answer({"_embedded": {"userSubscriptions": [_subscription(s) for s in made]}})

    async def _change_subscriptions(self, visit: Visit) -> Answer:
        wanted = decode(visit.body, list[SubscriptionChange])
        found = [self._own_subscription(visit, one.user_subscription_key) for one in wanted]
        if any(s.webhook.key != one.webhook_key for s, one in zip(found, wanted, strict=True)):
            raise bad_request("webhookKey is not that of the user subscription.")
        await self._probe(one.callback_url for one in wanted)
        for subscription, one in zip(found, wanted, strict=True):
            subscription.callback_url = one.callback_url or subscription.callback_url
            subscription.state = one.user_subscription_state or subscription.state
        return Answer(204)

    def _subscriptions(self, visit: Visit) -> Answer:
        _require_product(visit)
        mine = self._hooks.subscriptions(visit.caller.person.organizer_key)
        return json_answer({"_embedded": {"userSubscriptions": [_subscription(s) for s in mine]}})

    def _subscription(self, visit: Visit) -> Answer:
        return json_answer(_subscription(self._own_subscription(visit, visit.path["userSubscriptionsKey"])))

    def _unsubscribe(self, visit: Visit) -> Answer:
        for key in {self._own_subscription(visit, key).key for key in decode(visit.body, list[str])}:
            self._hooks.drop_subscription(key)
        return Answer(202)

    def _own_subscription(self, visit: Visit, key: str) -> Subscription:
        return _known(partial(self._hooks.subscription, key, visit.caller.person.organizer_key), "User subscription")

    # ---- callbacks

    async def _probe(self, urls: Iterable[str | None]) -> None:
        for url in dict.fromkeys(url for url in urls if url is not None):
            if not self._allowed(url):
                raise bad_request("callbackUrl must be a https url.")
            if not await self._sender.probe(url):
                raise bad_request("callbackUrl did not answer a GET with 200 OK.")

    def _allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        local = self._options.http_on_loopback and parts.scheme == "http" and parts.hostname in LOOPBACK
        return bool(parts.hostname) and (parts.scheme == "https" or local)


def _require_product(visit: Visit) -> None:
    if visit.query.get("product") != PRODUCT:
        raise bad_request(f"product is required and must be {PRODUCT}.")


def _known(find: Callable[[], Found], what: str) -> Found:
    try:
        return find()
    except UnknownKeyError:
        raise unknown(what) from None


def _event(webhook: Webhook) -> JsonObject:
    return {"eventName": webhook.event_name, "eventVersion": VERSION, "product": PRODUCT, "webhookKey": webhook.key}


def _webhook(webhook: Webhook) -> JsonObject:
    made = {"state": webhook.state, "createTime": millis(webhook.created)}
    return {**_event(webhook), "callbackUrl": webhook.callback_url, **made}


def _subscription(subscription: Subscription) -> JsonObject:
    return {
        **_event(subscription.webhook),
        "callbackUrl": subscription.url,
        "userSubscriptionKey": subscription.key,
        "userSubscriptionState": subscription.state,
        "activationState": "ACTIVE" if subscription.active else "INACTIVE",
        "createTime": millis(subscription.created),
    }
