"""Reading the event log for one trigger: forward from a place, page by page, or the newest first.

What a reader wants is evaluated as the triggers are now, with the eyes of the commit: all connections that see the
webinar, and its title.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from poller.formats import item
from poller.triggers import Trigger
from poller.web.tail import PAGE, Tail, Told
from state.store import Extent, Select, Store

SCAN: Final = 10_000  # events that one answer looks through at most, where the reader's place can advance without any
LATEST: Final = 20_000  # events that are looked through for the newest ones of a trigger
_BARREN: Final = 1024  # stretches of the log that are remembered to hold nothing for a reader


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one reader wants of the log; "" for any webinar and any organizer."""

    trigger: Trigger
    webinar: str = ""
    organizer: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Events in their order. Reading goes on behind `position`; `more`: there is something left to look at now."""

    events: Sequence[Told]
    position: int
    more: bool


@dataclass(frozen=True, slots=True)
class Eyes:
    """What the commit knew of an event's surroundings, as it is now."""

    finders: Callable[[Mapping[str, Any]], Collection[str]]  # connections that see it
    title: Callable[[Mapping[str, Any]], str]  # of its webinar


class EventLog:
    def __init__(self, store: Store, tail: Tail, eyes: Eyes) -> None:
        self._store = store
        self._tail = tail
        self._eyes = eyes
        self._barren: OrderedDict[tuple[Wanted, int], int] = OrderedDict()

    async def read(
        self, wanted: Wanted, after: int, limit: int, extent: Extent | None = None, scan: int | None = None
    ) -> Page:
        """The first `limit` events behind `after`; at most `scan` events are looked through.

        `extent`: how far the log reaches now, for a reader who has just come; who follows the tail needs none.
        """
        found: list[Told] = []
        position, looked = self._barren.get((wanted, after), after), 0
        while True:
            batch, is_end = await self._behind(position, extent)
            for told in batch:
                if self.matches(wanted, told):
                    if len(found) == limit:
                        return Page(found, position, more=True)
                    found.append(told)
                position = told.sequence
            looked += len(batch)
            if is_end and extent is not None:
                position = max(position, extent.last)  # retention may have taken the events up to there
            if not found:
                self._remember(wanted, after, position)
            if is_end or (scan is not None and looked >= scan):
                return Page(found, position, more=not is_end)

    async def latest(self, wanted: Wanted, limit: int) -> list[Told]:
        """The newest `limit` events, newest first, of the last `LATEST` there are."""
        found: list[Told] = []
        before: int | None = None
        for _ in range(LATEST // PAGE):
            batch = [Told(stored) for stored in await self._store.latest(before, PAGE)]
            found += [told for told in batch if self.matches(wanted, told)]
            if len(found) >= limit or len(batch) < PAGE:
                break
            before = batch[-1].sequence
        return found[:limit]

    def matches(self, wanted: Wanted, told: Told) -> bool:
        if not wanted.trigger.hears(told.short):
            return False
        event = told.event
        if wanted.webinar and wanted.webinar != (event.get("data") or {}).get("webinarKey", event["partitionkey"]):
            return False
        if wanted.organizer and wanted.organizer != item(event)["organizerKey"]:
            return False
        return wanted.trigger.matches(event, self._eyes.finders(event), self._eyes.title(event))

    async def _behind(self, position: int, extent: Extent | None) -> tuple[Sequence[Told], bool]:
        """Some of what follows, and whether it was all.

        The tail may be a moment behind the commits, and does not know what retention has taken of it.
        """
        if extent is None or (self._tail.last >= extent.last and position >= extent.pruned):
            kept = self._tail.behind(position)
            if kept is not None:
                return kept, True
        page = await self._store.events(Select(after=position, limit=PAGE))
        return [Told(stored) for stored in page], len(page) < PAGE

    def _remember(self, wanted: Wanted, after: int, position: int) -> None:
        """A reader whose place is an event's id stays there until something comes; it need not be read past twice."""
        if position == after:
            return
        self._barren[wanted, after] = position
        self._barren.move_to_end((wanted, after))
        if len(self._barren) > _BARREN:
            self._barren.popitem(last=False)
