"""The operations of GoTo's own webhooks: the vendor's OpenAPI document, tag Webhooks, row by row.

https://developer.goto.com/guides/HowTos/12_HOW_webinarWebhooks/
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from poller.goto.operations import bodies, webinar_answers
from poller.goto.operations.kinds import TOKEN
from poller.goto.operations.spec import Operation, Parameter

_PRODUCT: Final = Parameter("product", "query", Literal["g2w"], required=True, default="g2w")
_WEBHOOK: Final = Parameter("webhookKey", "path", Annotated[str, TOKEN], required=True)
_SUBSCRIPTION: Final = Parameter("userSubscriptionsKey", "path", Annotated[str, TOKEN], required=True)

_KEYS: Final = list[Annotated[str, TOKEN]]

WEBHOOKS: Final = (
    Operation(
        "getWebhooks",
        "Webhooks",
        "GET",
        "/webhooks",
        "The webhooks of the OAuth client",
        webinar_answers.WebhooksAnswer,
        (_PRODUCT,),
    ),
    Operation(
        "getWebhook",
        "Webhooks",
        "GET",
        "/webhooks/{webhookKey}",
        "One webhook",
        webinar_answers.Webhook,
        (_WEBHOOK,),
    ),
    Operation(
        "createWebhooks",
        "Webhooks",
        "POST",
        "/webhooks",
        "Make webhooks; they are inactive until they are updated to ACTIVE",
        webinar_answers.WebhooksAnswer,
        (),
        list[bodies.NewWebhook],
        look="getWebhooks",
    ),
    Operation(
        "updateWebhooks",
        "Webhooks",
        "PUT",
        "/webhooks",
        "Change webhooks, or switch them on and off",
        None,
        (),
        list[bodies.WebhookChanges],
        look="getWebhooks",
    ),
    Operation(
        "deleteWebhooks",
        "Webhooks",
        "DELETE",
        "/webhooks",
        "Delete webhooks; the body is a list of webhookKeys",
        None,
        (),
        _KEYS,
        look="getWebhooks",
    ),
    Operation(
        "createSecretKey",
        "Webhooks",
        "POST",
        "/webhooks/secretkey",
        "Make the key that signs what the webhooks send",
        webinar_answers.SecretKey,
        (),
        bodies.NewSecretKey,
        look="the first deliveries: GoTo does not list these keys",
    ),
    Operation(
        "getUserSubscriptions",
        "User subscriptions",
        "GET",
        "/userSubscriptions",
        "The user's subscriptions to webhooks",
        webinar_answers.UserSubscriptionsAnswer,
        (_PRODUCT,),
        aliases=("List User Subscriptions",),
    ),
    Operation(
        "getUserSubscription",
        "User subscriptions",
        "GET",
        "/userSubscriptions/{userSubscriptionsKey}",
        "One subscription",
        webinar_answers.UserSubscription,
        (_SUBSCRIPTION,),
    ),
    Operation(
        "createUserSubscriptions",
        "User subscriptions",
        "POST",
        "/userSubscriptions",
        "Subscribe the user to webhooks",
        webinar_answers.UserSubscriptionsAnswer,
        (),
        list[bodies.NewUserSubscription],
        look="getUserSubscriptions",
        aliases=("Create User Subscription",),
    ),
    Operation(
        "updateUserSubscriptions",
        "User subscriptions",
        "PUT",
        "/userSubscriptions",
        "Change subscriptions, or switch them on and off",
        None,
        (),
        list[bodies.UserSubscriptionChanges],
        look="getUserSubscriptions",
        aliases=("Update User Subscription",),
    ),
    Operation(
        "deleteUserSubscriptions",
        "User subscriptions",
        "DELETE",
        "/userSubscriptions",
        "Delete subscriptions; the body is a list of userSubscriptionKeys",
        None,
        (),
        _KEYS,
        look="getUserSubscriptions",
        aliases=("Delete User Subscription",),
    ),
)
