"""How things stand: connections, organizers, triggers and sinks, as the settings and the state tell it together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from poller.callback import made_at_goto
from poller.fields import format_duration, rounded
from poller.forecast import Gains
from poller.memory import recall
from poller.planner import Outlook
from poller.ports import Clock
from poller.rates import Experience
from poller.roster import Roster
from poller.rotation import Rotation
from poller.settings import Connection, Settings, Trigger
from state.delivery import SinkState
from state.records import ConnectionState, Target
from state.store import Backlog, Pause, PollRow, Select, Store

# A mean delay (seconds) below which nobody needs advice.
WORTH_A_WORD = 300.0

# Held deliveries read at once, to count them by trigger.
_PAGE = 5000

_UNPOLLED = {"unauthorized": "its login is refused; use `poller login`", "forbidden": "these credentials may not do it"}


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """`status`: active, paused, off, unauthorized, forbidden, new (no login yet) or removed (from the settings)."""

    name: str
    status: str
    reason: str
    state: ConnectionState
    products: tuple[str, ...]
    webinars: int  # held, polled or not
    registrants: int  # present at the last complete looks
    polled: int = 0  # targets in rotation, its own lists included; not those that wait for an end
    last_poll: PollRow | None = None
    outlook: Outlook | None = None  # what polling comes to; None while nothing is polled
    gains: Gains | None = None  # what would shorten its delay
    woken_by: tuple[str, ...] = ()  # GoTo's webhooks that nudge it

    @property
    def interval(self) -> float | None:
        """Seconds between two polls of a target, on average; None while nothing is polled."""
        return None if self.outlook is None else self.outlook.mean_interval


@dataclass(frozen=True, slots=True)
class OrganizerView:
    connection: str
    key: str
    webinars: int
    registrants: int
    pause: Pause | None


@dataclass(frozen=True, slots=True)
class TriggerView:
    settings: Trigger
    pause: Pause | None
    held: int


@dataclass(frozen=True, slots=True)
class SinkView:
    """`status`: ok, failing, paused, disabled (by its receiver) or removed (from the settings)."""

    name: str
    type: str
    status: str
    reason: str
    state: SinkState
    backlog: Backlog


@dataclass(frozen=True, slots=True)
class Overview:
    connections: list[ConnectionView]
    organizers: list[OrganizerView]
    triggers: list[TriggerView]
    sinks: list[SinkView]
    notes: list[tuple[str, str]] = field(default_factory=list)  # what a person should know: connection, and a line


async def overview(
    settings: Settings,
    store: Store,
    clock: Clock,
    outlooks: Mapping[str, Outlook] | None = None,
    hints: Mapping[str, float] = MappingProxyType({}),
) -> Overview:
    """Read it all. `outlooks`: those of the running engine; without one they are worked out from the settings.

    `hints`: the count hints that it reads, with the share of the news that they announce.
    """
    states, targets, pauses = await store.connections(), await store.targets(), await store.pauses()
    paused = {(pause.kind, pause.name): pause for pause in pauses}
    experience = Experience()
    await recall(store, experience)
    rotation = Rotation(settings, store, Roster(states, targets), pauses, clock, experience)
    spent = {client: await store.calls_by_hour(client) for client in rotation.clients()}
    gains = rotation.forecast(spent, hints).gains(clock.now().timestamp(), rotation.offers_hint)
    made, backlog = await made_at_goto(store), await store.backlog()
    held = Counter[str]()
    for sink in (name for name, owed in backlog.items() if owed.held):
        held += await _held(store, sink)
    connections = []
    for name in _names((connection.name for connection in settings.connections), (state.name for state in states)):
        state = next((state for state in states if state.name == name), ConnectionState(name))
        view = _connection(settings, state, [target for target in targets if target.connection == name], paused)
        paced = _with_pace(view, rotation, outlooks, await store.polls(1, name))
        connections.append(replace(paced, gains=gains.get(name), woken_by=made[name].events if name in made else ()))
    return Overview(
        connections,
        _organizers(targets, pauses),
        [
            TriggerView(trigger, paused.get(("trigger", trigger.name)), held[trigger.name])
            for trigger in settings.effective_triggers()
        ],
        sink_views(settings, await store.sink_states(), backlog, paused, await unwritten(store)),
        _notes(settings, connections),
    )


def _is_webinar(target: Target) -> bool:
    """Each webinar that a connection holds has one target for its registrants."""
    return target.scope.kind == "registrant"


def _names(*sources: Iterable[str]) -> list[str]:
    """Each once, those of the settings first."""
    return list(dict.fromkeys(name for source in sources for name in source))


async def _held(store: Store, sink: str) -> Counter[str]:
    """Held deliveries of a sink, by the trigger that holds them."""
    found, after = Counter[str](), 0
    while page := await store.deliveries(Select(sink=sink, after=after, limit=_PAGE), ["held"]):
        found.update(view.held_by for view in page)
        after = page[-1].sequence
    return found


def _connection(
    settings: Settings, state: ConnectionState, targets: list[Target], paused: Mapping[tuple[str, str], Pause]
) -> ConnectionView:
    connection = next((known for known in settings.connections if known.name == state.name), None)
    webinars = [target for target in targets if _is_webinar(target)]
    status, reason = _status_of_connection(connection, state, paused.get(("connection", state.name)))
    return ConnectionView(
        name=state.name,
        status=status,
        reason=reason,
        state=state,
        products=() if connection is None else connection.products,
        webinars=len(webinars),
        registrants=sum(target.size for target in webinars),
    )


def _with_pace(
    view: ConnectionView, rotation: Rotation, outlooks: Mapping[str, Outlook] | None, polls: list[PollRow]
) -> ConnectionView:
    polled = rotation.outlooks.get(view.name, Outlook()).targets
    known = rotation.outlooks if outlooks is None else outlooks
    return replace(
        view,
        polled=polled,
        outlook=known.get(view.name) if polled else None,
        last_poll=polls[0] if polls else None,
    )


def _status_of_connection(
    connection: Connection | None, state: ConnectionState, pause: Pause | None
) -> tuple[str, str]:
    if connection is None:
        return "removed", "not in the settings any more"
    if not connection.active:
        return "off", "active = false"
    if pause is not None:
        return "paused", pause.reason
    if state.status != "active":
        return state.status, state.reason or _UNPOLLED.get(state.status, "")
    if not state.organizer_key and connection.organizer_key is None:
        return "new", "not logged in yet"
    return "active", ""


def _organizers(targets: Iterable[Target], pauses: Iterable[Pause]) -> list[OrganizerView]:
    """By the webinars found; an organizer that is paused is listed even where nothing of it is left."""
    paused = {pause.name: pause for pause in pauses if pause.kind == "organizer"}
    webinars, registrants = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for target in targets:
        if _is_webinar(target):
            webinars[target.connection, target.organizer_key] += 1
            registrants[target.connection, target.organizer_key] += target.size
    known = sorted(webinars)
    known += [("", key) for key in sorted(paused.keys() - {key for _, key in known})]
    return [
        OrganizerView(connection, key, webinars[connection, key], registrants[connection, key], paused.get(key))
        for connection, key in known
    ]


async def unwritten(store: Store) -> dict[str, str]:
    """Sinks that do not stand in the settings, and what each is: a subscription's, or a consumer in some program."""
    found = dict.fromkeys(sorted(subscription.sink for subscription in await store.subscriptions()), "subscription")
    return {**dict.fromkeys(sorted(await store.consumers()), "consumer"), **found}


def sink_views(
    settings: Settings,
    states: Iterable[SinkState],
    backlog: Mapping[str, Backlog],
    paused: Mapping[tuple[str, str], Pause],
    unwritten: Mapping[str, str],
) -> list[SinkView]:
    by_name = {state.name: state for state in states}
    written = {sink.name: sink.type for sink in settings.sinks}
    types = {**written, **unwritten, **written}  # in this order; what the settings say of a name holds
    views = []
    for name in _names(types, by_name):
        state = by_name.get(name, SinkState(name))
        status, reason = _status_of_sink(state, name in types, paused.get(("sink", name)))
        views.append(SinkView(name, types.get(name, ""), status, reason, state, backlog.get(name, Backlog())))
    return views


def _status_of_sink(state: SinkState, is_set: bool, pause: Pause | None) -> tuple[str, str]:
    if not is_set:
        return "removed", "not in the settings any more; `poller sinks move` or `poller sinks drop`"
    if state.disabled:
        return "disabled", state.disabled
    if pause is not None:
        return "paused", pause.reason
    return ("failing", state.error) if state.failures else ("ok", "")


def _notes(settings: Settings, connections: Iterable[ConnectionView]) -> list[tuple[str, str]]:
    """What a person may want to do something about: logins, and calls that do not suffice for the pace asked for."""
    found = []
    for view in connections:
        if view.status in _UNPOLLED:
            found.append((view.name, f"is not polled: {view.reason}"))
        if view.outlook is not None and view.outlook.mean_interval > settings.interval.total_seconds() * 1.05:
            found.append((view.name, _slow(settings, view, view.outlook)))
        if view.outlook is not None and view.gains is not None and view.outlook.mean_delay > WORTH_A_WORD:
            found += [(view.name, line) for line in advice(view.gains, woken=bool(view.woken_by))]
    return found


def advice(gains: Gains, *, woken: bool) -> list[str]:
    """What would shorten the delay of a connection, a line each. `woken`: GoTo's webhooks nudge it already."""
    found = []
    if gains.interval is not None:
        floor, delay, calls = gains.interval
        found.append(
            f"interval = {format_duration(timedelta(seconds=floor))} would shorten the mean delay to {rounded(delay)},"
            f" for {calls:.0f} calls a day"
        )
    if gains.count_hint is not None:
        found.append(
            f"a count hint would shorten the mean delay to about {rounded(gains.count_hint)}; it is used by itself"
            " where GoTo still offers the old list of upcoming webinars"
        )
    if gains.webhooks is not None and not woken:
        found.append(
            f"GoTo's webhooks as nudges would shorten the mean delay to about {rounded(gains.webhooks)}:"
            " `poller webhooks subscribe`"
        )
    return found


def _slow(settings: Settings, view: ConnectionView, outlook: Outlook) -> str:
    ceiling = settings.engine.max_interval
    beyond = "" if outlook.keeps_ceiling else f", max_interval {format_duration(ceiling)}"
    return (
        f"the limits allow {outlook.calls_per_day:.0f} polls a day for its {view.polled} targets, one in"
        f" {rounded(outlook.shortest)} to {rounded(outlook.longest)} each, {rounded(outlook.mean_interval)} on average"
        f" (interval is {format_duration(settings.interval)}{beyond});"
        f" a registration is noticed after {rounded(outlook.mean_delay)} on average"
    )
