"""PostgreSQL: this machine's server if it lets us in, else one of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.base import HOST, OwnServer, answers, lacking

USER = "postgres"
DATABASE = "test"
_USUAL_PORT = 5432


class PostgresServer(OwnServer):
    """PostgreSQL refuses to run as root. Then it runs as the user of that name, in a folder outside of root's."""

    program = "postgres"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._user = _server_user()
        super().__init__(Path(tempfile.mkdtemp(prefix="postgres-")) if self._user else folder)
        if self._user:
            self.give(self.folder)
        self.data = self.folder / "data"
        self.settings = dict(settings or {})

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self) -> Sequence[str]:
        given = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in {**given, **self.settings}.items() for part in ("-c", f"{name}={value}")]
        return [*self._as_user(), self.find(), "-D", str(self.data), *options]

    async def prepare(self) -> None:
        initdb = Path(self.find()).resolve().with_name("initdb")
        if not initdb.is_file():
            lacking("initdb is not installed")
        await _run(*self._as_user(), str(initdb), "-D", str(self.data), "-U", USER, "-A", "trust", "--no-sync")

    async def start(self) -> None:
        await super().start()
        if not await sql(self.address, f"select 1 from pg_database where datname = '{DATABASE}'", database=USER):
            await sql(self.address, f"create database {DATABASE}", database=USER)

    async def ready(self) -> bool:
        """It takes connections before it lets anybody in."""
        return answers(self.port) and await _lets_in(self.address, USER)

    async def kill(self) -> None:
        """Its children have left its process group, and hold its shared memory until they notice."""
        children = await self._children()
        await super().kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OwnServer]:
        try:
            async with super().running():
                yield self
        finally:
            if self._user:
                shutil.rmtree(self.folder, ignore_errors=True)

    def give(self, path: Path) -> None:
        """Let the server's user have this file or folder."""
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        return ["setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]

    async def _children(self) -> list[int]:
        if self._process is None:
            return []
        pairs = (line.split() for line in (await _run("ps", "-A", "-o", "pid=,ppid=")).splitlines())
        return [int(pid) for pid, parent in pairs if int(parent) == self._process.pid]


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[str]:
    """Yields host:port, where `USER` gets into the database `DATABASE` without a password."""
    usual = f"{HOST}:{_USUAL_PORT}"
    if shutil.which("psql") is None:
        lacking("psql is not installed")
    if answers(_USUAL_PORT) and await _lets_in(usual, DATABASE):
        yield usual
        return
    server = PostgresServer(folder)
    async with server.running():
        yield server.address


def _server_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        lacking(f"root may not run PostgreSQL, and there is no user {USER}")
        raise


async def _lets_in(where: str, database: str) -> bool:
    try:
        return bool(await sql(where, "select 1", database=database))
    except AssertionError:
        return False


async def sql(where: str, statement: str, *, database: str = DATABASE) -> list[str]:
    """The lines that psql prints for it."""
    arguments = ("-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-c", statement)
    return (await _run("psql", *arguments, f"postgresql://{USER}@{where}/{database}")).splitlines()


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{command[0]}: {err.decode()}"
    return out.decode()
