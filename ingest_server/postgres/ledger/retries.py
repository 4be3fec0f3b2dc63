"""Retries of dead letters, settled in the transaction of their batch: what is stored takes its letter away, the rest stays."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

import asyncpg

from ingest_server import retries
from ingest_server.model import Batch, BuriedItem, Refusal
from ingest_server.postgres.ledger.dead_letters import storable
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.rows import Decoded, Rows

STORED = ("inserted", "updated", "unchanged")
_FAILED = "failed"
GONE = "gone"

# In one order in every worker: two batches that retry the same letters wait for each other, and do not deadlock.
_HOLD = """
SELECT id, batch, crawl, counted, code, "column", raw FROM ingest.dead_letters
WHERE owner = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE
"""

# Asked after the letters are held: whoever held them before has committed by now.
_MADE = "SELECT letter, attempt, item, outcome FROM ingest.retries WHERE owner = $1 AND letter = ANY($2::uuid[])"

_ENTER = """
INSERT INTO ingest.retries (owner, batch, settled_at, letter, attempt, item, is_repaired, outcome, crawl, origin)
SELECT $1, $2, $3, made.*
FROM unnest($4::uuid[], $5::int[], $6::bytea[], $7::boolean[], $8::text[], $9::text[], $10::uuid[]) AS made
ON CONFLICT DO NOTHING
"""

_DELETE = "DELETE FROM ingest.dead_letters WHERE owner = $1 AND id = ANY($2::uuid[])"

_KEEP = """
UPDATE ingest.dead_letters AS there SET attempts = there.attempts + 1, code = said.code, "column" = said."column",
    message = said.message
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS said (id, code, "column", message)
WHERE there.owner = $1 AND there.id = said.id
"""

# The latest retry of a letter with this item, or where none is named, with its own.
_LATEST = """
SELECT batch FROM ingest.retries
WHERE owner = $1 AND letter = $2 AND (item = $3 OR $3::bytea IS NULL AND NOT is_repaired)
ORDER BY attempt DESC LIMIT 1
"""


def with_crawl(batch: Batch) -> Batch:
    """The batch as its items' tables should see it: a retry's rows belong to the crawl of its letters, the batch to none."""
    return replace(batch, crawl=retries.read(batch.body)[0].crawl)


async def latest(one: Connection, owner: str, letter: UUID, item: bytes | None) -> UUID | None:
    """The batch that last retried the letter with this item (on one line), or, without any, with the letter's own."""
    digest = None if item is None else hashlib.sha256(item).digest()
    found: UUID | None = await one.fetchval(_LATEST, owner, letter, digest)
    return found


@dataclass(frozen=True, slots=True)
class Held:
    """The letters of a retry batch, locked until its transaction ends."""

    batch: Batch
    made: Sequence[retries.Retry]
    letters: Mapping[UUID, asyncpg.Record]
    refusals: dict[int, Refusal]
    """Items that are not to be written, for nobody waits for them: their letters were deleted, or retried so already."""
    stored: frozenset[int]
    """Items that another batch has stored."""

    @classmethod
    async def of(cls, one: Connection, batch: Batch) -> Self:
        """Lock the letters of this batch, and find out which of its retries are still to be made."""
        wanted = retries.read(batch.body)
        ids = [retry.letter for retry in wanted]
        letters = {row["id"]: row for row in await one.fetch(_HOLD, batch.owner, ids)}
        made: dict[tuple[UUID, int, bytes], str] = {}
        stored_letters: set[UUID] = set()
        for row in await one.fetch(_MADE, batch.owner, ids):
            made[row["letter"], row["attempt"], row["item"]] = row["outcome"]
            if row["outcome"] in STORED:
                stored_letters.add(row["letter"])
        refusals: dict[int, Refusal] = {}
        stored: set[int] = set()
        for index, retry in enumerate(wanted):
            letter = letters.get(retry.letter)
            if letter is None and retry.letter in stored_letters:
                stored.add(index)
            elif letter is None:
                refusals[index] = Refusal(
                    index, GONE, "its dead letter was deleted before the retry: nothing was written"
                )
            elif retry.name in made:
                message = "another batch made this retry, and it was refused again"
                refusals[index] = Refusal(index, letter["code"], message, letter["column"])
        return cls(batch, wanted, letters, refusals, frozenset(stored))

    def still_wanted(self, decoded: Decoded) -> Decoded:
        """Without the items that are not to be written."""
        if not self.refusals and not self.stored:
            return decoded
        out = self.refusals.keys() | self.stored
        groups = []
        for rows in decoded.groups:
            kept = [at for at, index in enumerate(rows.indexes) if index not in out]
            if kept:
                groups.append(Rows(rows.columns, [rows.indexes[at] for at in kept], [rows.values[at] for at in kept]))
        refusals = [one for one in decoded.refusals if one.index not in out]
        return replace(decoded, groups=groups, refusals=refusals)

    async def settle(
        self, one: Connection, counts: Counts, refusals: Sequence[Refusal], now: datetime
    ) -> tuple[BuriedItem, ...]:
        """Take away the letters of what was written, keep the others with one attempt more, and note each retry.

        `counts` are of what this batch wrote; `refusals` are all of the batch's, in order.
        """
        refused = {refusal.index: refusal for refusal in refusals}
        own = [index for index in range(len(self.made)) if index not in self.refusals and index not in self.stored]
        written = [index for index in own if index not in refused]
        again = [index for index in own if index in refused]
        outcomes = dict.fromkeys(again, _FAILED) | dict(zip(written, _each(counts), strict=True))
        await self._enter(one, outcomes, now)
        if written:
            await one.execute(_DELETE, self.batch.owner, [self.made[index].letter for index in written])
        if again:
            said = [refused[index] for index in again]
            await one.execute(
                *(_KEEP, self.batch.owner, [self.made[index].letter for index in again]),
                *([refusal.code for refusal in said], [refusal.column for refusal in said]),
                [storable(refusal.detail or refusal.message) for refusal in said],
            )
        return tuple(BuriedItem(refusal, self.made[refusal.index].letter, now) for refusal in refusals)

    async def _enter(self, one: Connection, outcomes: Mapping[int, str], now: datetime) -> None:
        # One whose letter was deleted is noted too: the letter may be imported again, and is retried as another attempt then.
        gone = [index for index in self.refusals if self.made[index].letter not in self.letters]
        outcomes = {**outcomes, **dict.fromkeys(gone, _FAILED)}
        if not outcomes:
            return
        made = [self.made[index] for index in outcomes]
        letters = [self.letters.get(retry.letter) for retry in made]
        # What was refused again moves nothing; and only what a crawl's totals hold can be moved in them.
        crawls = [
            letter["crawl"] if letter and outcome in STORED and letter["counted"] else None
            for letter, outcome in zip(letters, outcomes.values(), strict=True)
        ]
        await one.execute(
            *(_ENTER, self.batch.owner, self.batch.id, now),
            *([retry.letter for retry in made], [retry.attempt for retry in made], [retry.name[2] for retry in made]),
            [
                letter is not None and retries.on_one_line(letter["raw"]) != retry.item
                for retry, letter in zip(made, letters, strict=True)
            ],
            *(list(outcomes.values()), crawls, [letter and letter["batch"] for letter in letters]),
        )


def _each(counts: Counts) -> list[str]:
    """So many outcomes as were counted. Which item had which is not known; their sums are."""
    return [name for name in STORED for _ in range(getattr(counts, name))]
