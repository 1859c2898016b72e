"""What GoTo's webhooks do here: they make a target due now, and the poll tells what is new.

So loss, repeats, forgeries, disorder and delay of webhooks change how soon news is found, and nothing else. What no
poll can see (somebody joined, a survey came in) is told as `webhook.<eventName>`, to triggers that name it: the event's
id comes from GoTo's own key of it, so that a repeat is the same event in every database and after every restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Any, Final, Protocol

import structlog

from poller import drafting
from poller.errors import Malformed
from poller.goto.webhooks import Event, Scheme, is_fresh, is_signed, read
from poller.ports import Clock
from poller.roster import WEBINARS, Roster
from poller.routing import Routing
from state.events import Draft
from state.records import Scope
from state.store import Store

# Keys of the latest events, so that a repeat costs no poll.
REMEMBERED: Final = 10_000


# What no poll can see, so that none is made for it.
UNSEEN: Final = ("registrant.joined", "survey.submitted")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is taken for GoTo's. `token` ends the path; without a scheme it is the only proof. `window`: how far from
    now an event may have happened."""

    token: str
    secrets: Collection[str]
    scheme: Scheme | None
    window: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """`outcome`: taken, repeated, foreign (nobody here sees its webinar), or why it was refused."""

    status: int
    outcome: str
    detail: str = ""


class Observe(Protocol):
    """Is told `webhook.received` with `outcome=` for each; poller.watch has the one."""

    def __call__(self, event: str, /, **fields: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Reach:
    """What a webhook can set in motion. `sees`: whether a webinar of this organizer and account may be in the list of
    that connection."""

    connections: Callable[[], Iterable[str]]  # that are polled
    sees: Callable[[str, str, str], bool]  # connection, keys of organizer and account
    nudge: Callable[[str, Scope], None]
    wake: Callable[[Collection[str]], None]
    forgotten: Callable[[str], bool]  # by e-mail address
    observe: Observe


_TAKEN: Final = Answer(200, "taken")
_REPEATED: Final = Answer(200, "repeated")
_FOREIGN: Final = Answer(200, "foreign")
_MISDIRECTED: Final = Answer(404, "misdirected", "there is nothing here")
_UNSIGNED: Final = Answer(401, "unsigned", "the signature is missing, or not made with a key of this engine")
_STALE: Final = Answer(400, "stale", "its timestamp is too far from now")


class Nudging:
    """The receiver."""

    def __init__(
        self, store: Store, roster: Roster, routing: Routing, clock: Clock, terms: Callable[[], Terms], reach: Reach
    ) -> None:
        self._store = store
        self._roster = roster
        self._routing = routing
        self._clock = clock
        self._terms = terms
        self._reach = reach
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._refused: set[str] = set()
        self._log = structlog.get_logger("poller")

    def is_here(self, token: str) -> bool:
        """Whether a path with this token leads here: what GoTo's probe asks."""
        return compare_digest(token.encode(errors="replace"), self._terms().token.encode())

    async def receive(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Take one webhook. Raises StateUnavailable if it could not be stored: then it may come again."""
        answer = await self._receive(token, headers, body)
        self._reach.observe("webhook.received", outcome=answer.outcome)
        if answer.status != 200 and answer.outcome not in self._refused:
            self._refused.add(answer.outcome)  # strangers may knock as often as they like: each reason is news once
            self._log.warning("webhook.refused", outcome=answer.outcome, reason=answer.detail)
        return answer

    async def _receive(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer:
        terms = self._terms()
        if not self.is_here(token):
            return _MISDIRECTED
        if terms.scheme is not None and not is_signed(terms.scheme, terms.secrets, headers, body):
            return _UNSIGNED
        try:
            event = read(body)
        except Malformed as error:
            return Answer(400, "unreadable", str(error))
        if not is_fresh(event, self._clock.now(), terms.window):
            return _STALE
        if event.key in self._recent:
            return _REPEATED
        answer = await self._act(event)
        self._remember(event.key)
        return answer

    def _remember(self, key: str) -> None:
        self._recent[key] = None
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    async def _act(self, event: Event) -> Answer:
        polled = list(self._reach.connections())
        registrants = Scope("registrant", event.webinar_key)
        holders = [name for name in self._roster.holders(registrants) if name in polled]
        seers = (name for name in polled if self._reach.sees(name, event.organizer_key, event.account_key))
        finders = list(dict.fromkeys([*holders, *seers]))
        if not finders:
            return _FOREIGN
        if event.name not in UNSEEN:
            of_known = event.name.startswith("registrant.") and holders
            for name in holders if of_known else finders:  # a webinar that is not known yet is found first
                self._reach.nudge(name, registrants if of_known else WEBINARS)
        await self._offer(event, finders)
        return _TAKEN

    async def _offer(self, event: Event, finders: Collection[str]) -> None:
        """As an event of its own, if a trigger names it and it is not about somebody who was erased."""
        type_, title = f"webhook.{event.name}", event.text("webinarTitle")
        wanted = any(self._routing.triggers.wants([type_], name, event.webinar_key, title) for name in finders)
        if not wanted or await self._is_about_nobody(event):
            return
        draft = self._draft(type_, event, next(iter(finders)))
        committed = await self._store.emit([(draft, self._routing.routes(draft, finders, title))])
        self._reach.wake(committed.sinks)

    def _draft(self, type_: str, event: Event, connection: str) -> Draft:
        return drafting.webhook(type_, event.data, event.key, at=event.at, connection=connection, now=self._clock.now())

    async def _is_about_nobody(self, event: Event) -> bool:
        """Answers to a survey name no address; then the registrant who was erased is known by an empty record."""
        if self._reach.forgotten(event.text("email")):
            return True
        key = event.text("registrantKey")
        rows = await self._store.rows(Scope("registrant", event.webinar_key), [key]) if key else {}
        return key in rows and rows[key].body is None
