"""Prometheus metrics: what is counted, what stands, and that nobody can be recognised in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from poller import samples
from poller.errors import PermissionRefused, Reauthorize, UsageError, Wait
from poller.metrics import Metrics, Standing, WindowUse
from poller.planner import Outlook
from poller.poll import Polled
from poller.watch import Watch
from state.delivery import SinkState
from state.records import Scope, Target
from state.store import Backlog, StoredEvent
from tests.exposed import samples_of

TARGET = Target("acme", Scope("registrant", "4255157664015486220"))
WEBINARS = Target("acme", Scope("webinar"))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def shown(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return samples_of(metrics.render()).get(name, {})


def stored(short_type: str, **fields: Any) -> StoredEvent:
    event = {**samples.sample(short_type).event, **fields}
    body = msgspec.json.encode(event)
    return StoredEvent(1, event["id"], event["type"], event["subject"], event["connection"], body)


async def nobody(connection: str, error: Reauthorize) -> None: ...


def heard_by(metrics: Metrics) -> Watch:
    watch = Watch(nobody)
    watch.hearers.append(metrics)
    return watch


# ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_polls_are_counted_by_outcome_each_failure_too(metrics: Metrics) -> None:
    watch = heard_by(metrics)
    watch.polled(Polled(WEBINARS, "changed"), 0.2)
    for _ in range(2):
        watch.polled(Polled(TARGET, "unchanged"), 0.02)
    for _ in range(3):
        watch.failed(TARGET, Wait("GoTo answered 503"), 5.0)
    assert shown(metrics, "poller_polls_total") == {
        ("acme", "webinar", "changed"): 1,
        ("acme", "registrant", "unchanged"): 2,
        ("acme", "registrant", "failed"): 3,
    }
    assert shown(metrics, "poller_poll_duration_seconds_count") == {("webinar",): 1, ("registrant",): 2}
    assert shown(metrics, "poller_poll_duration_seconds_sum")["webinar",] == pytest.approx(0.2)


def test_calls_are_counted_by_operation_and_status(metrics: Metrics) -> None:
    watch = heard_by(metrics)
    for status in (200, 200, 429, None):
        watch.called("getWebinars", status)
    assert shown(metrics, "poller_goto_calls_total") == {
        ("getWebinars", "200"): 2,
        ("getWebinars", "429"): 1,
        ("getWebinars", "none"): 1,
    }


def test_a_raw_request_does_not_become_a_label(metrics: Metrics) -> None:
    for path in ("GET /G2W/rest/v2/organizers/5511973216410820613/webinars", "x" * 100, "", "bo.lind@example.com"):
        metrics.called(path, 200)
    assert shown(metrics, "poller_goto_calls_total") == {("other", "200"): 4}


def test_deliveries_are_counted_by_sink_and_outcome(metrics: Metrics) -> None:
    watch = heard_by(metrics)
    about = {"sink": "crm", "sequence": 1, "id": "a", "type": "com.goto.registrant.added", "attempts": 1}
    watch.observe("delivery.failed", **about, error="503", due_at=0.0)
    watch.observe("delivery.completed", **about, seconds=4.0)
    watch.observe("delivery.dead", **about, error="400")
    watch.observe("sink.down", sink="crm", error="503", failures=2)
    found = {("failed", "crm"): 1, ("delivered", "crm"): 1, ("dead", "crm"): 1}
    assert shown(metrics, "poller_deliveries_total") == found
    assert shown(metrics, "poller_delivery_delay_seconds_sum") == {("crm",): 4.0}


def test_webhooks_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    watch = heard_by(metrics)
    for outcome in ("taken", "taken", "unsigned"):
        watch.observe("webhook.received", outcome=outcome)
    assert shown(metrics, "poller_webhooks_total") == {("taken",): 2, ("unsigned",): 1}


def test_events_are_counted_by_type_and_the_delay_of_news_is_told(metrics: Metrics) -> None:
    at = {"time": "2026-03-01T09:15:42Z", "observedtime": "2026-03-01T09:16:40.500Z"}
    metrics.tell(stored("registrant.added", **at))
    metrics.tell(stored("registrant.added", **at, backfill=True))
    metrics.tell(stored("webinar.created"))
    assert shown(metrics, "poller_events_total") == {("registrant.added",): 2, ("webinar.created",): 1}
    assert shown(metrics, "poller_detection_delay_seconds_count") == {("registrant.added",): 1}
    assert shown(metrics, "poller_detection_delay_seconds_sum") == {("registrant.added",): 58.5}


def test_a_moment_in_the_future_is_no_negative_delay(metrics: Metrics) -> None:
    at = {"time": "2026-03-01T09:17:00Z", "observedtime": "2026-03-01T09:16:40.500Z"}
    metrics.tell(stored("registrant.added", **at))
    assert shown(metrics, "poller_detection_delay_seconds_sum") == {("registrant.added",): 0.0}


# ── how things stand ─────────────────────────────────────────────────────────────────────────────────────────────────

STANDING = Standing(
    now=1000.0,
    outlooks={"acme": Outlook(targets=3, mean_interval=120.0, mean_delay=61.5)},
    connections={"acme": True, "beta": False},
    windows=[WindowUse("client", "day", 40, 500), WindowUse("client", "operation getWebinars", 1, 10)],
    backlog={"crm": Backlog(pending=4, held=2, dead=1, oldest=940.0), "log": Backlog()},
    sinks={"crm": SinkState("crm", failures=3), "log": SinkState("log", disabled="answered 410")},
    failing=2,
)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("poller_expected_delay_seconds", {("acme",): 61.5}),
        ("poller_poll_interval_seconds", {("acme",): 120.0}),
        ("poller_polled_targets", {("acme",): 3}),
        ("poller_connection_active", {("acme",): 1, ("beta",): 0}),
        ("poller_quota_used_calls", {("client", "", "day"): 40, ("client", "getWebinars", "operation"): 1}),
        ("poller_quota_limit_calls", {("client", "", "day"): 500, ("client", "getWebinars", "operation"): 10}),
        ("poller_pending_deliveries", {("crm",): 4, ("log",): 0}),
        ("poller_pending_age_seconds", {("crm",): 60.0, ("log",): 0}),
        ("poller_held_deliveries", {("crm",): 2, ("log",): 0}),
        ("poller_dead_letters", {("crm",): 1, ("log",): 0}),
        ("poller_sink_failures", {("crm",): 3, ("log",): 0}),
        ("poller_sink_disabled", {("crm",): 0, ("log",): 1}),
        ("poller_failing_targets", {(): 2}),
        ("poller_build_info", {("1.2.3",): 1}),
    ],
)
def test_how_things_stand_is_shown(metrics: Metrics, name: str, values: Mapping[tuple[str, ...], float]) -> None:
    metrics.show(STANDING)
    assert shown(metrics, name) == values


def test_what_is_gone_is_shown_no_more(metrics: Metrics) -> None:
    metrics.show(STANDING)
    metrics.show(Standing(now=2000.0))
    assert shown(metrics, "poller_dead_letters") == {}
    assert shown(metrics, "poller_quota_used_calls") == {}
    assert shown(metrics, "poller_failing_targets") == {(): 0}


def test_two_registries_do_not_meet() -> None:
    first, second = Metrics("1"), Metrics("1")
    first.called("getWebinars", 200)
    assert shown(second, "poller_goto_calls_total") == {}


def test_names_follow_the_grammar(metrics: Metrics) -> None:
    metrics.show(STANDING)
    for family in text_string_to_metric_families(metrics.render().decode()):
        assert family.name.startswith(("poller_", "process_")), family.name
        assert family.documentation
        if family.name.startswith("poller_") and family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_nothing_about_a_person_is_in_them(metrics: Metrics) -> None:
    watch = heard_by(metrics)
    watch.polled(Polled(TARGET, "changed"), 0.1)
    watch.failed(TARGET, PermissionRefused("GoTo refused bo.lind@example.com"), 1.0)
    metrics.tell(stored("registrant.added"))
    metrics.show(replace(STANDING, sinks={"crm": SinkState("crm", failures=1, error="bo.lind@example.com")}))
    text = metrics.render().decode()
    data = samples.sample("registrant.added").event["data"]
    for field in ("email", "firstName", "registrantKey", "webinarKey", "organizerKey", "joinUrl"):
        assert data[field] not in text
    assert "example.com" not in text


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"pip install 'goto-poller\[metrics\]'"):
        Metrics("1")
