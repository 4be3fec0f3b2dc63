"""The database: can it be asked and written, has it room for our connections, and does a commit last."""

import ipaddress
import statistics
import time
from collections.abc import AsyncIterator

from ingest_server.doctor.finding import Finding, failure, ok, warning
from ingest_server.doctor.machine import SLOW_FSYNC_SECONDS
from ingest_server.postgres.connections.pool import READERS
from ingest_server.postgres.ledger.schema import VERSIONS
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.settings import Settings

_OLDEST = 140000
_COMMITS = 20
_MOST_CLOCK_SECONDS = 2.0
_SHORT_STATEMENT_MS = 5000

_SERVER = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS is_read_only,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_pages,
       current_setting('synchronous_commit') AS synchronous, current_user AS role, current_database() AS database,
       extract(epoch FROM clock_timestamp())::float8 AS now, host(inet_server_addr()) AS address,
       (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS is_encrypted,
       (SELECT reset_val::bigint FROM pg_settings WHERE name = 'statement_timeout') AS statement_ms
"""
_ROOM = """
SELECT current_setting('max_connections')::int AS all_of_them,
       (SELECT sum(setting::int) FROM pg_settings
        WHERE name IN ('superuser_reserved_connections', 'reserved_connections')) AS reserved,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS of_role,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND application_name <> 'ingest-server') AS others
"""
_LEDGER = """
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ingest') AS is_there,
       has_database_privilege(current_database(), 'CREATE') AS may_create
"""
_LEDGER_TABLES = """
SELECT c.relname AS name, pg_has_role(c.relowner, 'USAGE') AS is_owner,
       has_schema_privilege('ingest', 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND (c.relname = 'schema_version' OR (has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))) AS may_use
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'ingest' AND c.relkind = 'r' ORDER BY 1
"""
_MIGRATE = "ingest-server migrate, as a role that may: see docs/security.md"


async def server(one: Connection, shown: str) -> AsyncIterator[Finding]:
    """Version, whether it may be written, what its commits are worth, its clock."""
    began = time.time()
    found = await one.fetchrow(_SERVER)
    middle = (began + time.time()) / 2
    said = f"PostgreSQL {found['version']} at {shown}, as {found['role']}"
    if found["number"] < _OLDEST:
        yield failure("database", said, "PostgreSQL 14 or newer")
    elif found["is_read_only"]:
        yield failure("database", f"{said}: it is read-only", "name the primary: every batch would wait")
    else:
        yield ok("database", said)
    if is_exposed(found["address"], is_encrypted=found["is_encrypted"]):
        yield warning(
            "encryption",
            f"items go to {found['address']} in the clear",
            "sslmode=verify-full in the connection string: see docs/outages.md",
        )
    off = [
        name for name, value in (("fsync", found["fsync"]), ("full_page_writes", found["full_pages"])) if value == "off"
    ]
    if off:
        yield failure("commits", f"{' and '.join(off)} is off: a crash may destroy the database", "turn it on")
    if found["synchronous"] == "off":
        yield warning(
            "commits",
            "synchronous_commit is off: a crash takes back batches that were answered `committed`",
            f"ALTER ROLE {found['role']} SET synchronous_commit = on",
        )
    elif not off:
        yield ok("commits", f"they last: fsync is on, synchronous_commit is {found['synchronous']}")
    if 0 < found["statement_ms"] < _SHORT_STATEMENT_MS:
        yield warning(
            "statement_timeout",
            f"it is {found['statement_ms']} ms for this role: large batches will be halved again and again",
            f"ALTER ROLE {found['role']} SET statement_timeout = '60s'",
        )
    apart = found["now"] - middle
    if abs(apart) > _MOST_CLOCK_SECONDS:
        yield warning(
            "clock",
            f"the database's is {apart:+.1f} s from this machine's",
            "keep both with NTP: times in logs and rows differ",
        )
    else:
        yield ok("clock", "the database's and this machine's agree")


def is_exposed(address: str | None, *, is_encrypted: bool) -> bool:
    """Whether others may read what goes to a database at this address; None is a Unix socket."""
    return address is not None and not is_encrypted and not ipaddress.ip_address(address).is_loopback


async def room(one: Connection, settings: Settings) -> AsyncIterator[Finding]:
    """Whether PostgreSQL has room for our connections."""
    if settings.pooler:
        yield ok("connections", "a pooler hands them out, by limits of its own")
        return
    found = await one.fetchrow(_ROOM)
    needed = settings.workers + READERS
    limits = {
        "max_connections": found["all_of_them"] - int(found["reserved"] or 0),
        "the role's CONNECTION LIMIT": found["of_role"],
        "the database's CONNECTION LIMIT": found["of_database"],
    }
    name, limit = min(((name, value) for name, value in limits.items() if value >= 0), key=lambda one: one[1])
    said = f"{needed} are needed, {name} allows {limit}, others have {found['others']}"
    less = f"--workers {max(1, limit - found['others'] - READERS)}, or a higher {name}"
    if needed > limit:
        yield failure("connections", said, less)
    elif name == "max_connections" and needed > limit - found["others"]:
        yield warning("connections", said, less)
    else:
        yield ok("connections", said)


async def ledger(one: Connection) -> AsyncIterator[Finding]:
    """The schema `ingest`: there, new enough, and ours to use."""
    found = await one.fetchrow(_LEDGER)
    if not found["is_there"]:
        if found["may_create"]:
            yield ok("ledger", "the schema ingest is not there yet; the first start makes it")
        else:
            yield failure("ledger", "there is no schema ingest, and this role may not make it", _MIGRATE)
        return
    tables = await one.fetch(_LEDGER_TABLES)
    closed = [row["name"] for row in tables if not row["may_use"]]
    if closed:
        yield failure("ledger", f"this role may not read and write ingest.{', ingest.'.join(closed)}", _MIGRATE)
        return
    version = await one.fetchval("SELECT coalesce(max(version), 0) FROM ingest.schema_version") if tables else 0
    said = f"the schema ingest is at version {version}"
    if version < len(VERSIONS) and not (found["may_create"] or all(row["is_owner"] for row in tables)):
        yield failure("ledger", f"{said} of {len(VERSIONS)}, and this role may not bring it up to date", _MIGRATE)
    elif version > len(VERSIONS):
        yield warning(
            "ledger", f"{said}, and this release knows {len(VERSIONS)}", "a newer server was here: upgrade this one"
        )
    else:
        yield ok("ledger", said)


async def commit_time(one: Connection) -> Finding:
    """How long PostgreSQL takes for a commit that lasts; nothing is stored but a note in its log of changes."""
    taken = []
    try:
        for _ in range(_COMMITS):
            began = time.perf_counter()
            await one.execute("SELECT pg_logical_emit_message(true, 'ingest-server', 'doctor')")
            taken.append(time.perf_counter() - began)
    except Exception as error:  # a role without this privilege, or a database that is no plain PostgreSQL
        return ok("commit time", f"it cannot be measured ({type(error).__name__})")
    seconds = statistics.median(taken)
    said = f"a commit takes {seconds * 1000:.2f} ms (the median of {_COMMITS})"
    if seconds > SLOW_FSYNC_SECONDS:
        return warning(
            "commit time", said, "a faster disk or network for PostgreSQL; or larger batches and more workers"
        )
    return ok("commit time", said)
