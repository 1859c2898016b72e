"""Sinks that exist in this process only (embedding), and the triggers they bring along."""

from __future__ import annotations

from dataclasses import dataclass

from poller.ports import Sink


@dataclass(frozen=True, slots=True)
class Consumer:
    """A sink of this process, with the event types it wants."""

    sink: Sink
    types: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class ConsumerTrigger:
    """Sends to one consumer what it wants; it has the consumer's name."""

    name: str
    on: tuple[str, ...]
    connections: tuple[str, ...] = ("*",)
    webinars: tuple[str, ...] = ("*",)
    when: str = ""
    flood: int = 0

    @property
    def sinks(self) -> tuple[str, ...]:
        return (self.name,)
