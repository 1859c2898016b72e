"""What a caller is told of a failure: RFC 9457 problem details, whatever went wrong and wherever."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from poller.web.routes import PROBLEM


class Problem(Exception):
    """Raised by handlers, answered by the server. `detail` is for people, and never repeats what may be secret."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def answer(self) -> web.Response:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        return web.Response(
            status=self.status, body=msgspec.json.encode(body), content_type=PROBLEM, headers=self.headers
        )


def bad_request(parameter: str, reason: str) -> Problem:
    """`reason` goes on behind the name of the parameter; without one it stands alone."""
    return Problem(400, f"{parameter} {reason}", parameter=parameter) if parameter else Problem(400, reason)


# What the library itself answers, in words of ours.
_WORDS: Final[Mapping[int, str]] = {
    404: "there is nothing at this path; /v1/triggers lists what can be polled",
    405: "this path does not take that method",
    413: "the body is larger than this server takes",
}


def of_library(error: web.HTTPException) -> Problem:
    """A failure that the library raised, as a problem; its headers (Allow) are kept."""
    headers = {name: value for name, value in error.headers.items() if name == "Allow"}
    return Problem(error.status, _WORDS.get(error.status, error.reason), headers=headers)
