"""Retry-After in all the forms it comes in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from poller.goto.retry_after import parse

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        ("86400", 86_400.0),
        ("99999999", None),
        ("Sun, 01 Mar 2026 09:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 08:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Sun, 99 Mar 2026 09:02:00 GMT", None),
    ],
)
def test_every_form_gives_seconds_or_nothing(value, seconds):
    assert parse(value, now=NOW) == seconds


def test_a_date_is_measured_from_the_servers_own_clock():
    date = "Sun, 01 Mar 2026 12:02:00 GMT"

    assert parse(date, now=NOW, sent_at="Sun, 01 Mar 2026 12:00:00 GMT") == 120.0
    assert parse(date, now=NOW, sent_at="yesterday") == 3 * 3600 + 120.0
