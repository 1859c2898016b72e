"""Failpoints strike where and when they are told to, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state import failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_nothing_happens_unless_armed() -> None:
    for name in failpoints.NAMES:
        failpoints.hit(name)


def test_raise_strikes_at_every_visit_of_that_point_only() -> None:
    failpoints.arm("commit.inside=raise")
    failpoints.hit("commit.done")
    for _ in range(2):
        with pytest.raises(OSError, match=r"commit\.inside"):
            failpoints.hit("commit.inside")


def test_a_turn_strikes_once() -> None:
    failpoints.arm("send.before=raise@2")
    failpoints.hit("send.before")
    with pytest.raises(OSError, match=r"send\.before"):
        failpoints.hit("send.before")
    failpoints.hit("send.before")


def test_stall_pauses_for_the_seconds_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("state.failpoints.time.sleep", pauses.append)
    failpoints.arm("send.after=stall:2.5,send.before=stall:1@2")
    failpoints.hit("send.after")
    failpoints.hit("send.before")
    assert pauses == [2.5]


@pytest.mark.parametrize(
    "text", ["nowhere=kill", "commit.inside=kil", "commit.inside", "commit.inside=stall:", "commit.inside=kill@x"]
)
def test_a_mistake_is_refused_and_leaves_what_was_armed(text: str) -> None:
    failpoints.arm("commit.done=raise")
    with pytest.raises(ValueError):
        failpoints.arm(text)
    with pytest.raises(OSError, match=r"commit\.done"):
        failpoints.hit("commit.done")
