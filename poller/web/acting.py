"""What callers may have done: check now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from poller.errors import UsageError
from poller.web import asking
from poller.web.handling import Handlers
from poller.web.problems import Problem
from poller.web.pull import answer

Perform = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class Acting:
    """`perform` is poller.admin's, by the names of commands."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def handlers(self) -> Handlers:
        yield "sync", self.sync

    async def sync(self, request: web.Request) -> web.Response:
        """With `wait` the answer comes after the commit, with counts; without it at once."""
        asked = await asking.asked_in_body(request, "sync")
        wait = asked["wait"]
        arguments = {"connection": asked["connection"], "webinar": asked["webinarKey"], "wait": wait}
        try:
            result = await self._perform("sync", arguments)
        except UsageError as error:
            raise Problem(400, str(error)) from error
        return answer(result, status=200 if wait else 202)
