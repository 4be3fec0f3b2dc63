"""Rows into one table: COPY, or COPY into a staging table and one INSERT … SELECT … ON CONFLICT.

Only SQL that a distributed PostgreSQL (Citus) takes as well: no MERGE, no triggers, no now() in DO UPDATE.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ingest_server.model import Mode, TableSpec
from ingest_server.postgres.catalogue import Connection
from ingest_server.postgres.decode import Row, Rows
from ingest_server.postgres.identifiers import listed, qualified, quoted
from ingest_server.postgres.types import WITHOUT_EQUALITY

_POSITION = "_ingest_position"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of rows that were written."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.inserted + other.inserted, self.updated + other.updated, self.unchanged + other.unchanged)


class Writer:
    """Compiled for one table's shape."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec
        self._kinds = {column.name: column.kind for column in spec.columns}
        self._staged = [column.name for column in spec.writable]
        digest = hashlib.sha256(f"{spec.oid} {spec.shape} {self._staged}".encode()).hexdigest()[:20]
        self._staging = f"ingest_staging_{digest}"
        self._statements: dict[tuple[tuple[str, ...], bool], str] = {}

    @property
    def prelude(self) -> str:
        """What the transaction begins with: faults show at once, and ALTER TABLE waits until it ends.

        Deferred constraints would fail at COMMIT, after every savepoint. Binary COPY with the types of a moment ago can
        store nonsense without an error.
        """
        return f"SET CONSTRAINTS ALL IMMEDIATE; LOCK TABLE {qualified(self._spec.table)} IN ROW EXCLUSIVE MODE"

    def needs_staging(self, rows: Rows) -> bool:
        """Whether these rows go through the staging table; without a whole key nothing can meet a row that is there."""
        return self._spec.mode is not Mode.APPEND and set(self._spec.key).issubset(rows.columns)

    async def prepare(self, connection: Connection) -> None:
        """Make the staging table, once per connection and shape; it is emptied at every COMMIT and ROLLBACK."""
        await connection.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {quoted(self._staging)} ON COMMIT DELETE ROWS AS "
            f"SELECT {listed(self._staged)}, 0::int AS {quoted(_POSITION)} FROM {qualified(self._spec.table)} "
            "WITH NO DATA"
        )

    async def write(self, connection: Connection, rows: Rows, values: Sequence[Row]) -> Counts:
        """Write the values, which fill `rows.columns`, in the table's mode."""
        if not self.needs_staging(rows):
            await connection.copy_records_to_table(
                self._spec.table.name, schema_name=self._spec.table.schema, columns=rows.columns, records=values
            )
            return Counts(inserted=len(values))
        await connection.copy_records_to_table(
            self._staging,
            schema_name="pg_temp",
            columns=(*rows.columns, _POSITION),
            records=[(*value, position) for position, value in enumerate(values)],
        )
        fresh = [row[0] for row in await connection.fetch(self._statement(connection, rows.columns))]
        inserted = sum(fresh)
        return Counts(inserted, len(fresh) - inserted, len(values) - len(fresh))

    async def clear(self, connection: Connection) -> None:
        """Empty the staging table between two writes of one transaction."""
        await connection.execute(f"DELETE FROM pg_temp.{quoted(self._staging)}")

    def _statement(self, connection: Connection, columns: tuple[str, ...]) -> str:
        # From PostgreSQL 18 on RETURNING knows the old row; before, a row that was not there has no xmax.
        has_old = connection.get_server_version().major >= 18
        statement = self._statements.get((columns, has_old))
        if statement is None:
            statement = self._statements[columns, has_old] = self._compose(columns, has_old=has_old)
        return statement

    def _compose(self, columns: tuple[str, ...], *, has_old: bool) -> str:
        spec = self._spec
        newest = spec.newest_by if spec.newest_by in columns else None
        if spec.mode is Mode.IGNORE:
            order = f"{quoted(_POSITION)}"
        else:
            order = f"{quoted(_POSITION)} DESC"
            if newest is not None:
                order = f"{quoted(newest)} DESC NULLS LAST, {order}"
        # Sorted by key, so that two workers lock rows in one order and do not deadlock.
        source = (
            f"SELECT DISTINCT ON ({listed(spec.key)}) {listed(columns)} FROM pg_temp.{quoted(self._staging)} "
            f"ORDER BY {listed(spec.key)}, {order}"
        )
        updated = [name for name in columns if name not in spec.key]
        if spec.mode is Mode.IGNORE or not updated:
            action = "DO NOTHING"
        else:
            assignments = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in updated)
            old = ", ".join(self._comparable("there", name) for name in updated)
            new = ", ".join(self._comparable("EXCLUDED", name) for name in updated)
            action = f"DO UPDATE SET {assignments} WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
            if spec.newest_by is not None:
                by = quoted(spec.newest_by)
                action += f" AND (there.{by} IS NULL OR EXCLUDED.{by} >= there.{by})"
        by_old = f"WITH (OLD AS _ingest_old) _ingest_old.{quoted(spec.key[0])} IS NULL"
        returning = by_old if has_old else "(there.xmax = 0)"
        return (
            f"INSERT INTO {qualified(spec.table)} AS there ({listed(columns)}) {source} "
            f"ON CONFLICT ({listed(spec.key)}) {action} RETURNING {returning}"
        )

    def _comparable(self, row: str, name: str) -> str:
        cast = "::text" if self._kinds[name] in WITHOUT_EQUALITY else ""
        return f"{row}.{quoted(name)}{cast}"


def without_superseded(groups: Sequence[Rows], spec: TableSpec) -> tuple[list[Rows], int]:
    """Of items that share a key across groups, keep only the one that must win: groups are written one after the other.

    Returns the groups, and how many items were superseded.
    """
    if len(groups) < 2 or spec.mode is Mode.APPEND:
        return list(groups), 0
    winners: dict[Row, tuple[int, object]] = {}
    for group in groups:
        for index, value in zip(group.indexes, group.values, strict=True):
            key, newness = _key_and_newness(spec, group.columns, value)
            if key is None:
                continue
            best = winners.get(key)
            if best is None or _beats(spec, (index, newness), best):
                winners[key] = (index, newness)
    kept: list[Rows] = []
    superseded = 0
    for group in groups:
        rows = Rows(group.columns, group.row)
        for index, value in zip(group.indexes, group.values, strict=True):
            key, _ = _key_and_newness(spec, group.columns, value)
            if key is None or winners[key][0] == index:
                rows.indexes.append(index)
                rows.values.append(value)
            else:
                superseded += 1
        if rows.indexes:
            kept.append(rows)
    return kept, superseded


def _key_and_newness(spec: TableSpec, columns: tuple[str, ...], value: Row) -> tuple[Row | None, object]:
    fields = dict(zip(columns, value, strict=True))
    if not fields.keys() >= set(spec.key):
        return None, None
    newness = fields.get(spec.newest_by) if spec.newest_by is not None else None
    return tuple(fields[name] for name in spec.key), newness


def _beats(spec: TableSpec, one: tuple[int, object], other: tuple[int, object]) -> bool:
    """Whether item `one` wins over `other`: the newer, then the later; the first where rows that are there win."""
    if spec.mode is Mode.IGNORE:
        return one[0] < other[0]
    if spec.newest_by is None or one[1] == other[1]:
        return one[0] > other[0]
    if one[1] is None or other[1] is None:
        return other[1] is None
    return bool(one[1] > other[1])  # type: ignore[operator]  # both are values of one ordered column
