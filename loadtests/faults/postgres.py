"""A PostgreSQL of the laboratory's own, which it may hurt: killed, stopped, shut down at once, and started again."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import psutil

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.account import Account
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres

T = TypeVar("T")

_OPTIONS = {
    # A killed process loses nothing that it wrote: only a power loss would, and PostgreSQL is not what is examined then.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "log_min_messages": "fatal",
}
_GONE_SECONDS = 30
_START_SECONDS = 60
_LOOK_SECONDS = 0.05


class Postgres:
    """One cluster below `directory`, the same address after every restart."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self._embedded = EmbeddedPostgres(directory, {**_OPTIONS, **(options or {})})
        self.changing = asyncio.Lock()
        """Held by a fault from the blow until it is up again."""
        self.started_at = 0.0

    @property
    def socket(self) -> Path:
        """The Unix socket, for a proxy in front of it."""
        found = parse_qs(urlsplit(self._embedded.dsn).query)["host"][0]
        return Path(found) / ".s.PGSQL.5432"

    def dsn(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Of a database; `port` is a proxy's on loopback."""
        if port is not None:
            return f"postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable"
        return self._embedded.dsn.replace("/postgres?", f"/{quote(database)}?")

    @property
    def data(self) -> Path:
        """PostgreSQL's own directory."""
        return self._embedded.data

    @property
    def pid(self) -> int:
        return self._embedded.pid

    async def start(self) -> None:
        """Start, or start again after a blow. A killed one may take a moment to leave the shared memory."""
        self.started_at = time.monotonic()
        ends = self.started_at + _START_SECONDS
        while True:
            try:
                await asyncio.to_thread(self._started)
                return
            except EmbeddedUnavailable:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(0.5)

    def _started(self) -> None:
        self._embedded.stop()  # lets go of the dead one; nothing at all the first time
        self._embedded.start()

    async def revive(self) -> None:
        """Start it where it does not answer, or is not there."""
        try:
            await self.run(lambda connection: connection.execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await self.start()

    async def stop(self) -> None:
        with suppress(OSError, ValueError, psutil.Error):
            self.signal_all(signal.SIGCONT)
        await asyncio.to_thread(self._embedded.stop)

    def signal_all(self, number: signal.Signals) -> None:
        """The postmaster and every process of its, the postmaster first."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL to all of it; returns when all are gone."""
        there = self._processes()
        for process in there:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.to_thread(psutil.wait_procs, there, _GONE_SECONDS)

    async def immediate(self) -> None:
        """Shut down as `pg_ctl stop -m immediate` does: no checkpoint, recovery at the next start."""
        there = self._processes()
        there[0].send_signal(signal.SIGQUIT)
        await asyncio.to_thread(psutil.wait_procs, there, _GONE_SECONDS)

    async def run(self, work: "Callable[[asyncpg.Connection], Awaitable[T]]", database: str = "postgres") -> T:
        """`work` on a connection of its own."""
        connection = await asyncpg.connect(self.dsn(database), timeout=_START_SECONDS)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=5)

    async def execute(self, statement: str, database: str = "postgres") -> None:
        await self.run(lambda connection: connection.execute(statement), database)

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]


@contextmanager
def reachable_directory(prefix: str) -> Iterator[Path]:
    """A temporary directory that the account of the embedded PostgreSQL can reach; removed at the end."""
    account = Account.current()
    roots = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108  only a parent for mkdtemp
    root = next((place for place in roots if place.is_dir() and account.reaches(place)), roots[0])
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    if account.is_other:
        directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
