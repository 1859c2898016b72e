"""Which sinks an event is owed to: the triggers of now, with what is paused of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from poller.roster import hold_of
from poller.triggers import Triggers
from state.events import Draft, as_event
from state.records import Scope, Target
from state.store import Pause, Route, StoredEvent

# The short types of the events that come of polling a kind of list, those of the lists found in it included.
_OF_REGISTRANTS = ("registrant.added", "registrant.changed", "registrant.removed")
_OF_PARTICIPANTS = ("participant.attended", "participant.absent")
_OF_SESSIONS = ("webinar.session.completed", *_OF_PARTICIPANTS)
_OF_ATTENDEES = ("meeting.attended",)
_COMES_OF: Mapping[str, Sequence[str]] = {
    "webinar": ("webinar.created", "webinar.changed", "webinar.cancelled", *_OF_REGISTRANTS, *_OF_SESSIONS),
    "registrant": _OF_REGISTRANTS,
    "session": _OF_SESSIONS,
    "participant": _OF_PARTICIPANTS,
    "meeting": ("meeting.created", "meeting.changed", "meeting.cancelled"),
    "meeting_session": ("meeting.ended", "meeting.recording.available", *_OF_ATTENDEES),
    "meeting_attendee": _OF_ATTENDEES,
    "webinar_start": ("webinar.session.started",),
    "meeting_start": ("meeting.started",),
}


class Routing:
    """Holds the triggers in force; `reload` replaces them between two commits, never within one."""

    def __init__(self, triggers: Triggers) -> None:
        self.triggers = triggers
        self.paused: set[str] = set()

    def routes(
        self, draft: Draft, connections: Collection[str], title: str = "", new_in_poll: int = 0
    ) -> Sequence[Route]:
        """Evaluated once, at commit. `connections` are all that see the webinar; `new_in_poll`: the flood guard's."""
        return self._routes(as_event(draft), connections, title, 0 if draft.backfill else new_in_poll)

    def routes_of(self, event: StoredEvent, title: str = "", connection: str | None = None) -> Sequence[Route]:
        """The same for an event told before (replay, a second finder): the triggers of now decide."""
        return self._routes(msgspec.json.decode(event.body), [connection or event.connection], title, 0)

    def _routes(
        self, event: dict[str, Any], connections: Collection[str], title: str, new_in_poll: int
    ) -> Sequence[Route]:
        return self.triggers.routes(event, connections, title, new_in_poll, self.paused)

    def floods(self, drafts: Iterable[tuple[Draft, Sequence[Route]]], now: float) -> list[Pause]:
        """The triggers whose flood guard holds something of these events: they are paused with the same commit."""
        holding = {route.held_by for _, routes in drafts for route in routes if route.held_by} - self.paused
        return [Pause("trigger", name, now, "flood: more new events in one poll than it allows") for name in holding]

    def wants(self, target: Target, finders: Iterable[str]) -> bool:
        """Whether any trigger could match an event that comes of polling `target`, which these connections see."""
        key = hold_of(target.scope).parent
        types = _COMES_OF[target.scope.kind]
        return any(self.triggers.wants(types, name, key, target.title) for name in finders)

    def wants_type(self, short_type: str, finders: Iterable[str], key: str, title: str) -> bool:
        """Whether any trigger could match an event of this type about the webinar or meeting `key`."""
        return any(self.triggers.wants([short_type], name, key, title) for name in finders)

    def wanted(self, connection: str, roots: Iterable[Scope]) -> list[Scope]:
        """The same of lists of the connection's own: for events about what is in them, or to find what is wanted."""
        return [root for root in roots if self.triggers.wants(_COMES_OF[root.kind], connection, "", "")]
