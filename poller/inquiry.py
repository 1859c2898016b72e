"""Asking for single objects: what their own GETs, or lists of theirs, say beside what a list shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from poller.doubts import Doubts
from poller.errors import Malformed, PollerError, Reauthorize, Wait
from poller.poll import Item, Poll
from poller.ports import Change
from poller.roster import Roster, hold_of
from poller.telling import Teller
from state.events import short_type
from state.records import Record, RecordRow

# Own GETs that one poll spends at most on what its list did not show, and on changes that it showed.
CONFIRMATIONS = 25


class Inquiry:
    """Remembers nothing but the doubts that are open."""

    def __init__(self, roster: Roster, teller: Teller, doubts: Doubts) -> None:
        self._roster = roster
        self._teller = teller
        self._doubts = doubts

    async def ask(self, poll: Poll, key: str, listed: Record | None = None) -> bytes | None:
        """The object as its own GET shows it, None for a 404; other failures raise.

        A webinar or meeting is asked for under the organizer it is held or listed under.
        """
        poll.calls += 1
        poll.asked += 1
        target = poll.target
        if poll.of_root:
            held = self._roster.target(poll.link.name, hold_of(target.scope, key))
            if held is None and listed is not None:
                held = self._teller.targets_of(poll, key, poll.source.facts(target, listed.body))[0]
            target = held or target
        return await poll.source.confirm(target, key)

    async def is_stale(self, poll: Poll, record: Record, row: RecordRow, change: Change) -> bool:
        """Whether the list is an old copy: the object's own GET shows a changed field as it was known, not as listed.

        Of very many changes only the first are asked about; the others are believed, unless they lead back.
        """
        if not poll.source.removed:
            return False  # there is nothing to ask
        if poll.asked >= CONFIRMATIONS:
            return record.fingerprint == row.previous
        try:
            body = await self.ask(poll, record.key, listed=record)
        except (Reauthorize, Wait):
            return True  # not now
        except Malformed:
            return self._doubts.is_unclear(poll.target.scope, record.key)
        except PollerError:
            return False  # not allowed, say
        return body is None or self._denies(poll, body, record, row, change)

    async def detail(self, poll: Poll) -> None:
        """Add to the news of this poll what takes further calls; history, of which there may be much, does without."""
        details = poll.link.details.get(poll.source.kind)
        news = {item.row.key: item.draft for item in poll.items if item.draft is not None and not item.draft.backfill}
        if details is None or not news:
            return
        found = await details.add(poll.target, {key: short_type(draft.type) for key, draft in news.items()})
        poll.calls += found.calls
        poll.items = [_with(item, found.data.get(item.row.key)) for item in poll.items]

    def _denies(self, poll: Poll, body: bytes, record: Record, row: RecordRow, change: Change) -> bool:
        differing = self._differing(poll, record.body, body)
        denied = differing.intersection(change.changed)
        is_neither = denied and denied <= self._differing(poll, row.body, body)  # neither old nor new
        # What looks exactly as it did before its last change is an old copy, unless all of it is true again.
        if is_neither or (differing and not denied and record.fingerprint == row.previous):
            return self._doubts.is_unclear(poll.target.scope, record.key)
        self._doubts.clear(poll.target.scope, record.key)
        return bool(denied)

    def _differing(self, poll: Poll, before: bytes | None, after: bytes) -> set[str]:
        change = self._teller.difference(poll, before, after)
        return set() if change is None else set(change.changed)


def _with(item: Item, more: Mapping[str, Any] | None) -> Item:
    if item.draft is None or not more:
        return item
    return item._replace(draft=replace(item.draft, data={**item.draft.data, **more}))
