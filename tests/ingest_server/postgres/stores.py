"""A sink over a test's database, as the server has it, and loops that wait for a condition of the database."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import asyncpg
import psutil
from pydantic import BaseModel

from ingest_server.model import Batch, Settled, TableName, TableOptions
from ingest_server.postgres.connections.pool import open_pool
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.postgres.ledger.ledger import PostgresLedger
from ingest_server.postgres.sink import PostgresSink
from ingest_server.postgres.tables.plans import Plans
from ingest_server.serving.assembly import now


def name(text: str) -> TableName:
    return TableName.parse(text, "public")


def counts(settled: Settled) -> tuple[int, int, int, int]:
    """Inserted, updated, unchanged, failed."""
    assert settled.succeeded + settled.failed == settled.total
    return settled.inserted, settled.updated, settled.unchanged, settled.failed


@dataclass(frozen=True, slots=True)
class Store:
    pool: "asyncpg.Pool[asyncpg.Record]"
    plans: Plans
    sink: PostgresSink
    ledger: PostgresLedger

    async def write(self, batch: Batch) -> Settled:
        return await self.sink.write(batch)


@contextlib.contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """PostgreSQL takes connections in and says nothing: what a suspended machine looks like."""
    postmaster = psutil.Process(server.pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for one in family:
        one.suspend()
    try:
        yield
    finally:
        for one in family:
            one.resume()


@contextlib.asynccontextmanager
async def store_over(
    dsn: str,
    *,
    models: Mapping[str, type[BaseModel]] | None = None,
    options: Mapping[str, TableOptions] | None = None,
    create_tables: bool = False,
    size: int = 4,
    statement_seconds: float = 30,
    pooler: bool = False,
) -> AsyncIterator[Store]:
    pool = await open_pool(dsn, size=size, statement_seconds=statement_seconds, pooler=pooler)
    try:
        plans = Plans(
            pool,
            models={name(text): model for text, model in (models or {}).items()},
            options={name(text): one for text, one in (options or {}).items()},
            create_tables=create_tables,
        )
        yield Store(pool, plans, PostgresSink(pool, plans, now), PostgresLedger(pool, now))
    finally:
        pool.terminate()


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Ask again and again, and let everybody else run in between, until the answer is yes."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError("the condition was never met")
        await asyncio.sleep(0)


# Not from pg_stat_activity, which a transaction sees as it was when it first looked.
WAITING = """
SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pid IN
    (SELECT pid FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


async def waits_for_lock(sql: asyncpg.Connection, count: int = 1) -> None:
    """Return when so many backends of this database wait for a lock."""

    async def waiting() -> bool:
        return len(await sql.fetch(WAITING)) >= count

    await until(waiting)


async def is_idle(sql: asyncpg.Connection) -> bool:
    """Whether no other backend of this database is in a transaction."""
    return not await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND state <> 'idle'"
    )
