"""Which secrets this process will need: they are looked up while the settings are read, the others are left alone.

So a paused connection or a sink that no trigger names does not stop the start for want of a variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from poller.fields import FieldError, Secret
from poller.settings.problems import Problem
from poller.settings.toml_lines import KeyPath

if TYPE_CHECKING:
    from poller.settings.root import Settings


def missing(settings: Settings) -> Iterator[Problem]:
    """Looks up every secret in use, and yields those that are not to be had."""
    for path, secret in _in_use(settings):
        try:
            secret.reveal()
        except FieldError as err:
            yield Problem(path, str(err))


def _in_use(settings: Settings) -> Iterator[tuple[KeyPath, Secret]]:
    yield from _secrets(settings.engine, ("engine",))
    if any(connection.active for connection in settings.connections):
        yield from _secrets(settings.goto, ("goto",))
    if settings.http.listen:
        yield from _secrets(settings.http, ("http",))
        yield from _secrets(settings.webhooks, ("webhooks",))
    for i, connection in enumerate(settings.connections):
        if connection.active:
            yield from _secrets(connection, ("connections", i))
    named = {name for trigger in settings.effective_triggers() for name in trigger.sinks}
    for i, sink in enumerate(settings.sinks):
        if sink.name in named:
            yield from _secrets(sink, ("sinks", i))


def _secrets(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    for key, inner in _inside(value):
        yield from _secrets(inner, (*path, key))


def _inside(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, BaseModel):
        return [(key, getattr(value, key)) for key in type(value).model_fields]
    if isinstance(value, Mapping):
        return [(str(key), inner) for key, inner in value.items()]
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
