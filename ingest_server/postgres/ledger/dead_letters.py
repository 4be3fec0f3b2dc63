"""Refused items, put aside with their reason, in the transaction that settles their batch."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from ingest_server.model import Batch, BuriedItem, DeadLetter, Refusal, TableName
from ingest_server.ports import LetterFilter, LetterGroup
from ingest_server.postgres.tables.catalogue import Connection

# A letter that is there already is the same one: of a delivery that runs elsewhere at this moment, whose ledger row will
# send us back, or of a batch whose name the ledger has forgotten.
_INSERT = """
INSERT INTO ingest.dead_letters (owner, table_schema, table_name, batch, crawl, attempts, created_at, counted,
                                 id, index, code, "column", message, raw)
SELECT $1, $2, $3, $4, $5, 1, $6, $13, letters.*
FROM unnest($7::uuid[], $8::int[], $9::text[], $10::text[], $11::text[], $12::bytea[]) AS letters
ON CONFLICT (owner, id) DO NOTHING
"""

# Measured before the items are read: a page of the largest items would be gigabytes.
_LISTED = """
SELECT * FROM (
    SELECT *, sum(octet_length(raw)) OVER (ORDER BY created_at {order}, id {order}) - octet_length(raw) AS bytes_before
    FROM (SELECT * FROM ingest.dead_letters WHERE {wanted} ORDER BY created_at {order}, id {order} LIMIT {limit}) AS found
) AS measured WHERE bytes_before < {bytes} ORDER BY created_at {order}, id {order}
"""

_DELETE = "DELETE FROM ingest.dead_letters WHERE owner = $1 AND id = $2"

# An attempt that was made stays made, however old the export is: its name would be taken for asked twice.
# A letter of a batch that the ledger has is in its crawl's totals. A conflict's is not: that batch was never entered.
_PUT_IN = """
INSERT INTO ingest.dead_letters (owner, counted, id, table_schema, table_name, batch, crawl, index, code, "column", message,
                                 raw, attempts, created_at)
SELECT $1, letters.code <> 'conflict' AND EXISTS (
           SELECT FROM ingest.batches b
           WHERE b.owner = $1 AND b.id = letters.batch AND b.crawl IS NOT DISTINCT FROM letters.crawl),
    id, table_schema, table_name, batch, crawl, index, code, "column", message, raw,
    greatest(attempts, (SELECT max(r.attempt) + 1 FROM ingest.retries r WHERE r.owner = $1 AND r.letter = letters.id)),
    created_at
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::int[], $8::text[], $9::text[], $10::text[],
            $11::bytea[], $12::int[], $13::timestamptz[])
    AS letters (id, table_schema, table_name, batch, crawl, index, code, "column", message, raw, attempts, created_at)
WHERE NOT EXISTS (
    SELECT FROM ingest.retries r WHERE r.owner = $1 AND r.letter = letters.id AND r.outcome <> 'failed')
ON CONFLICT (owner, id) DO NOTHING
"""

_OF_BATCH = "SELECT id, created_at FROM ingest.dead_letters WHERE owner = $1 AND batch = $2"

# Two deliveries of one body must not both look first and write afterwards.
PRELUDE = "LOCK TABLE ingest.dead_letters IN SHARE ROW EXCLUSIVE MODE"

_GROUPED = """
SELECT table_schema, table_name, code, "column", count(*) AS count FROM ingest.dead_letters
WHERE {wanted}
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4
"""


async def bury(
    one: Connection,
    batch: Batch,
    items: Sequence[bytes],
    refusals: Sequence[Refusal],
    now: datetime,
    *,
    counted: bool = True,
) -> tuple[BuriedItem, ...]:
    """Write a dead letter for every refusal that has none; all of them, in their order.

    `counted`: whether the batch is entered in the ledger with them, and so in its crawl's totals.
    """
    buried = tuple(BuriedItem(refusal, _name(batch, refusal), now) for refusal in refusals)
    await one.execute(
        _INSERT,
        *(batch.owner, batch.table.schema, batch.table.name, batch.id, batch.crawl, now),
        *([letter.dead_letter for letter in buried], [refusal.index for refusal in refusals]),
        *([refusal.code for refusal in refusals], [refusal.column for refusal in refusals]),
        [storable(refusal.detail or refusal.message) for refusal in refusals],
        *([items[refusal.index] for refusal in refusals], counted),
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
    buried = await bury(one, batch, items, fresh, now, counted=False) if fresh else ()
    return tuple(sorted((*known, *buried), key=lambda letter: letter.refusal.index))


def _name(batch: Batch, refusal: Refusal) -> UUID:
    """Named by batch, body and index: the same refusal met twice is one letter."""
    return uuid5(batch.id, f"{batch.fingerprint.hex()} {refusal.index}")


def storable(text: str) -> str:
    """The text as a column of type text can hold it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


async def listed(one: Connection, owner: str, wanted: LetterFilter) -> list[DeadLetter]:
    """Dead letters in the order that is wanted."""
    conditions, arguments = _conditions(owner, wanted)
    if wanted.after is not None:
        arguments += wanted.after
        sign = ">" if wanted.oldest_first else "<"
        conditions += f" AND (created_at, id) {sign} (${len(arguments) - 1}::timestamptz, ${len(arguments)}::uuid)"
    arguments += (wanted.limit, wanted.bytes)
    query = _LISTED.format(
        wanted=conditions,
        order="ASC" if wanted.oldest_first else "DESC",
        limit=f"${len(arguments) - 1}::int",
        bytes=f"${len(arguments)}::bigint",
    )
    return [_letter(row) for row in await one.fetch(query, *arguments)]


def _conditions(owner: str, wanted: LetterFilter) -> tuple[str, list[Any]]:
    """What the filter says, as SQL and its arguments. Only what is asked for: else no index would serve it."""
    conditions, arguments = ["owner = $1"], [owner]
    if wanted.table is not None:
        arguments += (wanted.table.schema, wanted.table.name)
        conditions.append(f"table_schema = ${len(arguments) - 1} AND table_name = ${len(arguments)}")
    for column, value in (("crawl", wanted.crawl), ("code", wanted.code), ("column", wanted.column)):
        if value is not None and (value or column != "column"):
            arguments.append(value)
            conditions.append(f'"{column}" = ${len(arguments)}')
    if wanted.column == "":
        conditions.append('"column" IS NULL')
    return " AND ".join(conditions), arguments


async def delete(one: Connection, owner: str, letter: UUID) -> bool:
    """Throw the letter away. Whether there was one."""
    return bool(await one.execute(_DELETE, owner, letter) == "DELETE 1")


async def put_in(one: Connection, owner: str, letters: Sequence[DeadLetter]) -> int:
    """Put in those that are not there, and that no retry has stored. How many these were."""
    tag = await one.execute(
        *(_PUT_IN, owner, [letter.id for letter in letters]),
        *([letter.table.schema for letter in letters], [letter.table.name for letter in letters]),
        *([letter.batch for letter in letters], [letter.crawl for letter in letters]),
        *([letter.index for letter in letters], [letter.code for letter in letters]),
        *([letter.column for letter in letters], [letter.message for letter in letters]),
        *([letter.raw for letter in letters], [letter.attempts for letter in letters]),
        [letter.created_at for letter in letters],
    )
    return int(tag.rsplit(" ", 1)[1])


async def find(one: Connection, owner: str, letter: UUID) -> DeadLetter | None:
    """One dead letter."""
    row = await one.fetchrow("SELECT * FROM ingest.dead_letters WHERE owner = $1 AND id = $2", owner, letter)
    return None if row is None else _letter(row)


async def grouped(one: Connection, owner: str, wanted: LetterFilter) -> list[LetterGroup]:
    """How many of the wanted letters there are by table, code and column, the largest group first."""
    conditions, arguments = _conditions(owner, wanted)
    return [
        LetterGroup(TableName(row["table_schema"], row["table_name"]), row["code"], row["column"], row["count"])
        for row in await one.fetch(_GROUPED.format(wanted=conditions), *arguments)
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
