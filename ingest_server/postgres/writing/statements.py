"""The SQL that writes one table, composed once for its shape.

Only SQL that a distributed PostgreSQL (Citus) takes as well: no MERGE, no triggers, no now() in DO UPDATE.
"""

import hashlib
from functools import lru_cache

from ingest_server.model import Mode, TableSpec
from ingest_server.postgres.decoding.types import is_compared_as_text
from ingest_server.postgres.tables.identifiers import listed, qualified, quoted

POSITION = "_ingest_position"
# A batch may hold a combination of fields for each of its items: texts for those that were long not met are let go.
KEPT_TEXTS = 256
_KEPT = frozenset({Mode.UPSERT, Mode.IGNORE})

# Asked under the lock of each batch that needs it: SHAPE tells whether a column has a default, not which.
DEFAULT = """
SELECT CASE WHEN a.attidentity <> '' THEN format('nextval(%L)', pg_get_serial_sequence(a.attrelid::regclass::text, a.attname))
            ELSE pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attname = $2
"""

REFERS_TO_ITSELF = "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = $1 AND confrelid = $1)"


class Statements:
    """Every statement that the writer of this table says."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec
        self._table = qualified(spec.table)
        self._kinds = {column.name: column.kind for column in spec.columns}
        staged = [column.name for column in spec.writable]
        # Another shape has another staging table: asyncpg keeps the column types that it met under a name.
        digest = hashlib.sha256(f"{spec.oid} {spec.shape} {staged}".encode()).hexdigest()[:20]
        self.staging = f"ingest_staging_{digest}"
        self.staged = f"pg_temp.{self.staging}"
        self._merges = lru_cache(KEPT_TEXTS)(self._compose)

        # Faults show at once, and ALTER TABLE waits until the transaction ends. Deferred constraints would fail at COMMIT,
        # after every savepoint; binary COPY with the types of a moment ago can store nonsense without an error.
        self.prelude = f"SET CONSTRAINTS ALL IMMEDIATE; LOCK TABLE {self._table} IN ROW EXCLUSIVE MODE"
        self.make_staging = (
            f"CREATE TEMP TABLE IF NOT EXISTS {self.staging} ON COMMIT DELETE ROWS AS "
            f"SELECT {listed(staged)}, 0::int AS {POSITION} FROM {self._table} WITH NO DATA"
        )
        self.index_staging = f"CREATE INDEX IF NOT EXISTS {self.staging}_position ON {self.staged} ({POSITION})"
        self.append_defaults = f"INSERT INTO {self._table} SELECT FROM generate_series(1, $1::int)"
        self.unstage = f"DELETE FROM {self.staged} WHERE {POSITION} = ANY($1::int[])"
        alone = f"SELECT unnest(array_agg({POSITION})) FROM {self.staged} GROUP BY {self._same_key}"
        self.keep_alone = (
            f"DELETE FROM {self.staged} WHERE {POSITION} NOT IN ({alone} HAVING bool_and({POSITION} = ANY($1::int[])))"
        )
        self.positions = f"SELECT {POSITION} FROM {self.staged}"
        self.winners = (
            f"SELECT DISTINCT ON ({self._same_key}) {POSITION} FROM {self.staged} {self._winners_first()}"
            if spec.mode in _KEPT
            else ""
        )

    def fill(self, default: str) -> str:
        """The newest_by column's default into it, for the items at $1: one evaluation each, in their order.

        Not as a default of the staging table: then the table's own sequence could not be dropped while we are connected.
        """
        assert self._spec.newest_by is not None
        return (
            f"UPDATE {self.staged} AS staged SET {quoted(self._spec.newest_by)} = made.value "
            f"FROM (SELECT item, ({default}) AS value FROM unnest($1::int[]) AS item) AS made "
            f"WHERE staged.{POSITION} = made.item"
        )

    def merge(self, columns: tuple[str, ...], *, chosen: bool, has_old: bool) -> str:
        """Staged rows into the table. `chosen`: those whose positions are $1; else of each key the one that wins.

        The newest_by column goes with every row: its value decided, so that the row that stays must show it.

        Returns a row for each one that was inserted (true) or updated (false). `has_old`: from PostgreSQL 18 on RETURNING
        knows the old row; before, a row that was not there has no xmax.
        """
        if self._spec.newest_by is not None and self._spec.newest_by not in columns:
            columns = (*columns, self._spec.newest_by)
        return self._merges(columns, chosen=chosen, has_old=has_old)

    def _compose(self, columns: tuple[str, ...], *, chosen: bool, has_old: bool) -> str:
        key = listed(self._spec.key)
        # Sorted by key, so that two workers lock rows in one order and do not deadlock.
        if chosen:
            source = f"SELECT {listed(columns)} FROM {self.staged} WHERE {POSITION} = ANY($1::int[]) ORDER BY {key}"
        else:
            source = (
                f"SELECT DISTINCT ON ({self._same_key}) {listed(columns)} FROM {self.staged} {self._winners_first()}"
            )
        returning = is_new(self._spec, has_old=has_old)
        return (
            f"INSERT INTO {self._table} AS there ({listed(columns)}) {source} "
            f"ON CONFLICT ({key}) {self._action(columns)} RETURNING {returning}"
        )

    @property
    def _same_key(self) -> str:
        """What is equal in staged rows of one key. NULL meets no other NULL, unless the index says NULLS NOT DISTINCT."""
        key = listed(self._spec.key)
        nullable = {column.name for column in self._spec.columns if column.nullable}.intersection(self._spec.key)
        if self._spec.nulls_meet or not nullable:
            return key
        no_key = " OR ".join(f"{quoted(name)} IS NULL" for name in sorted(nullable))
        return f"{key}, (CASE WHEN {no_key} THEN {POSITION} END)"

    def _winners_first(self) -> str:
        """The order in which the first row of each key is the one that wins: the newest, then the last; or the first."""
        order = POSITION if self._spec.mode is Mode.IGNORE else f"{POSITION} DESC"
        if self._spec.newest_by is not None:
            order = f"{quoted(self._spec.newest_by)} DESC NULLS LAST, {order}"
        return f"ORDER BY {self._same_key}, {order}"

    def _action(self, columns: tuple[str, ...]) -> str:
        """What becomes of a row whose key is there: replaced, unless it is the same already or newer."""
        updated = [name for name in columns if name not in self._spec.key]
        if self._spec.mode is Mode.IGNORE or not updated:
            return "DO NOTHING"
        assignments = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in updated)
        old = ", ".join(self._comparable("there", name) for name in updated)
        new = ", ".join(self._comparable("EXCLUDED", name) for name in updated)
        action = f"DO UPDATE SET {assignments} WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
        if self._spec.newest_by is not None:
            action += f" AND ({is_as_new(self._spec.newest_by, 'EXCLUDED')})"
        return action

    def _comparable(self, row: str, name: str) -> str:
        cast = "::text" if is_compared_as_text(self._kinds[name]) else ""
        return f"{row}.{quoted(name)}{cast}"


def is_as_new(newest_by: str, row: str) -> str:
    """Whether `row` is not older than the row that is there."""
    by = quoted(newest_by)
    return f"there.{by} IS NULL OR {row}.{by} >= there.{by}"


def is_new(spec: TableSpec, *, has_old: bool) -> str:
    """What tells in RETURNING whether the row was inserted: from PostgreSQL 18 on (`has_old`) the old row.

    Before, a row that was not there has no xmax; in a partitioned table nobody may ask for that.
    """
    if has_old:  # not by the key's own columns: a unique index may be over some that are NULL
        return "WITH (OLD AS _ingest_old) _ingest_old.tableoid IS NULL"
    if not spec.partitioned:
        return "(there.xmax = 0)"
    equal = "IS NOT DISTINCT FROM" if spec.nulls_meet else "="
    same = " AND ".join(f"seen.{quoted(name)} {equal} there.{quoted(name)}" for name in spec.key)
    # As it was when the statement began.
    return f"NOT EXISTS (SELECT FROM {qualified(spec.table)} AS seen WHERE {same})"
