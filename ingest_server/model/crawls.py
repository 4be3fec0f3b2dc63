"""Crawls: what both sides counted."""

from dataclasses import dataclass
from datetime import datetime


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
