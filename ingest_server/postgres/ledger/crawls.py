"""What the database says of one crawl, asked over a connection of its own: for the audit, beside a running server or without."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from ingest_server.model import CrawlTotals
from ingest_server.ports import LetterFilter, LetterGroup
from ingest_server.postgres.connections.pool import connection, pool_until_done
from ingest_server.postgres.ledger import dead_letters
from ingest_server.postgres.ledger.ledger import crawl_totals
from ingest_server.postgres.tables.catalogue import Connection

_STATEMENT_SECONDS = 60.0

# Beside the crawl's own batches those of the asked names: a person may have sent one again without naming the crawl.
_NAMES = """
SELECT id, total, crawl IS DISTINCT FROM $2 AS is_elsewhere FROM ingest.batches
WHERE owner = $1 AND (crawl = $2 OR id = ANY($3::uuid[]))
"""

_LATEST = """
SELECT crawl FROM (
    SELECT crawl, closed_at AS at FROM ingest.crawls WHERE owner = $1
    UNION ALL (SELECT crawl, completed_at FROM ingest.batches WHERE owner = $1 AND crawl IS NOT NULL
               ORDER BY completed_at DESC LIMIT 1000)
) AS seen GROUP BY crawl ORDER BY max(at) DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One crawl in the database. `settled` holds the items of every settled batch by its name.

    `elsewhere` counts the items among them that are settled under another crawl's name, or under none.
    """

    totals: CrawlTotals | None
    settled: Mapping[UUID, int]
    elsewhere: int
    letters: tuple[LetterGroup, ...]
    latest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LatestCrawl:
    """A crawl that the database knows of, and its totals."""

    crawl: str
    totals: CrawlTotals


@asynccontextmanager
async def _one_moment(dsn: str) -> AsyncIterator[Connection | None]:
    """The database as it is now, however many questions are asked; None where it has no ledger."""
    # A batch that settles in between must not be counted by one question and not by the next.
    async with (
        pool_until_done(dsn, size=1, statement_seconds=_STATEMENT_SECONDS) as pool,
        connection(pool) as one,
        one.transaction(isolation="repeatable_read", readonly=True),
    ):
        has_ledger = await one.fetchval("SELECT to_regclass('ingest.batches') IS NOT NULL")
        yield one if has_ledger else None


async def latest(dsn: str, owner: str, most: int) -> tuple[LatestCrawl, ...] | None:
    """So many crawls, newest first; None where the database has no ledger. Raises `Unavailable` or `Misconfigured`."""
    async with _one_moment(dsn) as one:
        if one is None:
            return None
        names = [row["crawl"] for row in await one.fetch(_LATEST, owner, most)]
        found = [LatestCrawl(name, await crawl_totals(one, owner, name) or CrawlTotals()) for name in names]
    return tuple(found)


async def recorded(dsn: str, owner: str, crawl: str, names: Collection[UUID], *, latest: int = 5) -> Recorded | None:
    """What the database knows of the crawl and of these batches; None where it has no ledger.

    `latest` names so many crawls, newest first. Raises `Unavailable` or `Misconfigured`.
    """
    async with _one_moment(dsn) as one:
        if one is None:
            return None
        rows = await one.fetch(_NAMES, owner, crawl, list(names))
        totals = await crawl_totals(one, owner, crawl)
        letters = await dead_letters.grouped(one, owner, LetterFilter(crawl=crawl))
        newest = await one.fetch(_LATEST, owner, latest)
    return Recorded(
        totals=totals,
        settled={row["id"]: row["total"] for row in rows},
        elsewhere=sum(row["total"] for row in rows if row["is_elsewhere"]),
        letters=tuple(letters),
        latest=tuple(row["crawl"] for row in newest),
    )
