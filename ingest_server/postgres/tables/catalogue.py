"""Tables as the database itself describes them: nothing has to be declared twice."""

from typing import Any

import asyncpg

from ingest_server.model import Column, TableName, TableOptions, TableSpec
from ingest_server.postgres.decoding.types import own_kind
from ingest_server.postgres.tables.identifiers import qualified
from ingest_server.postgres.tables.keys import read_indexes
from ingest_server.postgres.tables.options import configured

LEDGER_SCHEMA = "ingest"
LANDING_COLUMNS = ("id", "crawl", "batch", "item", "created_at")
CLOSED_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast", LEDGER_SCHEMA)

_RELATION = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> ALL($1::text[]) AND n.nspname NOT LIKE 'pg\\_temp%'
"""

_NAMED = _RELATION + " AND n.nspname = $2 AND c.relname = $3"
_ALL = _RELATION + " ORDER BY 2, 3"

# What must not change under a COPY: which table has the name, its columns' names, order, types, nullability and defaults,
# its unique indexes, and what own types (below 16384 are PostgreSQL's) are made of: labels of enums, domains down to their
# base. A dropped column changes the numbers.
SHAPE = """
SELECT concat_ws(' ', to_regclass($1)::oid, md5(concat_ws('|',
  (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod, attndims, attnotnull, atthasdef, attgenerated,
                               attidentity), ',' ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped),
  (SELECT string_agg(concat_ws(' ', indexrelid, indkey, indimmediate, indisprimary, indisvalid, indisreplident), ','
                     ORDER BY indexrelid)
   FROM pg_index WHERE indrelid = to_regclass($1) AND indisunique),
  (WITH RECURSIVE own (typid) AS (
       SELECT atttypid FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND atttypid >= 16384
     UNION
       SELECT part.typid FROM own JOIN pg_type t ON t.oid = own.typid
       CROSS JOIN LATERAL unnest(ARRAY[t.typelem, t.typbasetype]) AS part (typid) WHERE part.typid >= 16384)
   SELECT string_agg(concat_ws(' ', t.oid, t.typnotnull, t.typdefault,
                               (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)),
                     ',' ORDER BY t.oid)
   FROM own JOIN pg_type t ON t.oid = own.typid))))
"""

# Domains are followed to their base type, and arrays to their elements'. An int2vector has elements and is no array.
_COLUMNS = """
WITH RECURSIVE step (attnum, typid, typmod, required, dims, inside, depth) AS (
    SELECT a.attnum, a.atttypid, a.atttypmod, false, a.attndims::int, false, 0
    FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT s.attnum, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
           CASE WHEN t.typtype = 'd' AND s.typmod < 0 THEN t.typtypmod ELSE s.typmod END,
           s.required OR (t.typnotnull AND NOT s.inside),
           CASE WHEN s.inside THEN s.dims WHEN t.typtype = 'd' THEN greatest(s.dims, t.typndims) ELSE greatest(s.dims, 1) END,
           s.inside OR t.typtype <> 'd', s.depth + 1
    FROM step s JOIN pg_type t ON t.oid = s.typid LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
    WHERE t.typtype = 'd' OR (e.oid IS NOT NULL AND NOT s.inside)
)
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull OR b.required AS required,
       a.atthasdef OR a.attidentity <> '' OR own.typdefault IS NOT NULL AS has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       CASE WHEN b.inside THEN b.dims ELSE 0 END AS dimensions,
       t.typname AS kind, t.typtype, t.typnamespace = 'pg_catalog'::regnamespace AS is_builtin,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND b.typmod > 4 THEN b.typmod - 4 END AS max_length,
       ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) AS labels
FROM (SELECT DISTINCT ON (attnum) * FROM step ORDER BY attnum, depth DESC) AS b
JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum
JOIN pg_type own ON own.oid = a.atttypid
JOIN pg_type t ON t.oid = b.typid
ORDER BY a.attnum
"""

_KNOWN_EXTENSIONS = frozenset({"citext", "hstore"})

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
    indexes = await read_indexes(connection, oid)
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
        landing=tuple(column.name for column in columns) == LANDING_COLUMNS and columns[3].kind == "jsonb",
        partitioned=relation["partitioned"],
        oid=oid,
        shape=shape,
    )
    return configured(spec, indexes, options)


def _kind(row: asyncpg.Record) -> str:
    """The type's name where values for it are known; a type of somebody's own may share its name with one of PostgreSQL's."""
    if row["typtype"] == b"e":
        return "enum"
    if row["is_builtin"] or row["kind"] in _KNOWN_EXTENSIONS:
        return str(row["kind"])
    return own_kind(row["kind"])
