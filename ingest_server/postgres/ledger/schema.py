"""The schema `ingest`: ledger, crawls and dead letters. Each version is applied once, whoever starts first."""

from collections.abc import Sequence
from datetime import UTC

from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.tables.identifiers import quoted

# One number for everyone who changes tables at start: two servers may start at once.
DDL_LOCK = 0x1D6E57

_VERSION_1 = """
CREATE TABLE ingest.batches (
    owner text NOT NULL,
    id uuid NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    crawl text,
    fingerprint bytea NOT NULL,
    total integer NOT NULL,
    inserted integer NOT NULL,
    updated integer NOT NULL,
    unchanged integer NOT NULL,
    failed integer NOT NULL,
    errors jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX batches_crawl ON ingest.batches (owner, crawl) WHERE crawl IS NOT NULL;
CREATE INDEX batches_completed_at ON ingest.batches (owner, completed_at, id);

CREATE TABLE ingest.crawls (
    owner text NOT NULL,
    crawl text NOT NULL,
    items bigint NOT NULL,
    rejected bigint NOT NULL,
    dropped bigint NOT NULL,
    spooled bigint NOT NULL,
    reason text,
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (owner, crawl)
);

CREATE TABLE ingest.dead_letters (
    owner text NOT NULL,
    id uuid NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    batch uuid NOT NULL,
    crawl text,
    index integer NOT NULL,
    code text NOT NULL,
    "column" text,
    message text NOT NULL,
    raw bytea NOT NULL,
    attempts integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX dead_letters_created_at ON ingest.dead_letters (owner, created_at, id);
"""

# Retries of dead letters. `counted`: whether the totals of the letter's crawl hold it among the failed; one that was imported
# from elsewhere never failed here. A retry's row stays when its letter goes, so that neither a second retry nor an import
# stores the item again. Of a batch's rows it is known how many were inserted, updated or unchanged, and not which:
# only sums over a batch are true.
_VERSION_2 = """
ALTER TABLE ingest.dead_letters ADD COLUMN counted boolean NOT NULL DEFAULT true;
CREATE INDEX dead_letters_groups ON ingest.dead_letters (owner, table_schema, table_name, code, created_at, id)
    INCLUDE ("column");

CREATE TABLE ingest.retries (
    owner text NOT NULL,
    letter uuid NOT NULL,
    attempt integer NOT NULL,
    item bytea NOT NULL,
    is_repaired boolean NOT NULL,
    batch uuid NOT NULL,
    outcome text NOT NULL,
    crawl text,
    origin uuid,
    settled_at timestamptz NOT NULL,
    PRIMARY KEY (owner, letter, attempt, item)
);
CREATE INDEX retries_crawl ON ingest.retries (owner, crawl) INCLUDE (outcome, origin) WHERE crawl IS NOT NULL;
"""

_PARKED_TABLES = """
CREATE TABLE ingest.parked_tables (
    table_schema text NOT NULL,
    table_name text NOT NULL,
    since timestamptz NOT NULL,
    cause text NOT NULL,
    code text NOT NULL,
    "column" text,
    reason text NOT NULL,
    PRIMARY KEY (table_schema, table_name)
);
"""

# What a crawl's totals keep of batches whose rows are gone.
_EXPIRY = """
CREATE TABLE ingest.expired (
    owner text NOT NULL,
    crawl text NOT NULL,
    batches bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    unchanged bigint NOT NULL,
    failed bigint NOT NULL,
    PRIMARY KEY (owner, crawl)
);
CREATE INDEX batches_expiry ON ingest.batches (completed_at);
CREATE INDEX batches_details ON ingest.batches (completed_at) WHERE errors <> '[]';
CREATE INDEX retries_expiry ON ingest.retries (settled_at);
"""

VERSIONS: Sequence[str] = (_VERSION_1, _VERSION_2, _PARKED_TABLES, _EXPIRY)


async def is_there(connection: Connection, schema: str) -> bool:
    """Whether there is a schema of this name."""
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema)
    return found


def creation_of(schema: str) -> str:
    """The statement that makes it."""
    return f"CREATE SCHEMA {quoted(schema)}"


async def ensure_schema(connection: Connection, name: str) -> None:
    """Make the schema unless it is there. CREATE SCHEMA IF NOT EXISTS would ask for the privilege even then."""
    if not await is_there(connection, name):
        await connection.execute(creation_of(name))


async def migrate(connection: Connection) -> None:
    """Bring the schema to the newest version. Safe to run from several servers at once."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", DDL_LOCK)
        if not await connection.fetchval("SELECT to_regclass('ingest.schema_version') IS NOT NULL"):
            await ensure_schema(connection, "ingest")
            await connection.execute(
                "CREATE TABLE ingest.schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)"
            )
        done = await connection.fetchval("SELECT coalesce(max(version), 0) FROM ingest.schema_version")
        for version, statements in enumerate(VERSIONS, start=1):
            if version > done:
                await connection.execute(statements)
                await connection.execute("INSERT INTO ingest.schema_version VALUES ($1, now())", version)


async def identity(connection: Connection) -> str:
    """What tells this database from others, for as long as it lives: it goes along with a dump, a failover or an upgrade."""
    made = await connection.fetchval("SELECT min(applied_at) FROM ingest.schema_version")
    return f"{await connection.fetchval('SELECT current_database()')} of {made.astimezone(UTC).isoformat()}"
