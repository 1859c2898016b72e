"""What every command shares: the settings file, the way to a running engine or to the state, output and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO, TypeVar

import typer

from poller.errors import PollerError, exit_code

if TYPE_CHECKING:
    from rich.table import Table

    from poller.app import App
    from poller.settings import Settings
    from state.sqlite import SqliteStore

T = TypeVar("T")

# How long (seconds) a command waits for whoever holds the state to listen, or to be gone: longer than an engine that
# ends lets deliveries finish (engine.grace, 10 s unless somebody changes it).
HANDOVER = 15.0


_KEY = 19  # digits


@dataclass(slots=True)
class Options:
    """The options before the command, `poller --config FILE …`."""

    config: Path | None = None
    log_format: str = "console"
    log_level: str = "info"


options = Options()


def load_settings(*, secrets: bool = True) -> Settings:
    """`secrets=False` for commands that only look: they may run where the secrets are not."""
    from poller.settings import Settings

    return Settings.load(options.config, secrets=secrets)


def execute(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; whatever it raises on purpose becomes one line on stderr and an exit code."""
    from poller.log import configure

    configure(options.log_format, options.log_level)  # type: ignore[arg-type]  # checked by typer
    with exits():
        return asyncio.run(_until_sigterm(work))
    raise AssertionError  # exits() never passes here without a result


async def _until_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends a command as an interrupt does: what it has opened is closed."""
    whole = asyncio.current_task()
    assert whole is not None
    on_signals((signal.SIGTERM,), whole.cancel)
    return await work


def on_signals(numbers: Iterable[int], call: Callable[[], object]) -> None:
    """In a thread other than the main one, which alone may have signal handlers, nothing happens.

    The loop's own handlers would go with the loop, and the default ones, which kill, come back before the process has
    ended. These stay; once the loop is closed, whatever they ask for has been done.
    """
    loop = asyncio.get_running_loop()

    def pass_on(*_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call)

    with contextlib.suppress(ValueError):
        for number in numbers:
            signal.signal(number, pass_on)


class Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


def named(kind: str, name: str, items: Iterable[Item]) -> Item:
    """The item of that name. Raises UsageError with the nearest right spelling."""
    from poller.errors import UsageError
    from poller.settings.nearest import suggestion

    known = {item.name: item for item in items}
    if name not in known:
        raise UsageError(f'there is no {kind} "{name}" in the settings{suggestion(name, known)}')
    return known[name]


@contextlib.contextmanager
def exits() -> Any:
    """Errors that a person can cause never show a traceback."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(0) from None
    except BrokenPipeError:
        stop_talking()  # whoever read our output went away (`poller events | head`)
        raise typer.Exit(0) from None
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        fail(*told)


def _told(error: Exception) -> tuple[str, int] | None:
    """What to say of an error and with which code to end; None for a defect, whose traceback is wanted."""
    from poller.control import RemoteError
    from state.errors import StateError

    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RemoteError):
        return str(error), error.exit
    if isinstance(error, (PollerError, StateError)):
        return str(error), exit_code(error)
    if isinstance(error, OSError):
        said = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {said}" if error.filename else said, 1
    return None


def fail(message: str, code: int = 1) -> NoReturn:
    """Say on stderr what failed, and end."""
    from poller.log import clean

    try:
        typer.echo(f"poller: {clean(message)}", err=True)
    except BrokenPipeError:  # nobody reads it; the code still tells that it failed
        stop_talking()
    raise typer.Exit(code)


def stop_talking(*streams: TextIO) -> None:
    """What a closed pipe did not take has to go somewhere: Python writes it out at its end, and fails with 120 if it
    cannot. See https://docs.python.org/3/library/signal.html#note-on-sigpipe"""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams or (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


# ── a running engine, or the state itself ────────────────────────────────────────────────────────────────────────────


async def command(
    settings: Settings, name: str, progress: Callable[[dict[str, Any]], None] = lambda _: None, /, **arguments: Any
) -> Any:
    """Perform a command of poller.admin.Admin: by the running engine, or without one with the state opened here.

    An engine that holds the state but does not listen is just starting or ending: it is waited for.
    """
    from poller.control import request, socket_path
    from state.errors import StateInUse

    patience = time.monotonic() + HANDOVER
    while True:
        with contextlib.suppress(ConnectionError):
            return await request(socket_path(settings.engine.state), name, arguments, progress)
        try:
            async with opened(settings) as app:
                return await local(app, name, progress, **arguments)
        except StateInUse:
            if time.monotonic() > patience:
                raise
        await asyncio.sleep(0.1)


@asynccontextmanager
async def commanding(settings: Settings) -> AsyncIterator[Callable[..., Coroutine[Any, Any, Any]]]:
    """A function that performs commands as `command` does, for many in a row: the state is opened only once."""
    if await live(settings) is not None:
        yield partial(command, settings)
        return
    async with opened(settings) as app:
        yield partial(local, app)


async def local(
    app: App, name: str, progress: Callable[[dict[str, Any]], None] = lambda _: None, /, **arguments: Any
) -> Any:
    """Perform a command with an app of this process that is not running."""
    from poller.admin import Admin

    return await Admin(app, load_settings, running=False).perform(name, arguments, progress)


@asynccontextmanager
async def opened(settings: Settings, *, key_lost: bool = False) -> AsyncIterator[App]:
    """The app, wired and owning its state, closed in the end. `key_lost` as App.open has it."""
    from poller.app import App

    app = await App.open(settings, key_lost=key_lost)
    try:
        yield app
    finally:
        await app.close()


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[SqliteStore]:
    """The state opened for reading only, beside a running engine or without one."""
    from state.sqlite import SqliteStore

    store = await SqliteStore.read(settings.engine.state)
    try:
        yield store
    finally:
        await store.close()


async def live(settings: Settings) -> dict[str, Any] | None:
    """What the running engine says of itself; None if none runs."""
    from poller.control import request, socket_path

    try:
        found: dict[str, Any] = await request(socket_path(settings.engine.state), "live", {})
        return found
    except ConnectionError:
        return None


# ── output ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def show_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool, empty: str = "nothing") -> None:
    """A table for people, or with `--json` one array of objects; no rows are said in words."""
    found = [list(row) for row in rows]
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in found])
        return
    if not found:
        typer.echo(empty)
        return
    from rich.console import Console

    # Piped output is for programs: as wide as it needs to be.
    widths = [max(len(str(cell)) for cell in (column, *cells)) for column, *cells in zip(columns, *found, strict=True)]
    width = None if sys.stdout.isatty() else sum(widths) + 2 * len(widths)
    console = Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())
    fits = _narrowest([columns, *found]) <= console.width
    console.print((_side_by_side if fits else _one_below_the_other)(columns, found))


def _narrowest(rows: Sequence[Sequence[Any]]) -> int:
    """Characters that a table takes whose words stay whole; of longer ones than a key, a part may go below."""
    longest = [
        max(len(word) for cell in column for word in (_cell(cell).split() or [""]))
        for column in zip(*rows, strict=True)
    ]
    return sum(min(length, _KEY) for length in longest) + 2 * (len(longest) - 1)


def _side_by_side(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _one_below_the_other(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A block for each row, of what is not empty in it."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for column, value in zip(columns, row, strict=True):
            if cell := _cell(value):
                table.add_row(column.replace("_", " "), cell)
    return table


def _cell(value: Any) -> str:
    return "" if value is None else plain(str(value))


def plain(text: str) -> str:
    """Text of strangers (titles, names, answers of servers) for a terminal: nothing in it may steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def show_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """A few named values."""
    if as_json:
        show_json(facts)
        return
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")


@contextlib.contextmanager
def progress_bar(title: str) -> Any:
    """A function that takes {"done", "of"}; a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda news: bar.update(task, completed=news.get("done", 0), total=news.get("of"))
