"""Around the cells: a database of its own for each server, tables in plain SQL, and what is counted at the end.

Nothing that lies on the given PostgreSQL already is touched: tables are made in a new database, dropped at the end.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from loadtests.errors import PartError
from loadtests.items import Item, Shape, row

T = TypeVar("T")


@contextlib.contextmanager
def fresh_database(dsn: str) -> Iterator[str]:
    """The connection string of a new, empty database on the same PostgreSQL; it is dropped at the end."""
    name = f"loadtests_{secrets.token_hex(6)}"
    try:
        run(dsn, lambda connection: connection.execute(f"CREATE DATABASE {name}"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise PartError(part="PostgreSQL", said=f"{error} (the account must be allowed to create databases)") from error
    try:
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    finally:
        run(dsn, lambda connection: connection.execute(f"DROP DATABASE {name} WITH (FORCE)"))


def run(dsn: str, work: "Callable[[asyncpg.Connection], Awaitable[T]]") -> T:
    """`work` on a connection of its own."""

    async def connected() -> T:
        connection = await asyncpg.connect(dsn)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def create_tables(dsn: str, shape: Shape, tables: Sequence[str], stored: Sequence[Item]) -> None:
    """Tables of `shape`, its first column the primary key, that hold `stored`; then a checkpoint, where allowed."""
    columns = ", ".join(f"{name} {kind}{' NOT NULL' if name == shape.key else ''}" for name, kind in shape.columns)
    rows = [row(shape, item) for item in stored]

    async def work(connection: asyncpg.Connection) -> None:
        for table in tables:
            await connection.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({shape.key}))")
            if rows:
                await connection.copy_records_to_table(table, records=rows, columns=shape.names)
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CHECKPOINT")

    run(dsn, work)


def count_rows(dsn: str, table: str) -> int:
    async def work(connection: asyncpg.Connection) -> int:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))

    return run(dsn, work)


def server_version(dsn: str) -> str:
    async def work(connection: asyncpg.Connection) -> str:
        return str(await connection.fetchval("SHOW server_version"))

    return run(dsn, work)


def postmaster(dsn: str) -> psutil.Process | None:
    """PostgreSQL's first process, to read CPU seconds from; None where it is on another machine or out of sight."""

    async def work(connection: asyncpg.Connection) -> int:
        return int(await connection.fetchval("SELECT pg_backend_pid()"))

    async def parent(connection: asyncpg.Connection) -> psutil.Process | None:
        try:
            backend = psutil.Process(await work(connection))
            found = backend.parent()
        except psutil.Error:
            return None
        return found if found is not None and "postgres" in found.name() else None

    return run(dsn, parent)
