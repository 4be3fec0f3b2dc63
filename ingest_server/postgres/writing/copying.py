"""COPY into a table: binary where a form is known for every column, else as text, which their input functions read."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from ingest_server.model import TableSpec
from ingest_server.postgres.connections.sqlstate import EncodingFault, Sort, sort_error
from ingest_server.postgres.decoding.types import is_textual
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.refusals import copy_column, copy_position
from ingest_server.postgres.writing.rows import Row
from ingest_server.postgres.writing.textcopy import text_rows

# What asyncpg's encoders raise for a value that its column cannot hold: whatever the value's missing method or bound does.
_ENCODING = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
# Lines are sent together; each piece is a turn of the event loop.
_PIECE_BYTES = 64 * 1024
# asyncpg takes the first and the last moment of Python's calendar for infinity, in binary: 9999-12-31 is a usual "no end".
_DATED = frozenset({"date", "timestamp", "timestamptz"})
_ENDS = (1, 9999)
# Said of the server or of time, whatever it was reading.
_NOT_OF_A_VALUE = frozenset({Sort.UNAVAILABLE, Sort.CONTENDED, Sort.TIME_LIMIT, Sort.DATA})


@dataclass(slots=True)
class _Place:
    position: int = 0


class Copying:
    """Compiled for one table's columns. Which of the two forms is used depends on the columns that rows fill."""

    def __init__(self, spec: TableSpec) -> None:
        self._kinds: Mapping[str, str] = {column.name: column.kind for column in spec.columns}
        self._dated = frozenset(column.name for column in spec.columns if column.kind in _DATED)
        self._textual = frozenset(column.name for column in spec.columns if is_textual(column))

    async def copy(
        self,
        one: Connection,
        table: str,
        schema: str,
        columns: Sequence[str],
        values: Sequence[Row],
        indexes: Sequence[int],
    ) -> str:
        """COPY these rows, with their items' indexes behind them where there are any, and return PostgreSQL's tag.

        Raises `EncodingFault` for a value that never reaches the table, and what PostgreSQL says.
        """
        place = _Place()
        rows = _counted(values, indexes, place)
        try:
            if not self._textual.isdisjoint(columns) or self._holds_ends(columns, values):
                source = _pieces(rows, tuple(self._kinds.get(name, "") for name in columns))
                return str(
                    await one.copy_to_table(table, schema_name=schema, columns=columns, source=source, format="text")
                )
            return str(await one.copy_records_to_table(table, schema_name=schema, columns=columns, records=rows))
        except asyncpg.PostgresError as error:
            # An input function may raise anything: PostGIS says XX000 for a broken geometry, regclass 42P01 for a name.
            position = copy_position(error, table)
            column = copy_column(error)
            if position is not None and column in self._textual and sort_error(error) not in _NOT_OF_A_VALUE:
                raise EncodingFault(position, error, column) from error
            raise
        except asyncpg.InterfaceError:
            raise
        except _ENCODING as error:
            # asyncpg does not tell which row it was at
            raise EncodingFault(place.position, error) from error

    def _holds_ends(self, columns: Sequence[str], values: Sequence[Row]) -> bool:
        for place in (place for place, name in enumerate(columns) if name in self._dated):
            # All years of a column first: that is five times faster than to ask each value.
            years = {getattr(row[place], "year", None) for row in values}
            if not years.isdisjoint(_ENDS) or (None in years and any(_is_end(row[place]) for row in values)):
                return True
        return False


def _is_end(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_end, value))
    return getattr(value, "year", 0) in _ENDS


async def _pieces(rows: Iterator[Row], kinds: tuple[str, ...]) -> AsyncIterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for line in text_rows(rows, kinds):
        lines.append(line)
        size += len(line)
        if size >= _PIECE_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    yield b"".join(lines)


def _counted(values: Sequence[Row], indexes: Sequence[int], place: _Place) -> Iterator[Row]:
    if indexes:
        for place.position, value in enumerate(values):
            yield (*value, indexes[place.position])
    else:
        for place.position, value in enumerate(values):
            yield value
