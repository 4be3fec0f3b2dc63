"""Models and their tables side by side, over a connection of its own: for a command beside a running server, or without one."""

from collections.abc import Sequence

from ingest_server.errors import IncompatibleTable
from ingest_server.model import TableSpec
from ingest_server.postgres.connections.pool import connection, pool_until_done
from ingest_server.postgres.tables.ddl import Difference, all_of, difference, ensure

_STATEMENT_SECONDS = 60.0


async def differences(dsn: str, wanted: Sequence[TableSpec]) -> tuple[Difference, ...]:
    """What each table lacks of its model, in this order. Changes nothing. Raises `SinkError`."""
    async with pool_until_done(dsn, size=1, statement_seconds=_STATEMENT_SECONDS) as pool, connection(pool) as one:
        return tuple([await difference(one, spec) for spec in wanted])


async def apply(dsn: str, wanted: Sequence[TableSpec]) -> tuple[Difference, ...]:
    """Make up for all of it in one transaction; what was done. Raises `IncompatibleTable`, all of them, or `SinkError`."""
    async with pool_until_done(dsn, size=1, statement_seconds=_STATEMENT_SECONDS) as pool, connection(pool) as one:
        async with one.transaction():
            conflicts: list[IncompatibleTable] = []
            done = []
            for spec in wanted:
                found = await difference(one, spec)
                conflicts += found.conflicts
                if not conflicts:
                    done.append(await ensure(one, spec))
            if conflicts:
                raise all_of(conflicts)
        return tuple(done)
