"""Pure: which events go to which sinks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final, Protocol

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError

from poller.errors import UsageError
from state.events import GOTO, short_type
from state.store import Route

# What connectors call the two triggers that are there for whoever pulls, and the types they are for.
BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "OnNewWebinar": ("webinar.created",),
    "OnNewRegistration": ("registrant.added",),
}

# Types that only a pattern beginning so reaches: `*` stands for facts that polls find anyway.
_BY_NAME_ONLY: Final = ("poller.", "webhook.", "webinar.session.started", "meeting.started")


class TriggerSettings(Protocol):
    """One `[[triggers]]` entry."""

    @property
    def name(self) -> str: ...
    @property
    def on(self) -> Sequence[str]: ...
    @property
    def connections(self) -> Sequence[str]: ...
    @property
    def webinars(self) -> Sequence[str]: ...
    @property
    def when(self) -> str: ...
    @property
    def sinks(self) -> Sequence[str]: ...
    @property
    def flood(self) -> int: ...


@dataclass(frozen=True)
class Everything:
    """What holds if the settings have no trigger: every event goes to every sink. Narrower ones are made of it."""

    sinks: Sequence[str] = ()
    name: str = "all"
    on: Sequence[str] = ("*",)
    connections: Sequence[str] = ("*",)
    webinars: Sequence[str] = ("*",)
    when: str = ""
    flood: int = 0


Warn = Callable[[str, str], None]


class Triggers:
    """All triggers of the settings. `warn(trigger, reason)` hears of conditions that could not be evaluated."""

    def __init__(
        self,
        triggers: Sequence[TriggerSettings],
        sinks: Sequence[str],
        warn: Warn = lambda trigger, reason: None,
    ) -> None:
        """Raises UsageError for a condition that is not JMESPath."""
        self._triggers = [Trigger(settings, warn) for settings in triggers or [Everything(sinks)]]

    def routes(
        self,
        event: Mapping[str, Any],
        connections: Collection[str],
        title: str,
        new_in_poll: int,
        paused: Collection[str],
    ) -> list[Route]:
        """The sinks `event` is owed to, each once.

        `connections` are all that see the event, `title` is its webinar's subject line, `new_in_poll` counts the new
        events of the poll that found it (backfill apart), `paused` names triggers. A delivery is held back only if
        every trigger that sends the event to that sink holds it.
        """
        held: dict[str, str] = {}
        for trigger in self._triggers:
            if not trigger.matches(event, connections, title):
                continue
            holds = trigger.name in paused or trigger.flooded(event, new_in_poll)
            for sink in trigger.sinks:
                if not holds:
                    held[sink] = ""
                else:
                    held.setdefault(sink, trigger.name)
        return [Route(sink, by) for sink, by in held.items()]

    def named(self, name: str) -> Trigger | None:
        """The first of that name: the settings' own come before those that consumers bring along."""
        return next((trigger for trigger in self._triggers if trigger.name == name), None)

    def sends(self, short_type_: str, sink: str) -> bool:
        """Whether an event of this type may be owed to `sink`, whatever else it says."""
        return any(sink in trigger.sinks and trigger.hears(short_type_) for trigger in self._triggers)

    def listeners(self, short_types: Collection[str], connections: Collection[str]) -> dict[str, list[str]]:
        """By trigger that hears any of these types: the connections it listens to."""
        hearing = (trigger for trigger in self._triggers if any(map(trigger.hears, short_types)))
        return {trigger.name: [name for name in connections if trigger.covers(name, "", "")] for trigger in hearing}

    def wants(self, short_types: Iterable[str], connection: str, webinar_key: str, title: str) -> bool:
        """Whether an event of one of these types could match a trigger; an empty key stands for any webinar."""
        types = list(short_types)
        return any(
            trigger.covers(connection, webinar_key, title) and any(trigger.hears(type_) for type_ in types)
            for trigger in self._triggers
        )


class Trigger:
    """One of them, compiled."""

    def __init__(self, settings: TriggerSettings, warn: Warn) -> None:
        self.name = settings.name
        self.sinks = tuple(settings.sinks)
        self._flood = settings.flood
        self._on = tuple(pattern.removeprefix(GOTO) for pattern in settings.on)
        self._connections = tuple(settings.connections)
        self._webinars = tuple(pattern.casefold() for pattern in settings.webinars)
        self._warn = warn
        # Asked for every event and every target, and there are few types and connections.
        self.hears = cache(self._hears)
        self._takes = cache(self._takes_in)
        try:
            self._condition = jmespath.compile(settings.when) if settings.when else None
        except JMESPathError as err:
            raise UsageError(f'trigger "{self.name}", when: is not JMESPath: {settings.when}') from err

    def matches(self, event: Mapping[str, Any], connections: Collection[str], title: str) -> bool:
        key = _webinar_key(event)
        return (
            self.hears(short_type(event["type"]))
            and any(self._takes(connection) for connection in connections)
            and self._concerns(key, title)
            and self._holds_true(event)
        )

    def flooded(self, event: Mapping[str, Any], new_in_poll: int) -> bool:
        return 0 < self._flood < new_in_poll and not event.get("backfill")

    def _hears(self, type_: str) -> bool:
        """`type_` is a short type."""
        guarded = next((prefix for prefix in _BY_NAME_ONLY if type_.startswith(prefix)), "")
        return any(pattern.startswith(guarded) and fnmatchcase(type_, pattern) for pattern in self._on)

    def covers(self, connection: str, webinar_key: str, title: str) -> bool:
        return self._takes(connection) and (not webinar_key or self._concerns(webinar_key, title))

    def _takes_in(self, connection: str) -> bool:
        return any(fnmatchcase(connection, pattern) for pattern in self._connections)

    def _concerns(self, key: str, title: str) -> bool:
        if "*" in self._webinars:
            return True
        # Subject lines hold brackets ("[EN] Intro"), so a pattern that is the whole title counts as one too.
        title = title.casefold()
        return any(pattern in (key, title) or fnmatchcase(title, pattern) for pattern in self._webinars)

    def _holds_true(self, event: Mapping[str, Any]) -> bool:
        if self._condition is None:
            return True
        try:
            value = self._condition.search(event)
        except Exception as err:  # a mistake in a condition must not lose an event
            self._warn(self.name, _reason(err))
            return True
        return _is_true(value)


def _webinar_key(event: Mapping[str, Any]) -> str:
    data = event.get("data")
    key = data.get("webinarKey") if isinstance(data, Mapping) else None
    return str(key or event.get("partitionkey", "")).casefold()


def _is_true(value: object) -> bool:
    """JMESPath's truth: false, null and whatever is empty are false; every number is true, 0 too.

    https://jmespath.org/specification.html#or-expressions
    """
    if value is None or value is False:
        return False
    return not isinstance(value, str | list | dict) or bool(value)


def _reason(err: Exception) -> str:
    """Without the value that was in the way, which may be personal data."""
    if isinstance(err, JMESPathTypeError):
        expected = ", ".join(str(type_) for type_ in err.expected_types)
        return f"{err.function_name}() got {err.actual_type}, expected {expected}"
    return type(err).__name__
