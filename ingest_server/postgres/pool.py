"""Connections, and errors turned into the tree of `ingest_server.errors` at this border."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import cached_property
from urllib.parse import urlsplit

import asyncpg

from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.model import TableName
from ingest_server.postgres.catalogue import Connection
from ingest_server.postgres.sqlstate import Sort, described, sort_error

_CONNECT_SECONDS = 10.0
_ACQUIRE_SECONDS = 30.0
_RELEASE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0
# The server ends a slow statement itself and says so; the client's own limit, later, is for connections that went silent.
_SILENT_SECONDS = 10.0

# An operator's own limit on the role or database stands where it is tighter. Waiting for a lock ends first, so that it is
# not taken for a slow statement and halved. A server that lost its network or its power says nothing: PostgreSQL ends what
# it left open, or its batches, sent again to another server, would meet its locks for two hours.
_LIMITS = """
SELECT set_config(name, least(nullif(setting::bigint, 0), wanted)::text, false)
FROM pg_settings JOIN (VALUES ('statement_timeout', $1::bigint), ('lock_timeout', $1 / 2),
    ('idle_in_transaction_session_timeout', $2::bigint), ('tcp_keepalives_idle', 60), ('tcp_keepalives_interval', 10),
    ('tcp_keepalives_count', 3)) AS limits (name, wanted) USING (name)
"""


class ShapedConnection(asyncpg.Connection):
    """A connection that remembers for which shape of each table its statements were prepared.

    asyncpg keeps the column types of a table from the first COPY on: after an ALTER TABLE it would encode yesterday's.
    """

    @cached_property
    def shapes(self) -> dict[TableName, str]:
        """Shapes by the table's name: asyncpg's statements are kept by their text, and a name may move to another table."""
        return {}

    @cached_property
    def staging(self) -> set[str]:
        """Staging tables that were made here and committed."""
        return set()

    def get_reset_query(self) -> str:
        """Nothing: no session state but the staging tables is ever left behind, and the default is a round trip a batch."""
        return ""


async def open_pool(dsn: str, *, size: int, statement_seconds: float) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool that connects when it is asked to, so that it can be made while PostgreSQL is away."""

    async def limit(one: asyncpg.Connection) -> None:
        statement, silent = int(statement_seconds * 1000), int((statement_seconds + _SILENT_SECONDS) * 1000)
        await one.execute(_LIMITS, max(2, statement), silent)

    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=_CONNECT_SECONDS,
        command_timeout=statement_seconds + _SILENT_SECONDS,
        connection_class=ShapedConnection,
        init=limit,
        # client_min_messages: CREATE … IF NOT EXISTS would notify for every batch
        server_settings={"application_name": "ingest-server", "client_min_messages": "warning"},
    )


@contextlib.asynccontextmanager
async def pool_until_done(
    dsn: str, *, size: int, statement_seconds: float
) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """`open_pool`, closed at the end: in order, or after some seconds without PostgreSQL's word, which may be frozen."""
    pool = await open_pool(dsn, size=size, statement_seconds=statement_seconds)
    try:
        yield pool
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()  # cut off, it terminates every connection


@contextlib.asynccontextmanager
async def connection(pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Connection]:
    """A connection of the pool; every error that leaves is one of ours, or a data error of the database."""
    try:
        one = await pool.acquire(timeout=_ACQUIRE_SECONDS)
        try:
            yield one
        except asyncpg.PostgresError as error:
            # A session may be broken for good: a cancel in the middle of emptying a temporary table leaves XX001 behind.
            if sort_error(error) is Sort.UNKNOWN:
                one.terminate()
            raise
        finally:
            # After a cancellation asyncpg waits for PostgreSQL's word, for ever where it is frozen; past the limit it closes
            # the connection. Its TimeoutError must not take the place of the cancellation, or a worker would not stop.
            with contextlib.suppress(TimeoutError):
                await pool.release(one, timeout=_RELEASE_SECONDS)
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
        case Sort.CONFIGURATION | Sort.SHAPE:
            return Misconfigured(described(error))
        case _:
            return None


def shown_dsn(dsn: str) -> str:
    """A connection string without its secrets, for logs."""
    parts = urlsplit(dsn)
    host = parts.hostname or "local socket"
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}{parts.path}"
