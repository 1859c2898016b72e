"""Pure: what is due when, in queues."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Queue = TypeVar("Queue", bound=Hashable)
Entry = tuple[float, int, Key]  # due, a number that grows with every entry, key


class Line(Generic[Key]):
    """The entries of one queue, soonest first. Most come in the order in which they are due, and cost O(1) then."""

    def __init__(self) -> None:
        self._in_order: deque[Entry[Key]] = deque()
        self._others: list[Entry[Key]] = []

    def put(self, entry: Entry[Key]) -> None:
        if self._in_order and entry < self._in_order[-1]:
            heapq.heappush(self._others, entry)
        else:
            self._in_order.append(entry)

    def first(self) -> Entry[Key] | None:
        if self._others and not (self._in_order and self._in_order[0] < self._others[0]):
            return self._others[0]
        return self._in_order[0] if self._in_order else None

    def drop_first(self) -> None:
        """Raises IndexError where there is none."""
        if self._others and not (self._in_order and self._in_order[0] < self._others[0]):
            heapq.heappop(self._others)
        else:
            self._in_order.popleft()


class Agenda(Generic[Queue, Key]):
    """What is due when, in queues: one that has to wait holds up nobody else. O(log n) in the number of keys."""

    def __init__(self) -> None:
        self._queues: dict[Queue, Line[Key]] = {}
        self._due: dict[Key, tuple[Queue, float]] = {}
        self._earliest = math.inf  # nothing is due before
        self._count = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def keys(self) -> Iterable[Key]:
        return self._due.keys()

    def put(self, queue: Queue, key: Key, due: float) -> None:
        """Add `key`, or move it."""
        self._count += 1
        self._due[key] = (queue, due)
        if due < self._earliest:
            self._earliest = due
        line = self._queues.get(queue)
        if line is None:
            line = self._queues[queue] = Line()
        line.put((due, self._count, key))

    def remove(self, key: Key) -> None:
        self._due.pop(key, None)

    def due(self, key: Key) -> float | None:
        found = self._due.get(key)
        return None if found is None else found[1]

    def pop(self, now: float, blocked: Mapping[Queue, float]) -> Key | None:
        """Take the key that has been due longest, of a queue that is not `blocked` (until a moment)."""
        if now < self._earliest:
            return None
        best: Entry[Key] | None = None
        empty = []
        earliest = math.inf
        for name, line in self._queues.items():
            head = self._head(name, line)
            if head is None:
                empty.append(name)
                continue
            earliest = min(earliest, head[0])
            if head[0] <= now and blocked.get(name, 0.0) <= now and (best is None or head[:2] < best[:2]):
                best = head
        for name in empty:
            del self._queues[name]
        self._earliest = earliest
        if best is None:
            return None
        name, _ = self._due.pop(best[2])
        self._queues[name].drop_first()
        return best[2]

    def next_due(self, blocked: Mapping[Queue, float]) -> float | None:
        """The next moment at which `pop` may have something."""
        heads = ((name, self._head(name, line)) for name, line in self._queues.items())
        return min((max(head[0], blocked.get(name, 0.0)) for name, head in heads if head is not None), default=None)

    def queues(self) -> list[Queue]:
        """Those that hold a key, or did."""
        return list(self._queues)

    def queue_of(self, key: Key) -> Queue | None:
        found = self._due.get(key)
        return None if found is None else found[0]

    def first(self, queue: Queue) -> tuple[float, Key] | None:
        """What is due first in a queue, and when."""
        line = self._queues.get(queue)
        head = None if line is None else self._head(queue, line)
        return None if head is None else (head[0], head[2])

    def _head(self, name: Queue, line: Line[Key]) -> Entry[Key] | None:
        """The first entry that still stands: moving and removing leave their old entries behind."""
        while (head := line.first()) is not None and self._due.get(head[2]) != (name, head[0]):
            line.drop_first()
        return head
