"""`poller plan`: the coming day on the rates learnt so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poller.cli import frame
from poller.cli.values import Table
from poller.shown import Shown

if TYPE_CHECKING:
    from poller.forecast import Forecast, Hour
    from poller.rotation import Rotation
    from poller.settings import Settings

# So many webinars are listed, those that get most calls first.
MOST_TARGETS = 20


def register(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    length: Annotated[str, typer.Option("--for", help="How far to look ahead, such as 24h or 7d.")] = "24h",
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw calls and delays of each hour into this SVG file.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What the coming day's polls will cost and how soon they notice news, on what is learnt so far. Makes no call."""
    with frame.exits():
        hours = _hours(length)
        _check_plot(plot)
        settings = frame.load_settings(secrets=False)
    rotation, forecast, began, woken = frame.execute(_look_ahead(settings))
    found = forecast.hours(began, hours)
    shown = Shown(settings.engine.display_timezone, as_json=as_json)
    advice = _advice(rotation, forecast, began, woken)
    tables = {
        "connections": _connections(found, forecast, began, shown),
        "hours": _by_hour(found, shown),
        "targets": _targets(rotation, forecast, began, shown),
    }
    if as_json:
        frame.show_json({**{name: table.records() for name, table in tables.items()}, "advice": advice})
    else:
        for name, table in tables.items():
            typer.echo(f"{name}")
            table.print(as_json=False)
            typer.echo("")
        for line in advice:
            typer.echo(frame.plain(line))
    if plot is not None:
        with frame.exits():
            _draw(plot, found, shown)
        if not as_json:
            typer.echo(f"drawn into {plot}")


def _hours(length: str) -> int:
    from poller.errors import UsageError
    from poller.fields import FieldError, parse_duration

    try:
        hours = round(parse_duration(length).total_seconds() / 3600)
    except FieldError as error:
        raise UsageError(f'--for "{length}": {error}') from error
    if not 1 <= hours <= 24 * 31:
        raise UsageError(f'--for "{length}": takes between an hour and 31 days')
    return hours


def _check_plot(plot: Path | None) -> None:
    from poller.errors import UsageError

    if plot is None:
        return
    if plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot}: only SVG is drawn (any browser shows it); name a file that ends in .svg")
    if not plot.absolute().parent.is_dir():
        raise UsageError(f"--plot {plot}: the folder {plot.absolute().parent} does not exist; make it first")


async def _look_ahead(settings: Settings) -> tuple[Rotation, Forecast, float, set[str]]:
    """The connections that GoTo's webhooks nudge come last."""
    from poller.callback import made_at_goto
    from poller.clock import SystemClock
    from poller.memory import recall
    from poller.rates import Experience
    from poller.roster import Roster
    from poller.rotation import Rotation

    clock = SystemClock()
    async with frame.looking(settings) as store:
        live = await frame.live(settings)
        experience = Experience()
        await recall(store, experience)
        roster = Roster(await store.connections(), await store.targets())
        rotation = Rotation(settings, store, roster, await store.pauses(), clock, experience)
        spent = {client: await store.calls_by_hour(client) for client in rotation.clients()}
        hints = {} if live is None else {name: share for name, (_, share) in live["count_hints"].items()}
        woken = {name for name, made in (await made_at_goto(store)).items() if made.events}
        return rotation, rotation.forecast(spent, hints), clock.now().timestamp(), woken


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _connections(hours: list[Hour], forecast: Forecast, began: float, shown: Shown) -> Table:
    """Each connection over the whole time."""
    rows = []
    for name, outlook in sorted(forecast.at(began).items()):
        own = [hour for hour in hours if hour.connection == name]
        news = sum(hour.news for hour in own)
        waited = sum(hour.news * hour.outlook.mean_delay for hour in own)
        rows.append(
            (
                name,
                outlook.targets,
                round(sum(hour.calls for hour in own)),
                round(news, 1),
                shown.length(waited / news if news else outlook.mean_delay),
                shown.length(outlook.shortest),
                shown.length(outlook.longest),
                all(hour.outlook.keeps_ceiling for hour in own),
                "count hint" if name in forecast.hints else "",
            )
        )
    columns = ("name", "targets", "calls", "news", "mean_delay", "shortest", "longest", "keeps_max_interval", "hint")
    return Table(columns, rows, "nothing is polled: log in first, or see `poller status`")


def _by_hour(hours: list[Hour], shown: Shown) -> Table:
    rows = [
        (
            shown.time(hour.begins),
            hour.connection,
            round(hour.calls, 1),
            round(hour.news, 2),
            shown.length(hour.outlook.mean_delay),
            shown.length(hour.outlook.shortest),
            shown.length(hour.outlook.longest),
        )
        for hour in hours
    ]
    return Table(("hour", "connection", "calls", "news", "mean_delay", "shortest", "longest"), rows)


def _targets(rotation: Rotation, forecast: Forecast, began: float, shown: Shown) -> Table:
    rows = []
    for target in forecast.targets:
        interval = rotation.interval(target)
        if interval is None:
            continue
        rate = forecast.experience.rate(target, began)
        rows.append((target, interval, rate))
    rows.sort(key=lambda row: (row[1], row[0].connection, row[0].scope))
    columns = ("connection", "what", "title", "ends", "news_per_day", "interval")
    return Table(
        columns,
        [
            (
                target.connection,
                str(target.scope),
                target.title,
                shown.time(target.ends_at),
                round(rate * 86_400, 2),
                shown.length(interval),
            )
            for target, interval, rate in rows[:MOST_TARGETS]
        ],
    )


def _advice(rotation: Rotation, forecast: Forecast, began: float, woken: set[str]) -> list[str]:
    from poller.overview import advice

    gains = forecast.gains(began, rotation.offers_hint)
    return [f"{name}: {line}" for name in sorted(gains) for line in advice(gains[name], woken=name in woken)]


def _draw(plot: Path, hours: list[Hour], shown: Shown) -> None:
    from poller import charts
    from poller.errors import UsageError
    from poller.files import write_whole

    begins = sorted({hour.begins for hour in hours})
    labels = [str(Shown.time(shown, moment))[11:16] for moment in begins]
    calls = [sum(hour.calls for hour in hours if hour.begins == moment) for moment in begins]
    delays = [_mean_delay([hour for hour in hours if hour.begins == moment]) / 60 for moment in begins]
    drawn = charts.page(
        charts.bars("Calls an hour", calls, labels, "calls"), charts.line("Mean delay", delays, labels, "min")
    )
    try:
        write_whole(plot, drawn)
    except OSError as error:
        raise UsageError(f"--plot {plot}: cannot be written ({error.strerror})") from error


def _mean_delay(hours: list[Hour]) -> float:
    news = sum(hour.news for hour in hours)
    return sum(hour.news * hour.outlook.mean_delay for hour in hours) / news if news else 0.0
