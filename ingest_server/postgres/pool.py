"""Connections, and errors turned into the tree of `ingest_server.errors` at this border."""

import contextlib
from collections.abc import AsyncIterator
from functools import cached_property
from urllib.parse import urlsplit

import asyncpg

from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.postgres.catalogue import Connection
from ingest_server.postgres.sqlstate import Sort, described, sort_error

_CONNECT_SECONDS = 10.0
_ACQUIRE_SECONDS = 30.0


class ShapedConnection(asyncpg.Connection):
    """A connection that remembers for which shape of each table its statements were prepared.

    asyncpg keeps the column types of a table from the first COPY on: after an ALTER TABLE it would encode yesterday's.
    """

    @cached_property
    def shapes(self) -> dict[int, str]:
        """Shape by the table's oid."""
        return {}


async def open_pool(dsn: str, *, size: int, statement_seconds: float) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool that connects when it is asked to, so that it can be made while PostgreSQL is away."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=_CONNECT_SECONDS,
        command_timeout=statement_seconds,
        connection_class=ShapedConnection,
        # client_min_messages: CREATE … IF NOT EXISTS would notify for every batch
        server_settings={"application_name": "ingest-server", "client_min_messages": "warning"},
    )


@contextlib.asynccontextmanager
async def connection(pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Connection]:
    """A connection of the pool; every error that leaves is one of ours, or a data error of the database."""
    try:
        async with pool.acquire(timeout=_ACQUIRE_SECONDS) as one:
            yield one
    except Exception as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error


def translate(error: Exception) -> Exception | None:
    """The error of our tree that stands for this one; None where it is ours already, or says something about rows."""
    match sort_error(error):
        case Sort.UNAVAILABLE:
            return Unavailable(described(error))
        case Sort.CONTENDED | Sort.TIME_LIMIT:
            return Contended(described(error))
        case Sort.CONFIGURATION:
            return Misconfigured(described(error))
        case _:
            return None


def shown_dsn(dsn: str) -> str:
    """A connection string without its secrets, for logs."""
    parts = urlsplit(dsn)
    host = parts.hostname or "local socket"
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}{parts.path}"
