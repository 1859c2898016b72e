"""A GoTo to try things against: simulate and demo."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

import typer

from poller.cli import frame


class Encoding(StrEnum):
    HEX = "hex"
    BASE64 = "base64"


class Signed(StrEnum):
    BODY = "body"
    TIMESTAMP_BODY = "timestamp.body"


def _hook(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="GoTo's webhooks", **more)


def _share(text: str) -> Any:
    return _hook(f"Share of events, 0 to 1, {text}", min=0, max=1)


def register(app: typer.Typer) -> None:
    app.command()(simulate)
    app.command()(demo)


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8475,
    webinars: Annotated[int, typer.Option(min=0, help="Webinars at the start.")] = 20,
    registrants: Annotated[int, typer.Option(min=0, help="Registrants at the start, over all webinars.")] = 300,
    rate: Annotated[float, typer.Option(min=0, help="Registrations per minute.")] = 30.0,
    meetings: Annotated[int, typer.Option(min=0, help="Meetings at the start, those held before included.")] = 0,
    meeting_rate: Annotated[float, typer.Option(min=0, help="New meetings per minute.")] = 0.0,
    limits: Annotated[
        str, typer.Option(help="The API's limits: none, safe, published, power-automate or developer.")
    ] = "published",
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="NAME[=PROBABILITY]", help="May be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 1,
    speed: Annotated[float, typer.Option(min=0.001, help="How many times faster than real time it lives.")] = 1.0,
    past_share: Annotated[float, typer.Option(min=0, max=1, help="Share of webinars that have been held already.")] = 0,
    attendance_delay: Annotated[
        str, typer.Option(metavar="DURATION", help="From the end of a session until its attendance shows.")
    ] = "0s",
    webhooks_loss: Annotated[float, _share("that are never sent.")] = 0,
    webhooks_duplication: Annotated[float, _share("that are sent twice.")] = 0,
    webhooks_reordering: Annotated[float, _share("that later ones overtake.")] = 0,
    webhooks_forgery: Annotated[float, _share("that come with an invented one, wrongly signed.")] = 0,
    webhooks_delay: Annotated[str, _hook("Each event comes up to so much late.", metavar="DURATION")] = "0s",
    webhooks_encoding: Annotated[Encoding, _hook("Of the signature.")] = Encoding.HEX,
    webhooks_signed: Annotated[Signed, _hook("What the signature is over.")] = Signed.BODY,
) -> None:
    """Run a simulated GoTo on loopback until interrupted, and say how to point the engine at it."""
    with frame.exits():
        from poller.fields import parse_duration
        from poller.simulator import WebhookOptions

        attendance_seconds = parse_duration(attendance_delay).total_seconds()
        webhooks = WebhookOptions(
            loss=webhooks_loss,
            duplication=webhooks_duplication,
            reordering=webhooks_reordering,
            forgery=webhooks_forgery,
            delay_seconds=parse_duration(webhooks_delay).total_seconds(),
            encoding=webhooks_encoding.value,
            signed=webhooks_signed.value,
        )
    world = {"webinars": webinars, "registrants": registrants, "rate": rate, "seed": seed, "speed": speed}
    held = {"past_share": past_share, "attendance_delay": attendance_seconds, "webhooks": webhooks}
    meeting_world = {"meetings": meetings, "meeting_rate": meeting_rate}
    frame.execute(_serve(port, limits=limits, faults=fault or [], **world, **held, **meeting_world))


async def _serve(port: int, **options: Any) -> None:
    from poller.errors import PollerError
    from poller.simulator import simulate as serve

    try:
        await serve(port=port, ready=_tell, **options)
    except BrokenPipeError:  # nobody reads what `ready` tells; that is not about the port
        raise
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise PollerError(f"port {port} cannot be opened ({why}); --port takes another, 0 a free one") from error


def demo(
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, in real time.")] = "30s",
    speed: Annotated[float, typer.Option(min=1, help="How many times faster than real time it all lives.")] = 60.0,
    http: Annotated[
        str, typer.Option(metavar="ADDR", help="Open the HTTP surface there, such as 127.0.0.1:8470.")
    ] = "",
) -> None:
    """See it work: a simulated GoTo, the engine on SQLite in a temporary folder, events on the screen.

    Ends with a summary, checked against the simulator's truth; exit 1 if an event was lost or doubled.
    """
    with frame.exits():
        from poller.cli.demo import demo as show
        from poller.fields import parse_duration

        seconds = parse_duration(for_).total_seconds()
    frame.options.log_level = "warning" if frame.options.log_level == "info" else frame.options.log_level
    verdict = frame.execute(show(seconds, speed, http))
    if verdict.lost or verdict.doubled:
        raise typer.Exit(1)


def _tell(base_url: Any) -> None:
    typer.echo(f"a simulated GoTo listens at {base_url}; organizers and their tokens: {base_url}/_simulator/organizers")
    typer.echo(
        f'[goto]  api_url = auth_url = "{base_url}"  client_id = "simulator"  client_secret = "simulator-secret"'
    )
