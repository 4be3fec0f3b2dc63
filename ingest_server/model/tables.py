"""Tables: names, columns, shapes, and how they are written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

# PostgreSQL cuts longer names off without an error (NAMEDATALEN - 1), which would merge two tables into one.
NAME_BYTES = 63


_PART = re.compile(r'"((?:[^"]|"")+)"|([^".][^.]*)')


class Mode(StrEnum):
    """How rows meet rows that are there already."""

    APPEND = "append"
    UPSERT = "upsert"
    IGNORE = "ignore"


class Merge(StrEnum):
    """What an upsert makes of a row that is there already."""

    REPLACE = "replace"  # it becomes what the item says; a field that the item lacks and that has no default is NULL
    PATCH = "patch"  # only the fields that the item has are written


class Unknown(StrEnum):
    """What becomes of a field that the table does not have, where no catch-all column is named."""

    REJECT = "reject"
    IGNORE = "ignore"


class Unstorable(StrEnum):
    """What becomes of NUL characters, halves of surrogate pairs, NaN and Infinity."""

    REJECT = "reject"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table's schema and name as the catalogue spells them, unquoted."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str, default_schema: str) -> Self:
        """Read `name` or `schema.name`; a part that contains a dot or a quote is double-quoted.

        Raises `ValueError` where the text is no such name.
        """
        parts: list[str] = []
        position = 0
        while True:
            match = _PART.match(text, position)
            if match is None:
                break
            parts.append(match[1].replace('""', '"') if match[1] is not None else match[2])
            position = match.end()
            if position == len(text):
                if len(parts) > 2:
                    break
                name = cls(parts[0], parts[1]) if len(parts) == 2 else cls(default_schema, parts[0])
                name.check()
                return name
            if text[position] != ".":
                break
            position += 1
        raise ValueError('a table is named "name" or "schema.name"; a part that contains a dot is double-quoted')

    def check(self) -> None:
        """Raise `ValueError` where PostgreSQL could not hold this name as it stands."""
        for part in (self.schema, self.name):
            try:
                size = len(part.encode())
            except UnicodeEncodeError:
                raise ValueError("a table's name is text that UTF-8 can hold") from None
            if "\0" in part or not 0 < size <= NAME_BYTES:
                raise ValueError(f"a table's name has 1 to {NAME_BYTES} bytes and no NUL")

    def shown(self, default_schema: str) -> str:
        """The name as `parse` reads it."""
        parts = [self.name] if self.schema == default_schema else [self.schema, self.name]
        return ".".join('"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part for part in parts)


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the catalogue tells it."""

    name: str
    type: str  # as format_type() writes it, for people
    kind: str  # the name in pg_type of the type below domains and arrays
    nullable: bool
    has_default: bool = False
    generated: bool = False
    dimensions: int = 0
    labels: tuple[str, ...] = ()  # of an enum
    max_length: int | None = None  # of varchar(n) and char(n)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table's shape and how it is written."""

    table: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    mode: Mode = Mode.APPEND
    newest_by: str | None = None
    catch_all: str | None = None  # the jsonb column that takes fields which the table does not have
    merge: Merge = Merge.REPLACE
    landing: bool = False
    partitioned: bool = False
    nulls_meet: bool = False  # whether keys that hold NULL are equal (a unique index with NULLS NOT DISTINCT)
    unknown: Unknown = Unknown.REJECT
    unstorable: Unstorable = Unstorable.REJECT
    oid: int = 0
    shape: str = ""  # changes with every ALTER that matters to COPY

    @property
    def writable(self) -> tuple[Column, ...]:
        """The columns that an item may fill."""
        return tuple(column for column in self.columns if not column.generated)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the settings or a model say about a table beyond its catalogue; None means: decide by the key."""

    mode: Mode | None = None
    newest_by: str | None = None
    catch_all: str | None = None
    merge: Merge | None = None
    key: tuple[str, ...] = ()
    unknown: Unknown = Unknown.REJECT
    unstorable: Unstorable = Unstorable.REJECT


@dataclass(frozen=True, slots=True)
class Parked:
    """A table whose batches wait aside: it cannot be written as it is configured, or it refused nearly every item.

    `reason` is safe to show: it holds no item's content.
    """

    table: TableName
    since: datetime
    cause: Literal["configuration", "refused"]
    code: str
    column: str | None
    reason: str


Options = Mapping[TableName, TableOptions]
