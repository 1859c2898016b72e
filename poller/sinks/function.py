"""Events handed to a coroutine of the user's own, in this process."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field

from poller.errors import Gone, Refused, UsageError, Wait
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, SinkContext, SinkSettings, one_by_one

Call = Callable[[Any], Awaitable[object]]


class FunctionSettings(SinkSettings):
    call: str = Field(pattern=r"^[\w.]+:[\w.]+$", description='"package.module:coroutine", awaited with each event')


class FunctionSink(BaseSink):
    """Awaits the coroutine with one event after another, in the shape `format` says: a dict, or the template's text.

    It may raise poller.errors.Refused (this event never) or Gone (no event any more). Everything else it raises makes
    the sink wait; of that only the type and the place are reported, because the text could repeat personal data.
    """

    settings_type = FunctionSettings

    def __init__(self, settings: FunctionSettings, context: SinkContext, call: Call | None = None) -> None:
        """With `call` given (a program that embeds the engine) nothing is imported; the setting is then its name."""
        super().__init__(settings, context)
        self._where = settings.call
        self._call = call
        if call is not None:
            self._require_coroutine(call)

    async def connect(self) -> None:
        if self._call is None:
            self._call = self._import()

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        return await one_by_one(batch, self._send_one)

    async def check(self) -> str:
        await self.connect()
        return f"{self._where} can be called"

    async def close(self) -> None:
        """Nothing is held."""

    async def _send_one(self, outgoing: Outgoing) -> None:
        assert self._call is not None, "connect comes first"
        value = self.format.value(outgoing)
        try:
            await self._call(value)
        except (Refused, Gone, Wait):
            raise
        except Exception as err:
            raise Wait(f"{self._where} raised {type(err).__name__} at {_place(err)}") from err

    def _import(self) -> Call:
        module, _, name = self._where.partition(":")
        folder = str(self.context.base)
        if folder not in sys.path:  # a module beside the settings file is found, one that is installed wins
            sys.path.append(folder)
        try:
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as err:  # whatever foreign code raises while it is imported
            raise UsageError(f'sink "{self.name}", call: {self._where} cannot be imported: {err}') from err
        self._require_coroutine(found)
        call: Call = found
        return call

    def _require_coroutine(self, found: Any) -> None:
        if not is_coroutine(found):
            raise UsageError(f'sink "{self.name}", call: {self._where} is not a coroutine function (async def)')


def is_coroutine(found: Any) -> bool:
    """Whether a call of it can be awaited: an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None))  # noqa: B004


def _place(err: Exception) -> str:
    frame = traceback.extract_tb(err.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
