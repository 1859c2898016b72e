"""What a list of counts announces, and how it loses the trust that it does not deserve."""

from __future__ import annotations

from random import Random

from poller.counting import LAG, Counts

A, B = "4255157664015486220", "4255157664015486221"


def test_a_count_that_grew_since_the_last_poll_announces_so_much_news() -> None:
    counts = Counts()
    assert counts.read({A: 10, B: 5}, {A: 10, B: 5}, 0.0) == {}
    assert counts.read({A: 13, B: 5}, {}, 60.0) == {A: (3, 0.0)}
    assert counts.read({A: 13, B: 5}, {}, 90.0) == {A: (3, 30.0)}


def test_what_came_while_nobody_looked_is_announced_by_the_first_reading() -> None:
    assert Counts().read({A: 12, B: 5}, {A: 10, B: 5}, 0.0) == {A: (2, 0.0)}


def test_a_poll_that_found_what_was_announced_ends_it() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    counts.read({A: 12}, {}, 60.0)
    counts.polled(A, started=61.0, grown=2, added=2, changed=0)
    assert counts.waiting(A, 62.0) is None
    assert counts.read({A: 12}, {}, 120.0) == {}


def test_what_arrived_between_reading_and_poll_is_not_announced_again() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    counts.read({A: 11}, {}, 60.0)
    counts.polled(A, started=61.0, grown=2, added=2, changed=0)
    assert counts.read({A: 12}, {}, 120.0) == {}


def test_a_reading_during_a_poll_is_not_answered_by_it() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    counts.read({A: 11}, {}, 60.0)
    counts.polled(A, started=59.0, grown=0, added=0, changed=0)
    assert counts.waiting(A, 70.0) == (1, 10.0)


def test_a_first_look_is_what_later_counts_are_compared_with() -> None:
    counts = Counts()
    assert counts.read({A: 10}, {}, 0.0) == {}
    counts.first_polled(A, 12)
    assert counts.read({A: 12}, {}, 60.0) == {}
    assert counts.read({A: 13}, {}, 90.0) == {A: (1, 0.0)}


def test_a_webinar_that_nobody_has_looked_at_is_announced_when_its_count_grows() -> None:
    counts = Counts()
    trusted = counts.share
    assert counts.read({A: 10}, {}, 0.0) == {}
    assert counts.read({A: 11}, {}, 60.0) == {A: (1, 0.0)}
    counts.first_polled(A, 11)
    assert counts.waiting(A, 61.0) is None and counts.share == trusted


def test_a_list_that_counts_otherwise_than_we_do_is_believed_after_one_poll_in_vain() -> None:
    counts = Counts()
    assert counts.read({A: 9, B: 5}, {A: 10, B: 5}, 0.0) == {A: (1, 0.0)}
    counts.polled(A, started=1.0, grown=0, added=0, changed=0)
    assert counts.read({A: 9, B: 5}, {}, 60.0) == {}
    assert counts.read({A: 10, B: 5}, {}, 120.0) == {A: (1, 0.0)}


def test_a_list_that_counts_otherwise_nearly_everywhere_asks_for_no_polls_because_of_it() -> None:
    counts = Counts()
    assert counts.read({A: 9, B: 3}, {A: 10, B: 5}, 0.0) == {}
    assert counts.read({A: 9, B: 4}, {}, 60.0) == {B: (1, 0.0)}


def test_a_list_that_lags_asks_for_no_poll_in_vain_and_is_remembered_for_it() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    trusted = counts.share
    counts.polled(A, started=30.0, grown=2, added=2, changed=0)
    assert counts.read({A: 10}, {}, 60.0) == {}
    assert counts.read({A: 11}, {}, 120.0) == {}
    assert counts.read({A: 12}, {}, 180.0) == {}
    assert counts.share < trusted


def test_a_list_that_stays_behind_for_good_counts_from_where_it_is() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    counts.polled(A, started=30.0, grown=2, added=2, changed=0)
    assert counts.read({A: 10}, {}, 60.0 + LAG) == {}
    assert counts.read({A: 11}, {}, 120.0 + LAG) == {A: (1, 0.0)}


def test_one_who_came_while_another_left_and_changes_lower_the_share_that_is_announced() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    before = counts.share
    counts.polled(A, started=30.0, grown=0, added=1, changed=0)
    middle = counts.share
    counts.polled(A, started=60.0, grown=0, added=0, changed=1)
    assert counts.share < middle < before


def test_a_list_that_is_always_right_is_trusted_ever_more() -> None:
    counts = Counts()
    counts.read({A: 0}, {A: 0}, 0.0)
    first = counts.share
    for number in range(1, 200):
        counts.read({A: number}, {}, number * 60.0)
        counts.polled(A, started=number * 60.0 + 1, grown=1, added=1, changed=0)
    assert counts.share > first
    assert counts.is_useful


def test_a_list_frozen_for_ever_is_given_up() -> None:
    counts = Counts()
    for number in range(200):
        counts.read({A: 10}, {A: 10}, number * 7200.0)
        counts.polled(A, started=number * 7200.0 + 1, grown=1, added=1, changed=0)
    assert not counts.is_useful


def test_a_list_that_makes_numbers_up_is_given_up() -> None:
    counts, random = Counts(), Random(1)
    for number in range(50):
        if counts.read({A: random.randrange(1000)}, {A: 10}, number * 60.0):
            counts.polled(A, started=number * 60.0 + 1, grown=0, added=0, changed=0)
    assert not counts.is_useful


def test_what_the_list_does_not_show_is_not_covered() -> None:
    counts = Counts()
    counts.read({A: 10}, {A: 10}, 0.0)
    assert counts.covers(A) and not counts.covers(B)
    counts.read({B: 1}, {}, 60.0)
    assert counts.covers(B) and not counts.covers(A)
