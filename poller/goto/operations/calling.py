"""How an operation is called: one request, or a walk over all pages; and what an answer means for what was asked."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from functools import partial
from typing import Any, Final, NoReturn, get_origin

from msgspec import Raw

from poller.errors import Malformed, OutcomeUnknown, Refused, UsageError
from poller.goto.client import GotoClient, Walk
from poller.goto.limits import Priority
from poller.goto.models import Identity, Page
from poller.goto.operations import reading
from poller.goto.operations.catalogue import OPERATIONS
from poller.goto.operations.preparing import Prepared, needs_own, note_nothing, prepare
from poller.goto.operations.spec import Operation, Paging
from poller.goto.protocol import PAGE_SIZE, NoAnswer, interpret
from poller.goto.transport import Answer

# What `note` is told of somebody whom GoTo has as a registrant already.
ALREADY_THERE: Final = "this e-mail address is registered already; the registration is returned as it is"

_ROOM: Final = "room"
_CONFLICT: Final = 409

Params = Mapping[str, object]


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)


class Calls:
    """Calls operations by name; poller.goto.operations.methods has each of them as a method.

    Every call takes its place in the limits with `priority` and waits at most `wait_at_most` seconds for it. `own`:
    whose keys stand in for those left out; without it GoTo is asked once. `note` is told what should be known about a
    request that is sent nevertheless: by default a Python warning.

    Raises UsageError for what is not sent, what GotoClient raises for answers, and OutcomeUnknown for a change whose
    answer did not come: it is never made again blindly.
    """

    def __init__(
        self,
        client: GotoClient,
        own: Identity | None = None,
        *,
        priority: Priority = Priority.USER,
        wait_at_most: float | None = None,
        note: Callable[[str], None] = _warn,
    ) -> None:
        self._client = client
        self._own = own
        self._priority = priority
        self._wait_at_most = wait_at_most
        self._note = note

    async def perform(self, name: str, params: Params | None = None, body: object = None) -> Any:
        """What the operation answers, keys as strings; None where it answers nothing."""
        operation, given = OPERATIONS[name], params or {}
        if name == "updateWebinar":
            body, given = await self._with_times(operation, given, body)
        prepared = await self._prepared(operation, given, body)
        answer = await self._sent(operation, prepared)
        if name == "createRegistrant" and answer.status == _CONFLICT:
            return await self._registered(prepared, answer)
        return self._read(operation, answer)

    async def pages(
        self, name: str, params: Params | None = None, body: object = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """All items of a list, page by page as they come, none of them twice.

        Raises Malformed at the end if the list kept moving, so that not all of it was seen.
        """
        operation, given = OPERATIONS[name], dict(params or {})
        paging = operation.paging
        if paging is None:
            yield await self._whole(operation, given, body)
            return
        if given.get(paging.place) is not None:
            raise UsageError(f"{name}: {paging.place} names one page, but all are asked for; leave it out")
        if given.get(paging.size) is None:
            given[paging.size] = PAGE_SIZE
        seen: set[Hashable] = set()
        async for found in self._raw_pages(operation, paging, given, body):
            fresh = {key: raw for raw in found if (key := reading.identity(paging, raw)) not in seen}
            seen.update(fresh)
            yield [reading.plain(raw) for raw in fresh.values()]

    async def items(self, name: str, params: Params | None = None, body: object = None) -> AsyncIterator[Any]:
        async for page in self.pages(name, params, body):
            for item in page:
                yield item

    async def _whole(self, operation: Operation, params: Params, body: object) -> list[dict[str, Any]]:
        if get_origin(operation.answer) is not list:
            raise UsageError(f"{operation.name} answers no list, so that there are no pages of it")
        found: list[dict[str, Any]] = await self.perform(operation.name, params, body)
        return found

    # ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepared(
        self, operation: Operation, params: Params, body: object, note: Callable[[str], None] | None = None
    ) -> Prepared:
        if self._own is None and needs_own(operation, params):
            self._own = await self._client.who_am_i(priority=self._priority, wait_at_most=self._wait_at_most)
        host = self._client.room_url if operation.product == _ROOM else self._client.api_url
        now = self._client.now()
        return prepare(operation, params, body, own=self._own, host=host, now=now, note=note or self._note)

    async def _sent(self, operation: Operation, prepared: Prepared) -> Answer:
        """The answer. Raises OutcomeUnknown for a change of which nobody can tell whether it was made."""
        try:
            answer = await self._client.exchange(
                prepared.request, priority=self._priority, wait_at_most=self._wait_at_most
            )
        except (NoAnswer, Malformed) as err:
            if not operation.writes:
                raise
            _unknown(operation, str(err), err)
        if operation.writes and (answer.status >= 500 or answer.status == 408):
            _unknown(operation, f"GoTo answered {answer.status}", None)
        return answer

    def _read(self, operation: Operation, answer: Answer) -> Any:
        body = interpret(*answer, self._client.now)
        try:
            return reading.result(operation, body)
        except Malformed as err:
            if not operation.writes:
                raise
            _unknown(operation, str(err), err)

    # ── two operations with a second half ────────────────────────────────────────────────────────────────────────────

    async def _with_times(self, operation: Operation, params: Params, body: object) -> tuple[object, Params]:
        """GoTo replaces the times of a webinar by those in the body, so they are sent again where it has none."""
        prepared = await self._prepared(operation, params, body, note=note_nothing)
        if "times" in prepared.body:
            return body, params
        key = {"organizerKey": prepared.params["organizerKey"], "webinarKey": prepared.params["webinarKey"]}
        known = await self.perform("getWebinar", key)
        if not known.get("times"):
            raise UsageError("updateWebinar: GoTo names no times of this webinar that could be sent again; give times")
        body = {**prepared.body, "times": known["times"]}
        if "timeZone" not in body and known.get("timeZone"):
            body["timeZone"] = known["timeZone"]
            self._note(f"no timeZone is given: the webinar's own, {known['timeZone']}, is sent again")
        fields = {name: value for name, value in params.items() if operation.parameter(name) is not None}
        return body, fields

    async def _registered(self, prepared: Prepared, answer: Answer) -> Any:
        """409: the person is there already, and what GoTo knows of them is the result."""
        self._note(ALREADY_THERE)
        said = self._said(answer)
        if said.get("registrantKey"):
            return {name: said[name] for name in ("registrantKey", "joinUrl", "status") if name in said}
        place = {name: prepared.params[name] for name in ("organizerKey", "webinarKey")}
        email = str(prepared.body["email"]).casefold()
        for person in await self.perform("getAllRegistrantsForWebinar", place):
            if str(person.get("email", "")).casefold() == email:
                return person
        raise Refused("GoTo says that this e-mail address is registered already, and yet does not list it")

    def _said(self, answer: Answer) -> dict[str, Any]:
        try:
            return dict(reading.result(OPERATIONS["createRegistrant"], answer.body))
        except Malformed:
            return {}

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _raw_pages(
        self, operation: Operation, paging: Paging, params: Params, body: object
    ) -> AsyncIterator[list[Raw]]:
        async def prepared(place: int) -> Prepared:
            note = self._note if place == 0 else note_nothing  # what there is to say is said once
            return await self._prepared(operation, {**params, paging.place: place}, body, note)

        async def fetch(place: int) -> bytes:
            return interpret(*await self._sent(operation, await prepared(place)), self._client.now)

        if paging.offset:
            size = (await prepared(0)).params[paging.size]
            assert isinstance(size, int)
            async for found in _counted(fetch, size):
                yield found
            return

        async def turned(number: int) -> Page:
            return reading.page(paging, await fetch(number))

        walk = Walk(turned, partial(reading.identity, paging))
        async for page in walk:
            yield page.items
        if not walk.complete:
            raise Malformed(f"{operation.name}: the list ended before all that it promises had come")


async def _counted(fetch: Callable[[int], Any], size: int) -> AsyncIterator[list[Raw]]:
    """Pages whose place counts items: the last one is not full."""
    place = 0
    while True:
        found = reading.array(await fetch(place))
        yield found
        if len(found) < size:
            return
        place += len(found)


def _unknown(operation: Operation, why: str, cause: Exception | None) -> NoReturn:
    raise OutcomeUnknown(
        f"{operation.name}: {why}. Nobody knows whether it was carried out;"
        f" look at {operation.look} before you repeat it"
    ) from cause
