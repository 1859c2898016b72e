"""Raw requests to GoTo: sent through the limits with the connection's token, repeated where that is safe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from poller.app import App
from poller.backoff import backoff
from poller.calling import client_of
from poller.errors import Malformed, OutcomeUnknown, PollerError, UsageError, Wait
from poller.goto import GotoClient, Priority, Request
from poller.goto.operations import OPERATIONS
from poller.goto.operations.raw import Raw, Retry, changes, request, worth_repeating
from poller.goto.protocol import NoAnswer, interpret, stated_pause
from poller.goto.transport import Answer
from poller.log import clean

Debug = Callable[[str], None]

_LONGEST: Final = 2000  # characters of a body that are shown
_OPENS_DOORS: Final = frozenset({"authorization", "set-cookie", "location", "www-authenticate"})
# Names, addresses, links and secrets, by the names of their fields.
_PERSONAL: Final = re.compile(
    r".*(name|mail|phone|address|city|zipcode|url|link|token|secret|password|answers?|value)", re.IGNORECASE
)


async def send_raw(
    app: App,
    raw: Raw,
    connection: str | None = None,
    *,
    retry: Retry | None = None,
    yes: bool = False,
    debug: Debug | None = None,
) -> Answer:
    """The good answer to a raw request. `debug` gets redacted lines about each attempt.

    Raises UsageError, what the answer means (see GotoClient), and OutcomeUnknown for a change without an answer.
    """
    name, client = client_of(app, connection)
    asked = request(raw, api_url=client.api_url, room_url=client.room_url)
    known = OPERATIONS.get(asked.operation)
    if known is not None and known.erases and not yes:
        raise UsageError(f"this is {known.name}, which erases what nobody can bring back; say --yes if that is meant")
    await app.logins.require(name)
    policy, attempt = retry or Retry(), 0
    while True:
        attempt += 1
        answer, error = await _attempt(app, client, asked, debug)
        if answer is not None and 200 <= answer.status < 300:
            return answer
        if attempt > policy.times or not _may_repeat(policy, asked, answer, error):
            raise _failed(client, asked, answer, error)
        pause = _pause(app, policy, attempt, answer, error)
        if debug is not None:
            debug(f"* again in {pause:.1f} s ({attempt} of {policy.times})")
        await app.clock.sleep(pause)


async def _attempt(
    app: App, client: GotoClient, asked: Request, debug: Debug | None
) -> tuple[Answer | None, PollerError | None]:
    if debug is not None:
        _show_request(asked, debug)
    began = app.clock.monotonic()
    try:
        answer = await client.exchange(asked, priority=Priority.USER)
    except (Wait, Malformed) as err:
        if debug is not None:
            debug(f"* {clean(str(err))}")
        return None, err
    if debug is not None:
        _show_answer(answer, app.clock.monotonic() - began, debug)
    return answer, None


def _may_repeat(retry: Retry, asked: Request, answer: Answer | None, error: PollerError | None) -> bool:
    reached = error is None or isinstance(error, NoAnswer | Malformed)
    return worth_repeating(retry, asked.method, None if answer is None else answer.status, sent=reached)


def _pause(app: App, retry: Retry, attempt: int, answer: Answer | None, error: PollerError | None) -> float:
    """Seconds; what the other side asked for is a floor."""
    own = backoff(attempt, app.random, base=retry.delay) if retry.backoff else retry.delay
    stated = stated_pause(answer.headers, app.clock.now) if answer is not None else getattr(error, "retry_after", None)
    return max(own, stated or 0.0)


def _failed(client: GotoClient, asked: Request, answer: Answer | None, error: PollerError | None) -> PollerError:
    """What the last attempt means for whoever asked."""
    if answer is None:
        assert error is not None
        lost = isinstance(error, NoAnswer | Malformed)
        return _unknown(asked, str(error)) if lost and changes(asked) else error
    if changes(asked) and (answer.status >= 500 or answer.status == 408):
        return _unknown(asked, f"GoTo answered {answer.status}")
    try:
        interpret(*answer, client.now)
    except PollerError as err:
        return err
    raise AssertionError("a good answer is no failure")


def _unknown(asked: Request, why: str) -> OutcomeUnknown:
    known = OPERATIONS.get(asked.operation)
    look = f"look at {known.look}" if known is not None else "look at what it should have changed"
    said = f"{asked.method} {asked.url.raw_path}: {why}"
    return OutcomeUnknown(f"{said}. Nobody knows whether it was carried out; {look} before you repeat it")


# ── what a person sees with --debug ──────────────────────────────────────────────────────────────────────────────────


def _show_request(asked: Request, debug: Debug) -> None:
    query = "&".join(f"{name}={'…' if _PERSONAL.fullmatch(name) else value}" for name, value in asked.url.query.items())
    debug(f"> {asked.method} {clean(asked.url.path + (f'?{query}' if query else ''))}")
    debug("> Authorization: Bearer …")
    _show(">", asked.headers, asked.body, debug)


def _show_answer(answer: Answer, seconds: float, debug: Debug) -> None:
    debug(f"< {answer.status} ({seconds:.3f} s, {len(answer.body)} bytes)")
    _show("<", answer.headers, answer.body, debug)


def _show(mark: str, headers: Mapping[str, str], body: bytes | None, debug: Debug) -> None:
    for name, value in headers.items():
        debug(f"{mark} {name}: {'…' if name.lower() in _OPENS_DOORS else clean(value)}")
    if body:
        debug(f"{mark} {redacted(body)}")


def redacted(body: bytes) -> str:
    """A body for a person to look at: without people's data, tokens and links."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"{len(body)} bytes"
    try:
        text = json.dumps(_hidden(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        if "Content-Disposition" in text or "=" in text.partition("&")[0]:
            return f"a form of {len(body)} bytes"
    return clean(text)[:_LONGEST]


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "…" if _PERSONAL.fullmatch(name) else _hidden(inner) for name, inner in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, list) else value
