"""GoTo's operations over HTTP: what is asked in a query and a body, carried out within the limits, answered as JSON.

Lists are bare arrays of all there is, or of one page where the query chooses one. Every key is a string.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import UnionType
from typing import Any, Final

from aiohttp import web

from poller.errors import (
    NotFound,
    PermissionRefused,
    PollerError,
    QuotaExhausted,
    Reauthorize,
    Refused,
    UsageError,
    Wait,
)
from poller.goto.operations import Operation, Paging
from poller.web import asking
from poller.web.handling import TOLD, Handlers
from poller.web.problems import Problem
from poller.web.pull import answer
from poller.web.surface import ACTIONS, CONNECTION, YES

# Webinars are listed from a day ago to two years ahead, if nothing else is said.
PAST: Final = timedelta(days=1)
FUTURE: Final = timedelta(days=730)

AGAIN: Final = 30.0  # seconds after which a call is worth repeating where nobody says when
_AGAIN_WITHOUT_QUOTA: Final = 3600.0

_OWN: Final = (CONNECTION.name, YES.name)
_WEBINARS: Final = ("getWebinars", "getAllAccountWebinars")
_LONGEST_NOTE: Final = 500  # characters


class Operating:
    """What is lent: `named` finds an operation and `choose` a connection (both raise UsageError); `call` and `walk`
    are those of poller.calling, for an app."""

    def __init__(
        self,
        named: Callable[[str], Operation],
        choose: Callable[[str | None], str],
        call: Callable[..., Awaitable[Any]],
        walk: Callable[..., AsyncIterator[list[Any]]],
        now: Callable[[], datetime],
    ) -> None:
        self._named = named
        self._choose = choose
        self._call = call
        self._walk = walk
        self._now = now

    def handlers(self) -> Handlers:
        yield "readOperation", partial(self.answer, "readOperation")
        yield "performOperation", partial(self.answer, "performOperation")
        for route in ACTIONS:
            yield route.name, partial(self.answer, route.name)

    async def answer(self, route: str, request: web.Request) -> web.Response:
        asked = asking.asked(request, route)
        operation = self._operation(asked.get("operationId", route))
        request[TOLD] = {"operation": operation.name}
        _require_permission(request, operation, yes=bool(asked.get(YES.name)))
        try:
            connection = self._choose(asked[CONNECTION.name])
        except UsageError as error:
            raise Problem(400, str(error), parameter=CONNECTION.name) from error
        body = await asking.document(request) if request.method == "POST" else None
        notes: list[str] = []
        try:
            value = await self._carried_out(operation, connection, self._parameters(operation, request), body, notes)
        except PollerError as error:
            raise problem_of(error, operation.name) from error
        return answer(value, headers={"Poller-Note": _as_header(notes)} if notes else None)

    def _operation(self, name: str) -> Operation:
        try:
            return self._named(name)
        except UsageError as error:
            raise Problem(404, str(error), parameter="operationId") from error

    def _parameters(self, operation: Operation, request: web.Request) -> dict[str, object]:
        """The operation's own, with the usual range where webinars are listed; an empty one is none."""
        found: dict[str, Any] = {}
        if operation.name in _WEBINARS:
            now = self._now()
            found = {"fromTime": now - PAST, "toTime": now + FUTURE}
        for name in request.query:
            texts = [text for text in request.query.getall(name) if text]
            if texts and name not in _OWN:
                found[name] = texts[0] if len(texts) == 1 else texts
        return found

    async def _carried_out(
        self, operation: Operation, connection: str, params: Mapping[str, object], body: Any, notes: list[str]
    ) -> Any:
        paging = operation.paging
        if paging is not None and _is_walked(operation, paging, params):
            pages = self._walk(operation.name, connection, params, body, note=notes.append)
            value: Any = [item async for page in pages for item in page]
        else:
            outcome = await self._call(operation.name, connection, params, body, yes=True)
            notes += outcome.notes
            value = bare(paging, outcome.value)
        return _with_one_id(value) if operation.name in (*_WEBINARS, "getWebinar") else value


def _require_permission(request: web.Request, operation: Operation, *, yes: bool) -> None:
    """Raises Problem for a GET of what changes something, and for what erases without a word that this is meant."""
    if operation.writes and request.method != "POST":
        text = f"{operation.name} changes something: it takes POST"
        raise Problem(405, text, headers={"Allow": "POST"}, operation=operation.name)
    if operation.erases and not yes:
        text = f"{operation.name} erases what nobody can bring back; if that is meant, say so with yes=1"
        raise Problem(400, text, parameter=YES.name, operation=operation.name)


def _is_walked(operation: Operation, paging: Paging, params: Mapping[str, object]) -> bool:
    """Whether all pages are wanted, and nothing less than a walk brings them: some lists also come whole."""
    return paging.place not in params and paging.size not in params and not isinstance(operation.answer, UnionType)


def bare(paging: Paging | None, value: Any) -> Any:
    """The items of a page, without what is around them; anything else as it is."""
    if paging is None or not isinstance(value, dict):
        return value
    for name in paging.items:
        value = value.get(name) if isinstance(value, dict) else None
    return value or []


def _with_one_id(value: Any) -> Any:
    """Some shapes of a webinar spell its public number webinarId; it is read as webinarID."""
    for webinar in value if isinstance(value, list) else [value]:
        if isinstance(webinar, dict) and (number := webinar.pop("webinarId", None)) is not None:
            webinar.setdefault("webinarID", number)
    return value


def problem_of(error: PollerError, operation: str) -> Problem:
    """What a failed operation means for whoever asked for it over HTTP."""
    headers = {}
    match error:
        case QuotaExhausted():
            status, headers = 429, _retry_after(error, _AGAIN_WITHOUT_QUOTA)
        case Wait():
            status, headers = 503, _retry_after(error, AGAIN)
        case Reauthorize():
            status = 503
        case UsageError():
            status = 400
        case PermissionRefused():
            status = 403
        case NotFound():
            status = 404
        case Refused():
            status = 422
        case _:  # an answer that cannot be trusted, or none to a change: nobody knows whether it was made
            status = 502
    return Problem(status, str(error), headers=headers, operation=operation)


def _retry_after(error: Wait, otherwise: float) -> dict[str, str]:
    seconds = otherwise if error.retry_after is None else error.retry_after
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _as_header(notes: list[str]) -> str:
    """One line of ASCII: a note may quote what the caller has sent."""
    text = "; ".join(notes).encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST_NOTE]
