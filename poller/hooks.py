"""Pure: what a REST-hook subscription asks for, which sink serves it, and which trigger it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from poller.formats import FormatName
from poller.triggers import BUILT_IN, Everything, TriggerSettings


@dataclass(frozen=True, slots=True)
class Wish:
    """What is subscribed to: a trigger by its name, or types of events; neither is every fact. Keys: "" for any."""

    url: str = field(repr=False)  # its path may be a password
    trigger: str = ""
    types: tuple[str, ...] = ()
    webinar: str = ""
    organizer: str = ""
    format: FormatName = "item"


@dataclass(frozen=True, slots=True)
class Subscribed:
    id: str
    sink: str
    wish: Wish
    created_at: float  # POSIX seconds
    secret: str = field(repr=False)  # signs what is sent


def sink_of(url: str) -> str:
    """One URL is one sink. The name shows in tables and logs, which the URL must not."""
    return "hook-" + blake2b(url.encode(), digest_size=6).hexdigest()


def trigger_of(known: Subscribed, settings: Mapping[str, TriggerSettings]) -> TriggerSettings | None:
    """The trigger that sends a subscription what it wants, by the settings' triggers as they are now.

    None while they have none of the name that was asked for.
    """
    wish = known.wish
    base = settings.get(wish.trigger)
    if base is not None:
        return _narrowed(base, known)
    if wish.trigger and wish.trigger not in BUILT_IN:
        return None
    return Everything(
        sinks=(known.sink,),
        name=wish.trigger or f"subscription {known.id}",  # no name of the settings has a space
        on=BUILT_IN.get(wish.trigger) or wish.types or ("*",),
        webinars=(wish.webinar or "*",),
        when=_only("organizerKey", wish.organizer),
    )


def _narrowed(base: TriggerSettings, known: Subscribed) -> TriggerSettings:
    """Under the name of the trigger itself: what pauses or floods that one holds these deliveries as well."""
    # The keys first: a condition that fails on some event counts as true, and must not undo the choice of a webinar.
    conditions = [
        _only("webinarKey", known.wish.webinar),
        _only("organizerKey", known.wish.organizer),
        f"({base.when})" if base.when else "",
    ]
    return Everything(
        sinks=(known.sink,),
        name=base.name,
        on=base.on,
        connections=base.connections,
        webinars=base.webinars,
        when=" && ".join(condition for condition in conditions if condition),
        flood=base.flood,
    )


def _only(field_: str, key: str) -> str:
    """Keys are digits, so nothing in them can mean anything to JMESPath."""
    return f"data.{field_} == '{key}'" if key else ""
