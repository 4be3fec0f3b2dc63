"""The SQL of `merge = patch`: fields of staged items into rows, UPDATE for the rows that are there and INSERT for the rest.

ON CONFLICT alone cannot do it: it refuses an item that lacks a NOT NULL column although the row is there.
"""

from collections.abc import Iterable
from functools import lru_cache

from ingest_server.model import TableSpec
from ingest_server.postgres.decoding.types import is_compared_as_text
from ingest_server.postgres.tables.identifiers import listed, qualified, quoted
from ingest_server.postgres.writing.statements import KEPT_TEXTS, POSITION, is_as_new, is_new


class PatchStatements:
    """Every statement that patching one table takes, beside those that stage its items."""

    def __init__(self, spec: TableSpec, staged: str) -> None:
        self._spec = spec
        self._staged = staged
        self._table = qualified(spec.table)
        self._kinds = {column.name: column.kind for column in spec.columns}
        key = listed(spec.key)
        age = "0" if spec.newest_by is None else f"dense_rank() OVER (ORDER BY {quoted(spec.newest_by)} NULLS FIRST)"
        self.keys = (
            f"SELECT {POSITION}, dense_rank() OVER (ORDER BY {key}) AS key, {age} AS age FROM {staged} ORDER BY 2, 1"
        )
        # In the order of their keys, in which every worker locks rows. A row that is only locked is not written again.
        applies = "true" if spec.newest_by is None else is_as_new(spec.newest_by, "staged")
        self.lock = (
            f"SELECT staged.{POSITION}, ({applies}) AS applies FROM {staged} AS staged "
            f"JOIN {self._table} AS there ON {self._same_key()} WHERE staged.{POSITION} = ANY($1::int[]) "
            f"ORDER BY {', '.join(f'staged.{quoted(name)}' for name in spec.key)} FOR NO KEY UPDATE OF there"
        )
        self.update = lru_cache(KEPT_TEXTS)(self._update)
        self.insert = lru_cache(KEPT_TEXTS)(self._insert)

    def blend(self, name: str) -> str:
        """Sets this column of the items at $1 to what those at $2 have in it, pair by pair."""
        column = quoted(name)
        return (
            f"UPDATE {self._staged} AS staged SET {column} = source.{column} "
            f"FROM unnest($1::int[], $2::int[]) AS pair (taker, giver), {self._staged} AS source "
            f"WHERE staged.{POSITION} = pair.taker AND source.{POSITION} = pair.giver"
        )

    def gather(self, name: str) -> str:
        """The texts at $2 into this jsonb column of the items at $1."""
        return (
            f"UPDATE {self._staged} AS staged SET {quoted(name)} = pair.value::jsonb "
            f"FROM unnest($1::int[], $2::text[]) AS pair (taker, value) WHERE staged.{POSITION} = pair.taker"
        )

    def _update(self, columns: tuple[str, ...]) -> str:
        """The items at $1 into their rows, which are there and locked; says which rows were written."""
        names = self._fields(columns)
        return (
            f"UPDATE {self._table} AS there SET {self._assignments(names, 'staged')} FROM {self._staged} AS staged "
            f"WHERE {self._same_key()} AND staged.{POSITION} = ANY($1::int[]) AND {self._differs(names, 'staged')} "
            f"RETURNING staged.{POSITION}"
        )

    def _insert(self, columns: tuple[str, ...], *, has_old: bool) -> str:
        """The items at $1 as new rows; where somebody else's came in between, into that one.

        Returns a row for each one that was inserted (true) or updated (false).
        """
        names = self._fields(columns)
        key = listed(self._spec.key)
        action = "DO NOTHING"
        if names:
            action = f"DO UPDATE SET {self._assignments(names, 'EXCLUDED')} WHERE {self._differs(names, 'EXCLUDED')}"
            if self._spec.newest_by is not None:
                action += f" AND ({is_as_new(self._spec.newest_by, 'EXCLUDED')})"
        return (
            f"INSERT INTO {self._table} AS there ({listed(columns)}) SELECT {listed(columns)} FROM {self._staged} "
            f"WHERE {POSITION} = ANY($1::int[]) ORDER BY {key} ON CONFLICT ({key}) {action} "
            f"RETURNING {is_new(self._spec, has_old=has_old)}"
        )

    def _fields(self, columns: tuple[str, ...]) -> list[str]:
        return [name for name in columns if name not in self._spec.key]

    def _same_key(self) -> str:
        return " AND ".join(f"there.{quoted(name)} = staged.{quoted(name)}" for name in self._spec.key)

    def _assignments(self, names: Iterable[str], row: str) -> str:
        return ", ".join(f"{quoted(name)} = {self._value(name, row)}" for name in names)

    def _differs(self, names: Iterable[str], row: str) -> str:
        """Whether the row would be another one: what stays as it is is not written again."""
        casts = {name: "::text" if is_compared_as_text(self._kinds[name]) else "" for name in names}
        old = ", ".join(f"there.{quoted(name)}{cast}" for name, cast in casts.items())
        new = ", ".join(f"({self._value(name, row)}){cast}" for name, cast in casts.items())
        return f"ROW({old}) IS DISTINCT FROM ROW({new})"

    def _value(self, name: str, row: str) -> str:
        """What the row has in this column afterwards. The members of the catch-all column are fields of the item, too."""
        own, there = f"{row}.{quoted(name)}", f"there.{quoted(name)}"
        if name != self._spec.catch_all:
            return own
        are_objects = " AND ".join(f"jsonb_typeof({one}) = 'object'" for one in (own, there))
        return f"CASE WHEN {are_objects} THEN {there} || {own} ELSE {own} END"
