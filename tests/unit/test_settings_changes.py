"""What a reload would change, and what needs a restart."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from poller.settings import Settings, changed, restart_required

BEFORE: dict[str, Any] = {
    "engine": {"state": "a.db", "interval": "1m"},
    "goto": {"client_id": "abc"},
    "connections": [{"name": "acme"}, {"name": "other", "active": False}],
    "triggers": [{"name": "signups", "on": ["registrant.*"], "sinks": ["console"]}],
    "sinks": [{"name": "console", "type": "stdout"}, {"name": "archive", "type": "file", "path": "a.jsonl"}],
}


def after(**tables: Any) -> Settings:
    mapping = deepcopy(BEFORE)
    for name, table in tables.items():
        mapping[name] = {**mapping.get(name, {}), **table} if isinstance(table, dict) else table
    return Settings.parse(mapping)


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ({}, []),
        ({"engine": {"interval": "60s"}}, []),
        ({"engine": {"interval": "2m"}}, ["engine.interval"]),
        ({"limits": {"profile": "developer"}}, None),
        ({"http": {"listen": ""}}, ["http.listen"]),
        ({"connections": [{"name": "other", "active": False}, {"name": "acme"}]}, []),
        ({"connections": [{"name": "acme", "start": "all"}]}, ["connections.acme", "connections.other"]),
        ({"triggers": []}, ["triggers.signups"]),
        (
            {"sinks": [{"name": "console", "type": "stdout"}, {"name": "archive", "type": "stdout"}]},
            ["sinks.archive"],
        ),
        (
            {"sinks": [*BEFORE["sinks"], {"name": "new", "type": "stdout"}]},
            ["sinks.new"],
        ),
    ],
)
def test_the_parts_that_differ_are_named_whatever_their_order(tables: dict[str, Any], parts: list[str] | None) -> None:
    limits = ["limits.profile", "limits.per_second", "limits.per_connection_per_minute", "limits.per_day"]
    assert changed(after(), after(**tables)) == (limits if parts is None else parts)


def test_a_secret_with_another_value_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "old")
    old = after(http={"api_keys": ["env:SOME_KEY"]})
    assert changed(old, after(http={"api_keys": ["env:SOME_KEY"]})) == []
    monkeypatch.setenv("SOME_KEY", "new")
    assert changed(old, after(http={"api_keys": ["env:SOME_KEY"]})) == ["http.api_keys"]


def test_only_another_state_key_or_address_needs_a_restart() -> None:
    http = {"listen": "127.0.0.1:9", "api_keys": ["new"], "public_url": "https://example.com", "allow_private": True}
    new = after(engine={"state": "b.db", "key": "some key", "interval": "5m"}, triggers=[], http=http)
    assert restart_required(after(), new) == ["engine.state", "engine.key", "http.listen"]
    assert restart_required(after(), after(engine={"interval": "5m"})) == []
