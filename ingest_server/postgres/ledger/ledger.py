"""The table of settled batches and of crawls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from ingest_server.model import (
    ERRORS_KEPT,
    Batch,
    BuriedItem,
    CrawlClose,
    CrawlTotals,
    DeadLetter,
    Refusal,
    Settled,
    Status,
    TableName,
)
from ingest_server.ports import BatchFilter, LetterFilter, LetterGroup
from ingest_server.postgres.connections.pool import connection
from ingest_server.postgres.ledger import dead_letters, retries
from ingest_server.postgres.tables.catalogue import SHAPE, Connection
from ingest_server.postgres.tables.identifiers import qualified

_INSERT = """
INSERT INTO ingest.batches (owner, id, table_schema, table_name, crawl, fingerprint, total, inserted, updated, unchanged,
                            failed, errors, created_at, completed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (owner, id) DO NOTHING
"""

_OPEN = f"SELECT ({SHAPE}) AS shape, EXISTS (SELECT FROM ingest.batches WHERE owner = $2 AND id = $3) AS is_settled"

_BATCH = "SELECT * FROM ingest.batches WHERE owner = $1 AND id = $2"

_BATCHES = """
SELECT * FROM ingest.batches b
WHERE owner = $1 AND ($2::text IS NULL OR crawl = $2) AND ($3::boolean IS NULL OR (failed = total) = $3)
  AND ($4::timestamptz IS NULL OR (completed_at, id) < ($4, $5::uuid))
ORDER BY completed_at DESC, id DESC LIMIT $6
"""

# What a retry has stored is moved from failed to where it is; the retry's own batch belongs to no crawl. What has expired
# of either stands in one row.
_CRAWL = """
SELECT sums.batches + coalesce(e.batches, 0) AS batches,
       sums.inserted + moved.inserted + coalesce(e.inserted, 0) AS inserted,
       sums.updated + moved.updated + coalesce(e.updated, 0) AS updated,
       sums.unchanged + moved.unchanged + coalesce(e.unchanged, 0) AS unchanged,
       sums.failed - moved.total + coalesce(e.failed, 0) AS failed,
       c.items, c.rejected, c.dropped, c.spooled, c.reason, c.closed_at
FROM (SELECT count(*) AS batches, coalesce(sum(inserted), 0)::bigint AS inserted, coalesce(sum(updated), 0)::bigint AS updated,
             coalesce(sum(unchanged), 0)::bigint AS unchanged, coalesce(sum(failed), 0)::bigint AS failed
      FROM ingest.batches WHERE owner = $1 AND crawl = $2 AND id <> ALL($3::uuid[])) AS sums
CROSS JOIN (SELECT count(*) AS total, count(*) FILTER (WHERE outcome = 'inserted') AS inserted,
                   count(*) FILTER (WHERE outcome = 'updated') AS updated,
                   count(*) FILTER (WHERE outcome = 'unchanged') AS unchanged
            FROM ingest.retries WHERE owner = $1 AND crawl = $2 AND origin <> ALL($3::uuid[])) AS moved
LEFT JOIN ingest.expired e ON e.owner = $1 AND e.crawl = $2
LEFT JOIN ingest.crawls c ON c.owner = $1 AND c.crawl = $2
"""

_CLOSE = """
INSERT INTO ingest.crawls (owner, crawl, items, rejected, dropped, spooled, reason, closed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (owner, crawl) DO UPDATE SET items = EXCLUDED.items, rejected = EXCLUDED.rejected, dropped = EXCLUDED.dropped,
    spooled = EXCLUDED.spooled, reason = EXCLUDED.reason, closed_at = EXCLUDED.closed_at
"""


async def open_batch(one: Connection, batch: Batch) -> tuple[str, bool]:
    """The shape that the batch's table has now, and whether a batch of this name is settled: one question."""
    row = await one.fetchrow(_OPEN, qualified(batch.table), batch.owner, batch.id)
    return row["shape"], row["is_settled"]


async def enter(one: Connection, batch: Batch, settled: Settled) -> bool:
    """Write the batch's row. False where a batch of this name is there already: the caller must not commit its rows."""
    errors = [
        {
            "index": buried.refusal.index,
            "code": buried.refusal.code,
            "column": buried.refusal.column,
            "message": buried.refusal.message,
            "dead_letter": str(buried.dead_letter),
            "timestamp": buried.timestamp.isoformat(),
        }
        for buried in settled.errors[:ERRORS_KEPT]
    ]
    tag = await one.execute(
        _INSERT,
        *(batch.owner, batch.id, batch.table.schema, batch.table.name, batch.crawl, batch.fingerprint, batch.total),
        *(settled.inserted, settled.updated, settled.unchanged, settled.failed, orjson.dumps(errors).decode()),
        *(settled.created_at, settled.completed_at),
    )
    return bool(tag == "INSERT 0 1")


async def find(one: Connection, owner: str, batch: UUID) -> Settled | None:
    """The ledger's row of this name."""
    row = await one.fetchrow(_BATCH, owner, batch)
    return None if row is None else _settled(row)


async def crawl_totals(one: Connection, owner: str, crawl: str, without: Sequence[UUID] = ()) -> CrawlTotals | None:
    """The crawl's totals but for the batches in `without`, or None for a crawl that sent nothing and was never closed."""
    row = await one.fetchrow(_CRAWL, owner, crawl, list(without))
    if row["batches"] == 0 and row["closed_at"] is None:
        return None
    return CrawlTotals(
        batches=row["batches"],
        inserted=row["inserted"],
        updated=row["updated"],
        unchanged=row["unchanged"],
        failed=row["failed"],
        items=row["items"],
        rejected=row["rejected"] or 0,
        dropped=row["dropped"] or 0,
        spooled=row["spooled"] or 0,
        reason=row["reason"],
        closed_at=row["closed_at"],
    )


class PostgresLedger:
    """`ingest_server.ports.Ledger` over the schema `ingest`, with a pool that the workers do not share."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", clock: Any) -> None:
        self._pool = pool
        self._clock = clock

    async def batch(self, owner: str, batch: UUID) -> Settled | None:
        """The settled batch of this name."""
        async with connection(self._pool) as one:
            return await find(one, owner, batch)

    async def batches(self, owner: str, wanted: BatchFilter) -> Sequence[Settled]:
        """Settled batches, newest first."""
        failed = None if wanted.status is None else wanted.status is Status.FAILED
        async with connection(self._pool) as one:
            place = wanted.before or (None, None)
            rows = await one.fetch(_BATCHES, owner, wanted.crawl, failed, *place, wanted.limit)
        return [_settled(row) for row in rows]

    async def crawl(self, owner: str, crawl: str, without: Sequence[UUID]) -> CrawlTotals | None:
        """The crawl's totals but for the batches in `without`, or None for a crawl that sent nothing and was never closed."""
        async with connection(self._pool) as one:
            return await crawl_totals(one, owner, crawl, without)

    async def close_crawl(self, owner: str, crawl: str, close: CrawlClose) -> None:
        """Keep what the client says about its crawl; the last close wins."""
        async with connection(self._pool) as one:
            await one.execute(
                _CLOSE,
                *(owner, crawl, close.items, close.rejected, close.dropped, close.spooled, close.reason),
                self._clock(),
            )

    async def dead_letters(self, owner: str, wanted: LetterFilter) -> Sequence[DeadLetter]:
        """Dead letters in the order that is wanted."""
        async with connection(self._pool) as one:
            return await dead_letters.listed(one, owner, wanted)

    async def dead_letter(self, owner: str, letter: UUID) -> DeadLetter | None:
        """One dead letter."""
        async with connection(self._pool) as one:
            return await dead_letters.find(one, owner, letter)

    async def groups(self, owner: str, wanted: LetterFilter) -> Sequence[LetterGroup]:
        """How many of the wanted dead letters there are, by table, code and column."""
        async with connection(self._pool) as one:
            return await dead_letters.grouped(one, owner, wanted)

    async def delete_letter(self, owner: str, letter: UUID) -> bool:
        """Throw the dead letter away. Whether there was one."""
        async with connection(self._pool) as one:
            return await dead_letters.delete(one, owner, letter)

    async def import_letters(self, owner: str, letters: Sequence[DeadLetter]) -> int:
        """Put in those that are not there, and that no retry has stored. How many these were."""
        async with connection(self._pool) as one:
            return await dead_letters.put_in(one, owner, letters)

    async def retried(self, owner: str, letter: UUID, item: bytes | None) -> UUID | None:
        """The settled batch that last retried this letter with this item, or, where it is None, as it was."""
        async with connection(self._pool) as one:
            return await retries.latest(one, owner, letter, item)


def _settled(row: asyncpg.Record) -> Settled:
    return Settled(
        id=row["id"],
        table=TableName(row["table_schema"], row["table_name"]),
        crawl=row["crawl"],
        fingerprint=row["fingerprint"],
        total=row["total"],
        inserted=row["inserted"],
        updated=row["updated"],
        unchanged=row["unchanged"],
        failed=row["failed"],
        errors=tuple(
            BuriedItem(
                Refusal(error["index"], error["code"], error["message"], error["column"]),
                UUID(error["dead_letter"]),
                datetime.fromisoformat(error["timestamp"]),
            )
            for error in orjson.loads(row["errors"])
        ),
        created_at=row["created_at"],
        completed_at=row["completed_at"],
    )
