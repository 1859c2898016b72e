"""From nothing to a connection that works: init, login."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poller.cli import frame

if TYPE_CHECKING:
    from poller.settings import Settings
    from poller.settings.sections import Connection


def register(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(login)


def init(
    file: Annotated[
        Path | None, typer.Argument(help="Default: what --config or $POLLER_CONFIG names, else ./poller.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a settings file that explains every key."""
    from poller.settings.example import write_example
    from poller.settings.reading import settings_path

    with frame.exits():
        path = settings_path(file or frame.options.config)
        write_example(path, force)
    typer.echo(f"wrote {path}; next: client_id under [goto], GOTO_CLIENT_SECRET, then `poller login main`")


def login(
    connection: Annotated[str, typer.Argument(help="Its name in the settings.")],
    pat: Annotated[
        bool, typer.Option("--pat", help="Take a personal access token from standard input instead of a browser.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address; open it wherever this machine is reached.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="The name may go to another organizer, and a lost key is given up.")
    ] = False,
) -> None:
    """Log in to GoTo for one connection. The tokens are kept encrypted in the state."""
    with frame.exits():
        settings = frame.load_settings()
        chosen = _chosen(settings, connection)
        token = _token_from_standard_input() if pat else ""
    result = frame.execute(_login(settings, chosen, token, _nobody if no_browser else _open_browser, replace))
    typer.echo(f"{connection}: logged in as organizer {result['organizer_key']}")


def _chosen(settings: Settings, name: str) -> Connection:
    from poller.connecting import oauth_client
    from poller.errors import UsageError

    connection = frame.named("connection", name, settings.connections)
    if not connection.active:
        raise UsageError(f'connection "{name}" has active = false in the settings; change that first')
    if connection.pat is not None:
        raise UsageError(f'connection "{name}" has a pat in the settings, which wins over any login; remove that first')
    oauth_client(settings, connection)
    return connection


def _token_from_standard_input() -> str:
    from getpass import getpass

    from poller.errors import UsageError

    text = getpass("personal access token: ") if sys.stdin.isatty() else sys.stdin.read()
    if len(text.split()) != 1:
        raise UsageError("--pat: standard input must hold the personal access token and nothing else")
    return text.strip()


def _nobody(_: str) -> None: ...


def _open_browser(url: str) -> None:
    import webbrowser
    from threading import Thread

    # A browser in the terminal would hold up everything until it is left.
    Thread(target=webbrowser.open, args=(url,), daemon=True).start()


async def _login(
    settings: Settings, connection: Connection, pat: str, browse: Callable[[str], None], replace: bool
) -> Any:
    from poller.errors import UsageError

    engine = await frame.live(settings)
    if engine is None:
        # Opened before the person is sent away: what keeps the login from being stored is said first.
        async with frame.opened(settings, key_lost=replace) as app:
            credentials = await _credentials(settings, connection, pat, browse)
            return await frame.local(app, "login", connection=connection.name, replace=replace, **credentials)
    if connection.name not in engine["connections"]:
        raise UsageError(f'the running engine does not know connection "{connection.name}" yet: `poller reload` first')
    credentials = await _credentials(settings, connection, pat, browse)
    return await frame.command(settings, "login", connection=connection.name, replace=replace, **credentials)


async def _credentials(
    settings: Settings, connection: Connection, pat: str, browse: Callable[[str], None]
) -> dict[str, Any]:
    """What the command `login` of the engine takes: `pat`, or `tokens` as JSON."""
    if pat:
        return {"pat": pat}
    from poller.clock import SystemClock
    from poller.connecting import oauth_client, scopes_of, transport_settings
    from poller.goto import TokenEndpoint, Transport
    from poller.goto.login import authorize

    clock, goto = SystemClock(), settings.goto
    async with Transport(transport_settings(settings)) as transport:
        tokens = await authorize(
            TokenEndpoint(goto.auth_url, oauth_client(settings, connection), transport, clock),
            redirect_uri=goto.redirect_uri,
            scopes=scopes_of(settings, connection),
            clock=clock,
            open_browser=browse,
            show_url=_show_url,
        )
    fields = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": tokens.scope}
    return {"tokens": {**fields, "expires_at": tokens.expires_at.timestamp()}}


def _show_url(url: str) -> None:
    typer.echo("log in at this address; it comes back to this machine:", err=True)
    typer.echo(url)
