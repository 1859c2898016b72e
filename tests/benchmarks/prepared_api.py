"""GoTo's lists as cheaply as a process can serve them: prepared bytes over a bare asyncio protocol.

The benchmarks measure those who ask, so the one who answers must never be what they wait for: no HTTP library, no
JSON, no limits, no log. Any personal access token is good; a list stays as it is until it is told to grow.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

ORGANIZER = "5511973216410820613"
PAGE_SIZE = 200
GROW = "/grow/"  # and a number: so many webinars get a new registrant each
FIRST_WEBINAR = 4_255_157_664_000_000_000
FIRST_REGISTRANT = 6_820_277_620_000_000_000
# Stands in the template for what differs between two webinars; as long as that, so that lengths never change.
_PLACE = "#######"


class PreparedApi:
    """The answers to every path the product and the floors ask for."""

    def __init__(self, webinars: int, registrants: int) -> None:
        self.webinars = [str(FIRST_WEBINAR + number) for number in range(webinars)]
        starts = (datetime.now(UTC) + timedelta(days=7)).replace(microsecond=0)
        self._pages = [
            _answer(_page(self.webinars, number, starts)) for number in range(max(-(-webinars // PAGE_SIZE), 1))
        ]
        self._registrants, self._grown = (
            _answer(json.dumps([_registrant(number) for number in range(count)]).encode())
            for count in (registrants, registrants + 1)
        )
        self._new = 0  # so many webinars have one registrant more
        self._token = _answer(
            json.dumps({"access_token": "t" * 600, "token_type": "Bearer", "expires_in": 36_000}).encode()
        )
        self._me = _answer(json.dumps({"key": ORGANIZER, "accountKey": "7734106948210055181"}).encode())

    def answer(self, path: str) -> bytes:
        bare, _, query = path.partition("?")
        if bare.endswith("/registrants"):
            number = int(bare.rsplit("/", 2)[1]) - FIRST_WEBINAR
            found = self._grown if number < self._new else self._registrants
            return found.replace(_PLACE.encode(), b"%07d" % number)
        if bare.startswith(GROW):
            self._new = int(bare.removeprefix(GROW))
            return _answer(b"{}")
        if bare.endswith("/webinars"):
            return self._pages[int(query.partition("&page=")[2].partition("&")[0])]
        return self._token if bare.endswith("/token") else self._me


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _page(webinars: list[str], number: int, starts: datetime) -> bytes:
    ends = starts + timedelta(hours=1)
    times = [{"startTime": f"{starts:%Y-%m-%dT%H:%M:%SZ}", "endTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}]
    items = [
        {
            "webinarKey": key,
            "webinarID": key[-9:],
            "organizerKey": ORGANIZER,
            "accountKey": "7734106948210055181",
            "subject": f"Introduction {key[-6:]}",
            "description": "What it is, what it does, and how to begin.",
            "times": times,
            "timeZone": "Europe/Berlin",
            "locale": "en_US",
            "approvalType": "AUTOMATIC",
            "registrationUrl": f"https://attendee.gotowebinar.com/register/{key}",
            "impromptu": False,
            "isPasswordProtected": False,
            "recurrenceType": "single_session",
            "experienceType": "CLASSIC",
        }
        for key in webinars[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
    ]
    page = {"size": PAGE_SIZE, "totalElements": len(webinars), "totalPages": -(-len(webinars) // PAGE_SIZE)}
    return json.dumps({"_embedded": {"webinars": items}, "page": {**page, "number": number}}).encode()


def _registrant(number: int) -> dict[str, object]:
    """Its key begins with the webinar's place, as a number: 19 digits like GoTo's, and different everywhere."""
    return {
        "lastName": f"Lind{number}",
        "email": f"bo.lind{number}.{_PLACE}@example.com",
        "firstName": "Bo",
        "registrantKey": f"6{_PLACE}{number:011d}",
        "registrationDate": f"2026-03-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "status": "APPROVED",
        "joinUrl": f"https://global.gotowebinar.com/join/{_PLACE}{number:011d}/{number:09d}",
        "timeZone": "Europe/Berlin",
    }


class _Visitor(asyncio.Protocol):
    """One connection. Requests come one after the other; a body (the token's form) is passed over."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, rest = self._received.partition(b"\r\n\r\n")
        if not ended or len(rest) < _length(head):
            return
        self._received = b""
        self._transport.write(self._answer(head.split(b" ", 2)[1].decode()))


def _length(head: bytes) -> int:
    _, named, value = head.lower().partition(b"content-length:")
    return int(value.partition(b"\r\n")[0]) if named else 0


async def serve(webinars: int, registrants: int) -> None:
    """Serve on a free port of 127.0.0.1, say which on stdout, and end with stdin."""
    api = PreparedApi(webinars, registrants)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Visitor(api.answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
