"""The database at the start: where it is, and the schema and the models' tables in it, however long it takes to come."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg

from ingest_server.backoff import Backoff
from ingest_server.errors import Contended, Misconfigured, StartRefused, Unavailable
from ingest_server.model import TableName
from ingest_server.models.loading import Model
from ingest_server.postgres.connections.pool import connection, shown_dsn
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.postgres.embedded.watch import watched
from ingest_server.postgres.ledger.schema import identity, migrate
from ingest_server.postgres.tables.ddl import ensure
from ingest_server.serving.waiting import first
from ingest_server.settings import Settings

log = logging.getLogger("ingest_server")

_DSN_FILE = "postgres.dsn"


async def database_of(settings: Settings, stack: AsyncExitStack) -> str:
    """The connection string: of the database that was named, or of the embedded one, which lives as long as `stack`."""
    if settings.database is not None:
        return settings.database.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await asyncio.to_thread(embedded.start)
    stack.push_async_callback(asyncio.to_thread, embedded.stop)
    await stack.enter_async_context(watched(embedded))
    (settings.data_dir / _DSN_FILE).write_text(dsn + "\n")
    log.info("embedded PostgreSQL in %s: psql '%s'", embedded.data, dsn)
    return dsn


async def prepare(
    pool: "asyncpg.Pool[asyncpg.Record]", models: Mapping[TableName, Model], stop: asyncio.Event, dsn: str
) -> str | None:
    """Schema and tables, however long PostgreSQL takes to come; the database's identity. None where a signal came first."""
    backoff, attempt = Backoff(base=0.2, cap=5.0), 0
    while not stop.is_set():
        try:
            async with connection(pool) as one:
                await migrate(one)
                for model in models.values():
                    await ensure(one, model.spec)
                return await identity(one)
        except (Unavailable, Contended) as error:
            if attempt == 0:
                log.error("PostgreSQL at %s cannot be used yet (%s): waiting for it", shown_dsn(dsn), error.reason)
            seconds, attempt = backoff.seconds(attempt, lambda _low, high: high), attempt + 1
            await first(stop.wait, seconds=seconds)
        except asyncpg.exceptions.ClientConfigurationError as error:  # its text may hold a password
            raise StartRefused(
                f"settings: database is no connection string ({type(error).__name__})",
                remedy="postgresql://user@host:5432/name",
            ) from None
        except Misconfigured as error:
            raise StartRefused(
                f"PostgreSQL at {shown_dsn(dsn)} refused: {error.reason}", remedy=_remedy(error.reason)
            ) from None
    return None


def _remedy(reason: str) -> str:
    """What to do about a refusal at the start, by the SQLSTATE that it begins with."""
    remedies = {"28": "check user and password, and pg_hba.conf", "3D": "create the database, or name another one"}
    usual = (
        "let ingest-server migrate --grant-to ROLE be run by a role that may, or let this one have CREATE on the database;"
        " for models it needs CREATE on their schema"
    )
    return remedies.get(reason[:2], usual)
