"""Commands that look at how things stand: status, polls, and the lists of what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import eventlog, explaining, frame, groups, owed, planning, sampling
from poller.cli.values import Table
from poller.shown import POLL_COLUMNS, Shown, poll_cells

if TYPE_CHECKING:
    from poller.overview import ConnectionView, Overview, SinkView
    from poller.settings import Settings
    from state.sqlite import SqliteStore
    from state.store import PollRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(polls)
    groups.connections.command("list")(list_connections)
    groups.organizers.command("list")(list_organizers)
    groups.triggers.command("list")(list_triggers)
    groups.sinks.command("list")(list_sinks)
    for part in (explaining, eventlog, sampling, owed, planning):
        part.register(app)


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def status(as_json: Json = False) -> None:
    """Connections, limits, triggers and sinks at this moment; works beside a running engine and without one."""
    settings = _settings()
    view, live = frame.execute(_overview(settings))
    shown = _shown(settings, as_json)
    tables = {
        "connections": connections_table(view, shown),
        "limits": _limits_table(live),
        "triggers": triggers_table(view, shown),
        "sinks": sinks_table(view, shown),
    }
    if as_json:
        notes = [{"connection": name, "note": line} for name, line in view.notes]
        head = {"running": live is not None, "state": str(settings.engine.state), "notes": notes}
        frame.show_json({**head, **{name: table.records() for name, table in tables.items()}})
        return
    typer.echo(_running_line(live))
    for name, table in tables.items():
        if name != "limits" or live is not None:
            typer.echo(f"\n{name}")
            table.print(as_json=False)
    for name, line in view.notes:
        typer.echo(f"\n{frame.plain(name)}: {frame.plain(line)}")


def _settings() -> Settings:
    with frame.exits():
        return frame.load_settings(secrets=False)


def _shown(settings: Settings, as_json: bool) -> Shown:
    return Shown(settings.engine.display_timezone, as_json=as_json)


async def _overview(settings: Settings) -> tuple[Overview, dict[str, Any] | None]:
    from poller.clock import SystemClock
    from poller.overview import overview
    from poller.planner import Outlook

    async with frame.looking(settings) as store:
        live = await frame.live(settings)
        outlooks = None if live is None else {name: Outlook(**outlook) for name, outlook in live["outlooks"].items()}
        hints = {} if live is None else {name: share for name, (_, share) in live["count_hints"].items()}
        return await overview(settings, store, SystemClock(), outlooks, hints), live


def _running_line(live: dict[str, Any] | None) -> str:
    if live is None:
        return "engine: not running; `poller run` starts it"
    done = sum(live["polls"].values())
    delivered = sum(live["deliveries"].values())
    failing = f", {live['failing']} targets failing" if live["failing"] else ""
    return f"engine: running; since its start {done} polls, {live['calls']} calls, {delivered} deliveries{failing}"


def _limits_table(live: dict[str, Any] | None) -> Table:
    windows = [] if live is None else [(client, window) for client, found in live["limits"].items() for window in found]
    rows = [(client, window["window"], window["used"], window["limit"]) for client, window in windows]
    return Table(("client", "window", "used", "limit"), rows, "no limits are set")


# ── tables of what there is ──────────────────────────────────────────────────────────────────────────────────────────


def connections_table(view: Overview, shown: Shown) -> Table:
    columns = (
        "name",
        "status",
        "organizer",
        "baseline",
        "webinars",
        "registrants",
        "polled",
        "last_poll",
        "outcome",
        "interval",
        "mean_delay",
        "reason",
    )
    rows = [_connection_row(connection, shown) for connection in view.connections]
    return Table(columns, rows, "no connections in the settings; add [[connections]]")


def _connection_row(view: ConnectionView, shown: Shown) -> tuple[Any, ...]:
    last = view.last_poll
    return (
        view.name,
        view.status,
        view.state.organizer_key or None,
        shown.time(view.state.baseline_at, "not yet"),
        view.webinars,
        view.registrants,
        view.polled,
        shown.time(None if last is None else last.started_at, "never"),
        None if last is None else last.outcome,
        shown.length(view.interval),
        shown.length(None if view.outlook is None else view.outlook.mean_delay),
        view.reason,
    )


def triggers_table(view: Overview, shown: Shown) -> Table:
    columns = ("name", "status", "on", "connections", "webinars", "when", "flood", "sinks", "held", "since", "reason")
    rows = [
        (
            trigger.settings.name,
            "active" if trigger.pause is None else "paused",
            shown.listed(trigger.settings.on),
            shown.listed(trigger.settings.connections),
            shown.listed(trigger.settings.webinars),
            trigger.settings.when,
            trigger.settings.flood,
            shown.listed(trigger.settings.sinks),
            trigger.held,
            shown.time(None if trigger.pause is None else trigger.pause.since),
            "" if trigger.pause is None else trigger.pause.reason,
        )
        for trigger in view.triggers
    ]
    return Table(columns, rows)


def sinks_table(view: Overview, shown: Shown) -> Table:
    columns = (
        "name",
        "type",
        "status",
        "pending",
        "held",
        "dead",
        "delivered",
        "oldest",
        "last_delivery",
        "failures",
        "next_try",
        "reason",
    )
    rows = [_sink_row(sink, shown) for sink in view.sinks]
    return Table(columns, rows, "no sinks in the settings; events are kept for those who pull")


def _sink_row(view: SinkView, shown: Shown) -> tuple[Any, ...]:
    owed, state = view.backlog, view.state
    return (
        view.name,
        view.type or None,
        view.status,
        owed.pending,
        owed.held,
        owed.dead,
        owed.delivered,
        shown.time(owed.oldest),
        shown.time(state.delivered_at),
        state.failures,
        shown.time(state.retry_at if state.failures else None),
        view.reason,
    )


def organizers_table(view: Overview, shown: Shown) -> Table:
    rows = [
        (
            organizer.connection or None,
            organizer.key,
            "active" if organizer.pause is None else "paused",
            organizer.webinars,
            organizer.registrants,
            shown.time(None if organizer.pause is None else organizer.pause.since),
        )
        for organizer in view.organizers
    ]
    columns = ("connection", "organizer", "status", "webinars", "registrants", "since")
    return Table(columns, rows, "no organizers yet; they are known once webinars were found")


def list_connections(as_json: Json = False) -> None:
    """Connections: whose they are, what they found, how often they poll."""
    _list(connections_table, as_json)


def list_organizers(as_json: Json = False) -> None:
    """Organizers, by the webinars found of them."""
    _list(organizers_table, as_json)


def list_triggers(as_json: Json = False) -> None:
    """Triggers: what each sends where, and what it holds back."""
    _list(triggers_table, as_json)


def list_sinks(as_json: Json = False) -> None:
    """Sinks: what each is owed and how it fares; removed ones that are still owed something too."""
    _list(sinks_table, as_json)


def _list(table: Any, as_json: bool) -> None:
    settings = _settings()
    view, _ = frame.execute(_overview(settings))
    table(view, _shown(settings, as_json)).print(as_json=as_json)


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def polls(
    connection: Annotated[str | None, typer.Option(help="Only of this connection.")] = None,
    webinar: Annotated[str | None, typer.Option(help="Only of this webinar's or meeting's lists (its key).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """The journal, one row a poll, the newest last."""
    settings = _settings()
    rows = frame.execute(_polls(settings, connection, webinar, limit))
    filtered = connection is not None or webinar is not None
    empty = "no such polls yet" if filtered else "no polls yet; is the engine running? `poller run`"
    polls_table(rows, _shown(settings, as_json), empty).print(as_json=as_json)


async def _polls(settings: Settings, connection: str | None, webinar: str | None, limit: int) -> list[PollRow]:
    async with frame.looking(settings) as store:
        if connection is not None:
            await _require_connection(settings, store, connection)
        return (await store.polls(limit, connection, webinar))[::-1]


async def _require_connection(settings: Settings, store: SqliteStore, name: str) -> None:
    from poller.errors import UsageError
    from poller.settings.nearest import suggestion

    known = [connection.name for connection in settings.connections]
    known += [state.name for state in await store.connections() if state.name not in known]
    if name not in known:
        raise UsageError(f'there is no connection "{name}"{suggestion(name, known)}')


def polls_table(found: list[PollRow], shown: Shown, empty: str = "nothing") -> Table:
    return Table(POLL_COLUMNS, [poll_cells(row, shown) for row in found], empty)
