"""Where a soak takes place: one PostgreSQL with fsync, one server process for the whole run, their tables and directories."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from loadtests.database import run
from loadtests.faults.postgres import Postgres, reachable_directory
from loadtests.items import NARROW
from loadtests.server import running_server

LONG = "soak_long"
SHORT = "soak_short"

# As safe as it is delivered. Checkpoints come soon, so that a run of minutes shows how pg_wal comes and goes.
_OPTIONS = {"fsync": "on", "full_page_writes": "on", "max_wal_size": "256MB", "checkpoint_timeout": "60s"}


@dataclass(frozen=True, slots=True)
class Stand:
    """What runs, and where its files lie."""

    postgres: Postgres
    url: str
    server: psutil.Process
    place: Path
    stop_server: Callable[[], None]
    """SIGTERM, and its drain. Raises `PartError` where it does not end well."""

    @property
    def wal(self) -> Path:
        return self.place.parent / "postgres" / "pg_wal"

    @property
    def journal(self) -> Path:
        return self.place / "server" / "journal"

    @property
    def spool(self) -> Path:
        return self.place / "spool"


@contextlib.contextmanager
def standing() -> Iterator[Stand]:
    """Everything started; at the end stopped in order and removed."""
    with reachable_directory("loadtests-soak-") as root, contextlib.ExitStack() as stack:
        postgres = Postgres(root, _OPTIONS)
        stack.callback(lambda: asyncio.run(postgres.stop()))
        asyncio.run(postgres.start())
        _create_tables(postgres.dsn())
        place = root / "run"
        directory = place / "server"
        directory.mkdir(parents=True)
        modes = {LONG: "upsert", SHORT: "append"}
        with contextlib.ExitStack() as serving:
            server = serving.enter_context(running_server(directory, dsn=postgres.dsn(), workers=4, modes=modes))
            yield Stand(postgres, server.url, psutil.Process(server.pid), place, serving.close)


def _create_tables(dsn: str) -> None:
    """The long crawl's with a key, so that it stays as it is; the short ones' without, so that a row twice would show."""
    columns = ", ".join(f"{name} {kind}" for name, kind in NARROW.columns)

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute(f"CREATE TABLE {LONG} ({columns}, PRIMARY KEY (sku), CHECK (stock >= 0))")
        await connection.execute(f"CREATE TABLE {SHORT} ({columns})")

    run(dsn, work)
