"""The pauses between attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.delivery import RETRY_SCHEDULE, retry_delay


def test_the_pauses_are_those_that_standard_webhooks_recommends() -> None:
    minute, hour = 60, 3600
    assert [retry_delay(failures) for failures in range(1, 10)] == [
        5,
        5 * minute,
        30 * minute,
        2 * hour,
        5 * hour,
        10 * hour,
        14 * hour,
        20 * hour,
        24 * hour,
    ]


@given(st.integers(9, 10**6))
def test_after_the_last_step_the_pause_stays_as_long(failures: int) -> None:
    assert retry_delay(failures) == RETRY_SCHEDULE[-1]


@given(st.integers(1, 20), st.floats(0, 1e6))
def test_what_the_receiver_asks_for_is_a_floor_and_never_a_shortcut(failures: int, asked: float) -> None:
    assert retry_delay(failures, asked) == max(asked, retry_delay(failures))
