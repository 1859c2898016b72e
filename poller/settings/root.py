"""The settings as a whole: read from a file, or from a mapping by a program that embeds the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, SerializeAsAny, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from poller.errors import UsageError
from poller.fields import Secret, relative_to
from poller.settings import references, secrets_in_use
from poller.settings.environment import default_key, merged, overrides
from poller.settings.nearest import suggestion
from poller.settings.problems import Origin, Problem, from_validation, refusal
from poller.settings.profiles import INTERVALS
from poller.settings.reading import read_document, settings_path
from poller.settings.sections import Connection, Engine, GoTo, Http, Limits, Trigger, Webhooks
from poller.sinks.base import SinkSettings
from poller.sinks.registry import sink_settings, sink_types

# What `load` or `parse` has read. The library's own sources stay switched off: they would let unknown variables
# pass, and could not say on which line of the file a value stands.
_READ: ContextVar[Mapping[str, Any] | None] = ContextVar("poller_settings_read", default=None)


class Settings(BaseSettings):
    """Everything a person can choose, checked and resolved. Frozen; a reload makes another one."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    engine: Engine = Field(default_factory=Engine)
    goto: GoTo = GoTo()
    limits: Limits = Limits()
    http: Http = Http()
    webhooks: Webhooks = Webhooks()
    connections: tuple[Connection, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    sinks: tuple[SerializeAsAny[SinkSettings], ...] = ()

    _path: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: str | Path | None = None, *, secrets: bool = True) -> Settings:
        """The settings of a file (None: `POLLER_CONFIG`, else ./poller.toml) under those of the environment.

        Raises one UsageError that lists everything wrong, a line each. `secrets=False` looks none up: for commands
        that only read the state, and may run where the secrets are not.
        """
        document = read_document(settings_path(path))
        found = overrides(os.environ)
        given = merged(document.mapping, found.values)
        given = merged(given, default_key(given, os.environ))
        origin = Origin(document.name, document.lines, found.variables)
        settings = _build(given, document.folder, origin, found.problems, secrets=secrets)
        settings._path = document.folder / Path(document.name).name
        return settings

    @classmethod
    def parse(cls, mapping: Mapping[str, Any], base: Path | None = None) -> Settings:
        """The same from a mapping shaped like the file; relative paths start at `base` (None: where we are).

        The environment replaces nothing here, so that a program's own settings and tests stand as written.
        """
        return _build(dict(mapping), base or Path.cwd(), Origin(), [], secrets=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, InitSettingsSource(settings_cls, dict(_READ.get() or {}))

    @model_validator(mode="before")
    @classmethod
    def _interval_of_profile(cls, given: Any) -> Any:
        """An interval nobody has set is the one of the profile of limits."""
        limits, engine = given.get("limits", {}), given.get("engine", {})
        profile = limits.get("profile") if isinstance(limits, Mapping) else None
        if not isinstance(profile, str) or profile not in INTERVALS or not isinstance(engine, Mapping):
            return given
        return {**given, "engine": {"interval": INTERVALS[profile], **engine}}

    @property
    def path(self) -> Path | None:
        """The file these settings were read from, absolute; None if they were not read from one."""
        return self._path

    @property
    def interval(self) -> timedelta:
        """The floor between two polls of one target, by engine.interval or the profile."""
        return self.engine.interval

    def effective_triggers(self) -> tuple[Trigger, ...]:
        """The triggers as written; without any, the one that sends every event to every sink."""
        return self.triggers or (Trigger(name="all", sinks=tuple(sink.name for sink in self.sinks)),)

    def client_of(self, connection: Connection) -> tuple[str, Secret | None]:
        """The OAuth client id and secret of a connection: its own, where it has them, else those of [goto]."""
        return connection.client_id or self.goto.client_id, connection.client_secret or self.goto.client_secret


def _build(given: dict[str, Any], base: Path, origin: Origin, problems: list[Problem], *, secrets: bool) -> Settings:
    with relative_to(base):
        sinks, wrong_sinks = _sinks(given.get("sinks", []))
        settings, wrong = _settings({**given, "sinks": sinks})
    problems = [*problems, *wrong_sinks, *wrong, *references.find(given)]
    if settings is not None and not problems and secrets:
        problems += secrets_in_use.missing(settings)
    if settings is None or problems:
        raise refusal(origin, problems)
    return settings


def _settings(given: dict[str, Any]) -> tuple[Settings | None, list[Problem]]:
    token = _READ.set(given)
    try:
        return Settings(), []
    except ValidationError as err:
        return None, list(from_validation(err, given, Settings))
    finally:
        _READ.reset(token)


def _sinks(listed: Any) -> tuple[Any, list[Problem]]:
    """Each sink read by the model of its type. What is no list of tables is left to the model of the whole."""
    if not isinstance(listed, list | tuple):
        return listed, []
    read = [_sink(i, table) if isinstance(table, Mapping) else table for i, table in enumerate(listed)]
    problems = [problem for sink in read if isinstance(sink, list) for problem in sink]
    return [sink for sink in read if not isinstance(sink, list)], problems


def _sink(index: int, table: Mapping[str, Any]) -> SinkSettings | list[Problem]:
    kind = table.get("type")
    if not isinstance(kind, str):
        return [Problem(("sinks", index, "type"), f"is missing or no text; known: {', '.join(sink_types())}")]
    try:
        model = sink_settings(kind)
    except KeyError:
        text = f'there is no sink type "{kind}"{suggestion(kind, sink_types())}'
        return [Problem(("sinks", index, "type"), text)]
    except UsageError as err:  # a plug-in that cannot be imported
        return [Problem(("sinks", index, "type"), str(err))]
    try:
        return model.model_validate(table)
    except ValidationError as err:
        return list(from_validation(err, table, model, ("sinks", index)))
