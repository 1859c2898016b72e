"""Pure: a reader's place in the event log, `<state-epoch>-<sequence>`, and where it goes on.

A place outlives restarts and retention. Sequences mean something within one epoch only: a new state and a restored
backup begin another, in which other events may have the same numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from state.store import Extent

PATTERN: Final = "[0-9A-Za-z]{1,32}-[0-9]{1,20}"


class Malformed(ValueError):
    """Not a cursor at all; the only cursor that is anybody's mistake."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind this event of that life of the state. The next one read is the first with a higher sequence."""

    epoch: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises Malformed."""
        if not re.fullmatch(PATTERN, text):
            raise Malformed('is not a cursor: "<epoch>-<sequence>", as an earlier answer gave it')
        epoch, _, sequence = text.partition("-")
        return cls(epoch, int(sequence))


class Place(NamedTuple):
    """Where reading goes on: behind `sequence`. `gap`: events may have been missed, or come again."""

    sequence: int
    gap: bool


def place(cursor: Cursor, extent: Extent) -> Place:
    """Where the reader of `cursor` goes on.

    Behind what retention has taken: at the oldest event that is kept. In another epoch: at the first event of this
    one, or before it where that epoch's log is known to have been the same and the reader had not got so far.
    """
    if cursor.epoch != extent.epoch:
        known = extent.shared.get(cursor.epoch)
        return Place(extent.began if known is None else min(cursor.sequence, known), gap=True)
    if cursor.sequence > extent.last:  # no event of this epoch can have been there
        return Place(extent.began, gap=True)
    return Place(cursor.sequence, gap=cursor.sequence < extent.pruned)


def end(extent: Extent) -> Cursor:
    """Behind everything there is now."""
    return Cursor(extent.epoch, extent.last)
