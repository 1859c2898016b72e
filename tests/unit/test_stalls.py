"""Who is silent for too long, and whom that holds up."""

from __future__ import annotations

from poller.stalls import Stalls

LISTENERS = {"signups": ["acme", "beta"], "only beta": ["beta"]}


def test_a_connection_without_a_completed_poll_for_too_long_stalls_who_listens_to_it_once() -> None:
    stalls = Stalls()
    patience = {"acme": 600.0, "beta": 600.0}
    assert stalls.look({"acme": 1, "beta": 1}, patience, LISTENERS, 0.0) == ({}, [])
    assert stalls.look({"acme": 1, "beta": 2}, patience, LISTENERS, 600.0) == ({}, [])
    new, recovered = stalls.look({"acme": 1, "beta": 3}, patience, LISTENERS, 601.0)
    assert recovered == [] and list(new) == ["signups"]
    assert new["signups"].connections == ("acme",) and new["signups"].seconds == 601.0
    assert stalls.look({"acme": 1, "beta": 4}, patience, LISTENERS, 700.0) == ({}, [])
    assert list(stalls.stalled) == ["signups"]


def test_one_completed_poll_is_a_recovery() -> None:
    stalls = Stalls()
    stalls.look({}, {"acme": 60.0}, LISTENERS, 0.0)
    stalls.look({}, {"acme": 60.0}, LISTENERS, 61.0)
    assert stalls.look({"acme": 1}, {"acme": 60.0}, LISTENERS, 62.0) == ({}, ["signups"])
    assert not stalls.stalled


def test_who_is_not_to_be_polled_any_more_stalls_nobody() -> None:
    stalls = Stalls()
    stalls.look({}, {"acme": 60.0}, LISTENERS, 0.0)
    stalls.look({}, {"acme": 60.0}, LISTENERS, 61.0)
    assert stalls.look({}, {}, LISTENERS, 62.0) == ({}, ["signups"])
    assert stalls.look({}, {"acme": 60.0}, LISTENERS, 63.0) == ({}, [])  # resumed: it has its time again
