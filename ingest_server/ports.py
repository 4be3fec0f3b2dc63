"""The doors: what the server asks of a queue, a sink and a ledger. tests/contracts holds every implementation to them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ingest_server.model import (
    Ack,
    Batch,
    BatchHead,
    CrawlClose,
    CrawlTotals,
    DeadLetter,
    Parked,
    Refusal,
    Settled,
    Status,
    TableName,
    TableSpec,
)


@dataclass(slots=True)
class Tally:
    """How much is here: batches, their items, and their decoded bytes."""

    batches: int = 0
    items: int = 0
    bytes: int = 0

    def add(self, batch: BatchHead) -> None:
        """One more."""
        self.batches += 1
        self.items += batch.total
        self.bytes += batch.size

    def remove(self, batch: BatchHead) -> None:
        """One less."""
        self.batches -= 1
        self.items -= batch.total
        self.bytes -= batch.size


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
        """Batches that wait for their next try, or for their table."""

    @property
    def parked(self) -> Tally:
        """What is here of parked tables."""

    def waiting(self, table: TableName) -> Tally:
        """What is here of this table."""

    def share_is_taken(self, table: TableName, size: int = 0, items: int = 0) -> bool:
        """Whether a batch of so many decoded bytes and items must be refused because its table is parked.

        What is here of one parked table, and of all of them, takes a bounded share of the room. Of a parked table
        without any batch one is taken.
        """

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
        """Give the batch back; it becomes ready again after so many seconds, one of a parked table once that goes on."""

    def park(self, table: TableName) -> None:
        """From now on the table's batches wait aside, those that come too; one that a taker has is not stopped."""

    def probe(self, table: TableName) -> None:
        """Let one batch of a parked table through: the one that waited longest, or the next that comes."""

    def resume(self, table: TableName) -> None:
        """The table's batches become ready again, in the order in which they wait."""

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

        Of a batch of retries (`ingest_server.retries`) what is stored takes its letter away, what is refused again keeps it,
        and an item whose letter has gone is not written.
        A batch whose name the ledger holds already is absorbed: nothing is written, and what the ledger says is returned.
        Raises `Unavailable`, `Contended`, `Misconfigured` or `NearlyAllRefused`; then nothing of it was stored.
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
    """Which settled batches to list: newest first, those before the place `before`.

    A place is a batch's `completed_at` and `id`; it holds when the batch has expired.
    """

    crawl: str | None = None
    status: Status | None = None
    limit: int = 100
    before: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters to list: newest first, or oldest first, those after the place `after`.

    A place is a letter's `created_at` and `id`; it holds when the letter has gone. `column` may be empty: those whose
    reason names none. A list ends early, with the letter that brings its items to so many `bytes`.
    """

    table: TableName | None = None
    crawl: str | None = None
    code: str | None = None
    column: str | None = None
    limit: int = 100
    after: tuple[datetime, UUID] | None = None
    oldest_first: bool = False
    bytes: int = 16 * 2**20


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
        """Dead letters in the order that is wanted."""

    async def dead_letter(self, owner: str, letter: UUID) -> DeadLetter | None:
        """One dead letter."""

    async def groups(self, owner: str, wanted: LetterFilter) -> Sequence[LetterGroup]:
        """How many of the wanted dead letters there are, by table, code and column: all of them, not a page."""

    async def delete_letter(self, owner: str, letter: UUID) -> bool:
        """Throw the dead letter away. Whether there was one."""

    async def import_letters(self, owner: str, letters: Sequence[DeadLetter]) -> int:
        """Put in those that are not there, and that no retry has stored. How many these were."""

    async def retried(self, owner: str, letter: UUID, item: bytes | None) -> UUID | None:
        """The settled batch that last retried this letter with this item, or, where it is None, as it was.

        It is known after the letter has gone, too.
        """


class ParkedTables(Protocol):
    """Which tables are parked, for every server of this database and its next start. Every method raises a `SinkError`."""

    async def parked(self) -> Sequence[Parked]:
        """All of them."""

    async def park(self, parked: Parked) -> None:
        """Keep this one. A table is kept once: the first word stays, but refused items go before a configuration."""

    async def resume(self, table: TableName, *, only_configuration: bool = False) -> bool:
        """Forget the table. Whether it was kept. `only_configuration`: not where it refused nearly every item."""
