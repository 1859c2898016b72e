"""Polls that found nothing new: gathered while the writer sleeps, written together with its next transaction."""

from __future__ import annotations

import sqlite3
from collections import deque

from state.records import Target
from state.sqlite import journal, snapshots
from state.store import PollRow


class PollNotes:
    """`add` is called on the event loop, `write` in the writer's thread."""

    def __init__(self) -> None:
        self._notes: deque[tuple[PollRow, Target | None]] = deque()
        self._is_awaited = False

    def add(self, row: PollRow, polled: Target | None) -> bool:
        """Returns whether a `write` has to be asked for; otherwise one is under way that takes this note along."""
        self._notes.append((row, polled))
        was_awaited, self._is_awaited = self._is_awaited, True
        return not was_awaited

    def write(self, db: sqlite3.Connection) -> None:
        self._is_awaited = False  # first of all: what is added from now on may come too late for this one
        taken = [self._notes.popleft() for _ in range(len(self._notes))]
        journal.write(db, (row for row, _ in taken))
        snapshots.mark_polled(db, (polled for _, polled in taken if polled is not None))
