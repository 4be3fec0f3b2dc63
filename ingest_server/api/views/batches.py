"""Batches as bodies, with the errors of their items."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from ingest_server.api.views.times import Time
from ingest_server.model import Ack, BuriedItem, Refusal, Settled, Status
from ingest_server.statuses import Waiting


class ItemErrorView(BaseModel):
    """Why one item was refused."""

    index: int = Field(ge=0)
    code: str
    column: str | None = None
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
