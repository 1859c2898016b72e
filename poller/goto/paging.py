"""How a paged list is walked: which page next, when it is over, and whether all of it was seen. Pure.

GoTo's lists have no cursor and no documented order, so items may move between pages while one walks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from msgspec import Raw

from poller.errors import Malformed
from poller.goto.models import Page, key_of

RESTARTS = 3  # from page 0, when the total changed under way


class PageTurner:
    """`next_page` says what to fetch, None at the end; `take` notes what came.

    `complete` is true at the end if as many different items were seen as the last page promised. Items are told
    apart by `identity`, so a page that came twice does not stand in for one that never came.
    """

    def __init__(self, identity: Callable[[Raw], Hashable]) -> None:
        self._identity = identity
        self._restarts = 0
        self.complete = False
        self._begin()

    def _begin(self) -> None:
        self.next_page: int | None = 0
        self._total: int | None = None
        self._seen: set[Hashable] = set()

    def take(self, page: Page) -> None:
        """Raises Malformed when the total keeps changing."""
        if self._total is not None and page.total != self._total:
            self._restart()
            return
        self._total = page.total
        self._turn(page)

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            self.next_page = None
            raise Malformed(f"the list kept moving: its total changed in {self._restarts} walks in a row")
        self._begin()

    def _turn(self, page: Page) -> None:
        assert self.next_page is not None
        known = len(self._seen)
        self._seen.update(map(self._identity, page.items))
        following = self.next_page + 1
        more = len(self._seen) < page.total or following < (page.pages or 0)
        # A page without news ends the walk even if more is promised: it might never end otherwise.
        if more and len(self._seen) > known:
            self.next_page = following
        else:
            self.next_page = None
            self.complete = len(self._seen) >= page.total


def webinar_identity(raw: Raw) -> Hashable:
    """An account's list may show one webinar under two organizers. A record without keys is told by its bytes."""
    key = key_of(raw, "webinarKey")
    return bytes(raw) if key is None else (key, key_of(raw, "organizerKey"))


def session_identity(raw: Raw) -> Hashable:
    return key_of(raw, "sessionKey") or bytes(raw)


def registrant_identity(raw: Raw) -> Hashable:
    return key_of(raw, "registrantKey") or bytes(raw)
