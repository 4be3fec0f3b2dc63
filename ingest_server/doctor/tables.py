"""The tables: may they be written, and have they the keys that their write modes need."""

from collections.abc import AsyncIterator

from ingest_server.doctor.finding import Finding, failure, ok, warning
from ingest_server.errors import Misconfigured
from ingest_server.model import Mode, TableName, TableOptions, TableSpec
from ingest_server.postgres.tables.catalogue import Connection, read_table, read_tables
from ingest_server.postgres.tables.keys import is_ambiguous, read_indexes
from ingest_server.settings import Settings

_PRIVILEGES = """
SELECT array_remove(ARRAY[
    CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN 'USAGE on schema ' || quote_ident(n.nspname) END,
    CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
    CASE WHEN NOT (has_table_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'INSERT')) THEN 'INSERT' END,
    CASE WHEN $2 AND NOT (has_table_privilege(c.oid, 'UPDATE') OR has_any_column_privilege(c.oid, 'UPDATE'))
         THEN 'UPDATE' END,
    CASE WHEN row_security_active(c.oid) AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)
         THEN 'a policy of row-level security, or BYPASSRLS' END
  ], NULL) || ARRAY(
    SELECT 'USAGE on sequence ' || s.oid::regclass FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
    WHERE d.refobjid = c.oid AND d.deptype = 'a'
    AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END) AS missing,
  ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND NOT i.indisvalid) AS invalid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1
"""


async def tables(one: Connection, settings: Settings) -> AsyncIterator[Finding]:
    """One finding for each table with a fault, and one for all others together."""
    sound: dict[Mode, int] = {}
    names = await read_tables(one)
    for name in names:
        faults = [fault async for fault in _faults(one, name, settings)]
        for fault in faults:
            yield fault
        if not faults:
            spec = await read_table(one, name, _options(settings, name))
            if spec is not None:
                sound[spec.mode] = sound.get(spec.mode, 0) + 1
    shown = ", ".join(f"{count} {mode}" for mode, count in sorted(sound.items()))
    if not names:
        yield ok("tables", "there is none yet")
    elif sound:
        yield ok("tables", f"{sum(sound.values())} in order: {shown}")
    for name in set(settings.table_options) - set(names):
        yield warning(
            "tables",
            f"the settings have [table.{name.shown(settings.schema_)}], and there is no such table",
            "create it, or mend the name",
        )


async def _faults(one: Connection, name: TableName, settings: Settings) -> AsyncIterator[Finding]:
    check = f"table {name.shown(settings.schema_)}"
    try:
        spec = await read_table(one, name, _options(settings, name))
    except Misconfigured as error:
        yield failure(check, error.reason, "its batches wait until this is mended")
        return
    if spec is None:
        return
    found = await one.fetchrow(_PRIVILEGES, spec.oid, spec.mode is Mode.UPSERT)
    if found is not None and found["missing"]:
        yield failure(check, f"this role lacks {', '.join(found['missing'])}", "GRANT it: see docs/security.md")
    if found is not None and found["invalid"]:
        yield warning(check, f"{', '.join(found['invalid'])} is no valid index", "REINDEX it, or drop it")
    async for fault in _key_faults(one, spec, check):
        yield fault


async def _key_faults(one: Connection, spec: TableSpec, check: str) -> AsyncIterator[Finding]:
    if spec.mode is not Mode.APPEND:
        return
    indexes = await read_indexes(one, spec.oid)
    late = [index for index in indexes if not index.is_immediate]
    if late:
        yield warning(
            check,
            f"its unique index over ({', '.join(late[0].columns)}) is DEFERRABLE, so items are only appended",
            "make it NOT DEFERRABLE where items should replace rows",
        )
    elif is_ambiguous(indexes):
        yield warning(
            check,
            "several unique indexes could be its key, so items are only appended",
            "a primary key, or key in its section of the settings",
        )


def _options(settings: Settings, name: TableName) -> TableOptions:
    return settings.table_options.get(name, TableOptions())
