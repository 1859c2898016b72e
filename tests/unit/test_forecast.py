"""What the coming hours will cost and bring, on what is known now."""

from __future__ import annotations

import pytest

from poller.forecast import Forecast
from poller.planner import Quota
from poller.rates import Experience
from state.records import Scope, Target

DAY, HOUR = 86_400.0, 3600.0
NOW = 1_772_356_000.0


def target(number: int, *, news: float = 10.0, ends_in: float = 20 * DAY, connection: str = "acme") -> Target:
    scope = Scope("registrant", str(number))
    return Target(connection, scope, ends_at=NOW + ends_in, polled_at=NOW, news=news, exposure=5 * DAY)


def forecast(*targets: Target, quota: Quota, floor: float = 120.0, spent: list[float] | None = None) -> Forecast:
    experience = Experience()
    experience.recount(targets)
    given = {"client": spent or [0.0] * 24}
    return Forecast(targets, experience, lambda name: "client", quota, given, lambda target: 1.0, floor, 3600.0)


def test_a_day_of_scarce_calls_is_planned_to_its_end_and_never_beyond() -> None:
    found = forecast(*(target(number) for number in range(20)), quota=Quota(per_day=500)).hours(NOW, 24)
    assert sum(hour.calls for hour in found) == pytest.approx(485, rel=0.03)
    assert all(hour.outlook.mean_delay > 600 for hour in found)


def test_what_was_spent_before_is_missing_first_and_there_again_later() -> None:
    spent = [0.0] * 23 + [400.0]
    found = forecast(*(target(number) for number in range(20)), quota=Quota(per_day=500), spent=spent).hours(NOW, 26)
    assert sum(hour.calls for hour in found[:23]) <= 100
    assert found[0].outlook.mean_delay > 2 * found[-1].outlook.mean_delay


def test_hours_tell_how_much_news_is_likely() -> None:
    found = forecast(target(1, news=50.0), target(2, news=5.0), quota=Quota(per_second=10)).hours(NOW, 24)
    assert sum(hour.news for hour in found) == pytest.approx(11, rel=0.3)


def test_where_calls_abound_only_a_lower_interval_or_webhooks_help() -> None:
    gains = forecast(target(1), target(2), quota=Quota(per_second=10)).gains(NOW, lambda name: True)["acme"]
    assert gains.count_hint is None
    assert gains.interval is not None
    floor, delay, calls = gains.interval
    assert (floor, delay) == (60.0, pytest.approx(30.0)) and calls == pytest.approx(2 * DAY / 60)
    assert gains.webhooks is not None


def test_where_calls_are_scarce_a_count_hint_helps_and_a_lower_interval_does_not() -> None:
    scarce = forecast(*(target(number) for number in range(50)), quota=Quota(per_day=500))
    gains = scarce.gains(NOW, lambda name: True)["acme"]
    now = scarce.at(NOW)["acme"]
    assert gains.interval is None
    assert gains.count_hint is not None and gains.count_hint < now.mean_delay / 2


def test_what_is_not_on_offer_or_in_use_already_is_not_advised() -> None:
    scarce = forecast(*(target(number) for number in range(50)), quota=Quota(per_day=500))
    assert scarce.gains(NOW, lambda name: False)["acme"].count_hint is None


def test_connections_of_one_client_share_its_day() -> None:
    both = [target(number, connection=name) for number in range(10) for name in ("acme", "beta")]
    found = forecast(*both, quota=Quota(per_day=500)).hours(NOW, 24)
    assert {hour.connection for hour in found} == {"acme", "beta"}
    assert sum(hour.calls for hour in found) == pytest.approx(485, rel=0.03)
