"""REST hooks: subscribe, look, unsubscribe. https://resthooks.org/docs/"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web

from poller.fields import FieldError
from poller.hooks import Subscribed, Wish
from poller.web import asking
from poller.web.handling import Handlers
from poller.web.problems import Problem, bad_request
from poller.web.pull import Offer, answer
from state.events import timestamp


class Book(Protocol):
    """See poller.subscriptions.Subscriptions."""

    async def add(self, wish: Wish) -> Subscribed: ...
    async def remove(self, id_: str) -> bool: ...
    def __iter__(self) -> Iterator[Subscribed]: ...


class Subscribing:
    """`pattern` gives a type of events as triggers are written, and raises FieldError for one that no event has."""

    def __init__(self, book: Book, offer: Offer, pattern: Callable[[str], str]) -> None:
        self._book = book
        self._offer = offer
        self._pattern = pattern

    def handlers(self) -> Handlers:
        yield "subscribe", self.subscribe
        yield "listSubscriptions", self.all
        yield "getSubscription", self.one
        yield "unsubscribe", self.unsubscribe

    async def subscribe(self, request: web.Request) -> web.Response:
        """The secret is in this answer and in no other."""
        asked = await asking.asked_in_body(request, "subscribe")
        wish = Wish(
            asked["callbackUrl"],
            self._trigger(asked["trigger"] or ""),
            self._types(asked["types"] or ()),
            asked["webinarKey"] or "",
            asked["organizerKey"] or "",
            asked["format"],
        )
        if wish.trigger and wish.types:
            raise bad_request("types", "cannot stand beside a trigger, which has types of its own")
        try:
            made = await self._book.add(wish)
        except FieldError as error:
            raise bad_request("callbackUrl", str(error)) from error
        location = f"{self._offer.base_url(request)}/v1/subscriptions/{made.id}"
        return answer({**_shown(made), "secret": made.secret}, status=201, headers={"Location": location})

    async def all(self, request: web.Request) -> web.Response:
        return answer([_shown(known) for known in self._book])

    async def one(self, request: web.Request) -> web.Response:
        for known in self._book:
            if known.id == asking.asked(request, "getSubscription")["id"]:
                return answer(_shown(known))
        raise Problem(404, "there is no subscription of this id")

    async def unsubscribe(self, request: web.Request) -> web.Response:
        """The same answer when it is gone already: who repeats a request whose answer got lost wants nothing else."""
        await self._book.remove(asking.asked(request, "unsubscribe")["id"])
        return web.Response(status=204)

    def _trigger(self, name: str) -> str:
        if name and self._offer.trigger(name) is None:
            raise bad_request("trigger", "is not the name of one; /v1/triggers lists all")
        return name

    def _types(self, patterns: Sequence[str]) -> tuple[str, ...]:
        try:
            return tuple(self._pattern(text) for text in patterns)
        except FieldError as error:
            raise bad_request("types", f"are not known: {error}") from error


def _shown(known: Subscribed) -> dict[str, Any]:
    wish = known.wish
    return {
        "id": known.id,
        "callbackUrl": wish.url,
        "trigger": wish.trigger or None,
        "types": list(wish.types),
        "webinarKey": wish.webinar or None,
        "organizerKey": wish.organizer or None,
        "format": wish.format,
        "sink": known.sink,
        "createdAt": timestamp(datetime.fromtimestamp(known.created_at, UTC)),
    }
