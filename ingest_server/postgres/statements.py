"""The SQL that writes one table, composed once for its shape.

Only SQL that a distributed PostgreSQL (Citus) takes as well: no MERGE, no triggers, no now() in DO UPDATE.
"""

import hashlib

from ingest_server.model import Mode, TableSpec
from ingest_server.postgres.identifiers import listed, qualified, quoted
from ingest_server.postgres.types import COMPARED_AS_TEXT

POSITION = "_ingest_position"
_KEPT = frozenset({Mode.UPSERT, Mode.IGNORE})

# Asked under the lock of each batch that needs it: SHAPE tells whether a column has a default, not which.
DEFAULT = """
SELECT CASE WHEN a.attidentity <> '' THEN format('nextval(%L)', pg_get_serial_sequence(a.attrelid::regclass::text, a.attname))
            ELSE pg_get_expr(d.adbin, d.adrelid) END
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attname = $2
"""


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
        self._staged = f"pg_temp.{self.staging}"
        self._merges: dict[tuple[tuple[str, ...], bool, bool], str] = {}

        # Faults show at once, and ALTER TABLE waits until the transaction ends. Deferred constraints would fail at COMMIT,
        # after every savepoint; binary COPY with the types of a moment ago can store nonsense without an error.
        self.prelude = f"SET CONSTRAINTS ALL IMMEDIATE; LOCK TABLE {self._table} IN ROW EXCLUSIVE MODE"
        self.make_staging = (
            f"CREATE TEMP TABLE IF NOT EXISTS {self.staging} ON COMMIT DELETE ROWS AS "
            f"SELECT {listed(staged)}, 0::int AS {POSITION} FROM {self._table} WITH NO DATA"
        )
        self.index_staging = f"CREATE INDEX IF NOT EXISTS {self.staging}_position ON {self._staged} ({POSITION})"
        self.append_defaults = f"INSERT INTO {self._table} SELECT FROM generate_series(1, $1::int)"
        self.unstage = f"DELETE FROM {self._staged} WHERE {POSITION} = ANY($1::int[])"
        self.winners = (
            f"SELECT DISTINCT ON ({listed(spec.key)}) {POSITION} FROM {self._staged} {self._winners_first()}"
            if spec.mode in _KEPT
            else ""
        )

    def fill(self, default: str) -> str:
        """The newest_by column's default into it, for the items at $1: one evaluation each, in their order.

        Not as a default of the staging table: then the table's own sequence could not be dropped while we are connected.
        """
        assert self._spec.newest_by is not None
        return (
            f"UPDATE {self._staged} AS staged SET {quoted(self._spec.newest_by)} = made.value "
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
        statement = self._merges.get((columns, chosen, has_old))
        if statement is None:
            statement = self._compose(columns, chosen=chosen, has_old=has_old)
            self._merges[columns, chosen, has_old] = statement
        return statement

    def _compose(self, columns: tuple[str, ...], *, chosen: bool, has_old: bool) -> str:
        key = listed(self._spec.key)
        # Sorted by key, so that two workers lock rows in one order and do not deadlock.
        if chosen:
            source = f"SELECT {listed(columns)} FROM {self._staged} WHERE {POSITION} = ANY($1::int[]) ORDER BY {key}"  #
        else:
            source = f"SELECT DISTINCT ON ({key}) {listed(columns)} FROM {self._staged} {self._winners_first()}"
        with_old, is_new = ("WITH (OLD AS _ingest_old) ", f"_ingest_old.{quoted(self._spec.key[0])} IS NULL")
        returning = f"{with_old}{is_new}" if has_old else "(there.xmax = 0)"
        return (
            f"INSERT INTO {self._table} AS there ({listed(columns)}) {source} "
            f"ON CONFLICT ({key}) {self._action(columns)} RETURNING {returning}"
        )

    def _winners_first(self) -> str:
        """The order in which the first row of each key is the one that wins: the newest, then the last; or the first."""
        order = POSITION if self._spec.mode is Mode.IGNORE else f"{POSITION} DESC"
        if self._spec.newest_by is not None:
            order = f"{quoted(self._spec.newest_by)} DESC NULLS LAST, {order}"
        return f"ORDER BY {listed(self._spec.key)}, {order}"

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
            by = quoted(self._spec.newest_by)
            action += f" AND (there.{by} IS NULL OR EXCLUDED.{by} >= there.{by})"
        return action

    def _comparable(self, row: str, name: str) -> str:
        cast = "::text" if self._kinds[name] in COMPARED_AS_TEXT else ""
        return f"{row}.{quoted(name)}{cast}"
