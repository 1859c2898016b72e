"""What polls teach about how often there is news."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poller.rates import NOTHING_SEEN, Estimate, Experience, History, Rates
from state.records import Scope, Target

DAY, HOUR = 86_400.0, 3600.0
MOMENTS = st.floats(-1e10, 1e10)


def watched(rates: Rates, news: list[int], estimate: Estimate = NOTHING_SEEN, span: float = HOUR) -> Estimate:
    """Polls one after the other, each of which found so much."""
    for number, found in enumerate(news):
        estimate = rates.observe(estimate, number * span, (number + 1) * span, found)
    return estimate


def drawn(random: Random, mean: float) -> int:
    """A Poisson variate."""
    limit, product, found = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        found += 1
    return found


def test_a_busy_target_is_told_from_a_quiet_one():
    rates = Rates()
    busy, quiet = watched(rates, [2] * 48), watched(rates, [0] * 48)
    assert rates.rate(busy, 0) == pytest.approx(48 / DAY, rel=0.3)
    assert rates.rate(quiet, 0) < rates.rate(NOTHING_SEEN, 0) < rates.rate(busy, 0)


def test_who_was_never_polled_is_taken_for_the_usual():
    """What is usual is learnt from all, so a new target among busy ones is expected to be busy."""
    lively, calm = Rates(), Rates()
    for _ in range(20):
        watched(lively, [1] * 48)
        watched(calm, [0] * 48)
    assert lively.rate(NOTHING_SEEN, 0) > 10 * calm.rate(NOTHING_SEEN, 0) > 0


def test_where_targets_are_much_alike_three_quiet_hours_say_little_and_where_they_differ_much():
    random = Random(3)
    alike, unlike = Rates(), Rates()
    for number in range(100):
        watched(alike, [drawn(random, 0.5) for _ in range(24)])
        watched(unlike, [drawn(random, 10.0 if number % 20 == 0 else 0.01) for _ in range(24)])
    left_alike = alike.rate(watched(alike, [0, 0, 0]), 0) / alike.usual
    left_unlike = unlike.rate(watched(unlike, [0, 0, 0]), 0) / unlike.usual
    assert left_alike > 0.5 and left_unlike < 0.2


def test_rates_are_found_again_within_their_noise():
    random = Random(5)
    truth = [20.0 / (rank + 1) for rank in range(30)]  # a day
    rates = Rates()
    found = [watched(rates, [drawn(random, rate / 24) for _ in range(24 * 14)]) for rate in truth]
    for rate, estimate in zip(truth, found, strict=True):
        tolerance = 4 * math.sqrt(rate / 14) + 0.2
        assert rates.rate(estimate, 0) * DAY == pytest.approx(rate, abs=tolerance)


def test_what_was_seen_long_ago_counts_less():
    rates = Rates()
    estimate = watched(rates, [5] * 24 * 7)
    before = rates.rate(estimate, 0)
    quiet = watched(rates, [0] * 24 * 28, estimate)
    assert rates.rate(quiet, 0) < 0.5 * before


def test_a_clock_that_was_ten_years_ahead_is_soon_forgotten():
    rates = Rates()
    estimate = watched(rates, [1] * 48)
    before = rates.rate(estimate, 0)
    estimate = rates.observe(estimate, 48 * HOUR, 48 * HOUR + 3650 * DAY, 0)
    estimate = rates.observe(estimate, 48 * HOUR + 3650 * DAY, 49 * HOUR, 1)  # set right again
    estimate = watched(rates, [1] * 24 * 14, estimate)
    assert rates.rate(estimate, 0) > before / 3


def test_registrations_that_rise_towards_the_end_are_expected_to():
    rates, end = Rates(), 30 * DAY
    for _ in range(30):
        estimate, moment = NOTHING_SEEN, 0.0
        while moment < end:
            left = end - moment
            estimate = rates.observe(estimate, moment, moment + HOUR, 2 if left < 2 * DAY else 0, end)
            moment += HOUR
    last_day, weeks_before = (rates.rate(NOTHING_SEEN, end - left, end) for left in (DAY, 20 * DAY))
    assert last_day > 5 * weeks_before


def test_the_first_look_learns_from_the_dates_of_what_it_finds():
    rates, now = Rates(), 100 * DAY
    busy = History([now - hour * HOUR for hour in range(1, 200)])
    quiet = History([now - 9 * DAY, now - 5 * DAY])
    assert rates.rate(rates.seed(busy, now), now) > 5 * rates.rate(rates.seed(quiet, now), now)
    assert rates.seed(History(), now) == NOTHING_SEEN


def test_a_long_list_is_sampled_and_means_the_same():
    now = 100 * DAY
    moments = [now - 10 * DAY * number / 10_000 for number in range(1, 10_001)]
    records = [type("R", (), {"body": str(moment).encode()})() for moment in moments]
    looked_at = []

    def moment(body: bytes) -> float:
        looked_at.append(body)
        return float(body)

    history = History.of(moment, records)  # type: ignore[arg-type]
    assert len(looked_at) == 100
    rates = Rates()
    assert rates.seed(history, now).news == pytest.approx(10_000, rel=0.02)


@given(
    st.lists(
        st.tuples(
            st.floats(-1e10, 1e10), st.floats(-1e10, 1e10), st.integers(0, 10_000), st.none() | st.floats(0, 1e10)
        ),
        max_size=20,
    )
)
@example([(-2.225073858507203e-309, 0.0, 49, 0.0)])
def test_no_clock_however_false_makes_a_rate_impossible(polls):
    rates, estimate = Rates(), NOTHING_SEEN
    for since, until, news, ends_at in polls:
        estimate = rates.observe(estimate, since, until, news, ends_at)
        for end in (None, ends_at):
            assert 0 < rates.rate(estimate, until, end) < math.inf


def test_experience_keeps_what_it_learnt_in_the_target_and_needs_a_poll_before():
    experience = Experience()
    new = Target("acme", Scope("registrant", "1"))
    first = experience.watched(new, 1000.0, 500)
    assert (first.news, first.exposure) == (0.0, 0.0)
    polled = Target("acme", Scope("registrant", "1"), polled_at=1000.0)
    known = experience.watched(polled, 1000.0 + DAY, 12)
    assert known.news == 12.0 and known.exposure == pytest.approx(DAY)
    other = Experience()
    other.recount([known])
    assert other.rate(known, 0.0) > other.rate(new, 0.0)
