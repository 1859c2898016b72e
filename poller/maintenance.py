"""The loop that keeps house: prune what nobody needs, tell systemd that we live, and others that all is well."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog

from poller.ports import Clock
from state.errors import StateError
from state.store import Store

PRUNE_EVERY = 3600.0  # seconds
HEARTBEAT_EVERY = 60.0


class Maintenance:
    """`is_well` says whether polling and the state work; only then `ping` is called. Systemd hears of us always."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        retention: timedelta,
        is_well: Callable[[], bool],
        ping: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self.retention = retention
        self._store = store
        self._clock = clock
        self._is_well = is_well
        self._ping = ping
        self._log = structlog.get_logger("poller")

    async def run(self) -> None:
        """Until cancelled."""
        watchdog = watchdog_interval()
        step = min(HEARTBEAT_EVERY, watchdog) if watchdog else HEARTBEAT_EVERY
        pruned = beat = float("-inf")
        while True:
            now = self._clock.monotonic()
            notify("WATCHDOG=1")  # that we live; a restart would not mend an outage of GoTo
            if self._is_well() and now - beat >= HEARTBEAT_EVERY:
                beat = now
                await self._heartbeat()
            if now - pruned >= PRUNE_EVERY:
                pruned = now
                await self._prune()
            await self._clock.sleep(step)

    async def _heartbeat(self) -> None:
        if self._ping is None:
            return
        try:
            await self._ping()
        except Exception as error:
            self._log.warning("heartbeat.failed", error=type(error).__name__)

    async def _prune(self) -> None:
        before = self._clock.now().timestamp() - self.retention.total_seconds()
        try:
            dropped = await self._store.prune(before)
        except StateError as error:
            self._log.warning("prune.failed", error=str(error))
            return
        if any(dropped.values()):
            self._log.info("prune.completed", **dropped)


def notify(text: str) -> None:
    """Tell systemd (sd_notify(3)); nothing happens where no notify socket is given."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a full queue must not hold up the loop
            sender.connect(address)
            sender.send(text.encode())
    except OSError:
        return  # a missing supervisor must not stop the work


def watchdog_interval() -> float | None:
    """Half of what systemd's WatchdogSec asks for, in seconds."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2_000_000 if usec.isdecimal() and mine and int(usec) else None


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a loop and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
