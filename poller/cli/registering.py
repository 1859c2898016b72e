"""People in a file become registrants of a webinar: register."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from poller.cli import frame
from poller.errors import UsageError

if TYPE_CHECKING:
    from poller.settings import Settings

ADDED = ("registrantKey", "joinUrl", "status")

# People to a command: an engine that is asked finishes these, even if the person at the terminal goes away.
BATCH = 10


def register(app: typer.Typer) -> None:
    app.command("register")(register_people)


def register_people(
    webinar: Annotated[str, typer.Argument(help="Its key.")],
    file: Annotated[Path, typer.Argument(help="A CSV file with the columns firstName, lastName, email and more.")],
    connection: Annotated[str | None, typer.Option(help="May be left out where there is one.")] = None,
) -> None:
    """Register the people in a CSV file. What became of each stands in a file beside it, where a second run goes on."""
    with frame.exits():
        people = read_people(file)
        check_key(webinar)
        settings = frame.load_settings()
    frame.execute(_register(settings, webinar, people, file.with_suffix(".registered.csv"), connection))


@dataclass(frozen=True, slots=True)
class Person:
    """One row: `cells` as they stand in the file, `fields` as GoTo calls them."""

    line: int
    cells: Mapping[str, str]
    fields: Mapping[str, Any]

    @property
    def identity(self) -> str:
        return str(self.fields["email"]).casefold()


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_people(file: Path) -> list[Person]:
    """Everybody in the file. Raises UsageError for the file, or for the rows that GoTo would not take."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        raise UsageError(f"{file}: is not text in UTF-8; save it as CSV UTF-8") from err
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), restkey="", strict=True)
    try:
        columns = {name: _field(name) for name in reader.fieldnames or ()}
        _check_columns(file, list(reader.fieldnames or ()), columns)
        people = [_person(file, reader.line_num, row, columns) for row in reader if any(row.values())]
    except csv.Error as err:
        raise UsageError(f"{file}, line {reader.line_num}: {err}") from err
    if not people:
        raise UsageError(f"{file}: names nobody; below the first line stands one person a line")
    _check(file, people)
    return people


def _delimiter(text: str) -> str:
    """Spreadsheets of half of Europe write semicolons."""
    head = text.partition("\n")[0]
    return ";" if head.count(";") > head.count(",") else ","


def _field(column: str) -> str:
    """GoTo's name for a column: "First Name" is firstName."""
    from poller.goto.operations.bodies import NewRegistrant
    from poller.goto.operations.catalogue import spoken
    from poller.goto.operations.kinds import members

    known = {spoken(member.name): member.name for member in members(NewRegistrant)}
    return known.get(spoken(column), column.strip())


def _check_columns(file: Path, head: Sequence[str], columns: Mapping[str, str]) -> None:
    missing = [name for name in ("firstName", "lastName", "email") if name not in columns.values()]
    if missing:
        raise UsageError(f"{file}: the first line lacks the columns {', '.join(missing)}")
    if len(set(columns.values())) < len(head) or "" in columns or set(ADDED) & set(columns.values()):
        raise UsageError(f"{file}: each column needs a name of its own, other than {', '.join(ADDED)}")


def _person(file: Path, line: int, row: Mapping[str, Any], columns: Mapping[str, str]) -> Person:
    cells = {name: value or "" for name, value in row.items() if name in columns}
    if "" in row:
        raise UsageError(f"{file}, line {line}: has more cells than there are columns")
    fields = {columns[name]: _value(columns[name], cell.strip()) for name, cell in cells.items() if cell.strip()}
    return Person(line, cells, fields)


def _value(field: str, cell: str) -> Any:
    if field != "responses":
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _check(file: Path, people: Sequence[Person]) -> None:
    """All mistakes at once, before anybody is registered."""
    from poller.goto.operations.bodies import NewRegistrant
    from poller.goto.operations.kinds import fitting

    strange: set[str] = set()
    mistakes = []
    for person in people:
        try:
            fitting("row", dict(person.fields), NewRegistrant, strange.add)
        except UsageError as err:
            mistakes.append(f"line {person.line}: {str(err).partition(';')[0]}")
    if mistakes:
        more = f" … and {len(mistakes) - 10} more" if len(mistakes) > 10 else ""
        raise UsageError(f"{file}: nobody was registered; " + " · ".join(mistakes[:10]) + more)
    for place in sorted(strange):
        typer.echo(f"poller: {place.removeprefix('row.')} is no field of a registration; it is sent as it is", err=True)


def check_key(webinar: str) -> None:
    if not (webinar.isascii() and webinar.isdigit()):
        raise UsageError(f'"{webinar}" is no key of a webinar, which is a number; `poller call getWebinars` lists them')


# ── the result ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Done:
    """The file with the result. Whoever stands in it is done with."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = [*columns, *ADDED]
        self.identities = set(self._read())
        self._file = self._open()

    def _read(self) -> Iterator[str]:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a crash may have left half a row
        if whole != text:
            self.path.write_text(whole, encoding="utf-8", newline="")
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        if whole and reader.fieldnames != self._columns:
            raise UsageError(
                f"{self.path}: is of a file with other columns; move it away, or name the input differently"
            )
        email = next(name for name in self._columns if _field(name) == "email")
        yield from ((row[email] or "").strip().casefold() for row in reader)

    def _open(self) -> TextIO:
        # It holds personal data and links that open a seat.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "a", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(file, self._columns, lineterminator="\n")
        if self.path.stat().st_size == 0:
            self._writer.writeheader()
        return file

    def add(self, person: Person, answer: Mapping[str, Any]) -> None:
        """Written when it returns."""
        row = {**person.cells, **{name: answer.get(name) or "" for name in ADDED}}
        self._writer.writerow({name: " ".join(str(cell).splitlines()) for name, cell in row.items()})
        self._file.flush()
        self.identities.add(person.identity)

    def close(self) -> None:
        self._file.close()


async def _register(
    settings: Settings, webinar: str, people: Sequence[Person], path: Path, connection: str | None
) -> None:
    done = Done(path, list(people[0].cells))
    try:
        left = [person for person in people if person.identity not in done.identities]
        counts = await _register_all(settings, webinar, left, done, connection)
    finally:
        done.close()
    skipped = f", {len(people) - len(left)} stood in the file" if len(left) < len(people) else ""
    typer.echo(f"{path}: {counts['new']} registered, {counts['existed']} were registered already{skipped}")
    if counts["problems"]:
        frame.fail(f"{counts['problems']} could not be registered; mend their rows and run it again")


async def _register_all(
    settings: Settings, webinar: str, people: Sequence[Person], done: Done, connection: str | None
) -> dict[str, int]:
    counts = {"new": 0, "existed": 0, "problems": 0}
    with frame.progress_bar("registering") as show:
        async with frame.commanding(settings) as perform:
            for begin in range(0, len(people), BATCH):
                batch = people[begin : begin + BATCH]
                waiting = iter(batch)

                def take(news: dict[str, Any], waiting: Iterator[Person] = waiting) -> None:
                    if "person" in news:
                        counts[_note(done, next(waiting), news["person"])] += 1
                        show({"done": sum(counts.values()), "of": len(people)})

                fields = [dict(person.fields) for person in batch]
                await perform("register", take, webinar=webinar, people=fields, connection=connection)
    return counts


def _note(done: Done, person: Person, told: Mapping[str, Any]) -> str:
    if "problem" in told:
        typer.echo(f"poller: line {person.line}: {frame.plain(told['problem'])}", err=True)
        return "problems"
    done.add(person, told["answer"])
    return "existed" if told["existed"] else "new"
