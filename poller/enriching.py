"""Detail for news: what a new registrant's own GET says beyond the list (organization, answers …), on request.

A list of registrants is condensed. Vendor: GoTo Webinar v2, getRegistrant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from poller.errors import Malformed, NotFound, PollerError, Refused
from poller.inquiry import CONFIRMATIONS, Inquiry
from poller.poll import Item, Poll
from poller.roster import Roster, hold_of
from poller.routing import Routing
from state.events import GOTO, Draft

ADDED: Final = "registrant.added"

# Seconds that asking takes at most in one poll, waiting for free calls included: news is not held up for its details.
ENRICHING: Final = 10.0

Details = dict[str, Any]


class Enricher:
    """Adds to the drafts of a poll, before its commit. Whatever goes wrong, the event comes, with `enriched: false`."""

    def __init__(self, inquiry: Inquiry, roster: Roster, routing: Routing) -> None:
        self._inquiry = inquiry
        self._roster = roster
        self._routing = routing

    async def enrich(self, poll: Poll) -> None:
        """Every registrant who is news says whether it has details; the first ones are asked for, in their order.

        Raises no PollerError. Their order and their ids stay as they are.
        """
        if not poll.link.enrich:
            return
        news = {index: item.draft for index, item in enumerate(poll.items) if item.draft and _is_news(item.draft)}
        found: dict[int, Details] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(ENRICHING):
                await self._ask(poll, news, found)
        for index, draft in news.items():
            poll.items[index] = poll.items[index]._replace(draft=_enriched(draft, found.get(index)))

    async def _ask(self, poll: Poll, news: Mapping[int, Draft], found: dict[int, Details]) -> None:
        """Fills `found`, as far as it gets."""
        for index, draft in news.items():
            item = poll.items[index]
            if poll.asked >= CONFIRMATIONS:
                return
            if not self._is_wanted(poll, item, draft):
                continue
            try:
                body = await self._inquiry.ask(poll, item.row.key)
                if body is not None:
                    found[index] = dict(poll.source.facts(poll.target, body).data)
            except (Malformed, NotFound, Refused):
                continue
            except PollerError:  # a limit, an outage, a refused login: the next one would fare no better
                return

    def _is_wanted(self, poll: Poll, item: Item, draft: Draft) -> bool:
        """By its type and webinar alone: a condition may be about the very details."""
        return self._routing.wants_type(ADDED, self._finders(poll, draft), draft.partition, item.title)

    def _finders(self, poll: Poll, draft: Draft) -> Sequence[str]:
        return [poll.link.name, *self._roster.holders(hold_of(poll.target.scope, draft.partition))]


def _is_news(draft: Draft) -> bool:
    return draft.type == GOTO + ADDED and not draft.backfill


def _enriched(draft: Draft, detail: Details | None) -> Draft:
    """What the list shows stays: it is what later changes are compared with."""
    return replace(draft, data={**(detail or {}), **draft.data, "enriched": detail is not None})
