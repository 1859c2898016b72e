"""Where a reader of the event log goes on, whatever has become of the log since."""

from __future__ import annotations

import pytest

from poller.web.cursors import Cursor, Malformed, end, place
from state.store import Extent

NOW = Extent("cccc", last=100)


def test_a_cursor_is_read_as_it_was_written() -> None:
    assert Cursor.parse("ab12-42") == Cursor("ab12", 42)
    assert str(Cursor.parse(str(end(NOW)))) == "cccc-100"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "cccc",
        "cccc-",
        "-42",
        "cccc--1",
        "cccc-4.2",
        "cccc-42 ",
        "cc cc-42",
        "cccc-٤٢",
        "a-b-3",
        "cccc-" + "9" * 21,
    ],
)
def test_what_no_answer_ever_gave_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Cursor.parse(text)


def test_a_reader_goes_on_behind_what_it_had() -> None:
    assert place(Cursor("cccc", 42), NOW) == (42, False)
    assert place(Cursor("cccc", 100), NOW) == (100, False)
    assert place(Cursor("cccc", 0), NOW) == (0, False)


@pytest.mark.parametrize(("sequence", "gap"), [(49, True), (50, False), (51, False)])
def test_a_reader_that_retention_has_overtaken_is_told_so(sequence: int, gap: bool) -> None:
    """It goes on from its own place, where the oldest event that is kept comes first."""
    assert place(Cursor("cccc", sequence), Extent("cccc", last=100, pruned=50)) == (sequence, gap)


def test_a_new_state_is_read_from_its_first_event() -> None:
    assert place(Cursor("unknown", 7), NOW) == (0, True)
    assert place(Cursor("unknown", 9999), NOW) == (0, True)


RESTORED = Extent("cccc", last=100, began=80, shared={"aaaa": 30, "bbbb": 80})


@pytest.mark.parametrize(
    ("cursor", "sequence"),
    [
        (Cursor("bbbb", 95), 80),  # had read what the backup lacks: from the first event of this epoch
        (Cursor("bbbb", 80), 80),
        (Cursor("bbbb", 60), 60),  # had not got that far: nothing is skipped
        (Cursor("aaaa", 70), 30),  # two restores ago; its 31 to 70 are not ours
        (Cursor("aaaa", 10), 10),
        (Cursor("else", 10), 80),  # of no life that this one comes from
    ],
)
def test_after_a_restore_nobody_skips_what_the_backup_had_and_nobody_reads_it_twice(
    cursor: Cursor, sequence: int
) -> None:
    assert place(cursor, RESTORED) == (sequence, True)


def test_a_place_that_no_event_has_reached_begins_at_the_first_of_the_epoch() -> None:
    assert place(Cursor("cccc", 101), NOW) == (0, True)
    assert place(Cursor("cccc", 10**20 - 1), RESTORED) == (80, True)
