"""Which columns tell a table's rows apart: the primary key, or a unique index that ON CONFLICT can use."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingest_server.errors import Misconfigured

# Columns that an index only carries along (INCLUDE) are no part of what is unique. `indnullsnotdistinct` is PostgreSQL 15's.
_INDEXES = """
SELECT i.indisprimary AS is_primary, i.indisreplident AS is_identity, i.indimmediate AS is_immediate,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_meet, found.names,
       found.required, found.generated
FROM pg_index i CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY k.position) AS names, bool_and(a.attnotnull) AS required,
           bool_or(a.attgenerated <> '' OR a.attidentity = 'a') AS generated
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.position <= i.indnkeyatts) AS found
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indexrelid
"""


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index over whole rows and plain columns: neither partial nor of expressions."""

    columns: tuple[str, ...]
    is_primary: bool = False
    is_identity: bool = False
    """Named as the table's replica identity."""
    is_immediate: bool = True
    nulls_meet: bool = False
    """Whether NULL meets NULL (NULLS NOT DISTINCT)."""
    is_required: bool = True
    """Whether every column is NOT NULL."""
    is_generated: bool = False
    """Whether PostgreSQL makes one of the columns itself."""


async def read_indexes(connection: Any, oid: int) -> list[UniqueIndex]:
    """The table's unique indexes that could be a key, in the order in which they were made."""
    rows = await connection.fetch(_INDEXES, oid)
    return [
        UniqueIndex(
            columns=tuple(row["names"]),
            is_primary=row["is_primary"],
            is_identity=row["is_identity"],
            is_immediate=row["is_immediate"],
            nulls_meet=row["nulls_meet"],
            is_required=row["required"],
            is_generated=row["generated"],
        )
        for row in rows
    ]


def chosen(indexes: Sequence[UniqueIndex], wanted: tuple[str, ...], shown: str) -> UniqueIndex | None:
    """The index that is the key of the table `shown`, or None where none is, or several could be.

    `wanted` names its columns, in any order; without it the primary key, else the replica identity, else the only one of
    columns that are NOT NULL, else the only one. Raises `Misconfigured` where there is no such index.
    """
    if wanted:
        found = [one for one in indexes if set(one.columns) == set(wanted) and one.is_immediate]
        if not found:
            raise Misconfigured(
                f"table {shown}: key names ({', '.join(wanted)}), and no unique index that ON CONFLICT can use is over just "
                "these columns (not partial, not of expressions, not DEFERRABLE): make one, or name another key"
            )
        # PostgreSQL takes all that fit; where one lets NULLs meet, they meet.
        return max(found, key=lambda one: (one.nulls_meet, one.is_primary))
    primary = [one for one in indexes if one.is_primary]
    if primary:
        return primary[0]
    usable = [one for one in indexes if one.is_immediate and not one.is_generated]
    return (
        _only(one for one in usable if one.is_identity)
        or _only(one for one in usable if one.is_required)
        or _only(one for one in usable if not any(other.is_required for other in usable))
    )


def is_ambiguous(indexes: Sequence[UniqueIndex]) -> bool:
    """Whether `chosen` found none because there is more than one."""
    return not any(one.is_primary for one in indexes) and sum(one.is_immediate for one in indexes) > 1


def _only(found: Iterable[UniqueIndex]) -> UniqueIndex | None:
    several = {one.columns: one for one in found}  # two indexes over the same columns are one key
    return next(iter(several.values())) if len(several) == 1 else None
