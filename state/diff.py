"""Pure comparison of one walk with what is known. Identity is the set of keys, never a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from state.records import Known, Record


@dataclass(frozen=True, slots=True)
class Diff:
    """What one walk says. Lists keep the order of the walk; a key is in at most one of them, but for `returned`,
    which may name a touched record too.

    `missing` is empty unless the walk was complete: an incomplete walk proves presence, never absence.
    """

    added: list[Record] = field(default_factory=list)  # never seen before
    touched: list[Record] = field(default_factory=list)  # other bytes than last time
    reappeared: list[Record] = field(default_factory=list)  # confirmed gone once, listed again
    returned: list[str] = field(default_factory=list)  # was missing in the walk before
    missing: list[str] = field(default_factory=list)  # expected, not in this complete walk

    def __bool__(self) -> bool:
        return bool(self.added or self.touched or self.reappeared or self.returned or self.missing)


def diff(known: Known, records: Iterable[Record], *, complete: bool, expected: Collection[str] | None = None) -> Diff:
    """Compare `records` with `known`. `expected` are the keys whose absence means something (default: all known);
    one that is not known, or known to be gone, cannot be missing.

    A key that the walk lists twice counts once, as first seen: pages drift while they are read.
    """
    result = Diff()
    fingerprints, gone = known.fingerprints, known.gone
    seen: set[str] = set()
    for record in records:
        key = record.key
        if key in seen:
            continue
        seen.add(key)
        if key in known.missing:
            result.returned.append(key)
        before = fingerprints.get(key)
        if before is None:
            (result.reappeared if key in gone else result.added).append(record)
        elif before != record.fingerprint:
            result.touched.append(record)
    if complete:
        absent = fingerprints if expected is None else expected
        result.missing.extend(key for key in absent if key in fingerprints and key not in seen)
    return result
