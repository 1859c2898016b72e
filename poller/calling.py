"""GoTo's operations by name, for people and programs beside the engine: through its limits and with its tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from poller.app import App
from poller.errors import UsageError
from poller.goto import GotoClient, Identity
from poller.goto.operations import OPERATIONS, Operation, Operations, find
from poller.goto.operations.catalogue import spoken
from poller.settings.nearest import suggestion

# Not an operation of GoTo: it lists the subscriptions and deletes those that point here.
OWN_SUBSCRIPTIONS: Final = Operation(
    "deleteInstancedSubscriptions",
    "User subscriptions",
    "DELETE",
    "/userSubscriptions",
    "Delete the user's subscriptions that point at this engine, and no others",
    dict[str, list[str]],
    look="getUserSubscriptions",
)

Params = Mapping[str, object]


@dataclass(slots=True)
class Outcome:
    """What an operation answered (None where it answers nothing), and what should be known about how it went."""

    value: Any = None
    notes: list[str] = field(default_factory=list)


def operation_named(name: str) -> Operation:
    """By the vendor's operationId or an alias, however spelt. Raises UsageError with the nearest right spelling."""
    if spoken(name) == spoken(OWN_SUBSCRIPTIONS.name):
        return OWN_SUBSCRIPTIONS
    found = find(name)
    if found is None:
        names = [name for operation in OPERATIONS.values() for name in (operation.name, *operation.aliases)]
        hint = suggestion(name, [*names, OWN_SUBSCRIPTIONS.name])
        raise UsageError(f'GoTo has no operation "{name}"{hint} (`poller call --list` shows all)')
    return found


async def call_operation(
    app: App,
    name: str,
    connection: str | None = None,
    params: Params | None = None,
    body: Any = None,
    *,
    yes: bool = False,
    wait_at_most: float | None = None,
) -> Outcome:
    """Call it once. `yes`: what erases for good may be called. `wait_at_most`: seconds in line for the limits.

    Raises UsageError, and what the call raises.
    """
    operation, outcome = _permitted(operation_named(name), yes), Outcome()
    operations = await operations_of(app, connection, outcome.notes.append, wait_at_most)
    if operation is OWN_SUBSCRIPTIONS:
        if params or body is not None:
            raise UsageError(f"{operation.name} takes neither parameters nor a body")
        outcome.value = await _delete_own_subscriptions(app, operations)
    else:
        outcome.value = await operations.perform(operation.name, params, body)
    return outcome


async def walk_operation(
    app: App,
    name: str,
    connection: str | None = None,
    params: Params | None = None,
    body: Any = None,
    *,
    note: Callable[[str], None],
    wait_at_most: float | None = None,
) -> AsyncIterator[list[Any]]:
    """All items of a list, page by page."""
    operation = operation_named(name)
    if operation.writes:
        raise UsageError(f"{operation.name} changes something and is no list, so that there are no pages of it")
    operations = await operations_of(app, connection, note, wait_at_most)
    async for page in operations.pages(operation.name, params, body):
        yield page


def placed(operation: Operation, params: Params, page: int | None, size: int | None) -> dict[str, object]:
    """The parameters with one page chosen, whatever the operation calls its place and size."""
    if page is None and size is None:
        return dict(params)
    paging = operation.paging
    if paging is None:
        raise UsageError(f"{operation.name} answers everything at once; leave page and size out")
    if paging.offset and page and size is None:
        raise UsageError(f"{operation.name} counts items, not pages: a page needs its size, too")
    place = (page or 0) * (size or 0) if paging.offset else page or 0
    return {**params, paging.place: place, paging.size: size}


def client_of(app: App, connection: str | None) -> tuple[str, GotoClient]:
    """The connection of this name, or the only one there is."""
    name = _chosen(app, connection)
    return name, app.connected[name].client


async def operations_of(
    app: App, connection: str | None, note: Callable[[str], None], wait_at_most: float | None = None
) -> Operations:
    """The operations of a connection that works, with its own keys."""
    name, client = client_of(app, connection)
    await app.logins.require(name)
    state = app.roster.connection(name)
    own = Identity(state.organizer_key, state.account_key or None)
    return Operations(client, own, note=note, wait_at_most=wait_at_most)


def _chosen(app: App, connection: str | None) -> str:
    active = list(app.connected)
    if connection is None:
        if len(active) == 1:
            return active[0]
        which = f"there are {', '.join(active)}; say which one" if active else "none is active in the settings"
        raise UsageError(f"no connection is named: {which}")
    if connection not in active:
        known = [found.name for found in app.settings.connections]
        if connection in known:
            raise UsageError(f'connection "{connection}" has active = false in the settings; change that first')
        raise UsageError(f'there is no connection "{connection}" in the settings{suggestion(connection, known)}')
    return connection


def _permitted(operation: Operation, yes: bool) -> Operation:
    if operation.erases and not yes:
        raise UsageError(f"{operation.name} erases what nobody can bring back; if that is meant, say so with --yes")
    return operation


async def _delete_own_subscriptions(app: App, operations: Operations) -> dict[str, list[str]]:
    if not app.settings.http.public_url:
        raise UsageError(f"{OWN_SUBSCRIPTIONS.name}: [http] public_url says where this engine is, and is not set")
    listed = (await operations.get_user_subscriptions()).get("_embedded", {}).get("userSubscriptions", [])
    own = [found for found in listed if app.callback.leads_here(found.get("callbackUrl", ""))]
    keys = [found["userSubscriptionKey"] for found in own]
    if keys:
        await operations.delete_user_subscriptions(keys)
    return {"deleted": keys}
