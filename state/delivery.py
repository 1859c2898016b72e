"""Pure: the life of one delivery, and of the sink it goes to.

    pending ──lease──▶ (leased) ──accepted──▶ delivered
       ▲                  │
       │                  ├──refused for good, or too old──▶ dead ──retry──▶ pending
       └──due again───────┘ failed: waits until `due_at`
    held: kept back by a trigger's flood guard or pause ──resume──▶ pending

A lease lives in the memory of the process that owns the state: when it dies, its leases die with it, and whatever it
had in flight is pending again (and may arrive twice, with the same id).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# Standard Webhooks, "Deliverability and reliability": the recommended pauses between attempts, in seconds.
RETRY_SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


class DeliveryState(IntEnum):
    PENDING = 0  # due at `due_at`
    DELIVERED = 1
    DEAD = 2
    HELD = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one sink, as leased."""

    sink: str
    sequence: int
    id: str
    type: str
    subject: str
    partition: str
    body: bytes  # the event's JSON, the same bytes at every attempt
    attempts: int  # made before this one
    created_at: float  # when it became owed, POSIX seconds: `max_age` counts from here


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one leased delivery."""

    sink: str
    sequence: int
    state: DeliveryState
    at: float  # POSIX seconds
    attempts: int  # all made so far
    due_at: float = 0.0  # PENDING: not before this moment, POSIX seconds
    error: str = ""


@dataclass(frozen=True, slots=True)
class SinkState:
    """The health of one sink, kept so that a restart does not forget an outage."""

    name: str
    failures: int = 0  # attempts in a row that failed for reasons of the sink itself
    retry_at: float = 0.0  # no attempt before this moment, POSIX seconds
    error: str = ""
    failed_at: float | None = None
    delivered_at: float | None = None
    disabled: str = ""  # why, when the receiver asked never to be called again


def retry_delay(failures: int, retry_after: float | None = None) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 = the first); what the receiver asked is a floor."""
    step = RETRY_SCHEDULE[min(failures, len(RETRY_SCHEDULE)) - 1]
    return max(step, retry_after or 0.0)
