"""Counts of registrants from GoTo's old v1 list `upcomingWebinars`, whose successors carry none."""

from __future__ import annotations

from collections.abc import Mapping

from poller.goto import GotoClient


class UpcomingCounts:
    """The count hint of one organizer's connection."""

    def __init__(self, client: GotoClient, organizer_key: str) -> None:
        self._client = client
        self._organizer_key = organizer_key

    async def counts(self) -> Mapping[str, int]:
        return await self._client.registrant_counts(self._organizer_key)
