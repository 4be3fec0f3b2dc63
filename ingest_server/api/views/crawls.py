"""Crawls as bodies: their totals, and what a client says at their end."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ingest_server.api.views.times import Time
from ingest_server.model import CrawlTotals
from ingest_server.statuses import Waiting


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
