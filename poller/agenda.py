"""Pure: what is due when, in queues."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Queue = TypeVar("Queue", bound=Hashable)


class Agenda(Generic[Queue, Key]):
    """What is due when, in queues: one that has to wait holds up nobody else. O(log n) in the number of keys."""

    def __init__(self) -> None:
        self._queues: dict[Queue, list[tuple[float, int, Key]]] = {}
        self._due: dict[Key, tuple[Queue, float]] = {}
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
        heapq.heappush(self._queues.setdefault(queue, []), (due, self._count, key))

    def remove(self, key: Key) -> None:
        self._due.pop(key, None)

    def due(self, key: Key) -> float | None:
        found = self._due.get(key)
        return None if found is None else found[1]

    def pop(self, now: float, blocked: Mapping[Queue, float]) -> Key | None:
        """Take the key that has been due longest, of a queue that is not `blocked` (until a moment)."""
        best: tuple[float, int, Key] | None = None
        empty = []
        for name, queue in self._queues.items():
            head = self._head(name, queue)
            if head is None:
                empty.append(name)
            elif head[0] <= now and blocked.get(name, 0.0) <= now and (best is None or head[:2] < best[:2]):
                best = head
        for name in empty:
            del self._queues[name]
        if best is None:
            return None
        name, _ = self._due.pop(best[2])
        heapq.heappop(self._queues[name])
        return best[2]

    def next_due(self, blocked: Mapping[Queue, float]) -> float | None:
        """The next moment at which `pop` may have something."""
        heads = ((name, self._head(name, queue)) for name, queue in self._queues.items())
        return min((max(head[0], blocked.get(name, 0.0)) for name, head in heads if head is not None), default=None)

    def queues(self) -> list[Queue]:
        """Those that hold a key, or did."""
        return list(self._queues)

    def queue_of(self, key: Key) -> Queue | None:
        found = self._due.get(key)
        return None if found is None else found[0]

    def first(self, queue: Queue) -> tuple[float, Key] | None:
        """What is due first in a queue, and when."""
        entries = self._queues.get(queue)
        head = None if entries is None else self._head(queue, entries)
        return None if head is None else (head[0], head[2])

    def _head(self, name: Queue, queue: list[tuple[float, int, Key]]) -> tuple[float, int, Key] | None:
        """The first entry that still stands: moving and removing leave their old entries behind."""
        while queue:
            due, _, key = queue[0]
            if self._due.get(key) == (name, due):
                return queue[0]
            heapq.heappop(queue)
        return None
