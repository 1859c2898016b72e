"""GoTo's webhooks that nudge this engine: set up, looked at, mended and taken away, connection by connection.

GoTo's order: a secret key of the OAuth client, webhooks (which begin inactive), their activation, and a subscription of
the user whose events are wanted. https://developer.goto.com/guides/HowTos/12_HOW_webinarWebhooks/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from poller.app import App
from poller.callback import Made
from poller.calling import operations_of
from poller.errors import PollerError, Refused, UsageError
from poller.goto.operations import Operations
from poller.goto.webhooks import EVENTS
from poller.settings.nearest import suggestion

# Between making a webhook and switching it on (seconds): sooner, GoTo may not know it yet.
ACTIVATION_PAUSE: Final = 2.0

ACTIVE: Final = "ACTIVE"

# The name of a list in GoTo's answers, and of its items' keys.
_WEBHOOKS: Final = ("webhooks", "webhookKey")
_SUBSCRIPTIONS: Final = ("userSubscriptions", "userSubscriptionKey")

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One event of one connection. `done`: made, mended, kept or deleted; states are GoTo's words."""

    connection: str
    event: str
    webhook: str = ""
    subscription: str = ""
    done: str = ""
    problem: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


async def subscribe(app: App, events: Sequence[str], connection: str | None, *, new_key: bool) -> list[Row]:
    """Safe to repeat: what is there is kept, or mended. `new_key`: a secret key even where there is one.

    One connection's problem is a row of it, and does not keep the others from being set up. Raises UsageError.
    """
    address, wanted = app.callback.address, _known(events)
    renewed: set[str] = set()

    async def work(desk: Desk) -> list[Row]:
        client_id = app.connected[desk.name].client_id
        if app.callback.needs_key(client_id) or (new_key and client_id not in renewed):
            await desk.make_key()
            renewed.add(client_id)
        try:
            return await desk.set_up(wanted, address)
        except Refused as error:
            hint = "GoTo looks at [http] public_url with a GET first: can it be reached from outside?"
            raise Refused(f"{error}. {hint}") from error

    return await _each(app, connection, work)


async def look(app: App, connection: str | None) -> list[Row]:
    """What leads here, as GoTo has it, and how much leads elsewhere."""

    async def work(desk: Desk) -> list[Row]:
        return desk.rows()

    return await _each(app, connection, work)


async def unsubscribe(app: App, connection: str | None, *, delete_webhooks: bool) -> list[Row]:
    """Only what leads here. A webhook takes along the subscriptions of everybody to it."""

    async def work(desk: Desk) -> list[Row]:
        return await desk.take_away(delete_webhooks=delete_webhooks)

    return await _each(app, connection, work)


async def _each(app: App, connection: str | None, work: Callable[[Desk], Awaitable[list[Row]]]) -> list[Row]:
    """One connection after the other: what the first makes for its OAuth client, the next one finds."""
    rows: list[Row] = []
    for name in _chosen(app, connection):
        try:
            rows += await work(await Desk.open(app, name))
        except PollerError as error:
            rows.append(Row(name, "", problem=str(error)))
    return rows


def _known(events: Sequence[str]) -> Sequence[str]:
    for event in events:
        if event not in EVENTS:
            raise UsageError(f'GoTo has no webhook "{event}"{suggestion(event, EVENTS)}; there are {", ".join(EVENTS)}')
    return list(dict.fromkeys(events)) or EVENTS


def _chosen(app: App, connection: str | None) -> list[str]:
    polled = [name for name, connected in app.connected.items() if "webinar" in connected.settings.products]
    if connection is None:
        if not polled:
            raise UsageError("no connection with the product webinar is active in the settings")
        return polled
    if connection not in polled:
        raise UsageError(
            f'no connection "{connection}" with the product webinar is active in the settings'
            f"{suggestion(connection, polled)}"
        )
    return [connection]


@dataclass(slots=True)
class Desk:
    """What one connection sees of webhooks and subscriptions at GoTo; those that lead here apart from the rest."""

    app: App
    name: str
    operations: Operations
    webhooks: list[Item] = field(default_factory=list)
    subscriptions: list[Item] = field(default_factory=list)
    elsewhere: int = 0  # subscriptions that lead to somebody else
    done: dict[str, str] = field(default_factory=dict)  # by event

    @classmethod
    async def open(cls, app: App, name: str) -> Desk:
        desk = cls(app, name, await operations_of(app, name, lambda note: None))
        await desk.read()
        return desk

    async def read(self) -> None:
        """What was made under another public_url is known by its key."""
        made = self.app.callback.made(self.name)
        webhooks = _listed(await self.operations.get_webhooks(), *_WEBHOOKS)
        subscriptions = _listed(await self.operations.get_user_subscriptions(), *_SUBSCRIPTIONS)
        self.webhooks = [one for one in webhooks if one["webhookKey"] in made.webhooks or self._leads_here(one)]
        self.subscriptions = [
            one for one in subscriptions if one["userSubscriptionKey"] in made.subscriptions or self._leads_here(one)
        ]
        self.elsewhere = len(subscriptions) - len(self.subscriptions)

    def _leads_here(self, item: Item) -> bool:
        return self.app.callback.leads_here(item.get("callbackUrl") or "")

    def rows(self, events: Iterable[str] = ()) -> list[Row]:
        """Of these events, or of all there are."""
        webhooks, subscriptions = _by_event(self.webhooks), _by_event(self.subscriptions)
        rows = [
            Row(
                self.name,
                event,
                webhooks.get(event, {}).get("state", ""),
                subscriptions.get(event, {}).get("activationState", ""),
                self.done.get(event, ""),
            )
            for event in (events or [event for event in EVENTS if event in {*webhooks, *subscriptions}])
        ]
        elsewhere = [Row(self.name, "", subscription=f"{self.elsewhere} that lead elsewhere")] if self.elsewhere else []
        return rows if events else rows + elsewhere

    # ── setting up ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def make_key(self) -> None:
        """GoTo tells it once and lists it nowhere, so it is stored before anything else."""
        made = await self.operations.create_secret_key({})
        await self.app.callback.add_key(self.app.connected[self.name].client_id, made["value"])

    async def set_up(self, events: Sequence[str], address: str) -> list[Row]:
        self.done = dict.fromkeys(events, "kept")
        await self._make_webhooks([event for event in events if event not in _by_event(self.webhooks)], address)
        await self._mend_webhooks(events, address)
        await self._make_subscriptions(
            [event for event in events if event not in _by_event(self.subscriptions)], address
        )
        await self._mend_subscriptions(events, address)
        await self.read()
        await self._note()
        return [
            row
            if row.subscription == ACTIVE
            else replace(row, problem="GoTo does not call it active; repeat this later")
            for row in self.rows(events)
        ]

    async def _make_webhooks(self, events: Sequence[str], address: str) -> None:
        if not events:
            return
        wanted: Any = [
            {"callbackUrl": address, "eventName": event, "eventVersion": "1.0.0", "product": "g2w"} for event in events
        ]
        self.webhooks += _listed(await self.operations.create_webhooks(wanted), *_WEBHOOKS)
        self.done.update(dict.fromkeys(events, "made"))
        await self._note()
        await self.app.clock.sleep(ACTIVATION_PAUSE)

    async def _mend_webhooks(self, events: Sequence[str], address: str) -> None:
        ill = _ill(self.webhooks, events, address, "state")
        changes: Any = [{"webhookKey": one["webhookKey"], "state": ACTIVE, **_elsewhere(one, address)} for one in ill]
        if changes:
            await self.operations.update_webhooks(changes)
            self._mended(ill)

    async def _make_subscriptions(self, events: Sequence[str], address: str) -> None:
        webhooks = _by_event(self.webhooks)
        wanted: Any = [
            {"webhookKey": webhooks[event]["webhookKey"], "callbackUrl": address, "userSubscriptionState": ACTIVE}
            for event in events
        ]
        if wanted:
            made = await self.operations.create_user_subscriptions(wanted)
            self.subscriptions += _listed(made, *_SUBSCRIPTIONS)
            self.done.update(dict.fromkeys(events, "made"))
            await self._note()

    async def _mend_subscriptions(self, events: Sequence[str], address: str) -> None:
        ill = _ill(self.subscriptions, events, address, "userSubscriptionState")
        changes: Any = [
            {
                "webhookKey": one["webhookKey"],
                "userSubscriptionKey": one["userSubscriptionKey"],
                "userSubscriptionState": ACTIVE,
                **_elsewhere(one, address),
            }
            for one in ill
        ]
        if changes:
            await self.operations.update_user_subscriptions(changes)
            self._mended(ill)

    def _mended(self, items: Iterable[Item]) -> None:
        for item in items:
            if self.done.get(item["eventName"]) != "made":  # what was just made is always switched on afterwards
                self.done[item["eventName"]] = "mended"

    async def _note(self) -> None:
        """Remember what is ours, and by which keys."""
        webhooks = tuple(one["webhookKey"] for one in self.webhooks)
        subscriptions = tuple(one["userSubscriptionKey"] for one in self.subscriptions)
        events = tuple(_by_event(self.subscriptions))
        await self.app.callback.note(self.name, Made(webhooks, subscriptions, events))

    # ── taking away ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def take_away(self, *, delete_webhooks: bool) -> list[Row]:
        self.done = dict.fromkeys(_by_event(self.subscriptions), "deleted")
        if self.subscriptions:
            await self.operations.delete_user_subscriptions([one["userSubscriptionKey"] for one in self.subscriptions])
        if delete_webhooks and self.webhooks:
            await self.operations.delete_webhooks([one["webhookKey"] for one in self.webhooks])
            self.done |= dict.fromkeys(_by_event(self.webhooks), "deleted")
        events = list(self.done)
        await self.read()
        await self._note()
        return self.rows(events) if events else []


def _listed(answer: Any, name: str, key: str) -> list[Item]:
    """What has a key. GoTo leaves the list out where it is empty."""
    return [dict(item) for item in answer.get("_embedded", {}).get(name) or () if item.get(key)]


def _by_event(items: Iterable[Item]) -> dict[str, Item]:
    """One of each event; of several an active one."""
    found: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: ACTIVE in (item.get("state"), item.get("activationState"))):
        found[item.get("eventName", "")] = item
    return found


def _ill(items: Iterable[Item], events: Collection[str], address: str, state: str) -> list[Item]:
    """Those that GoTo would not call, or not at this address."""
    chosen = (item for event, item in _by_event(items).items() if event in events)
    return [item for item in chosen if item.get(state) != ACTIVE or item.get("callbackUrl", address) != address]


def _elsewhere(item: Item, address: str) -> Item:
    """The right address, if it has another: GoTo calls whatever address it is given before it takes it."""
    return {} if item.get("callbackUrl", address) == address else {"callbackUrl": address}
