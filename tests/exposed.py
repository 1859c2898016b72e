"""Reading what Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, dict[tuple[str, ...], float]]


def samples_of(exposition: bytes) -> Samples:
    """By name: the values of the labels, in the order of the labels' names → the value."""
    found: Samples = {}
    for family in text_string_to_metric_families(exposition.decode()):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def labels_of(exposition: bytes) -> dict[str, set[str]]:
    """By name: its labels."""
    families = text_string_to_metric_families(exposition.decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}
