"""Connections, and errors turned into the tree of `ingest_server.errors` at this border."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg

from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.postgres.connections.pooled import PooledConnection
from ingest_server.postgres.connections.shaped import ShapedConnection
from ingest_server.postgres.connections.sqlstate import Sort, described, sort_error
from ingest_server.postgres.tables.catalogue import Connection

NoConnectionString = asyncpg.exceptions.ClientConfigurationError
"""What a connection string meets that PostgreSQL's client cannot read. Its text may hold a password."""
READERS = 4
"""Connections for everything but the workers: admission, status, totals, dead letters."""
_CONNECT_SECONDS = 10.0
_ACQUIRE_SECONDS = 30.0
_RELEASE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0
# The server ends a slow statement itself and says so; the client's own limit, later, is for connections that went silent.
_SILENT_SECONDS = 10.0

_STATEMENTS = 100  # asyncpg's own default
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 40_000}
# An operator's own limit on the role or database stands where it is tighter. Waiting for a lock ends first, so that it is
# not taken for a slow statement and halved. A server that lost its network or its power says nothing: PostgreSQL ends what
# it left open, or its batches, sent again to another server, would meet its locks for two hours.
_LIMITS = """
SELECT set_config(name, least(nullif(setting::bigint, 0), wanted)::text, false)
FROM pg_settings JOIN (VALUES ('statement_timeout', $1::bigint), ('lock_timeout', $1 / 2),
    ('idle_in_transaction_session_timeout', $2::bigint), ('tcp_keepalives_idle', 60), ('tcp_keepalives_interval', 10),
    ('tcp_keepalives_count', 3)) AS limits (name, wanted) USING (name)
"""


async def open_pool(
    dsn: str, *, size: int, statement_seconds: float, pooler: bool = False
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool that connects when it is asked to, so that it can be made while PostgreSQL is away.

    `pooler`: what listens there is PgBouncer in transaction mode.
    """
    statement, silent = max(2, int(statement_seconds * 1000)), int((statement_seconds + _SILENT_SECONDS) * 1000)

    async def limit(one: Connection) -> None:
        _keep_alive(one)
        if pooler:
            one.limit(statement, silent)
        else:
            await one.execute(_LIMITS, statement, silent)

    settings = {"application_name": "ingest-server"}
    if not pooler:  # which refuses what it does not know
        # CREATE … IF NOT EXISTS would notify for every batch
        settings["client_min_messages"] = "warning"
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=_CONNECT_SECONDS,
        command_timeout=statement_seconds + _SILENT_SECONDS,
        connection_class=PooledConnection if pooler else ShapedConnection,
        init=limit,
        server_settings=settings,
        statement_cache_size=0 if pooler else _STATEMENTS,
    )


def _keep_alive(one: Connection) -> None:
    """Let the kernel find out that PostgreSQL's machine is gone: on an idle connection too, and before the client's limit."""
    peer = one._transport.get_extra_info("socket")  # noqa: SLF001  asyncpg has no other way to it
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # macOS has not all of them
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextlib.asynccontextmanager
async def pool_until_done(
    dsn: str, *, size: int, statement_seconds: float, pooler: bool = False
) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """`open_pool`, closed at the end: in order, or after some seconds without PostgreSQL's word, which may be frozen."""
    pool = await open_pool(dsn, size=size, statement_seconds=statement_seconds, pooler=pooler)
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
        _waiting[id(pool)] += 1
        try:
            one = await pool.acquire(timeout=_ACQUIRE_SECONDS)
        finally:
            _waiting[id(pool)] -= 1
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


def waiting_for(pool: "asyncpg.Pool[asyncpg.Record]") -> int:
    """How many wait for a connection of the pool now, those included who are just being given one."""
    return _waiting[id(pool)]


_waiting: Counter[int] = Counter()  # by id(): a pool takes no weak reference


def translate(error: Exception) -> Exception | None:
    """The error of our tree that stands for this one; None where it is ours already, or says something about rows."""
    match sort_error(error):
        case Sort.UNAVAILABLE:
            return Unavailable(described(error))
        case Sort.CONTENDED | Sort.TIME_LIMIT:
            return Contended(described(error))
        case Sort.CONFIGURATION | Sort.SHAPE:
            return misconfigured(error)
        case _:
            return None


def misconfigured(error: BaseException) -> Misconfigured:
    """The error with its SQLSTATE, and the column where PostgreSQL names one."""
    column = getattr(error, "column_name", None)
    return Misconfigured(described(error), code=getattr(error, "sqlstate", None) or "configuration", column=column)


def shown_dsn(dsn: str) -> str:
    """A connection string without its secrets, for logs."""
    parts = urlsplit(dsn)
    return f"{parts.netloc.rpartition('@')[2] or 'local socket'}{parts.path}"
