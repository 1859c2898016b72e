"""Pure: deliveries read ahead, so that a long backlog of one webinar is not searched anew for every event.

Searching past 20,000 events of one webinar for the first of another costs the state as much as sending several events.
What was read is put on a shelf for a moment, together with the knowledge of where there may be more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from state.delivery import Delivery


def lane(delivery: Delivery, ordered: bool) -> str:
    """What has to wait while this delivery is under way, or after it failed: its webinar, or only itself."""
    return delivery.partition if ordered else str(delivery.sequence)


class Shelf:
    """Due deliveries of one sink in their order, each at most once. Whoever takes one sends it.

    Of a lane on the shelf, the first is the first that is due of that lane. The shelf is cleared whenever something
    else than the success of what was taken from it may have changed the state.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._items: list[Delivery] = []
        self._unseen: frozenset[str] | None = None  # lanes that may have more than is here; None = any
        self._since = 0.0  # monotonic seconds
        self.edition = 0  # what a search began with must not be put on a later one

    def clear(self) -> None:
        self.edition += 1
        self._items = []
        self._unseen = None

    def expire(self, now: float, age: float) -> None:
        """Forget what was read more than `age` seconds ago; `now` is monotonic."""
        if now - self._since > age:
            self.clear()
            self._since = now

    def put(self, found: Sequence[Delivery], limit: int, skipped: Collection[str], edition: int) -> None:
        """What a search for `limit` deliveries outside of the lanes `skipped` has found, all of them not here yet.

        If the shelf was cleared during the search, its result is as old as what was on the shelf.
        """
        if edition != self.edition:
            return
        self._items.extend(found)
        cut_short = len(found) >= limit
        self._unseen = None if cut_short else frozenset(skipped if self._ordered else ())

    def sequences(self) -> list[int]:
        return [delivery.sequence for delivery in self._items]

    def may_lack(self, busy: Collection[str]) -> bool:
        """Whether a search could find anything for a lane that is not `busy`."""
        return self._unseen is None or not self._unseen <= set(busy)

    def take(self, most: int, busy: Collection[str]) -> list[Delivery]:
        """Up to `most` deliveries to be sent together, in order and of lanes that are not `busy`.

        What failed before travels alone, so that it cannot make others fail again.
        """
        taken: list[Delivery] = []
        left: list[Delivery] = []
        passed = set(busy)
        for position, delivery in enumerate(self._items):
            if len(taken) == most or (taken and taken[0].attempts):
                left += self._items[position:]
                break
            where = lane(delivery, self._ordered)
            if where in passed or (taken and delivery.attempts):
                passed.add(where)
                left.append(delivery)
            else:
                taken.append(delivery)
        self._items = left
        return taken
