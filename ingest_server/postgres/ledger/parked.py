"""The table of parked tables: one row each, seen by every server of the database, and by its next start."""

from collections.abc import Sequence

import asyncpg

from ingest_server.model import Parked, TableName
from ingest_server.postgres.connections.pool import connection

_PARKED = "SELECT * FROM ingest.parked_tables ORDER BY since"

_PARK = """
INSERT INTO ingest.parked_tables AS there (table_schema, table_name, since, cause, code, "column", reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (table_schema, table_name) DO UPDATE SET since = EXCLUDED.since, cause = EXCLUDED.cause, code = EXCLUDED.code,
    "column" = EXCLUDED."column", reason = EXCLUDED.reason
WHERE there.cause = 'configuration' AND EXCLUDED.cause = 'refused'
"""

_RESUME = """
DELETE FROM ingest.parked_tables
WHERE table_schema = $1 AND table_name = $2 AND (cause = 'configuration' OR NOT $3::boolean)
"""


class PostgresParkedTables:
    """`ingest_server.ports.ParkedTables` in the schema `ingest`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def parked(self) -> Sequence[Parked]:
        """All of them, the longest parked first."""
        async with connection(self._pool) as one:
            rows = await one.fetch(_PARKED)
        return [
            Parked(
                table=TableName(row["table_schema"], row["table_name"]),
                since=row["since"],
                cause=row["cause"],
                code=row["code"],
                column=row["column"],
                reason=row["reason"],
            )
            for row in rows
        ]

    async def park(self, parked: Parked) -> None:
        """Keep this one; see `ingest_server.ports.ParkedTables`."""
        table = parked.table
        async with connection(self._pool) as one:
            await one.execute(
                _PARK,
                *(table.schema, table.name, parked.since, parked.cause, parked.code, parked.column, parked.reason),
            )

    async def resume(self, table: TableName, *, only_configuration: bool = False) -> bool:
        """Forget the table. Whether it was kept."""
        async with connection(self._pool) as one:
            tag = await one.execute(_RESUME, table.schema, table.name, only_configuration)
        return bool(tag != "DELETE 0")
