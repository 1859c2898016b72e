"""The comparison of a walk with what is known, checked against the plainest possible model of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from state.diff import Diff, diff
from state.records import Known, Record

KEYS = st.sampled_from("abcdefgh")
PRINTS = st.sampled_from([b"1", b"2", b"3"])
WALKS = st.lists(st.builds(lambda key, mark: Record(key, mark, b""), KEYS, PRINTS), max_size=12)


@st.composite
def known_sets(draw: st.DrawFn) -> Known:
    prints = draw(st.dictionaries(KEYS, PRINTS))
    missing = draw(st.sets(st.sampled_from(sorted(prints)))) if prints else set()
    gone = draw(st.dictionaries(KEYS.filter(lambda key: key not in prints), st.integers(1, 9)))
    return Known(prints, frozenset(missing), gone)


def model(known: Known, walk: Sequence[Record], complete: bool, expected: Collection[str] | None) -> Diff:
    """What diff promises, said key by key."""
    firsts = [record for n, record in enumerate(walk) if record.key not in [earlier.key for earlier in walk[:n]]]
    listed = [record.key for record in firsts]
    anyone = list(known.fingerprints) if expected is None else list(expected)
    return Diff(
        added=[r for r in firsts if r.key not in known.fingerprints and r.key not in known.gone],
        touched=[r for r in firsts if known.fingerprints.get(r.key, r.fingerprint) != r.fingerprint],
        reappeared=[r for r in firsts if r.key in known.gone],
        returned=[key for key in listed if key in known.missing],
        missing=[key for key in anyone if complete and key in known.fingerprints and key not in listed],
    )


@given(known_sets(), WALKS, st.booleans(), st.none() | st.lists(KEYS, unique=True))
def test_every_walk_is_told_as_the_model_tells_it(
    known: Known, walk: list[Record], complete: bool, expected: list[str] | None
) -> None:
    assert diff(known, walk, complete=complete, expected=expected) == model(known, walk, complete, expected)


@given(known_sets(), WALKS)
def test_an_incomplete_walk_proves_no_absence(known: Known, walk: list[Record]) -> None:
    assert diff(known, walk, complete=False).missing == []


@given(known_sets(), WALKS, st.booleans())
def test_a_key_is_told_in_one_way_only(known: Known, walk: list[Record], complete: bool) -> None:
    found = diff(known, walk, complete=complete)
    told = [record.key for record in (*found.added, *found.touched, *found.reappeared)] + found.missing
    assert len(told) == len(set(told))
    assert set(found.returned).isdisjoint(found.missing)


class World:
    """What a store would hold if it followed each diff, and how often each key was called new."""

    def __init__(self) -> None:
        self.prints: dict[str, bytes] = {}
        self.missing: set[str] = set()
        self.added: list[str] = []

    def walk(self, records: list[Record], complete: bool) -> None:
        found = diff(Known(self.prints, frozenset(self.missing)), records, complete=complete)
        self.added += [record.key for record in found.added]
        self.prints |= {record.key: record.fingerprint for record in (*found.added, *found.touched)}
        self.missing = (self.missing - set(found.returned)) | set(found.missing)


@given(st.lists(st.tuples(WALKS, st.booleans()), max_size=6))
def test_over_any_sequence_of_walks_each_key_is_new_once_and_lately_absent_keys_are_missing(
    walks: list[tuple[list[Record], bool]],
) -> None:
    world = World()
    for records, complete in walks:
        world.walk(records, complete)
        listed = {record.key for record in records}
        assert world.missing.isdisjoint(listed)
        if complete:
            assert world.missing == set(world.prints) - listed
    assert sorted(world.added) == sorted({record.key for records, _ in walks for record in records})


def test_a_key_that_a_page_drift_lists_twice_counts_as_first_seen() -> None:
    found = diff(Known(), [Record("a", b"1", b"first"), Record("a", b"2", b"second")], complete=True)
    assert [record.body for record in found.added] == [b"first"]


def test_a_walk_that_brings_nothing_new_is_nothing() -> None:
    known = Known({"a": b"1"}, frozenset(), {"b": 2})
    assert not diff(known, [Record("a", b"1", b"")], complete=True)
    assert diff(known, [], complete=True)


def test_keys_that_nobody_expects_are_not_missing() -> None:
    known = Known({"a": b"1", "b": b"1"}, frozenset(), {"c": 1})
    assert diff(known, [], complete=True, expected=["b", "c", "never seen"]).missing == ["b"]
