"""Methods of poller.goto.operations.methods: coroutines, and streams over all pages.

Written by poller.goto.operations.writing from what stands in webhook.py: do not edit.
"""

from __future__ import annotations

from typing import Literal

from poller.goto.operations.bodies import (
    NewSecretKey,
    NewUserSubscription,
    NewWebhook,
    UserSubscriptionChanges,
    WebhookChanges,
)
from poller.goto.operations.calling import Calls
from poller.goto.operations.webinar_answers import (
    SecretKey,
    UserSubscription,
    UserSubscriptionsAnswer,
    Webhook,
    WebhooksAnswer,
)


class WebhookMethods(Calls):
    async def get_webhooks(self, *, product: Literal["g2w"] = "g2w") -> WebhooksAnswer:
        """The webhooks of the OAuth client."""
        result: WebhooksAnswer = await self.perform("getWebhooks", {"product": product})
        return result

    async def get_webhook(self, webhook_key: str) -> Webhook:
        """One webhook."""
        result: Webhook = await self.perform("getWebhook", {"webhookKey": webhook_key})
        return result

    async def create_webhooks(self, body: list[NewWebhook]) -> WebhooksAnswer:
        """Make webhooks; they are inactive until they are updated to ACTIVE."""
        result: WebhooksAnswer = await self.perform("createWebhooks", {}, body)
        return result

    async def update_webhooks(self, body: list[WebhookChanges]) -> None:
        """Change webhooks, or switch them on and off."""
        await self.perform("updateWebhooks", {}, body)

    async def delete_webhooks(self, body: list[str]) -> None:
        """Delete webhooks; the body is a list of webhookKeys."""
        await self.perform("deleteWebhooks", {}, body)

    async def create_secret_key(self, body: NewSecretKey) -> SecretKey:
        """Make the key that signs what the webhooks send."""
        result: SecretKey = await self.perform("createSecretKey", {}, body)
        return result

    async def get_user_subscriptions(self, *, product: Literal["g2w"] = "g2w") -> UserSubscriptionsAnswer:
        """The user's subscriptions to webhooks."""
        result: UserSubscriptionsAnswer = await self.perform("getUserSubscriptions", {"product": product})
        return result

    async def get_user_subscription(self, user_subscriptions_key: str) -> UserSubscription:
        """One subscription."""
        result: UserSubscription = await self.perform(
            "getUserSubscription", {"userSubscriptionsKey": user_subscriptions_key}
        )
        return result

    async def create_user_subscriptions(self, body: list[NewUserSubscription]) -> UserSubscriptionsAnswer:
        """Subscribe the user to webhooks."""
        result: UserSubscriptionsAnswer = await self.perform("createUserSubscriptions", {}, body)
        return result

    async def update_user_subscriptions(self, body: list[UserSubscriptionChanges]) -> None:
        """Change subscriptions, or switch them on and off."""
        await self.perform("updateUserSubscriptions", {}, body)

    async def delete_user_subscriptions(self, body: list[str]) -> None:
        """Delete subscriptions; the body is a list of userSubscriptionKeys."""
        await self.perform("deleteUserSubscriptions", {}, body)
