"""REST hooks: webhook sinks that callers make at run time, kept in the state and served like any other.

All subscriptions with one URL are one sink, so that an event comes to a URL once, whoever asked for it and how often.
The sink signs with the secret of each of them, and has the format of the newest.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final

import msgspec
import structlog
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from poller.dispatcher import Dispatcher
from poller.errors import UsageError
from poller.fields import FieldError, Secret
from poller.hooks import Subscribed, Wish, sink_of, trigger_of
from poller.sinks.base import SinkContext
from poller.sinks.public import NotPublicError, PublicResolver
from poller.sinks.signing import PREFIX
from poller.sinks.webhook import WebhookSettings, WebhookSink, host_of, require_url
from poller.triggers import TriggerSettings
from poller.vault import Vault
from state.store import Store, Subscription

MOST: Final = 1000  # a caller that subscribes each minute and never unsubscribes has a defect
SIGNING: Final = 10  # secrets that sign at most, those of the newest subscriptions
LOOKUP: Final = 5.0  # seconds for the name in a callback


class Subscriptions:
    """`changed` is called when other events go to other sinks than before; whoever routes asks for `triggers` then."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        context: SinkContext,
        dispatcher: Dispatcher,
        changed: Callable[[], None],
        allow_private: Callable[[], bool],
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._context = context
        self._dispatcher = dispatcher
        self._changed = changed
        self._allow_private = allow_private
        self._resolver = resolver
        self._known: list[Subscribed] = []  # the oldest first
        self._changing = asyncio.Lock()
        self._log = structlog.get_logger("poller")

    async def load(self) -> None:
        """Serve what the state knows. What the key does not open is left alone, and said."""
        for stored in await self._store.subscriptions():
            try:
                self._known.append(_opened(stored, self._vault))
            except UsageError as error:
                self._log.warning("subscription.unreadable", id=stored.id, error=str(error))
        if self._known:
            await self.rebuild()

    async def rebuild(self) -> None:
        """Make the sinks anew, after what they may call has changed. What may not be called any more is not served."""
        for name in self.sinks:
            try:
                await self._serve(name)
            except FieldError as error:
                self._log.warning("subscription.refused", sink=name, reason=f"its URL {error}")
                await self._dispatcher.remove(name)
        self._changed()

    @property
    def sinks(self) -> list[str]:
        """Their names, each once."""
        return list(dict.fromkeys(known.sink for known in self._known))

    def __iter__(self) -> Iterator[Subscribed]:
        return iter(list(self._known))

    def triggers(self, settings: Sequence[TriggerSettings]) -> list[TriggerSettings]:
        """Those that they bring along, beside these of the settings."""
        named = {trigger.name: trigger for trigger in settings}
        found = (trigger_of(known, named) for known in self._known)
        return [trigger for trigger in found if trigger is not None]

    async def add(self, wish: Wish) -> Subscribed:
        """Durable when it returns. Raises FieldError for a URL that may not be called."""
        await self._require_callable(wish.url)
        if len(self._known) >= MOST:
            raise FieldError(f"is one too many: there are {MOST} subscriptions; delete those that nobody uses")
        made = Subscribed(
            id=secrets.token_hex(16),
            sink=sink_of(wish.url),
            wish=wish,
            created_at=self._context.clock.now().timestamp(),
            secret=PREFIX + b64encode(os.urandom(24)).decode(),
        )
        async with self._changing:
            await self._store.save_subscription(_sealed(made, self._vault))
            self._known.append(made)
            await self._serve(made.sink)
            self._dispatcher.resume(made.sink)  # its receiver may have asked never to be called again
            self._changed()
        return made

    async def remove(self, id_: str) -> bool:
        """The last one of a URL takes along what is still owed to it. False if there is none of this id."""
        async with self._changing:
            found = [known for known in self._known if known.id == id_]
            self._known = [known for known in self._known if known.id != id_]
            self._changed()  # first of all, so that nothing more is owed to it
            for name in {known.sink for known in found}:
                if name in self.sinks:
                    await self._serve(name)
                else:
                    await self._dispatcher.remove(name)
            return await self._store.drop_subscription(id_)

    async def _serve(self, name: str) -> None:
        """Raises FieldError if its URL may not be called."""
        its, allow_private = [known for known in self._known if known.sink == name], self._allow_private()
        newest = its[-1].wish
        require_url(newest.url, allow_private)
        settings = WebhookSettings(
            name=name,
            type="webhook",
            url=newest.url,
            secret=tuple(Secret(known.secret) for known in its[-SIGNING:]),
            format=newest.format,
            allow_private=allow_private,
        )
        await self._dispatcher.add(WebhookSink(settings, self._context, self._resolver))

    async def _require_callable(self, url: str) -> None:
        """The sink looks the name up again, and connects to what it has checked; here it is for the caller to know.
        A name that cannot be looked up now may be there later."""
        require_url(url, self._allow_private())
        if self._allow_private():
            return
        resolver = PublicResolver(self._resolver or ThreadedResolver())
        try:
            async with asyncio.timeout(LOOKUP):
                await resolver.resolve(host_of(url), 443, socket.AF_UNSPEC)
        except NotPublicError as error:
            raise FieldError(f"is no public address ({error}); allow_private = true permits it") from error
        except OSError:  # TimeoutError is one, too
            return


def _sealed(made: Subscribed, vault: Vault) -> Subscription:
    wish = {part.name: getattr(made.wish, part.name) for part in fields(made.wish)}
    sealed = vault.seal(msgspec.json.encode({"wish": wish, "secret": made.secret}))
    return Subscription(made.id, made.sink, sealed, made.created_at)


def _opened(stored: Subscription, vault: Vault) -> Subscribed:
    """Raises UsageError if the key does not open it."""
    found: dict[str, Any] = msgspec.json.decode(vault.open(stored.sealed))
    wish = Wish(**{**found["wish"], "types": tuple(found["wish"]["types"])})
    return Subscribed(stored.id, stored.sink, wish, stored.created_at, found["secret"])
