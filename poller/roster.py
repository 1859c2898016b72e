"""What the running process knows of its connections and targets: a copy of the state's rows that follows commits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from state.records import ConnectionState, Phase, Scope, Target

# The lists that a connection has of its own.
WEBINARS: Final = Scope("webinar")
MEETINGS: Final = Scope("meeting")  # the upcoming ones
HISTORY: Final = Scope("meeting_session")  # meetings that were held
WEBINAR_STARTS: Final = Scope("webinar_start")  # what is running now
MEETING_STARTS: Final = Scope("meeting_start")
STARTS: Final = (WEBINAR_STARTS, MEETING_STARTS)
ROOTS: Final = (WEBINARS, MEETINGS, HISTORY, *STARTS)


class _Kind(NamedTuple):
    root: Scope
    held: str  # kind of the scopes, one for each webinar or meeting, by which a connection holds it


_KINDS: Final[Mapping[str, _Kind]] = {
    "webinar": _Kind(WEBINARS, "registrant"),
    "registrant": _Kind(WEBINARS, "registrant"),
    "session": _Kind(WEBINARS, "registrant"),
    "participant": _Kind(WEBINARS, "registrant"),
    "webinar_start": _Kind(WEBINAR_STARTS, "registrant"),
    "meeting": _Kind(MEETINGS, "meeting_attendee"),
    "meeting_session": _Kind(HISTORY, "meeting_attendee"),
    "meeting_attendee": _Kind(HISTORY, "meeting_attendee"),
    "meeting_start": _Kind(MEETING_STARTS, "meeting_attendee"),
}


def root_of(scope: Scope) -> Scope:
    """The list from which, directly or not, a scope was found."""
    return _KINDS[scope.kind].root


def hold_of(scope: Scope, partition: str | None = None) -> Scope:
    """The scope that every connection has a target of which sees the webinar or meeting that `scope` belongs to; of a
    root, the one of the key `partition`."""
    return Scope(_KINDS[scope.kind].held, scope.parent.partition("/")[0] if partition is None else partition)


def plural(kind: str) -> str:
    """Records of a kind, in words: `meeting_session` → `sessions`."""
    return f"{kind.removeprefix('meeting_').removeprefix('webinar_')}s"


class Roster:
    """Connections by name, targets by connection and scope. The phase of a scope is the same for all who hold it."""

    def __init__(self, connections: Iterable[ConnectionState] = (), targets: Iterable[Target] = ()) -> None:
        self._connections = {state.name: state for state in connections}
        self._targets: dict[str, dict[Scope, Target]] = {}
        self._holders: dict[Scope, dict[str, None]] = {}
        for target in targets:
            self.put(target)

    def connections(self) -> list[ConnectionState]:
        return list(self._connections.values())

    def connection(self, name: str) -> ConnectionState:
        return self._connections.get(name) or ConnectionState(name)

    def put_connection(self, state: ConnectionState) -> None:
        self._connections[state.name] = state

    def baseline_at(self, connection: str, root: Scope) -> float | None:
        """Start of the first complete walk of a connection's own list, POSIX seconds; None before it."""
        if root == WEBINARS:
            return self.connection(connection).baseline_at
        target = self.target(connection, root)
        return None if target is None else target.began_at

    def target(self, connection: str, scope: Scope) -> Target | None:
        return self._targets.get(connection, {}).get(scope)

    def own_list(self, connection: str, root: Scope) -> Target:
        """The target of one of the connection's own lists, made if it is not there yet."""
        if (known := self.target(connection, root)) is not None:
            return known
        target = Target(connection, root)
        self.put(target)
        return target

    def put(self, target: Target) -> None:
        self._targets.setdefault(target.connection, {})[target.scope] = target
        self._holders.setdefault(target.scope, {})[target.connection] = None

    def learn(self, target: Target) -> None:
        """Take organizer, title and ends of a found target; how far it was polled and a known phase stay."""
        known = self.target(target.connection, target.scope)
        if known is not None:
            target = replace(
                known,
                organizer_key=target.organizer_key,
                title=target.title,
                starts_at=target.starts_at,
                ends_at=target.ends_at,
                ends=target.ends,
            )
        else:
            target = replace(target, phase=self._phase(target.scope) or target.phase)
        self.put(target)

    def _phase(self, scope: Scope) -> Phase | None:
        for holder in self._holders.get(scope, ()):
            return self._targets[holder][scope].phase
        return None

    def set_phase(self, scope: Scope, phase: Phase) -> None:
        for holder in self.holders(scope):
            self._targets[holder][scope] = replace(self._targets[holder][scope], phase=phase)

    def drop(self, connection: str, scope: Scope) -> None:
        self._targets.get(connection, {}).pop(scope, None)
        self._holders.get(scope, {}).pop(connection, None)

    def holders(self, scope: Scope) -> Sequence[str]:
        """Connections that see this scope, the first finder first."""
        return tuple(self._holders.get(scope, ()))

    def title(self, scope: Scope) -> str:
        """The subject line of the webinar whose registrants these are; empty if nobody holds it."""
        return next((self._targets[holder][scope].title for holder in self.holders(scope)), "")

    def polled_at(self, scope: Scope) -> float:
        """Start of the last complete poll by any connection, POSIX seconds; 0 if there was none."""
        return max((self._targets[holder][scope].polled_at or 0.0 for holder in self.holders(scope)), default=0.0)

    def of(self, connection: str) -> Collection[Target]:
        return self._targets.get(connection, {}).values()

    def __iter__(self) -> Iterator[Target]:
        for targets in self._targets.values():
            yield from targets.values()
