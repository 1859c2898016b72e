"""Pure: which connections have polled nothing for too long, although they should, and whose triggers that holds up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Pulse:
    count: int
    at: float


@dataclass(frozen=True, slots=True)
class Stall:
    connections: tuple[str, ...]
    seconds: float  # since the last poll of the one that was silent longest


class Stalls:
    """Looked at now and then, by the number of polls that each connection has completed. Moments are seconds of a clock
    that does not go back."""

    def __init__(self) -> None:
        self._pulses: dict[str, _Pulse] = {}
        self.stalled: Mapping[str, Stall] = {}  # by trigger, as of the last look

    def look(
        self,
        completed: Mapping[str, int],
        patience: Mapping[str, float],
        triggers: Mapping[str, Collection[str]],
        now: float,
    ) -> tuple[dict[str, Stall], list[str]]:
        """What has changed since the last look: triggers that stall now, and those that have recovered.

        `patience`: of each connection that should be polled, the seconds for which it may be silent. `triggers`: the
        connections that each one listens to. Who should not be polled stalls nothing.
        """
        for name in self._pulses.keys() - patience.keys():
            del self._pulses[name]
        silent = {
            name: seconds for name in patience if (seconds := self._silence(name, completed, now)) > patience[name]
        }
        stalled = {
            trigger: Stall(tuple(sorted(held)), max(silent[name] for name in held))
            for trigger, names in triggers.items()
            if (held := silent.keys() & set(names))
        }
        before, self.stalled = self.stalled, stalled
        new = {trigger: stall for trigger, stall in stalled.items() if trigger not in before}
        return new, [trigger for trigger in before if trigger not in stalled]

    def _silence(self, name: str, completed: Mapping[str, int], now: float) -> float:
        count = completed.get(name, 0)
        pulse = self._pulses.get(name)
        if pulse is None or pulse.count != count:
            self._pulses[name] = _Pulse(count, now)
            return 0.0
        return now - pulse.at
