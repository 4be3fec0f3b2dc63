"""The contract's JSON bodies: what handlers answer with, and what /openapi.json publishes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from ingest_server.model import (
    Ack,
    BuriedItem,
    CrawlTotals,
    DeadLetter,
    Mode,
    Refusal,
    Settled,
    Status,
    TableSpec,
)
from ingest_server.ports import LetterGroup
from ingest_server.statuses import Waiting


def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]


class ItemErrorView(BaseModel):
    """Why one item was refused."""

    index: int = Field(ge=0)
    code: str
    column: str | None
    message: str
    dead_letter: UUID | None = None
    timestamp: Time | None = None

    @classmethod
    def of_buried(cls, buried: BuriedItem) -> Self:
        """A refusal that has become a dead letter."""
        view = cls.of_refusal(buried.refusal)
        return view.model_copy(update={"dead_letter": buried.dead_letter, "timestamp": buried.timestamp})

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Self:
        """A refusal of an item that was not kept."""
        return cls(index=refusal.index, code=refusal.code, column=refusal.column, message=refusal.message)


class BatchView(BaseModel):
    """The batch."""

    id: UUID
    table: str
    crawl: str | None
    status: Status
    ack: Ack
    total: int = Field(ge=1)
    processed: int = 0
    succeeded: int = 0
    failed: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[ItemErrorView] = []
    created_at: Time
    updated_at: Time
    completed_at: Time | None = None

    @classmethod
    def of_waiting(cls, entry: Waiting, ack: Ack, schema: str) -> Self:
        """A batch on its way: it settles in one step, so nothing is done yet."""
        batch = entry.batch
        return cls(
            id=batch.id,
            table=batch.table.shown(schema),
            crawl=batch.crawl,
            status=entry.status,
            ack=ack,
            total=batch.total,
            created_at=batch.created_at,
            updated_at=batch.created_at,
        )

    @classmethod
    def of_settled(cls, settled: Settled, schema: str) -> Self:
        """A batch in the ledger."""
        return cls(
            id=settled.id,
            table=settled.table.shown(schema),
            crawl=settled.crawl,
            status=settled.status,
            ack="committed",
            total=settled.total,
            processed=settled.total,
            succeeded=settled.succeeded,
            failed=settled.failed,
            inserted=settled.inserted,
            updated=settled.updated,
            unchanged=settled.unchanged,
            errors=[ItemErrorView.of_buried(buried) for buried in settled.errors],
            created_at=settled.created_at,
            updated_at=settled.completed_at,
            completed_at=settled.completed_at,
        )


class BatchesView(BaseModel):
    """A page of batches; `cursor` asks for the next one, and is null on the last."""

    batches: list[BatchView]
    cursor: str | None = None


class CrawlView(BaseModel):
    """The crawl's totals. `expected` and what follows it are null until the crawl was closed."""

    crawl: str
    batches: int
    total: int
    processed: int
    succeeded: int
    failed: int
    pending: int
    inserted: int
    updated: int
    unchanged: int
    expected: int | None = None
    missing: int | None = None
    items: int | None = None
    rejected: int | None = None
    dropped: int | None = None
    spooled: int | None = None
    reason: str | None = None
    closed_at: Time | None = None

    @classmethod
    def of_totals(cls, crawl: str, totals: CrawlTotals, waiting: Sequence[Waiting]) -> Self:
        """The ledger's totals and what is on its way."""
        succeeded = totals.inserted + totals.updated + totals.unchanged
        processed = succeeded + totals.failed
        pending = sum(entry.batch.total for entry in waiting)
        view = cls(
            crawl=crawl,
            batches=totals.batches + len(waiting),
            total=processed + pending,
            processed=processed,
            succeeded=succeeded,
            failed=totals.failed,
            pending=pending,
            inserted=totals.inserted,
            updated=totals.updated,
            unchanged=totals.unchanged,
        )
        if totals.expected is None:
            return view
        return view.model_copy(
            update={
                "expected": totals.expected,
                "missing": totals.expected - (processed + pending),
                "items": totals.items,
                "rejected": totals.rejected,
                "dropped": totals.dropped,
                "spooled": totals.spooled,
                "reason": totals.reason,
                "closed_at": totals.closed_at,
            }
        )


def _a_number(value: Any) -> Any:
    """JSON's integers only: `"12"` and `true` are mistakes of the client, which should see them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("integer", "is a whole number")
    return value


# PostgreSQL's bigint is where these are kept.
_Items = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_a_number)]


class CrawlCloseBody(BaseModel):
    """What a client says when its crawl ends, in items."""

    items: _Items
    rejected: _Items = 0
    dropped: _Items = 0
    spooled: _Items = 0
    reason: str | None = Field(None, max_length=255, pattern=r"^[^\x00]*$")


class DeadLetterView(BaseModel):
    """A refused item with its reason; `item` where it is JSON, else `raw` in base64."""

    id: UUID
    table: str
    batch: UUID
    crawl: str | None
    index: int
    code: str
    column: str | None
    message: str
    item: Any = None
    raw: str | None = None
    attempts: int
    created_at: Time

    @classmethod
    def of_letter(cls, letter: DeadLetter, schema: str) -> Self:
        """All but the item, which is put in as it was sent."""
        return cls(
            id=letter.id,
            table=letter.table.shown(schema),
            batch=letter.batch,
            crawl=letter.crawl,
            index=letter.index,
            code=letter.code,
            column=letter.column,
            message=letter.message,
            attempts=letter.attempts,
            created_at=letter.created_at,
        )


class DeadLettersView(BaseModel):
    """A page of dead letters; `cursor` asks for the next one, and is null on the last."""

    dead_letters: list[DeadLetterView]
    cursor: str | None = None


class LetterGroupView(BaseModel):
    """How many dead letters share table, code and column."""

    table: str
    code: str
    column: str | None
    count: int

    @classmethod
    def of_group(cls, group: LetterGroup, schema: str) -> Self:
        """One group."""
        return cls(table=group.table.shown(schema), code=group.code, column=group.column, count=group.count)


class LetterGroupsView(BaseModel):
    """All groups, the largest first."""

    groups: list[LetterGroupView]


class ColumnView(BaseModel):
    """One column."""

    name: str
    type: str
    nullable: bool


class ParkedView(BaseModel):
    """Why a table's batches wait aside."""

    since: Time
    reason: str
    waiting: int


class TableView(BaseModel):
    """One table, as the catalogue has it; `counts` are items settled since this server started."""

    name: str
    columns: list[ColumnView]
    key: list[str]
    mode: Mode
    landing: bool
    counts: dict[str, int]
    parked: ParkedView | None = None

    @classmethod
    def of_spec(cls, spec: TableSpec, schema: str, counts: dict[str, int], parked: ParkedView | None) -> Self:
        """A table with its counts."""
        return cls(
            name=spec.table.shown(schema),
            columns=[ColumnView(name=one.name, type=one.type, nullable=one.nullable) for one in spec.columns],
            key=list(spec.key),
            mode=spec.mode,
            landing=spec.landing,
            counts=counts,
            parked=parked,
        )


class TablesView(BaseModel):
    """All tables that may be written."""

    tables: list[TableView]


class LiveView(BaseModel):
    """The event loop turns."""

    status: str = "live"


class ReadyView(BaseModel):
    """Whether batches are taken in; warnings do not keep them out."""

    ready: bool
    reasons: list[str]
    warnings: list[str]


class ProblemView(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    limit: int | None = None
    limit_unit: str | None = None
    table: str | None = None
    errors: list[ItemErrorView] | None = None
    retry_after: int | None = None
