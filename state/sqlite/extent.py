"""Which life of the state this is, which ones it comes from, and how far its event log reaches."""

from __future__ import annotations

import json
import sqlite3
from itertools import pairwise

from state.sqlite import outbox, switches
from state.store import Extent

# Earlier lives that are remembered: so many restored backups a reader's place may lie behind.
LINEAGE = 100


def begin_epoch(db: sqlite3.Connection, epoch: str) -> None:
    """Note where a new epoch begins. What lies before it is the same in the epoch it comes from."""
    switches.set_meta(db, "lineage", json.dumps([*_lineage(db), [epoch, outbox.last_sequence(db)]][-LINEAGE:]))


def _lineage(db: sqlite3.Connection) -> list[tuple[str, int]]:
    return [(epoch, began) for epoch, began in json.loads(switches.get_meta(db, "lineage") or "[]")]


def extent(db: sqlite3.Connection) -> Extent:
    lineage = _lineage(db)
    (epoch, began) = lineage[-1]
    return Extent(
        epoch,
        last=outbox.last_sequence(db),
        pruned=int(switches.get_meta(db, "pruned") or 0),
        began=began,
        shared={earlier: until for (earlier, _), (_, until) in pairwise(lineage)},
    )
