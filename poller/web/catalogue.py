"""The trigger catalogue: what each trigger sends, what it can be filtered by, how its items look. No I/O.

An item is the event as `poller.formats.item` writes it, whoever asks: polls, item lists, REST hooks and sinks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from poller import samples
from poller.formats import item
from poller.web import schemas
from poller.web.routes import Parameter
from poller.web.schemas import Schema
from poller.web.surface import LIMIT, ORGANIZER_KEY, WEBINAR_KEY

PARAMETERS: Final = (WEBINAR_KEY, ORGANIZER_KEY, LIMIT)


class Trigger(Protocol):
    """What this module asks of a trigger."""

    def hears(self, short_type: str, /) -> bool:
        """Whether events of this type, written without `com.goto.`, may be sent."""
        ...


def entries(triggers: Iterable[tuple[str, Trigger]]) -> list[dict[str, Any]]:
    """The catalogue as JSON values: one entry per trigger, under the name by which it is called."""
    return [_entry(name, trigger) for name, trigger in triggers]


def sample_item(short_type: str) -> dict[str, Any]:
    """An example item. Raises KeyError for a type that `poller.samples` does not know."""
    return item(samples.sample(short_type).event)


def schema(short_types: Iterable[str]) -> Schema:
    """JSON Schema (draft 2020-12) of the items of these types; `eventType` says which of several an item is of."""
    found = [schemas.item(type_, sample_item(type_)) for type_ in short_types]
    if not found:
        return schemas.record(schemas.ENVELOPE, schemas.ENVELOPE)
    return found[0] if len(found) == 1 else {"oneOf": found}


def _entry(name: str, trigger: Trigger) -> dict[str, Any]:
    types = [type_ for type_ in samples.types() if trigger.hears(type_)]
    return {
        "name": name,
        "eventTypes": types,
        "parameters": [_parameter(parameter) for parameter in PARAMETERS],
        "schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema(types)},
        "sample": sample_item(types[0]) if types else None,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    shown = {"name": parameter.name, "description": parameter.description, "required": parameter.required}
    return {**shown, "schema": parameter.schema()}
