"""What PostgreSQL holds, read past the server: its word alone would prove nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reason:
    """Why items were refused, and how many of them."""

    code: str
    column: str | None
    message: str
    items: int


def merged(reasons: Iterable[Reason]) -> list[Reason]:
    """The same reasons of several crawls as one, the most frequent first."""
    items: Counter[tuple[str, str | None, str]] = Counter()
    for reason in reasons:
        items[reason.code, reason.column, reason.message] += reason.items
    return [Reason(*what, count) for what, count in items.most_common()]


async def properties(dsn: str) -> dict[str, Row]:
    """Every row of the table `property`, by its key."""
    connection = await asyncpg.connect(dsn)
    try:
        return {row["reference"]: dict(row) for row in await connection.fetch("SELECT * FROM property")}
    finally:
        await connection.close()


async def reasons(dsn: str, crawl: str) -> list[Reason]:
    """The crawl's dead letters, grouped by reason."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            'SELECT code, "column", message, count(*) AS items FROM ingest.dead_letters WHERE crawl = $1'
            " GROUP BY 1, 2, 3 ORDER BY items DESC, 2, 3",
            crawl,
        )
    finally:
        await connection.close()
    return [Reason(row["code"], row["column"], row["message"], row["items"]) for row in rows]
