"""A thread of its own for calls that may block: a full disk's fsync, a pipe that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Lane:
    """Runs calls one after another, away from the event loop.

    A call that has begun is finished even if its caller was cancelled, and the next one waits for it. The thread is a
    daemon: a call that never returns does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                report, result = _succeed, call()
            except BaseException as err:  # carried over to whoever awaits
                report, result = _fail, err  # type: ignore[assignment]
            if not loop.is_closed():
                loop.call_soon_threadsafe(report, future, result)

        self._queue().put(work)
        return await future

    def close(self) -> None:
        """End the thread after the calls already made. A later `run` starts another; closing twice is harmless."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None

    def _queue(self) -> SimpleQueue[Callable[[], None] | None]:
        if self._calls is None:
            self._calls = SimpleQueue()
            Thread(target=_drive, args=(self._calls,), name=self._name, daemon=True).start()
        return self._calls


def _drive(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := calls.get()) is not None:
        work()


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], err: BaseException) -> None:
    if not future.done():
        future.set_exception(err)
