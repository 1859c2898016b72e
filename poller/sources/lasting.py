"""What the sources of things that have happened share: nothing of them is changed or removed, and none can be asked for
by its key. What GoTo's history leaves out says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from poller.admission import Judged
from poller.errors import Refused
from poller.ports import Change
from state.records import Scope, Target


class Lasting:
    changed = ""
    removed = ""
    judged = Judged.DATE
    timed = True
    recurs = False
    overlap = timedelta(0)

    def brings(self, target: Target, key: str) -> Sequence[Scope]:
        return ()

    def may_be_gone(self, body: bytes, now: datetime) -> bool:
        return False

    async def confirm(self, target: Target, key: str) -> bytes | None:
        raise Refused("what has happened is asked for by lists alone")

    def merge(self, before: bytes, after: bytes, now: datetime) -> bytes:
        return after

    def keep(self, before: bytes, after: bytes) -> bytes:
        return after

    def moment(self, body: bytes) -> float | None:
        """How often these lists are read is not learnt: they have dates."""
        return None

    def person(self, body: bytes) -> str:
        return ""

    def compare(self, before: bytes, after: bytes, now: datetime) -> Change | None:
        """Counts and the like may still move; nobody is told."""
        return None
