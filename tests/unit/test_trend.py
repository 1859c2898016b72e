"""The last day in hours, as the dashboard draws it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from poller.trend import HOURS, Trend

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC).timestamp()


def told(seen: str, happened: str = "", kind: str = "registrant.added", **more: object) -> bytes:
    return json.dumps({"type": f"com.goto.{kind}", "time": happened or seen, "observedtime": seen, **more}).encode()


def test_events_are_counted_in_the_hour_in_which_they_were_seen() -> None:
    trend = Trend()
    for seen in ("2026-03-02T12:00:00Z", "2026-03-02T12:29:00Z", "2026-03-02T11:59:59Z", "2026-03-01T13:00:00Z"):
        trend.add(told(seen))
    hours = trend.hours(NOW)
    assert len(hours) == HOURS
    assert [hour.events for _, hour in hours] == [1, *[0] * 21, 1, 2]
    assert hours[-1][0] == datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


def test_what_is_older_than_a_day_is_left_out_now_and_later() -> None:
    trend = Trend()
    trend.add(told("2026-03-01T12:59:59Z"))
    trend.add(told("2026-03-01T13:00:00Z"))
    assert sum(hour.events for _, hour in trend.hours(NOW)) == 1
    assert sum(hour.events for _, hour in trend.hours(NOW + 3600)) == 0


def test_the_delay_is_that_of_new_registrations_alone() -> None:
    trend = Trend()
    trend.add(told("2026-03-02T12:10:00Z", "2026-03-02T12:08:00Z"))
    trend.add(told("2026-03-02T12:10:00Z", "2026-03-02T12:10:04Z"))  # their clock is ahead of ours
    trend.add(told("2026-03-02T12:10:00Z", "2025-01-01T00:00:00Z", backfill=True))
    trend.add(told("2026-03-02T12:10:00Z", "2025-01-01T00:00:00Z", kind="webinar.changed"))
    (_, last) = trend.hours(NOW)[-1]
    assert (last.events, last.registrations, last.delay) == (4, 2, 60.0)


def test_an_hour_without_registrations_has_no_delay() -> None:
    assert Trend().hours(NOW)[-1][1].delay == 0
