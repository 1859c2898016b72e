"""The half of the Store protocol that sending needs, in memory and on one event loop, so that a fake clock suffices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from state.delivery import Delivery, DeliveryState, Settlement, SinkState
from state.errors import StateUnavailable
from state.store import Pause


@dataclass
class Row:
    delivery: Delivery
    state: DeliveryState = DeliveryState.PENDING
    due_at: float = 0.0
    error: str = ""


class FakeStore:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], Row] = {}
        self.sinks: dict[str, SinkState] = {}
        self.paused: list[Pause] = []
        self.full = False  # the disk is: whatever writes raises
        self.leases = 0
        self._sequence = 0

    # what tests do

    def owe(self, sink: str, *partitions: str, now: float = 0.0, backlog: int = 1) -> list[int]:
        """One event for each partition named, `backlog` times over; returns the sequences."""
        sequences = []
        for partition in partitions * backlog:
            self._sequence += 1
            number = self._sequence
            body = msgspec.json.encode({"id": f"e{number}", "sequence": f"{number:020d}", "partitionkey": partition})
            delivery = Delivery(sink, number, f"e{number}", "com.goto.registrant.added", "s", partition, body, 0, now)
            self.rows[sink, number] = Row(delivery)
            sequences.append(number)
        return sequences

    def count(self, state: DeliveryState, sink: str | None = None) -> int:
        return sum(row.state is state for (name, _), row in self.rows.items() if sink in (None, name))

    # the protocol

    async def lease(
        self, sink: str, limit: int, now: float, *, ordered: bool, skip: Collection[str], busy: Collection[int]
    ) -> list[Delivery]:
        await asyncio.sleep(0)
        self.leases += 1
        pending = [row for row in self._pending(sink) if row.delivery.sequence not in busy]
        blocked = set(skip) | {row.delivery.partition for row in self._pending(sink) if row.due_at > now}
        due = [row.delivery for row in pending if row.due_at <= now]
        return [delivery for delivery in due if not ordered or delivery.partition not in blocked][:limit]

    async def settle_deliveries(self, settlements: Sequence[Settlement]) -> None:
        await self._write()
        for settlement in settlements:
            row = self.rows[settlement.sink, settlement.sequence]
            row.state, row.due_at, row.error = settlement.state, settlement.due_at, settlement.error
            row.delivery = replace(row.delivery, attempts=settlement.attempts)

    async def waiting(self, sink: str, now: float) -> dict[str, float]:
        await asyncio.sleep(0)
        found: dict[str, float] = {}
        for row in self._pending(sink):
            if row.due_at > now:
                found[row.delivery.partition] = max(found.get(row.delivery.partition, 0.0), row.due_at)
        return found

    async def release_waiting(self, sink: str, now: float) -> None:
        await self._write()
        for row in self._pending(sink):
            row.due_at = min(row.due_at, now)

    async def next_due(self, sink: str) -> float | None:
        await asyncio.sleep(0)
        return min((row.due_at for row in self._pending(sink)), default=None)

    async def sink_states(self) -> list[SinkState]:
        await asyncio.sleep(0)
        return list(self.sinks.values())

    async def save_sink(self, sink: SinkState) -> None:
        await self._write()
        self.sinks[sink.name] = sink

    async def pauses(self) -> list[Pause]:
        return self.paused

    def _pending(self, sink: str) -> list[Row]:
        rows = [row for (name, _), row in self.rows.items() if name == sink and row.state is DeliveryState.PENDING]
        return sorted(rows, key=lambda row: row.delivery.sequence)

    async def _write(self) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise StateUnavailable("the disk is full")
