"""Batches on their way and settled, and what was refused of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from ingest_server.model.tables import TableName

ERRORS_KEPT = 100


class Status(StrEnum):
    """Where a batch stands; the contract's words."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


Ack = Literal["memory", "journaled", "committed"]


Form = Literal["ndjson", "json", "retry"]
"""What a body is made of: lines, an array, or the lines of `ingest_server.retries`, which no client sends."""


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
    altered: Mapping[str, int] = field(default_factory=dict, compare=False)
    """What the table's options left out of its items or replaced in them; the ledger does not keep it."""

    @property
    def succeeded(self) -> int:
        """Items that are in the table."""
        return self.inserted + self.updated + self.unchanged

    @property
    def status(self) -> Status:
        """`failed` only where every item was refused."""
        return Status.FAILED if self.failed == self.total else Status.COMPLETED


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


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long: the contract promises 7 days for the details of a batch, and 90 for its name."""

    details: timedelta = timedelta(days=7)
    names: timedelta = timedelta(days=90)

    def has_details(self, completed_at: datetime, now: datetime) -> bool:
        """Whether the details of a batch that settled then are still kept."""
        return now - completed_at < self.details
