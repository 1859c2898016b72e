"""The long-running process, and what starts from nothing: run, reload, sync, backfill."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.app import App

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(reload)
    app.command()(sync)
    app.command()(backfill)


def run(
    once: Annotated[
        bool, typer.Option("--once", help="One pass over everything, one attempt per due delivery; then end.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="One pass that prints the events it would send, and sends nothing.")
    ] = False,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="End after that time, such as 10m.")] = "",
) -> None:
    """Poll and deliver until told to stop. SIGHUP takes changed settings, SIGTERM ends after what is under way."""
    with frame.exits():
        settings = frame.load_settings()
        seconds = _seconds(for_)
    if dry_run:
        frame.execute(_rehearse(settings))
    elif once:
        frame.execute(_once(settings))
    else:
        _use_uvloop()
        frame.execute(_run(settings, seconds))


def _seconds(text: str) -> float | None:
    from poller.fields import parse_duration

    return parse_duration(text).total_seconds() if text else None


def _use_uvloop() -> None:
    """The extra `speed`, where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def _run(settings: Any, seconds: float | None) -> None:
    from poller.service import serve

    async with frame.opened(settings) as app:
        frame.on_signals((signal.SIGTERM, signal.SIGINT), app.stop)
        await serve(app, frame.load_settings, seconds)


async def _once(settings: Any) -> None:
    async with frame.opened(settings) as app:
        result = await app.once()
        backlog = await app.store.backlog()
        away = app.outlets.away  # owed to programs that read by themselves; nothing of it is due here
        remaining = {name: found.pending for name, found in backlog.items() if found.pending and name not in away}
        _say_problems(app, result.errors)
    if remaining:
        told = ", ".join(f"{name}: {count}" for name, count in remaining.items())
        frame.fail(f"deliveries remain ({told}); `poller deliveries` shows them")
    if result.errors:
        raise typer.Exit(1)


def _say_problems(app: App, errors: list[Exception]) -> None:
    """An outage fails every poll alike: it is said once."""
    from poller.log import clean

    counts = Counter(clean(str(error)) for error in errors)
    for text, count in counts.items():
        typer.echo(f"poller: {text}" + (f" ({count} times)" if count > 1 else ""), err=True)
    if app.logins.hopeless():
        frame.fail("no connection can work without a login; run `poller login NAME`", 3)


async def _rehearse(settings: Any) -> None:
    from poller.service import rehearse

    async with frame.opened(settings) as app:
        errors = await rehearse(app, lambda event: typer.echo(event.body.decode()))
        _say_problems(app, errors)
    if errors:
        raise typer.Exit(1)


def reload() -> None:
    """Let the running engine take the changed settings file; nothing is sent again because of it."""
    with frame.exits():
        settings = frame.load_settings()
    result = frame.execute(_reload(settings))
    changed = ", ".join(result["changed"]) or "nothing"
    typer.echo(f"reloaded; changed: {changed}")


async def _reload(settings: Any) -> Any:
    from poller.control import request, socket_path
    from poller.errors import PollerError

    try:
        return await request(socket_path(settings.engine.state), "reload", {})
    except ConnectionError as error:
        raise PollerError("no engine is running on this state; `poller run` starts one") from error


def sync(
    connection: Annotated[str | None, typer.Argument(help="Only this connection.")] = None,
    webinar: Annotated[str | None, typer.Option(help="Only the registrants of this webinar (its key).")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="End after the commit, and say what came.")] = False,
    as_json: Json = False,
) -> None:
    """Check now: nudges the running engine; without one, polls once itself."""
    with frame.exits():
        settings = frame.load_settings()
    with frame.progress_bar("checking") as progress:
        work = frame.command(settings, "sync", progress, connection=connection, webinar=webinar, wait=wait)
        result = frame.execute(work)
    problems = result.get("problems", [])
    if not as_json:
        result.pop("problems", None)
    frame.show_facts(result, as_json=as_json)
    if problems:
        frame.fail("; ".join(dict.fromkeys(problems)))


def backfill(
    connection: Annotated[str, typer.Argument(help="Whose history.")],
    since: Annotated[str, typer.Option(metavar="DATE|DURATION", help="2026-01-01, or P1Y for one year back.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be told, and tell nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Tell history that was not told before (`backfill: true` in each event). Safe to repeat."""
    with frame.exits():
        settings = frame.load_settings()
        moment = _moment(since)
    with frame.progress_bar("backfilling") as progress:
        work = frame.command(settings, "backfill", progress, connection=connection, since=moment, dry_run=dry_run)
        result = frame.execute(work)
    frame.show_facts(result, as_json=as_json)
    if result["failed"]:
        frame.fail(f"{result['failed']} lists could not be read; repeat the backfill later")


def _moment(since: str) -> str:
    from datetime import UTC, datetime

    from poller.errors import UsageError
    from poller.fields import parse_start

    now = datetime.now(UTC)
    moment = parse_start(since).since(now)
    if moment is None:
        raise UsageError(f'--since "{since}": takes a date such as 2026-01-01 or a length such as P1Y')
    if moment > now:
        raise UsageError(f'--since "{since}": lies ahead, and history does not; name a date in the past')
    return moment.isoformat()
