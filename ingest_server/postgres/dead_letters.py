"""Refused items, put aside with their reason, in the transaction that settles their batch."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

import asyncpg

from ingest_server.model import Batch, BuriedItem, DeadLetter, Refusal, TableName
from ingest_server.ports import LetterFilter, LetterGroup
from ingest_server.postgres.catalogue import Connection

# A letter that is there already is the same one: of a delivery that runs elsewhere at this moment, whose ledger row will
# send us back, or of a batch whose name the ledger has forgotten.
_INSERT = """
INSERT INTO ingest.dead_letters (owner, table_schema, table_name, batch, crawl, attempts, created_at,
                                 id, index, code, "column", message, raw)
SELECT $1, $2, $3, $4, $5, 1, $6, letters.*
FROM unnest($7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[], $12::bytea[]) AS letters
ON CONFLICT (owner, id) DO NOTHING
"""

_LISTED = """
SELECT * FROM ingest.dead_letters
WHERE owner = $1 AND ($2::text IS NULL OR (table_schema, table_name) = ($2, $3)) AND ($4::text IS NULL OR crawl = $4)
  AND ($5::text IS NULL OR code = $5)
  AND ($6::uuid IS NULL OR (created_at, id) < (SELECT created_at, id FROM ingest.dead_letters WHERE owner = $1 AND id = $6))
ORDER BY created_at DESC, id DESC LIMIT $7
"""

_OF_BATCH = "SELECT id, created_at FROM ingest.dead_letters WHERE owner = $1 AND batch = $2"

# Two deliveries of one body must not both look first and write afterwards.
PRELUDE = "LOCK TABLE ingest.dead_letters IN SHARE ROW EXCLUSIVE MODE"

_GROUPED = """
SELECT table_schema, table_name, code, "column", count(*) AS count FROM ingest.dead_letters
WHERE owner = $1 AND ($2::text IS NULL OR crawl = $2)
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4
"""


async def bury(
    one: Connection, batch: Batch, items: Sequence[bytes], refusals: Sequence[Refusal], now: datetime
) -> tuple[BuriedItem, ...]:
    """Write a dead letter for every refusal that has none; all of them, in their order."""
    buried = tuple(BuriedItem(refusal, _name(batch, refusal), now) for refusal in refusals)
    await one.execute(
        _INSERT,
        *(batch.owner, batch.table.schema, batch.table.name, batch.id, batch.crawl, now),
        *([letter.dead_letter for letter in buried], [refusal.index for refusal in refusals]),
        *([refusal.code for refusal in refusals], [refusal.column for refusal in refusals]),
        [_storable(refusal.detail or refusal.message) for refusal in refusals],
        [items[refusal.index] for refusal in refusals],
    )
    return buried


async def bury_once(
    one: Connection, batch: Batch, items: Sequence[bytes], refusals: Sequence[Refusal], now: datetime
) -> tuple[BuriedItem, ...]:
    """The same for a batch that the ledger will not absorb: letters of an earlier delivery of the same body stay."""
    there = await one.fetch(_OF_BATCH, batch.owner, batch.id)
    letters = {row["id"]: row["created_at"] for row in there}
    known: list[BuriedItem] = []
    fresh: list[Refusal] = []
    for refusal in refusals:
        name = _name(batch, refusal)
        if name in letters:
            known.append(BuriedItem(refusal, name, letters[name]))
        else:
            fresh.append(refusal)
    buried = await bury(one, batch, items, fresh, now) if fresh else ()
    return tuple(sorted((*known, *buried), key=lambda letter: letter.refusal.index))


def _name(batch: Batch, refusal: Refusal) -> UUID:
    """Named by batch, body and index: the same refusal met twice is one letter."""
    return uuid5(batch.id, f"{batch.fingerprint.hex()} {refusal.index}")


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


async def listed(one: Connection, owner: str, wanted: LetterFilter) -> list[DeadLetter]:
    """Dead letters, newest first."""
    table = wanted.table
    rows = await one.fetch(
        *(_LISTED, owner, table.schema if table else None, table.name if table else None),
        *(wanted.crawl, wanted.code, wanted.before, wanted.limit),
    )
    return [_letter(row) for row in rows]


async def find(one: Connection, owner: str, letter: UUID) -> DeadLetter | None:
    """One dead letter."""
    row = await one.fetchrow("SELECT * FROM ingest.dead_letters WHERE owner = $1 AND id = $2", owner, letter)
    return None if row is None else _letter(row)


async def grouped(one: Connection, owner: str, crawl: str | None = None) -> list[LetterGroup]:
    """How many there are, of one crawl or of all, by table, code and column, the largest group first."""
    return [
        LetterGroup(TableName(row["table_schema"], row["table_name"]), row["code"], row["column"], row["count"])
        for row in await one.fetch(_GROUPED, owner, crawl)
    ]


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        table=TableName(row["table_schema"], row["table_name"]),
        batch=row["batch"],
        crawl=row["crawl"],
        index=row["index"],
        code=row["code"],
        column=row["column"],
        message=row["message"],
        raw=row["raw"],
        attempts=row["attempts"],
        created_at=row["created_at"],
    )
