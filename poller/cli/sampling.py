"""A valid example of an event, on its own or as a sink would send it: sample."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.ports import Outgoing
    from poller.settings import Settings
    from poller.sinks.base import Preview, SinkSettings

# Stands in for secrets that are not to be had here; also a valid signing secret, so that a receiver can be tried.
EXAMPLE_SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtb2YtcG9sbGVyLXNhbXBsZQ=="  # noqa: S105 - it protects nothing


def register(app: typer.Typer) -> None:
    app.command()(sample)


def sample(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Such as registrant.added.")],
    sink: Annotated[
        str | None, typer.Option(metavar="NAME", help="As this sink would send it: its format, its headers.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """A valid example of an event. With --sink exactly what that sink would send, at this moment and unsent."""
    with frame.exits():
        outgoing = sample_of(type_)
        if sink is None:
            _show_event(outgoing, as_json)
            return
        settings = frame.load_settings(secrets=False)
        chosen = frame.named("sink", sink, settings.sinks)
        stand_in, replaced = _with_secrets(chosen)
        preview = _preview(settings, stand_in, outgoing)
    if as_json:
        frame.show_json({"sink": sink, "type": chosen.type, **_as_dict(preview)})
    else:
        _show(preview)
    if replaced and any(name.endswith("-signature") for name in preview.headers):
        typer.echo(f"the secret is not to be had here; signed with the example {EXAMPLE_SECRET}", err=True)


def sample_of(type_: str) -> Outgoing:
    """Raises UsageError with the nearest type there is, or with all of them."""
    from poller.errors import UsageError
    from poller.samples import sample, types
    from poller.settings.nearest import suggestion
    from state.events import short_type

    short = short_type(type_)
    if short not in types():
        hint = suggestion(short, types()) or f"; there are: {', '.join(types())}"
        raise UsageError(f'there is no sample of "{type_}"{hint}')
    return sample(short)


def _show_event(outgoing: Outgoing, as_json: bool) -> None:
    pretty = sys.stdout.isatty() and not as_json
    typer.echo(json.dumps(outgoing.event, indent=2, ensure_ascii=False) if pretty else outgoing.body.decode())


def _with_secrets(sink: SinkSettings) -> tuple[SinkSettings, bool]:
    """The settings with an example for each secret that cannot be looked up here, and whether there was one."""
    stand_ins = {name: _stand_in(getattr(sink, name)) for name in type(sink).model_fields}
    replaced = {name: value for name, value in stand_ins.items() if value != getattr(sink, name)}
    return sink.model_copy(update=replaced), bool(replaced)


def _stand_in(value: Any) -> Any:
    from poller.fields import FieldError, Secret

    if isinstance(value, tuple):
        return tuple(_stand_in(inner) for inner in value)
    if isinstance(value, dict):
        return {name: _stand_in(inner) for name, inner in value.items()}
    if isinstance(value, Secret):
        try:
            value.reveal()
        except FieldError:
            return Secret(EXAMPLE_SECRET)
    return value


def _preview(settings: Settings, sink: SinkSettings, outgoing: Outgoing) -> Preview:
    from poller.formats import Format
    from poller.sinks.base import BaseSink, Preview, SinkContext
    from poller.sinks.registry import build_sink

    built = build_sink(sink, SinkContext(base=settings.path.parent if settings.path is not None else Path.cwd()))
    if isinstance(built, BaseSink):
        return built.preview(outgoing)
    return Preview(*Format(sink.format, sink.template).encode(outgoing))


def _as_dict(preview: Preview) -> dict[str, Any]:
    method, _, url = preview.target.partition(" ")
    where = {"method": method, "url": url} if "://" in url else {"target": preview.target}
    return {**where, "content_type": preview.content_type, "headers": preview.headers, "body": preview.body.decode()}


def _show(preview: Preview) -> None:
    """As a request looks on the wire, where there is more than a body."""
    if preview.target:
        typer.echo(preview.target)
        for name, value in preview.headers.items():
            typer.echo(f"{name}: {value}")
        typer.echo()
    typer.echo(preview.body.decode())
