"""The files under examples/monitoring ask for metrics that exist, with labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from poller import samples
from poller.metrics import Metrics
from poller.poll import Polled
from poller.web.surface import BY_NAME
from state.store import StoredEvent
from tests import command_line
from tests.exposed import labels_of
from tests.servers.base import lacking
from tests.unit.test_metrics import STANDING, TARGET

MONITORING = Path(__file__).parents[1] / "examples" / "monitoring"
DASHBOARD = MONITORING / "dashboard.json"  # monitoring/dashboard.json
ALERTS = MONITORING / "alerts.yml"  # monitoring/alerts.yml
CONFIG = MONITORING / "prometheus.yml"  # monitoring/prometheus.yml

OF_PROMETHEUS = {"up": {"job"}}


def metrics() -> dict[str, set[str]]:
    """Each name that an engine shows, with its labels."""
    shown = Metrics("1")
    shown.polled(Polled(TARGET, "changed"), 0.1)
    shown.called("getWebinars", 200)
    shown.observe("delivery.completed", sink="crm", seconds=1.0)
    shown.observe("webhook.received", outcome="taken")
    event = samples.sample("registrant.added")
    shown.tell(StoredEvent(1, event.id, event.type, event.subject, "acme", event.body))
    shown.show(STANDING)
    return OF_PROMETHEUS | labels_of(shown.render())


METRICS = metrics()


def queries() -> Iterator[tuple[str, str]]:
    """Every query with where it stands."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]
    for rule in rules():
        yield f"alert {rule['alert']}", rule["expr"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def named(query: str) -> set[str]:
    return set(re.findall(r"\b(?:(?:poller|process)_\w+|up\b)", query))


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_every_query_names_metrics_and_labels_that_exist(where: str, query: str) -> None:
    assert named(query), where
    assert named(query) <= set(METRICS), where
    known = {label for name in named(query) for label in METRICS[name]}
    asked = {label for labels in re.findall(r"by \(([\w, ]+)\)", query) for label in labels.split(", ")}
    asked |= {label for labels in re.findall(r"{([^}]*)}", query) for label in re.findall(r"(\w+)[!=]=?~?\"", labels)}
    assert asked <= known, where


def test_the_dashboard_looks_at_every_metric() -> None:
    shown = {name for where, query in queries() if where.startswith("panel") for name in named(query)}
    assert {base(name) for name in shown} >= {base(name) for name in METRICS if name.startswith("poller_")}


def test_the_readme_names_every_metric_with_its_labels_and_no_other() -> None:
    readme = (MONITORING.parents[1] / "README.md").read_text()
    rows = re.findall(r"^\| ((?:`poller_\w+`(?:, )?)+) \| ([\w, ]*)\|", readme, re.MULTILINE)
    named = {name: set(labels.strip().split(", ")) for names, labels in rows for name in re.findall(r"`(\w+)`", names)}
    ours = {name: labels for name, labels in METRICS.items() if name.startswith("poller_")}
    assert {base(name) for name in named} == {base(name) for name in ours}
    for name, labels in ours.items():
        described = next(found for known, found in named.items() if base(known) == base(name))
        assert labels - {"le"} <= described, name


def base(name: str) -> str:
    """The metric that a series belongs to."""
    return re.sub(r"_(bucket|sum|count|created|total)$", "", name)


def test_legends_name_labels_that_their_query_keeps() -> None:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            grouped = re.search(r"by \(([\w, ]+)\)", target["expr"])
            kept = set(grouped[1].split(", ")) if grouped else METRICS[next(iter(named(target["expr"])))]
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alerts_say_what_to_do_with_commands_that_exist() -> None:
    for rule in rules():
        summary = rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        for command in re.findall(r"`poller ([^`]+)`", summary):
            words = re.sub(r"{{[^}]*}}", "NAME", command).split()
            assert command_line.parse(words) == words[0]


def test_prometheus_is_sent_where_the_metrics_are() -> None:
    (job,) = yaml.safe_load(CONFIG.read_text())["scrape_configs"]
    assert job["metrics_path"] == BY_NAME["getMetrics"].path
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8470"]}]
    assert yaml.safe_load(CONFIG.read_text())["rule_files"] == [ALERTS.name]
    assert f'up{{job="{job["job_name"]}"}}' in ALERTS.read_text()


# ── what Prometheus itself says ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def promtool() -> str:
    """Prometheus's own checker."""
    found = shutil.which("promtool")
    if found is None:
        lacking("no promtool on this machine (Debian's package prometheus)")
    return str(found)


def told(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_understands_the_rules_and_the_configuration(promtool: str) -> None:
    assert f"{len(rules())} rules found" in told(promtool, "check", "rules", ALERTS)
    told(promtool, "check", "config", "--syntax-only", CONFIG)


def alarm(series: str, values: str, minutes: int, alert: str, labels: dict[str, str]) -> dict[str, Any]:
    """A case for promtool: one series, and the alert that must be on after so many minutes, or none."""
    severity = {rule["alert"]: rule["labels"]["severity"] for rule in rules()}
    expected = [{"exp_labels": {"severity": severity[alert], **labels}}] if labels else []
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}],
    }


CRM = {"sink": "crm"}


def test_alerts_go_off_when_they_should_and_not_before(promtool: str, tmp_path: Path) -> None:
    cases = [
        alarm('poller_sink_failures{sink="crm"}', "0x5 3x40", 30, "PollerSinkDown", CRM),
        alarm('poller_sink_failures{sink="crm"}', "0x5 1x40", 30, "PollerSinkDown", {}),
        alarm('poller_dead_letters{sink="crm"}', "0 1", 1, "PollerDeadLetters", CRM),
        alarm('poller_dead_letters{sink="crm"}', "0x5", 5, "PollerDeadLetters", {}),
        alarm('poller_connection_active{connection="acme"}', "0x5", 3, "PollerLoginRefused", {"connection": "acme"}),
        alarm('poller_pending_age_seconds{sink="crm"}', "0+60x40", 30, "PollerDeliveriesLate", CRM),
        alarm('poller_pending_age_seconds{sink="crm"}', "0+60x40", 10, "PollerDeliveriesLate", {}),
        alarm('poller_goto_calls_total{operation="getWebinars",status="200"}', "0+9x40", 30, "PollerLimited", {}),
    ]
    # Their texts are not of interest here, so the rules are tested without them.
    bare = yaml.safe_load(ALERTS.read_text())
    for rule in bare["groups"][0]["rules"]:
        del rule["annotations"]
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(bare))
    (tmp_path / "cases.yml").write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "tests": cases}))
    assert "SUCCESS" in told(promtool, "test", "rules", tmp_path / "cases.yml")
