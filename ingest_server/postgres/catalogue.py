"""Tables as the database itself describes them: nothing has to be declared twice."""

from dataclasses import replace
from typing import Any

import asyncpg

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Mode, TableName, TableOptions, TableSpec

LEDGER_SCHEMA = "ingest"
LANDING_COLUMNS = ("id", "crawl", "batch", "item", "created_at")
_CLOSED_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast", LEDGER_SCHEMA)

_RELATION = """
SELECT c.oid, n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> ALL($1::text[]) AND n.nspname NOT LIKE 'pg\\_temp%'
"""

_NAMED = _RELATION + " AND n.nspname = $2 AND c.relname = $3"
_ALL = _RELATION + " ORDER BY 2, 3"

# What must not change under a COPY: names, order, types, nullability, defaults. A dropped column counts too.
SHAPE = """
SELECT md5(string_agg(format('%s %s %s %s %s %s %s %s %s', attnum, attname, atttypid, atttypmod, attnotnull, atthasdef,
                             attgenerated, attidentity, attisdropped), ',' ORDER BY attnum))
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0
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
SELECT a.attname FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.position
"""

Connection = Any  # asyncpg.Connection or the pool's proxy of one; asyncpg gives them no common type


async def read_table(connection: Connection, table: TableName, options: TableOptions) -> TableSpec | None:
    """The table as the catalogue has it, or None where there is none that may be written."""
    relation = await connection.fetchrow(_NAMED, _CLOSED_SCHEMAS, table.schema, table.name)
    return None if relation is None else await _spec(connection, relation, options)


async def read_tables(connection: Connection) -> list[TableName]:
    """Every table that may be written."""
    rows = await connection.fetch(_ALL, _CLOSED_SCHEMAS)
    return [TableName(row["schema"], row["name"]) for row in rows]


async def _spec(connection: Connection, relation: asyncpg.Record, options: TableOptions) -> TableSpec:
    oid = relation["oid"]
    shape = await connection.fetchval(SHAPE, oid)
    rows = await connection.fetch(_COLUMNS, oid)
    key = tuple(row["attname"] for row in await connection.fetch(_KEY, oid))
    columns = tuple(
        Column(
            name=row["name"],
            type=row["type"],
            kind="enum" if row["typtype"] == b"e" else row["kind"],
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
        table=TableName(relation["schema"], relation["name"]),
        columns=columns,
        key=key,
        landing=tuple(column.name for column in columns) == LANDING_COLUMNS and columns[3].kind == "jsonb",
        oid=oid,
        shape=shape or "",
    )
    return _configured(spec, options)


def _configured(spec: TableSpec, options: TableOptions) -> TableSpec:
    """The spec with the options on top. Raises `Misconfigured` where they do not fit the table."""
    mode = options.mode or _usual_mode(spec)
    kinds = {column.name: column.kind for column in spec.columns}
    shown = f"{spec.table.schema}.{spec.table.name}"
    if mode is not Mode.APPEND and not spec.key:
        raise Misconfigured(f'table {shown}: mode "{mode}" needs a primary key: add one, or set mode = "append"')
    if options.newest_by is not None and options.newest_by not in kinds:
        raise Misconfigured(f'table {shown}: newest_by names "{options.newest_by}", which is no column of it')
    if options.catch_all is not None and kinds.get(options.catch_all) != "jsonb":
        raise Misconfigured(f'table {shown}: catch_all names "{options.catch_all}", which is no jsonb column of it')
    return replace(spec, mode=mode, newest_by=options.newest_by, catch_all=options.catch_all)


def _usual_mode(spec: TableSpec) -> Mode:
    """Upsert where items bring the key; append where there is none, or where the database makes it (serial, identity)."""
    made = {column.name for column in spec.columns if column.has_default or column.generated}
    return Mode.UPSERT if spec.key and not made.issuperset(spec.key) else Mode.APPEND
