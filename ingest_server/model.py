"""The values that travel through the server. All are frozen; what grows has a builder of its own elsewhere."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self
from uuid import UUID

# PostgreSQL cuts longer names off without an error (NAMEDATALEN - 1), which would merge two tables into one.
NAME_BYTES = 63
ERRORS_KEPT = 100

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".][^.]*)')


class Mode(StrEnum):
    """How rows meet rows that are there already."""

    APPEND = "append"
    UPSERT = "upsert"
    IGNORE = "ignore"


class Status(StrEnum):
    """Where a batch stands; the contract's words."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


Ack = Literal["memory", "journaled", "committed"]
Form = Literal["ndjson", "json"]


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
    landing: bool = False
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


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What is known of a batch without its body: small enough to stay in memory however long the batch waits."""

    id: UUID
    owner: str
    table: TableName
    crawl: str | None
    form: Form
    total: int
    size: int  # bytes of the body
    fingerprint: bytes = field(repr=False)
    strict: bool
    created_at: datetime

    @property
    def name(self) -> tuple[str, UUID]:
        """What it is known by: an id is its owner's own."""
        return self.owner, self.id

    def fits(self, body: bytes | None) -> bool:
        """Whether this is the body that was fingerprinted (SHA-256, see `ingest_server.wire`)."""
        return isinstance(body, bytes) and hashlib.sha256(body).digest() == self.fingerprint

    def with_body(self, body: bytes) -> "Batch":
        """The whole batch."""
        return Batch(
            *(self.id, self.owner, self.table, self.crawl, self.form, self.total, self.size),
            *(self.fingerprint, self.strict, self.created_at, body),
        )


@dataclass(frozen=True, slots=True)
class Batch(BatchHead):
    """Items for one table that travel together. The body stays as it arrived: decoded it would take three times the room."""

    body: bytes = field(repr=False)

    @property
    def head(self) -> BatchHead:
        """The batch without its body."""
        return BatchHead(
            *(self.id, self.owner, self.table, self.crawl, self.form, self.total, self.size),
            *(self.fingerprint, self.strict, self.created_at),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item cannot be stored. `message` never holds the item's content; `detail` may, and stays in the dead letter."""

    index: int
    code: str
    message: str
    column: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class BuriedItem:
    """A refusal as the batch's status shows it, with the dead letter that keeps the item."""

    refusal: Refusal
    dead_letter: UUID
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch in the ledger: every item is committed or buried."""

    id: UUID
    table: TableName
    crawl: str | None
    fingerprint: bytes
    total: int
    inserted: int
    updated: int
    unchanged: int
    failed: int
    errors: tuple[BuriedItem, ...]
    created_at: datetime
    completed_at: datetime

    @property
    def succeeded(self) -> int:
        """Items that are in the table."""
        return self.inserted + self.updated + self.unchanged

    @property
    def status(self) -> Status:
        """`failed` only where every item was refused."""
        return Status.FAILED if self.failed == self.total else Status.COMPLETED


@dataclass(frozen=True, slots=True)
class CrawlTotals:
    """What the ledger knows of one crawl; `expected` is None until the crawl was closed."""

    batches: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    items: int | None = None
    rejected: int = 0
    dropped: int = 0
    spooled: int = 0
    reason: str | None = None
    closed_at: datetime | None = None

    @property
    def expected(self) -> int | None:
        """How many items should have arrived here, by the client's count."""
        return None if self.items is None else self.items - self.rejected - self.dropped - self.spooled


@dataclass(frozen=True, slots=True)
class CrawlClose:
    """What a client says when its crawl ends; all are numbers of items."""

    items: int
    rejected: int = 0
    dropped: int = 0
    spooled: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused item, put aside with its reason."""

    id: UUID
    table: TableName
    batch: UUID
    crawl: str | None
    index: int
    code: str
    column: str | None
    message: str
    raw: bytes = field(repr=False)
    attempts: int
    created_at: datetime


Options = Mapping[TableName, TableOptions]
