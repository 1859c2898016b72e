"""The API's own limits: exact at the edges of every sliding window."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from poller.errors import UsageError
from poller.simulator import LimitOptions, Window
from poller.simulator.limits import Caller, Meter, RetryAfter

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ANA, BO = Caller("client", "1"), Caller("client", "2")


def meter(*windows: Window) -> Meter:
    return Meter(LimitOptions(windows))


def test_the_call_after_a_full_window_is_a_breach_up_to_its_very_last_microsecond():
    counted = meter(Window(10, 1))
    assert all(counted.count(ANA, "x", 0, NOW) is None for _ in range(10))
    breach = counted.count(ANA, "x", 999_999, NOW)
    assert breach is not None
    assert breach.seen == 11
    assert counted.breaches == [breach]


def test_a_slot_is_free_exactly_one_window_after_its_call():
    counted = meter(Window(10, 1))
    for _ in range(10):
        counted.count(ANA, "x", 0, NOW)
    assert counted.count(ANA, "x", 1_000_000, NOW) is None
    assert counted.breaches == []


def test_the_wait_of_a_breach_ends_when_a_call_would_be_let_through():
    counted = meter(Window(2, 60))
    counted.count(ANA, "x", 0, NOW)
    counted.count(ANA, "x", 10_000_000, NOW)
    breach = counted.count(ANA, "x", 20_000_000, NOW)
    assert breach is not None
    free_at = 20_000_000 + round(breach.wait.total_seconds() * 1e6)
    assert counted.count(ANA, "x", free_at, NOW) is None


def test_any_window_is_counted_as_brute_force_counts_it():
    rng = random.Random(5)
    moments = sorted(rng.randrange(20_000_000) for _ in range(400))
    counted = meter(Window(12, 1))
    for at, moment in enumerate(moments):
        seen = sum(moment - 1_000_000 < earlier <= moment for earlier in moments[: at + 1])
        breach = counted.count(ANA, "x", moment, NOW)
        assert (breach.seen if breach else 0) == (seen if seen > 12 else 0)


def test_clients_share_a_window_and_connections_or_operations_do_not():
    client, connection, operation = Window(1, 1), Window(1, 1, "connection"), Window(1, 1, "operation")
    for window, second_is_breach in ((client, True), (connection, False), (operation, False)):
        counted = meter(window)
        counted.count(ANA, "x", 0, NOW)
        assert (counted.count(BO, "y", 0, NOW) is not None) is second_is_breach
        assert counted.count(ANA, "x", 0, NOW) is not None


def test_profiles_are_those_of_the_documents_and_numbers_are_understood():
    assert LimitOptions.profile("published").windows == (Window(10, 1),)
    assert LimitOptions.profile("power-automate").windows == (Window(100, 60, "connection"),)
    assert Window(500, 86400) in LimitOptions.profile("developer").windows
    assert LimitOptions.profile("none").windows == ()
    assert LimitOptions.profile("safe").windows == (Window(10, 1), Window(100, 60, "connection"))
    assert LimitOptions.profile("3/s, 100/60s,5/d").windows == (Window(3, 1), Window(100, 60), Window(5, 86400))


@pytest.mark.parametrize("text", ["quick", "10", "0/s", "10/0s", ""])
def test_a_profile_nobody_knows_is_refused_with_the_names_that_exist(text):
    with pytest.raises(UsageError, match="power-automate"):
        LimitOptions.profile(text)


def test_retry_after_in_seconds_and_as_a_date_is_never_too_early():
    wait = timedelta(seconds=4.2)
    now = NOW + timedelta(seconds=0.9)
    assert RetryAfter("none").headers(wait, now) == {}
    assert RetryAfter("seconds").headers(wait, now) == {"Retry-After": "5"}
    date = parsedate_to_datetime(RetryAfter("date").headers(wait, now)["Retry-After"])
    assert now + wait <= date <= now + wait + timedelta(seconds=2)


def test_absurd_retry_after_is_neither_a_sane_number_nor_a_date():
    absurd = RetryAfter("absurd")
    values = {absurd.headers(timedelta(seconds=1), NOW)["Retry-After"] for _ in range(5)}
    assert len(values) == 5
    assert not any(value.isdecimal() and int(value) < 86400 for value in values)
