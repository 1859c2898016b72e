"""GoTo's webhooks as they are set up: secret keys, webhooks, user subscriptions. No sockets.

A webhook belongs to the person who made it, a subscription to the one whose events it wants; secret keys are the
application's. Everything is lost with the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Literal
from uuid import UUID

from poller.simulator.roster import UnknownKeyError

State = Literal["INACTIVE", "ACTIVE"]

EVENTS = ("registrant.added", "registrant.joined", "webinar.created", "webinar.changed", "survey.submitted")


@dataclass(frozen=True, slots=True)
class SecretKey:
    number: int
    value: str
    valid_from: datetime


@dataclass(slots=True)
class Webhook:
    key: str
    owner_key: str
    event_name: str
    callback_url: str
    created: datetime
    state: State = "INACTIVE"


@dataclass(slots=True)
class Subscription:
    """An own `callback_url` goes before the webhook's."""

    key: str
    user_key: str
    webhook: Webhook
    created: datetime
    state: State = "ACTIVE"
    callback_url: str | None = None

    @property
    def url(self) -> str:
        return self.callback_url or self.webhook.callback_url

    @property
    def active(self) -> bool:
        return self.state == self.webhook.state == "ACTIVE"


class Hooks:
    """Everything set up so far. Methods that look something up by key raise UnknownKeyError."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(f"{seed}:webhook keys")
        self._secrets: list[SecretKey] = []
        self._webhooks: dict[str, Webhook] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def draw_uuid(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    # ---- secret keys

    def add_secret(self, valid_from: datetime) -> SecretKey:
        secret = SecretKey(len(self._secrets) + 1, self.draw_uuid(), valid_from)
        self._secrets.append(secret)
        return secret

    def secret_at(self, moment: datetime) -> SecretKey | None:
        """The newest of those that are valid by then."""
        valid = [secret for secret in self._secrets if secret.valid_from <= moment]
        return max(valid, key=lambda secret: (secret.valid_from, secret.number), default=None)

    # ---- webhooks

    def add_webhook(self, owner_key: str, event_name: str, callback_url: str, now: datetime) -> Webhook:
        webhook = Webhook(self.draw_uuid(), owner_key, event_name, callback_url, now)
        self._webhooks[webhook.key] = webhook
        return webhook

    def webhooks(self, owner_key: str) -> list[Webhook]:
        return [webhook for webhook in self._webhooks.values() if webhook.owner_key == owner_key]

    def webhook(self, key: str, owner_key: str | None = None) -> Webhook:
        """With `owner_key` only one of this person's."""
        webhook = self._webhooks.get(key)
        if webhook is None or owner_key not in (None, webhook.owner_key):
            raise UnknownKeyError(key)
        return webhook

    def drop_webhook(self, key: str) -> None:
        """Its subscriptions go with it."""
        del self._webhooks[key]
        self._subscriptions = {k: s for k, s in self._subscriptions.items() if s.webhook.key != key}

    # ---- user subscriptions

    def add_subscription(
        self, user_key: str, webhook: Webhook, now: datetime, *, callback_url: str | None, state: State
    ) -> Subscription:
        subscription = Subscription(self.draw_uuid(), user_key, webhook, now, state, callback_url)
        self._subscriptions[subscription.key] = subscription
        return subscription

    def subscriptions(self, user_key: str) -> list[Subscription]:
        return [subscription for subscription in self._subscriptions.values() if subscription.user_key == user_key]

    def subscription(self, key: str, user_key: str) -> Subscription:
        subscription = self._subscriptions.get(key)
        if subscription is None or subscription.user_key != user_key:
            raise UnknownKeyError(key)
        return subscription

    def drop_subscription(self, key: str) -> None:
        del self._subscriptions[key]

    def wanting(self, event_name: str, user_key: str) -> list[Subscription]:
        """Active subscriptions to this event of this person."""
        mine = self.subscriptions(user_key)
        return [s for s in mine if s.active and s.webhook.event_name == event_name]
