"""Who is polled and how often, told from settings and state alone: for those who look while no engine runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from random import Random

from poller.engine import Engine
from poller.fields import format_duration
from poller.forecast import Forecast
from poller.membership import Membership, Pace
from poller.planner import Outlook, Quota
from poller.ports import Clock
from poller.rates import Experience
from poller.roster import HISTORY, MEETING_STARTS, MEETINGS, WEBINAR_STARTS, WEBINARS, Roster, hold_of, plural, root_of
from poller.routing import Routing
from poller.scheduler import Scheduler
from poller.settings import Connection, Settings
from poller.sources import calls_of
from poller.triggers import Triggers
from poller.watch import Watch
from state.records import Scope, Target
from state.store import Pause, Store


def quota_of(settings: Settings) -> Quota:
    limits = settings.limits
    return Quota(limits.per_second, limits.per_operation_per_second, limits.per_connection_per_minute, limits.per_day)


def pace_of(settings: Settings) -> Pace:
    engine = settings.engine
    return Pace(engine.interval, engine.nudge_interval, engine.max_interval, engine.poll_concurrency)


def roots_of(connection: Connection) -> tuple[Scope, ...]:
    """The lists of its own that a connection can be polled for."""
    lists = {"webinar": (WEBINARS, WEBINAR_STARTS), "meeting": (MEETINGS, HISTORY, MEETING_STARTS)}
    return tuple(root for product in connection.products for root in lists[product])


class Rotation:
    """What the scheduler of an engine with these settings would poll. It is asked, and never run."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        roster: Roster,
        pauses: Collection[Pause],
        clock: Clock,
        experience: Experience | None = None,
    ) -> None:
        self._settings = settings
        self._roster = roster
        self._clock = clock
        self._paused = {(pause.kind, pause.name) for pause in pauses}
        self._by_name = {connection.name: connection for connection in settings.connections}
        self._routing = Routing(Triggers(settings.effective_triggers(), [sink.name for sink in settings.sinks]))
        self._scheduler = Scheduler(
            Engine(store, roster, self._routing, clock),
            roster,
            self._membership(),
            clock,
            Random(0),  # noqa: S311 - nothing is drawn
            Watch(_unheard),
            pace_of(settings),
            experience,
        )
        self._experience = experience or Experience()
        self._scheduler.refresh()
        self.polled = frozenset(self._scheduler.polled_keys())

    @property
    def outlooks(self) -> Mapping[str, Outlook]:
        """What polling comes to, by connection, as settings and quota allow."""
        return self._scheduler.outlooks

    def interval(self, target: Target) -> float | None:
        """Seconds between two polls of this target; None if it is not polled."""
        return self._scheduler.interval((target.connection, target.scope))

    def forecast(self, spent: Mapping[str, Sequence[float]], hints: Mapping[str, float]) -> Forecast:
        """`spent`: of each client, calls in each of the last 24 hours; `hints`: see Forecast."""
        held = (target for key in self.polled if (target := self._roster.target(*key)) is not None)
        targets = [target for target in held if target.ends is None]  # the others have dates of their own, and are few
        pace, membership = pace_of(self._settings), self._membership()
        return Forecast(
            targets,
            self._experience,
            membership.client_of,
            quota_of(self._settings),
            spent,
            membership.cost,
            floor=pace.interval.total_seconds(),
            ceiling=pace.max_interval.total_seconds(),
            hints=hints,
        )

    def clients(self) -> set[str]:
        """OAuth clients of the connections that are polled."""
        return {self._settings.client_of(self._by_name[name])[0] for name, _ in self.polled}

    def offers_hint(self, connection: str) -> bool:
        """Whether the settings let a count hint be tried."""
        settings = self._by_name[connection]
        return settings.count_hint == "auto" and not settings.account

    def why_not(self, target: Target) -> str:
        """Why `target` is not polled; empty if it is."""
        if (target.connection, target.scope) in self.polled:
            return ""
        return self._connection_is_out(target.connection) or self._target_is_out(target)

    def _membership(self) -> Membership:
        quota = quota_of(self._settings)
        return Membership(
            connections=lambda: [name for name in self._by_name if not self._connection_is_out(name)],
            roots=lambda name: self._routing.wanted(name, roots_of(self._by_name[name])),
            wants=self._wants,
            client_of=lambda name: self._settings.client_of(self._by_name[name])[0],
            quota_of=lambda client: quota,
            spent=lambda client: [],
            cost=lambda target: calls_of(target, self._by_name[target.connection].page_above),
            delay=lambda name, kind: 0.0,
            settle=lambda name: self._by_name[name].settle.total_seconds(),
        )

    def _connection_is_out(self, name: str) -> str:
        connection, state = self._by_name.get(name), self._roster.connection(name)
        if connection is None:
            return f"connection {name} is no longer in the settings"
        if not connection.active:
            return f"connection {name} is switched off (active = false)"
        if ("connection", name) in self._paused:
            return f"connection {name} is paused; `poller connections resume {name}`"
        if state.status != "active":
            return f"connection {name} is {state.status}; `poller login {name}`"
        return "" if _is_introduced(connection, state.organizer_key) else f"connection {name} has not logged in yet"

    def _wants(self, target: Target) -> bool:
        if ("organizer", target.organizer_key) in self._paused:
            return False
        return self._routing.wants(target, self._roster.holders(hold_of(target.scope)))

    def _target_is_out(self, target: Target) -> str:
        if ("organizer", target.organizer_key) in self._paused:
            return f"organizer {target.organizer_key} is paused; `poller organizers resume {target.organizer_key}`"
        if root_of(target.scope) not in roots_of(self._by_name[target.connection]):
            return f"connection {target.connection} does not read its product (products)"
        if not target.scope.is_root and not self._wants(target):
            return f"no trigger asks for its {plural(target.scope.kind)}"
        reader = self._reader(target)
        if reader:
            return f"connection {reader} reads it for all"
        if target.ends == ():
            return "nothing of it has ended yet, or it ended before this connection began"
        settle = self._by_name[target.connection].settle
        return (
            f"it is over, and {format_duration(settle)} have passed since" if target.ends_at else "nothing asks for it"
        )

    def _reader(self, target: Target) -> str:
        holders: Iterable[str] = self._roster.holders(target.scope)
        return next((name for name in holders if (name, target.scope) in self.polled), "")


def _is_introduced(connection: Connection, organizer_key: str) -> bool:
    return bool(organizer_key) or (connection.organizer_key is not None and not connection.account)


async def _unheard(connection: str, error: Exception) -> None:
    """Nothing is polled, so nothing is refused."""
