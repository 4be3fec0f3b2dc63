"""Which columns a constraint, an index or a domain is about: PostgreSQL's errors name the rule and not its columns."""

from collections.abc import Iterable
from typing import NamedTuple

from ingest_server.model import TableSpec
from ingest_server.postgres.tables.catalogue import Connection


class Rule(NamedTuple):
    """A rule as an error names it; what it does not name is empty. A partition has rules of its own."""

    schema: str
    relation: str
    constraint: str
    domain: str


# Of an index with expressions the columns that it depends on. Of a domain the column, where only one has it.
_COLUMNS = """
SELECT asked.number, CASE WHEN asked.domain <> '' THEN domains.names ELSE coalesce(constraints.names, indexes.names) END AS names
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
    AS asked (schema, relation, constraint_name, domain, number)
LEFT JOIN pg_namespace n ON n.nspname = asked.schema
LEFT JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = asked.relation
LEFT JOIN LATERAL (
    SELECT string_agg(a.attname, ', ' ORDER BY k.place) AS names
    FROM pg_constraint c
    CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
    LEFT JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum AND k.attnum > 0
    WHERE c.conrelid = r.oid AND c.conname = asked.constraint_name
    HAVING bool_and(k.attnum > 0)
) AS constraints ON true
LEFT JOIN LATERAL (
    SELECT string_agg(a.attname, ', ' ORDER BY array_position(i.indkey::int2[], a.attnum), a.attnum) AS names
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum > 0 AND CASE
        WHEN 0 = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) THEN a.attnum IN (
            SELECT d.refobjsubid FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid)
        ELSE a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) END
    WHERE i.indrelid = r.oid AND c.relname = asked.constraint_name
) AS indexes ON true
LEFT JOIN LATERAL (
    SELECT min(a.attname::text) AS names FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = $1 AND a.attnum > 0 AND t.typnamespace = n.oid AND t.typname = asked.domain
    HAVING count(*) = 1
) AS domains ON true
"""


async def columns_of(one: Connection, spec: TableSpec, rules: Iterable[Rule]) -> dict[Rule, str]:
    """The column of each rule, several with commas between them; a rule that is of none, or is not known, is left out."""
    asked = list(rules)
    rows = await one.fetch(_COLUMNS, spec.oid, *map(list, zip(*asked, strict=True)))
    return {asked[row["number"] - 1]: row["names"] for row in rows if row["names"]}
