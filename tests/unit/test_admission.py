"""Which of the records found for the first time are news, which history, which neither: the rules of `start`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from poller.admission import (
    MOVED,
    Start,
    Telling,
    by_date,
    later_webinar,
    next_phase,
    registrants_of_new_webinar,
)
from state.records import Phase

BASELINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
AT = BASELINE.timestamp()
LIMIT = BASELINE - MOVED
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("start", "moment", "told"),
    [
        (Start(), BASELINE, Telling.SILENT),
        (Start(), None, Telling.SILENT),
        (Start(history=True), datetime(1999, 1, 1, tzinfo=UTC), Telling.HISTORY),
        (Start(history=True), None, Telling.HISTORY),
        (Start(history=True, since=BASELINE), BASELINE, Telling.HISTORY),
        (Start(history=True, since=BASELINE), BASELINE - MOMENT, Telling.SILENT),
        (Start(history=True, since=BASELINE), None, Telling.HISTORY),
    ],
)
def test_a_start_tells_from_its_date_on_and_what_has_no_date(start, moment, told):
    assert start.telling(moment) is told


def test_the_registrants_of_the_first_webinars_are_treated_as_these_are():
    assert Start().phase is Phase.BASELINE
    assert Start(history=True).phase is Phase.BACKFILL


@pytest.mark.parametrize(
    ("ended", "walked_from", "told"),
    [
        (BASELINE, AT, Telling.NEWS),
        (BASELINE - MOMENT, AT, Telling.SILENT),
        (BASELINE + timedelta(days=9), AT, Telling.NEWS),
        (None, AT, Telling.NEWS),
        (BASELINE, None, Telling.NEWS),
    ],
)
def test_a_webinar_that_ended_before_the_last_window_was_there_already(ended, walked_from, told):
    assert later_webinar(ended, walked_from) is told


@pytest.mark.parametrize(
    ("moments", "complete", "told"),
    [
        ([LIMIT], True, Telling.NEWS),
        ([LIMIT - MOMENT], True, Telling.SILENT),
        ([LIMIT - MOMENT] * 5 + [LIMIT], True, Telling.NEWS),
        ([LIMIT - MOMENT] * 5 + [None], True, Telling.NEWS),
        ([], True, Telling.NEWS),
        ([], False, None),
        ([LIMIT - MOMENT], False, None),
        ([LIMIT], False, Telling.NEWS),
    ],
)
def test_a_new_webinar_is_news_unless_all_its_registrations_are_a_day_older_than_the_baseline(moments, complete, told):
    assert registrants_of_new_webinar(moments, AT, complete=complete) is told


def test_behind_an_empty_first_look_only_what_is_older_than_the_baseline_is_history():
    start = Start(history=True, since=BASELINE - timedelta(days=9))
    assert by_date(BASELINE, AT, start) is Telling.NEWS
    assert by_date(None, AT, start) is Telling.NEWS
    assert by_date(BASELINE - MOMENT, AT, start) is Telling.HISTORY
    assert by_date(BASELINE - timedelta(days=10), AT, start) is Telling.SILENT


def test_after_a_whole_walk_everything_is_news_but_an_empty_one_proves_little():
    assert {next_phase(phase, empty=False) for phase in Phase} == {Phase.OPEN}
    assert [next_phase(phase, empty=True) for phase in (Phase.BASELINE, Phase.BACKFILL, Phase.NEW, Phase.OPEN)] == [
        Phase.NEW,
        Phase.BACKFILL,
        Phase.NEW,
        Phase.OPEN,
    ]
