"""What a webhook's answer means. The status line and one header count; bodies are the receiver's own business.

They are not reported either: an error page may repeat the request, and with it personal data.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import ClientError, StreamReader

from poller.errors import Gone, PollerError, Refused, Wait

_BODY_LIMIT: Final = 65536  # bytes
_BODY_SECONDS: Final = 1.0
_NEVER_ACCEPTED: Final = frozenset({400, 413, 422})


class Answer(NamedTuple):
    status: int
    retry_after: str = ""  # the header, "" without one


async def drained(content: StreamReader) -> None:
    """Read the rest of an answer, so that its connection can serve again: 64 kB and one second at most.

    What is longer or slower costs its connection, not the outcome, which the status line has decided.
    """
    with suppress(ClientError, OSError):  # TimeoutError is an OSError
        async with asyncio.timeout(_BODY_SECONDS):
            left = _BODY_LIMIT
            while left > 0 and (chunk := await content.read(left)):
                left -= len(chunk)


def verdict(answer: Answer, host: str, now: datetime) -> PollerError | None:
    """None for success; 400, 413, 422 refuse this event for good, 410 ends it all, anything else may pass."""
    if 200 <= answer.status < 300:
        return None
    said = f"{host} answered {answer.status}{_phrase(answer.status)}"
    if answer.status in _NEVER_ACCEPTED:
        return Refused(said)
    if answer.status == HTTPStatus.GONE:
        return Gone(said)
    if 300 <= answer.status < 400:
        said += "; redirects are not followed, set url to the final address"
    return Wait(said, retry_after=retry_after_seconds(answer.retry_after, now))


def retry_after_seconds(header: str, now: datetime) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date. None for anything else."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((aware - now).total_seconds(), 0.0)


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""
