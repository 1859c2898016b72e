"""What was asked, read by the description of its route. Raises Problem, naming the parameter."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from poller.web.problems import Problem, bad_request
from poller.web.routes import Reading, read, read_body
from poller.web.surface import BY_NAME

# How long (seconds) a caller may take to send a body.
BODY_SECONDS: Final = 10.0


def asked(request: web.Request, route: str) -> dict[str, Any]:
    """The parameters in path, query and headers, by their names; `route` is the name of the request's own."""
    described, found = BY_NAME[route], dict[str, Any]()
    found |= _values(read(described.of("path"), request.match_info.items()))
    found |= _values(read(described.of("query"), request.query.items()))
    return found | _values(read(described.of("header"), request.headers.items()))


async def asked_in_body(request: web.Request, route: str) -> dict[str, Any]:
    """The parameters in a JSON body; no body is as good as an empty object."""
    return _values(read_body(BY_NAME[route].of("body"), await document(request, absent={})))


def _values(reading: Reading) -> dict[str, Any]:
    for parameter, reason in reading.problems:
        raise bad_request(parameter, reason)
    return reading.values


async def document(request: web.Request, absent: Any = None) -> Any:
    """The decoded JSON body; `absent` where there is none.

    A form's media types are refused: any web page could make a browser on this machine send those.
    """
    body = await received(request)
    if not body:
        return absent
    if request.content_type != "application/json" and not request.content_type.endswith("+json"):
        raise Problem(415, "the body must be JSON, with the header Content-Type: application/json")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(400, "the body is not JSON") from error


async def received(request: web.Request) -> bytes:
    """The body, if it comes in time."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise Problem(408, f"the body did not come within {BODY_SECONDS:g} s") from error
    except web.RequestPayloadError as error:
        raise Problem(400, "the body is not encoded as its headers say") from error
