"""Walking a paged list that moves, repeats and lies."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from poller.errors import Malformed
from poller.goto.models import Page
from poller.goto.paging import PageTurner, registrant_identity, webinar_identity


def page(*keys, total, pages=None):
    items = [Raw(json.dumps({"registrantKey": key}).encode()) for key in keys]
    return Page(items, b"", total, pages, 0)


def walk(*pages):
    """Feeds the pages one after the other; the numbers that were asked for, and the turner."""
    turner, asked = PageTurner(registrant_identity), []
    for each in pages:
        assert turner.next_page is not None, "a page too many"
        asked.append(turner.next_page)
        turner.take(each)
    return asked, turner


def test_an_empty_list_is_complete():
    _, turner = walk(page(total=0, pages=0))

    assert turner.next_page is None and turner.complete


def test_pages_are_read_until_all_that_was_promised_is_seen():
    asked, turner = walk(page(1, 2, total=3, pages=2), page(3, total=3, pages=2))

    assert asked == [0, 1] and turner.next_page is None and turner.complete


def test_a_server_that_clamps_the_page_size_is_followed_to_the_end():
    asked, turner = walk(page(1, total=3), page(2, total=3), page(3, total=3))

    assert asked == [0, 1, 2] and turner.complete


def test_a_walk_cut_off_in_the_middle_is_not_complete():
    _, turner = walk(page(1, 2, total=4))

    assert turner.next_page == 1 and not turner.complete


@pytest.mark.parametrize(
    "pages",
    [
        (page(1, 2, total=4), page(1, 2, total=4)),  # the same page again
        (page(1, 2, total=4), page(2, 3, total=4), page(total=4)),  # one item slipped away between two pages
        (page(1, 1, total=2), page(total=2)),  # one item twice
        (page(1, 2, total=4), page(total=4)),  # nothing where more was promised
        (page(total=4),),
        (page(1, 2, total=2, pages=9), page(1, 2, total=3, pages=9)),  # still moving
    ],
)
def test_a_list_that_was_not_wholly_seen_is_never_complete(pages):
    _, turner = walk(*pages)

    assert not turner.complete


def test_a_short_page_with_the_rest_later_is_made_up_for():
    _, turner = walk(page(1, 2, total=4, pages=2), page(3, total=4, pages=2), page(4, total=4, pages=2))

    assert turner.complete


def test_promised_pages_are_read_even_when_the_total_is_too_low():
    asked, turner = walk(page(1, 2, total=2, pages=2), page(3, total=2, pages=2))

    assert asked == [0, 1] and turner.complete


def test_a_changed_total_starts_the_walk_again():
    asked, turner = walk(page(1, 2, total=3), page(3, total=4), page(1, 2, total=4), page(3, 4, total=4))

    assert asked == [0, 1, 0, 1] and turner.complete


def test_a_list_that_keeps_moving_is_given_up():
    turner = PageTurner(registrant_identity)
    with pytest.raises(Malformed, match="kept moving"):
        for total in range(5, 50):
            turner.take(page(total, total=total))
    assert turner.next_page is None and not turner.complete


def test_a_record_without_a_key_counts_once_and_does_not_keep_a_list_open_for_ever():
    _, turner = walk(page(1, None, total=2))

    assert turner.complete


def test_one_webinar_under_two_organizers_is_two_entries():
    entries = [Raw(b'{"webinarKey": 1, "organizerKey": "%d"}' % organizer) for organizer in (5, 6)]

    assert len({webinar_identity(entry) for entry in entries}) == 2
    assert webinar_identity(Raw(b'{"webinarKey": "1", "organizerKey": 5}')) == webinar_identity(entries[0])
