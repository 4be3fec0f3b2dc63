"""What all crawls of a run have around them: one PostgreSQL, one real server, one site, each in processes of its own."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from ingest_server.postgres.embedded.embedded import temporary_postgres
from loadtests.database import create_tables, fresh_database, run
from loadtests.pipeline.listings import LISTING, table_of
from loadtests.server import running_server

_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Stand:
    """Where PostgreSQL and server are to be found, and a directory for what crawls write."""

    dsn: str
    server: str
    directory: Path

    def clear(self, table: str) -> None:
        """The table is empty, and PostgreSQL owes the disk nothing of an earlier crawl."""

        async def work(connection: asyncpg.Connection) -> None:
            await connection.execute(f"TRUNCATE {table}")
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CHECKPOINT")

        run(self.dsn, work)


@contextlib.contextmanager
def standing(kinds: tuple[str, ...], database: str | None) -> Iterator[Stand]:
    """Everything started but the site; at the end stopped in order and removed."""
    with contextlib.ExitStack() as stack:
        root = database or stack.enter_context(temporary_postgres()).dsn
        dsn = stack.enter_context(fresh_database(root))
        tables = [table_of(kind) for kind in kinds]
        create_tables(dsn, LISTING, tables, ())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        modes = dict.fromkeys(tables, "append")
        server = stack.enter_context(running_server(directory, dsn=dsn, workers=_WORKERS, modes=modes))
        yield Stand(dsn, server.url, directory)
