"""What we know, what changed and what we owe.

Knows nothing of sockets, clocks or GoTo; returns or raises, never logs.
"""

from state.diff import Diff, diff
from state.errors import StateError
from state.events import Draft, event_id
from state.records import Known, Phase, Presence, Record, RecordRow, Scope, Target
from state.store import Store

__all__ = [
    "Diff",
    "Draft",
    "Known",
    "Phase",
    "Presence",
    "Record",
    "RecordRow",
    "Scope",
    "StateError",
    "Store",
    "Target",
    "diff",
    "event_id",
]
