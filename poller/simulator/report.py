"""What a run looked like from the API's side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poller.simulator.limits import Breach
from poller.simulator.shapes import JsonObject


@dataclass(frozen=True, slots=True)
class Report:
    """`calls` counts requests with a known access token or none, the token endpoint and login page left out.

    `operations` has every operation, by status (`cut`: the connection was cut). `peaks` is the most that any window
    of a limit ever held. `faults` counts strikes by name, `facts` what happened in the world since its start by kind,
    `webhooks` what was sent, repeated, forged or lost.
    """

    calls: int
    operations: Mapping[str, Mapping[str, int]]
    breaches: tuple[Breach, ...]
    peaks: Mapping[str, int]
    faults: Mapping[str, int]
    facts: Mapping[str, int]
    webhooks: Mapping[str, int]

    def as_json(self) -> JsonObject:
        return {
            "calls": self.calls,
            "operations": self.operations,
            "breaches": [
                {
                    "at": breach.at,
                    "window": str(breach.window),
                    "whose": breach.whose,
                    "operation": breach.operation,
                    "seen": breach.seen,
                    "waitSeconds": breach.wait.total_seconds(),
                }
                for breach in self.breaches
            ],
            "peaks": self.peaks,
            "faults": self.faults,
            "facts": self.facts,
            "webhooks": self.webhooks,
        }
