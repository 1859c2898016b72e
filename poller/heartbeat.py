"""A dead-man switch: a URL that is asked for while all is well, so that its owner hears of silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp

TIMEOUT = 10.0  # seconds


def pinger(url: str) -> Callable[[], Awaitable[None]] | None:
    """A coroutine function that asks for `url` once; None for the empty text. Raises what aiohttp raises."""
    if not url:
        return None

    async def ping() -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session, session.get(url) as answer:
            answer.raise_for_status()

    return ping
