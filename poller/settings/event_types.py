"""The types an event can have, in the short form triggers are written in, and the check of a trigger's pattern."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from poller.fields import FieldError
from poller.settings.nearest import suggestion
from state.events import short_type

FACTS: Final = (
    "webinar.created",
    "webinar.changed",
    "webinar.cancelled",
    "webinar.session.completed",
    "registrant.added",
    "registrant.changed",
    "registrant.removed",
    "participant.attended",
    "participant.absent",
    "meeting.created",
    "meeting.changed",
    "meeting.cancelled",
    "meeting.ended",
    "meeting.recording.available",
    "meeting.attended",
)
# They take lists of their own, which are read only for a trigger that names them; no pattern does.
BY_NAME: Final = ("webinar.session.started", "meeting.started")
OPERATIONAL: Final = (
    "poller.connection.unauthorized",
    "poller.connection.recovered",
    "poller.trigger.stalled",
    "poller.trigger.recovered",
    "poller.sink.disabled",
    "poller.sink.recovered",
)
WEBHOOK: Final = "webhook."  # followed by a name of GoTo's own choosing, so any name is taken


def pattern(text: str) -> str:
    """A trigger's pattern without `com.goto.`. Raises FieldError if no event could ever match it."""
    short = short_type(text)
    known = (*FACTS, *OPERATIONAL)
    if short in BY_NAME or short.startswith(WEBHOOK) or any(fnmatchcase(name, short) for name in known):
        return short
    raise FieldError(f'no event has the type "{text}"{suggestion(short, (*known, *BY_NAME))}')
