"""Doors without a house behind them. tests/contracts holds them to the same promises as the real ones, so they cannot lie."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from uuid import UUID, uuid5

from ingest_server import retries
from ingest_server.errors import Misconfigured, Unavailable
from ingest_server.model import (
    Batch,
    BuriedItem,
    Column,
    CrawlClose,
    CrawlTotals,
    DeadLetter,
    Parked,
    Refusal,
    Settled,
    TableName,
    TableSpec,
)
from ingest_server.ports import BatchFilter, LetterFilter, LetterGroup
from ingest_server.wire import split
from tests.make import NOON


class Clock:
    """Seconds, in the test's hands."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeLedger:
    """`ingest_server.ports.Ledger` in a dictionary."""

    settled: dict[tuple[str, UUID], Settled] = field(default_factory=dict)
    letters: dict[tuple[str, UUID], DeadLetter] = field(default_factory=dict)
    closes: dict[tuple[str, str], CrawlClose] = field(default_factory=dict)
    is_away: bool = False

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("away, says the test")

    async def batch(self, owner: str, batch: UUID) -> Settled | None:
        self._check()
        return self.settled.get((owner, batch))

    async def batches(self, owner: str, wanted: BatchFilter) -> Sequence[Settled]:
        self._check()
        found = [
            one
            for (whose, _), one in reversed(self.settled.items())
            if whose == owner and wanted.crawl in (None, one.crawl) and wanted.status in (None, one.status)
        ]
        return _after(found, wanted.before and wanted.before[1])[: wanted.limit]

    async def crawl(self, owner: str, crawl: str, without: Sequence[UUID]) -> CrawlTotals | None:
        self._check()
        found = [
            one
            for (whose, name), one in self.settled.items()
            if whose == owner and one.crawl == crawl and name not in without
        ]
        close = self.closes.get((owner, crawl))
        if not found and close is None:
            return None
        sums: Counter[str] = Counter(batches=len(found))
        for one in found:
            for count in ("inserted", "updated", "unchanged", "failed"):
                sums[count] += getattr(one, count)
        said = (
            {} if close is None else {name: getattr(close, name) for name in CrawlClose.__slots__} | {"closed_at": NOON}
        )
        return CrawlTotals(**sums, **said)

    async def close_crawl(self, owner: str, crawl: str, close: CrawlClose) -> None:
        self._check()
        self.closes[owner, crawl] = close

    async def dead_letters(self, owner: str, wanted: LetterFilter) -> Sequence[DeadLetter]:
        self._check()
        found = [
            one
            for (whose, _), one in reversed(self.letters.items())
            if whose == owner
            and wanted.table in (None, one.table)
            and wanted.crawl in (None, one.crawl)
            and wanted.code in (None, one.code)
            and wanted.column in (None, one.column or "")
        ]
        if wanted.oldest_first:
            found.reverse()
        found = _after(found, wanted.after and wanted.after[1])[: wanted.limit]
        before = accumulate((len(one.raw) for one in found), initial=0)
        return [one for one, size in zip(found, before, strict=False) if size < wanted.bytes]

    async def dead_letter(self, owner: str, letter: UUID) -> DeadLetter | None:
        self._check()
        return self.letters.get((owner, letter))

    async def groups(self, owner: str, wanted: LetterFilter) -> Sequence[LetterGroup]:
        found = await self.dead_letters(owner, replace(wanted, limit=len(self.letters), after=None, bytes=2**60))
        counts = Counter((one.table, one.code, one.column) for one in found)
        return [LetterGroup(*key, count) for key, count in counts.most_common()]

    async def delete_letter(self, owner: str, letter: UUID) -> bool:
        self._check()
        return self.letters.pop((owner, letter), None) is not None

    async def import_letters(self, owner: str, letters: Sequence[DeadLetter]) -> int:
        self._check()
        fresh = {(owner, one.id): one for one in letters if (owner, one.id) not in self.letters}
        self.letters |= fresh
        return len(fresh)

    async def retried(self, owner: str, letter: UUID, item: bytes | None) -> UUID | None:
        """Nothing is retried here."""
        self._check()
        return None


@dataclass
class FakeSink:
    """`ingest_server.ports.Sink` whose tables take objects {"a": integer} and keep every `a` once."""

    ledger: FakeLedger = field(default_factory=FakeLedger)
    rows: dict[TableName, list[int]] = field(default_factory=dict)
    raises: list[Exception] = field(default_factory=list)
    """What the next writes raise, one after the other."""
    written: list[Batch] = field(default_factory=list)

    def make_table(self, name: str) -> None:
        self.rows[TableName("public", name)] = []

    async def spec(self, table: TableName) -> TableSpec | None:
        await self.ping()
        return TableSpec(table, (Column("a", "integer", "int4", nullable=False),)) if table in self.rows else None

    async def tables(self) -> Sequence[TableSpec]:
        return [spec for table in self.rows if (spec := await self.spec(table)) is not None]

    async def ping(self) -> None:
        if self.ledger.is_away:
            raise Unavailable("away, says the test")

    async def check(self, batch: Batch) -> Sequence[Refusal]:
        await self.ping()
        return self._decode(batch)[1]

    async def write(self, batch: Batch) -> Settled:
        await self.ping()
        if self.raises:
            raise self.raises.pop(0)
        if batch.table not in self.rows:
            raise Misconfigured("there is no such table")
        known = await self.ledger.batch(batch.owner, batch.id)
        if known is not None:
            if known.fingerprint == batch.fingerprint:
                return known
            conflicts = [Refusal(index, "conflict", "the name was used before") for index in range(batch.total)]
            nothing = replace(known, total=batch.total, inserted=0, updated=0, unchanged=0, failed=batch.total)
            return replace(nothing, errors=self._bury(batch, conflicts))
        values, refusals = self._decode(batch)
        rows = self.rows[batch.table]
        made = retries.read(batch.body) if batch.form == "retry" else []
        gone = {index for index, one in enumerate(made) if (batch.owner, one.letter) not in self.ledger.letters}
        refusals = [one for one in refusals if one.index not in gone]
        refusals += [Refusal(index, "gone", "its letter was deleted") for index in gone]
        fresh: list[int] = []
        for index, value in values:
            if index in gone:
                continue
            if value in rows or value in fresh:
                refusals.append(Refusal(index, "23505", "violates a unique constraint"))
            else:
                fresh.append(value)
        if batch.strict and refusals:
            own = {refusal.index: refusal for refusal in refusals}
            refusals = [own.get(index, Refusal(index, "strict", "another was refused")) for index in range(batch.total)]
            fresh = []
        rows += fresh
        self.written.append(batch)
        settled = Settled(
            id=batch.id,
            table=batch.table,
            crawl=batch.crawl,
            fingerprint=batch.fingerprint,
            total=batch.total,
            inserted=len(fresh),
            updated=0,
            unchanged=0,
            failed=len(refusals),
            errors=self._bury(batch, refusals),
            created_at=batch.created_at,
            completed_at=NOON,
        )
        self.ledger.settled[batch.owner, batch.id] = settled
        return settled

    def _decode(self, batch: Batch) -> tuple[list[tuple[int, int]], list[Refusal]]:
        values, refusals = [], []
        for index, raw in enumerate(split(batch.body, batch.form)):
            try:
                values.append((index, int(json.loads(raw)["a"])))
            except (ValueError, TypeError, KeyError):
                refusals.append(Refusal(index, "invalid", "is no object with an integer a"))
        return values, refusals

    def _keep(self, batch: Batch, refusals: list[Refusal]) -> tuple[BuriedItem, ...]:
        """What is refused again keeps its letter; what is stored takes it away."""
        letters, refused = self.ledger.letters, {one.index: one for one in refusals}
        buried = []
        for index, one in enumerate(retries.read(batch.body)):
            letter = letters.pop((batch.owner, one.letter), None)
            if index in refused:
                buried.append(BuriedItem(refused[index], one.letter, NOON))
                if letter is not None:
                    again = {name: getattr(refused[index], name) for name in ("code", "column", "message")}
                    letters[batch.owner, one.letter] = replace(letter, attempts=letter.attempts + 1, **again)
        return tuple(buried)

    def _bury(self, batch: Batch, refusals: list[Refusal]) -> tuple[BuriedItem, ...]:
        items = split(batch.body, batch.form)
        if batch.form == "retry":
            return self._keep(batch, refusals)
        buried = []
        for refusal in sorted(refusals, key=lambda one: one.index):
            name = uuid5(batch.id, f"{batch.fingerprint.hex()} {refusal.index}")
            self.ledger.letters[batch.owner, name] = DeadLetter(
                id=name,
                table=batch.table,
                batch=batch.id,
                crawl=batch.crawl,
                index=refusal.index,
                code=refusal.code,
                column=refusal.column,
                message=refusal.message,
                raw=items[refusal.index],
                attempts=1,
                created_at=NOON,
            )
            buried.append(BuriedItem(refusal, name, NOON))
        return tuple(buried)


@dataclass
class FakeParkedTables:
    """`ingest_server.ports.ParkedTables` in a dictionary."""

    kept: dict[TableName, Parked] = field(default_factory=dict)
    is_away: bool = False

    def _check(self) -> None:
        if self.is_away:
            raise Unavailable("away, says the test")

    async def parked(self) -> Sequence[Parked]:
        self._check()
        return list(self.kept.values())

    async def park(self, parked: Parked) -> None:
        self._check()
        known = self.kept.get(parked.table)
        if known is None or (known.cause, parked.cause) == ("configuration", "refused"):
            self.kept[parked.table] = parked

    async def resume(self, table: TableName, *, only_configuration: bool = False) -> bool:
        self._check()
        known = self.kept.get(table)
        if known is None or (only_configuration and known.cause == "refused"):
            return False
        del self.kept[table]
        return True


def _after(found: list, before: UUID | None) -> list:
    names = [one.id for one in found]
    return found if before is None else found[names.index(before) + 1 :]


def settled_of(batch: Batch, **changes) -> Settled:
    """The batch as if every item had been inserted."""
    whole = Settled(
        id=batch.id,
        table=batch.table,
        crawl=batch.crawl,
        fingerprint=batch.fingerprint,
        total=batch.total,
        inserted=batch.total,
        updated=0,
        unchanged=0,
        failed=0,
        errors=(),
        created_at=batch.created_at,
        completed_at=NOON,
    )
    return replace(whole, **changes)
