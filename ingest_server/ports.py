"""The doors: what the server asks of a queue, a sink and a ledger. tests/contracts holds every implementation to them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ingest_server.model import (
    Ack,
    Batch,
    BatchHead,
    CrawlClose,
    CrawlTotals,
    DeadLetter,
    Refusal,
    Settled,
    Status,
    TableName,
    TableSpec,
)


class BatchQueue(Protocol):
    """Accepted batches on their way to a worker. How long they last is the queue's own business."""

    promise: Ack
    """What an accepted batch has reached: `memory`, or `journaled` where `put` returns after fsync."""

    @property
    def batches(self) -> int:
        """Batches that were put and not yet acknowledged, those at a worker and those set aside included."""

    @property
    def items(self) -> int:
        """Items of these batches."""

    @property
    def bytes(self) -> int:
        """Decoded bytes of these batches."""

    @property
    def held_bytes(self) -> int:
        """Decoded bytes of those among them whose bodies are in memory."""

    @property
    def set_aside_count(self) -> int:
        """Batches that wait for their next try."""

    @property
    def full(self) -> str | None:
        """Why nothing more is taken now, if so."""

    async def open(self) -> None:
        """Begin; what an earlier process left comes back now. Raises `StartRefused` where there is no place to keep batches."""

    async def put(self, batch: Batch) -> None:
        """Keep the batch; once this returns, `promise` holds, and a taker may have the batch, but no earlier.

        Raises `Overloaded` where it is full or cannot keep its promise; an empty queue takes any one batch.
        """

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches as they become ready; each goes to one taker, and comes again only after `set_aside`. Ends after `close`."""

    def set_aside(self, batch: BatchHead, seconds: float) -> None:
        """Give the batch back; it becomes ready again after so many seconds."""

    async def ack(self, batch: BatchHead) -> None:
        """The batch is settled: forget it."""

    async def drain(self) -> None:
        """Return when every batch is acknowledged."""

    async def close(self) -> None:
        """End every iteration. Batches that are still here stay unacknowledged; a queue that lasts gives them back later."""


class Sink(Protocol):
    """Where batches are settled."""

    async def write(self, batch: Batch) -> Settled:
        """Settle the batch in one transaction: every good row, a dead letter for every refused item, and the ledger's row.

        A batch whose name the ledger holds already is absorbed: nothing is written, and what the ledger says is returned.
        Raises `Unavailable`, `Contended` or `Misconfigured`; then nothing of it was stored.
        """

    async def spec(self, table: TableName) -> TableSpec | None:
        """The table's shape, or None where there is none and none is made.

        Raises `Unavailable` where it is not known and cannot be asked.
        """

    async def tables(self) -> Sequence[TableSpec]:
        """Every table that may be written."""

    async def check(self, batch: Batch) -> Sequence[Refusal]:
        """What validation alone finds wrong with the batch. Stores nothing."""

    async def ping(self) -> None:
        """Raise `Unavailable` where the sink cannot be asked."""


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which settled batches to list; newest first, after `before`."""

    crawl: str | None = None
    status: Status | None = None
    limit: int = 100
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters to list; newest first, after `before`."""

    table: TableName | None = None
    crawl: str | None = None
    code: str | None = None
    limit: int = 100
    before: UUID | None = None


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """How many dead letters share table, code and column."""

    table: TableName
    code: str
    column: str | None
    count: int


class Ledger(Protocol):
    """What was settled, and what was buried. Every method raises `Unavailable` where the ledger cannot be asked."""

    async def batch(self, owner: str, batch: UUID) -> Settled | None:
        """The settled batch of this name."""

    async def batches(self, owner: str, wanted: BatchFilter) -> Sequence[Settled]:
        """Settled batches, newest first."""

    async def crawl(self, owner: str, crawl: str, without: Sequence[UUID]) -> CrawlTotals | None:
        """The crawl's totals but for the batches in `without`, or None for a crawl that sent nothing and was never closed."""

    async def close_crawl(self, owner: str, crawl: str, close: CrawlClose) -> None:
        """Keep what the client says about its crawl; the last close wins."""

    async def dead_letters(self, owner: str, wanted: LetterFilter) -> Sequence[DeadLetter]:
        """Dead letters, newest first."""

    async def dead_letter(self, owner: str, letter: UUID) -> DeadLetter | None:
        """One dead letter."""

    async def groups(self, owner: str) -> Sequence[LetterGroup]:
        """How many dead letters there are, by table, code and column."""
