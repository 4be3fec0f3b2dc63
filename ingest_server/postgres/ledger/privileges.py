"""The ledger's schema for a server whose own role may not make it: an administrator brings it up to date, and grants its use."""

from ingest_server.errors import SinkError, StartRefused
from ingest_server.postgres.connections.pool import connection, pool_until_done, shown_dsn
from ingest_server.postgres.ledger.schema import migrate
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.tables.identifiers import quoted

_STATEMENT_SECONDS = 600.0

_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'ingest' AND tablename <> 'schema_version' ORDER BY tablename
"""


async def bring_up_to_date(dsn: str, role: str | None) -> str:
    """Bring the schema `ingest` to the newest version and let the role use it. Returns what was done, for people.

    Raises `StartRefused` where the database cannot be asked or does not allow it.
    """
    try:
        async with (
            pool_until_done(dsn, size=1, statement_seconds=_STATEMENT_SECONDS) as pool,
            connection(pool) as one,
            one.transaction(),
        ):
            await migrate(one)
            version = await one.fetchval("SELECT max(version) FROM ingest.schema_version")
            if role is not None:
                await _grant(one, role)
    except SinkError as error:
        raise StartRefused(
            f"PostgreSQL at {shown_dsn(dsn)} refused: {error.reason}",
            remedy="ask as a role that may CREATE in this database, and name a role that there is",
        ) from None
    return f"the schema ingest is at version {version}" + ("" if role is None else f", and {role} may use it")


async def _grant(one: Connection, role: str) -> None:
    to = quoted(role)
    tables = ", ".join(f"ingest.{quoted(row['tablename'])}" for row in await one.fetch(_TABLES))
    await one.execute(
        f"GRANT USAGE ON SCHEMA ingest TO {to}; "
        f"GRANT SELECT ON ingest.schema_version TO {to}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {to}"
    )
