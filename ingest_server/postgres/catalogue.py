"""Tables as the database itself describes them: nothing has to be declared twice."""

from dataclasses import replace
from typing import Any

import asyncpg

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Mode, TableName, TableOptions, TableSpec
from ingest_server.postgres.identifiers import qualified
from ingest_server.postgres.types import WITHOUT_ORDER

LEDGER_SCHEMA = "ingest"
LANDING_COLUMNS = ("id", "crawl", "batch", "item", "created_at")
CLOSED_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast", LEDGER_SCHEMA)

_RELATION = """
SELECT c.oid, n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> ALL($1::text[]) AND n.nspname NOT LIKE 'pg\\_temp%'
"""

_NAMED = _RELATION + " AND n.nspname = $2 AND c.relname = $3"
_ALL = _RELATION + " ORDER BY 2, 3"

# What must not change under a COPY: which table has the name, its columns' names, order, types, nullability and defaults,
# its key, and the labels of its enums (types below 16384 are PostgreSQL's own). A dropped column changes the numbers.
SHAPE = """
SELECT concat_ws(' ', to_regclass($1)::oid, md5(concat_ws('|',
  (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attndims, attnotnull, atthasdef, attgenerated,
                               attidentity), ',' ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped),
  (SELECT concat_ws(' ', indkey, indimmediate) FROM pg_index WHERE indrelid = to_regclass($1) AND indisprimary),
  (SELECT string_agg(enumlabel, ',' ORDER BY enumtypid, enumsortorder) FROM pg_enum WHERE enumtypid IN
    (SELECT unnest(ARRAY[t.oid, t.typelem, t.typbasetype]) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND a.atttypid >= 16384)))))
"""

# Domains are followed to their base type, at most as deep as the catalogue nests them.
_COLUMNS = """
WITH RECURSIVE base (attnum, typid, typmod, required, dims) AS (
    SELECT a.attnum, a.atttypid, a.atttypmod, false, a.attndims::int
    FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT b.attnum, t.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE t.typtypmod END,
           b.required OR t.typnotnull, greatest(b.dims, t.typndims)
    FROM base b JOIN pg_type t ON t.oid = b.typid WHERE t.typtype = 'd'
)
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull OR b.required AS required,
       a.atthasdef OR a.attidentity <> '' OR own.typdefault IS NOT NULL AS has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN greatest(b.dims, 1) ELSE 0 END AS dimensions,
       coalesce(e.typname, t.typname) AS kind, coalesce(e.typtype, t.typtype) AS typtype,
       coalesce(e.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace AS is_builtin,
       CASE WHEN coalesce(e.typname, t.typname) IN ('varchar', 'bpchar') AND b.typmod > 4 THEN b.typmod - 4 END AS max_length,
       ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = coalesce(e.oid, t.oid) ORDER BY enumsortorder) AS labels
FROM base b
JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum
JOIN pg_type own ON own.oid = a.atttypid
JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd'
LEFT JOIN pg_type e ON t.typelem <> 0 AND t.typlen = -1 AND e.oid = t.typelem
ORDER BY a.attnum
"""

_KEY = """
SELECT a.attname, i.indimmediate FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.position
"""

Connection = Any  # asyncpg.Connection or the pool's proxy of one; asyncpg gives them no common type


async def read_table(connection: Connection, table: TableName, options: TableOptions) -> TableSpec | None:
    """The table as the catalogue has it, or None where there is none that may be written."""
    relation = await connection.fetchrow(_NAMED, CLOSED_SCHEMAS, table.schema, table.name)
    return None if relation is None else await _spec(connection, relation, options)


async def read_tables(connection: Connection) -> list[TableName]:
    """Every table that may be written."""
    rows = await connection.fetch(_ALL, CLOSED_SCHEMAS)
    return [TableName(row["schema"], row["name"]) for row in rows]


async def _spec(connection: Connection, relation: asyncpg.Record, options: TableOptions) -> TableSpec:
    table = TableName(relation["schema"], relation["name"])
    oid = relation["oid"]
    # The shape first: where the table changes between these questions, it is the older one, and found out under the lock.
    shape = await connection.fetchval(SHAPE, qualified(table))
    rows = await connection.fetch(_COLUMNS, oid)
    key = await connection.fetch(_KEY, oid)
    columns = tuple(
        Column(
            name=row["name"],
            type=row["type"],
            kind=_kind(row),
            nullable=not row["required"],
            has_default=row["has_default"],
            generated=row["generated"],
            dimensions=row["dimensions"],
            labels=tuple(row["labels"]),
            max_length=row["max_length"],
        )
        for row in rows
    )
    spec = TableSpec(
        table=table,
        columns=columns,
        key=tuple(row["attname"] for row in key),
        landing=tuple(column.name for column in columns) == LANDING_COLUMNS and columns[3].kind == "jsonb",
        oid=oid,
        shape=shape,
    )
    configured = _configured(spec, options)
    if configured.mode is not Mode.APPEND and not all(row["indimmediate"] for row in key):
        raise Misconfigured(
            f"table {table.schema}.{table.name}: its primary key is DEFERRABLE, which ON CONFLICT cannot use: "
            'make it NOT DEFERRABLE, or set mode = "append"'
        )
    return configured


def _kind(row: asyncpg.Record) -> str:
    """The type's name where values for it are known; a type of somebody's own may share its name with one of PostgreSQL's."""
    if row["typtype"] == b"e":
        return "enum"
    if row["is_builtin"] or row["kind"] == "citext":
        return str(row["kind"])
    return f"own type {row['kind']}"


def _configured(spec: TableSpec, options: TableOptions) -> TableSpec:
    """The spec with the options on top. Raises `Misconfigured` where they do not fit the table."""
    mode = options.mode or _usual_mode(spec)
    columns = {column.name: column for column in spec.columns}
    shown = f"{spec.table.schema}.{spec.table.name}"
    if mode is not Mode.APPEND and not spec.key:
        raise Misconfigured(f'table {shown}: mode "{mode}" needs a primary key: add one, or set mode = "append"')
    if options.newest_by is not None:
        newest_by = columns.get(options.newest_by)
        if newest_by is None:
            raise Misconfigured(f'table {shown}: newest_by names "{options.newest_by}", which is no column of it')
        if mode is not Mode.UPSERT:
            raise Misconfigured(f'table {shown}: newest_by is for mode "upsert", and the mode is "{mode}"')
        if newest_by.generated:
            raise Misconfigured(
                f'table {shown}: newest_by names "{newest_by.name}", which PostgreSQL makes itself (GENERATED): '
                "name a column that items bring"
            )
        if newest_by.kind in WITHOUT_ORDER:
            raise Misconfigured(f"table {shown}: newest_by names a column of type {newest_by.type}, which has no order")
    if options.catch_all is not None and not _is_jsonb(columns.get(options.catch_all)):
        raise Misconfigured(f'table {shown}: catch_all names "{options.catch_all}", which is no jsonb column of it')
    return replace(spec, mode=mode, newest_by=options.newest_by, catch_all=options.catch_all)


def _is_jsonb(column: Column | None) -> bool:
    return column is not None and column.kind == "jsonb" and not column.dimensions and not column.generated


def _usual_mode(spec: TableSpec) -> Mode:
    """Upsert where items bring the key; append where there is none, or where the database makes it (serial, identity)."""
    made = {column.name for column in spec.columns if column.has_default or column.generated}
    return Mode.UPSERT if spec.key and not made.issuperset(spec.key) else Mode.APPEND
