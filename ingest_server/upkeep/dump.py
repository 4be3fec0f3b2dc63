"""Backup and restore: one file with the tables and the ledger, of one moment, made while everything runs."""

import os
from pathlib import Path

from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.upkeep.reach import Reach, existing, existing_or_new

_SERVERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ingest-server' AND datname = current_database()"
# What an extension brought is there in a fresh database too.
_TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_t%'
AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e') ORDER BY 1
"""


def back_up(settings: Settings, file: Path) -> int:
    """Write the database, schema `ingest` included, into a file that is not there yet; its bytes. Raises `StartRefused`.

    A half-made file is never left under that name.
    """
    with existing(settings) as reach:
        return write_dump(reach, file)


def write_dump(reach: Reach, file: Path) -> int:
    """`back_up` over a database that answers."""
    if file.exists():
        raise StartRefused(f"{file} is there already", remedy="name another file, or move that one away")
    part = file.with_name(f"{file.name}.part")
    try:
        # what was scraped is nobody else's business
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        try:
            reach.run("pg_dump", "--format=custom", f"--file={part}", f"--dbname={reach.dsn}")
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)
        return file.stat().st_size
    except OSError as error:
        raise StartRefused(f"{error.filename or file}: {error.strerror}", remedy="name a place with room") from None


def restore(settings: Settings, file: Path) -> int:
    """Put a backup into an empty database, all of it or nothing; how many tables it has now. Raises `StartRefused`."""
    if not file.is_file():
        raise StartRefused(f"there is no file {file}", remedy="name what ingest-server database backup wrote")
    with existing_or_new(settings) as reach:
        return read_dump(reach, file)


def read_dump(reach: Reach, file: Path) -> int:
    """`restore` over a database that answers."""
    if reach.ask(_SERVERS):
        raise StartRefused("an ingest-server works with this database", remedy="stop it, then restore")
    if tables := reach.ask(_TABLES):
        shown = ", ".join(tables[:5]) + (", …" if len(tables) > 5 else "")
        raise StartRefused(
            f"the database is not empty: it has {shown}",
            remedy="restore into a new database: move .ingest/postgres away, or createdb another one and name it",
        )
    reach.run(
        *("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner"), f"--dbname={reach.dsn}", str(file)
    )
    reach.ask("ANALYZE")
    return len(reach.ask(_TABLES))
