"""The ledger forgets: first what was wrong with each item of a batch, later its name; a crawl's totals keep what they were."""

from datetime import datetime

import asyncpg

from ingest_server.postgres.connections.pool import connection

# By key and not by ctid, which a distributed PostgreSQL does not know; what another server is about to forget is left to it.
_DETAILS = """
UPDATE ingest.batches SET errors = '[]' WHERE (owner, id) IN (
    SELECT owner, id FROM ingest.batches WHERE completed_at < $1 AND errors <> '[]' ORDER BY completed_at LIMIT $2
    FOR UPDATE SKIP LOCKED)
"""

_FOLD = """
sums AS (
    INSERT INTO ingest.expired (owner, crawl, batches, inserted, updated, unchanged, failed)
    SELECT owner, crawl, {batches}, {inserted}, {updated}, {unchanged}, {failed}
    FROM gone WHERE crawl IS NOT NULL GROUP BY owner, crawl
    ON CONFLICT (owner, crawl) DO UPDATE SET batches = expired.batches + EXCLUDED.batches,
        inserted = expired.inserted + EXCLUDED.inserted, updated = expired.updated + EXCLUDED.updated,
        unchanged = expired.unchanged + EXCLUDED.unchanged, failed = expired.failed + EXCLUDED.failed)
SELECT count(*) FROM gone
"""

_NAMES = """
WITH gone AS (
    DELETE FROM ingest.batches WHERE (owner, id) IN (
        SELECT owner, id FROM ingest.batches WHERE completed_at < $1 ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING *),
""" + _FOLD.format(
    batches="count(*)",
    inserted="sum(inserted)",
    updated="sum(updated)",
    unchanged="sum(unchanged)",
    failed="sum(failed)",
)

# As in the crawl's totals: what a retry has stored stands no more among the failed.
_RETRIES = """
WITH gone AS (
    DELETE FROM ingest.retries WHERE (owner, letter, attempt, item) IN (
        SELECT owner, letter, attempt, item FROM ingest.retries WHERE settled_at < $1 ORDER BY settled_at LIMIT $2
        FOR UPDATE SKIP LOCKED)
    RETURNING *),
""" + _FOLD.format(
    batches="0",
    inserted="count(*) FILTER (WHERE outcome = 'inserted')",
    updated="count(*) FILTER (WHERE outcome = 'updated')",
    unchanged="count(*) FILTER (WHERE outcome = 'unchanged')",
    failed="-count(*)",
)


class PostgresRetention:
    """Over the schema `ingest`. Each method takes one short step, and raises a `SinkError` where PostgreSQL does not let it."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def forget_details(self, before: datetime, most: int) -> int:
        """Of so many batches that settled before, forget the errors of their items. How many it were."""
        async with connection(self._pool) as one:
            return int((await one.execute(_DETAILS, before, most)).rsplit(" ", 1)[1])

    async def forget_names(self, before: datetime, most: int) -> int:
        """Forget so many batches and retries that settled before; their crawls keep the totals. How many it were."""
        async with connection(self._pool) as one:
            batches: int = await one.fetchval(_NAMES, before, most)
            retries: int = await one.fetchval(_RETRIES, before, most)
        return batches + retries
