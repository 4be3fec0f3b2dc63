"""PostgreSQL as a sink: one transaction settles a batch, rows and dead letters and the ledger's row together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from ingest_server.errors import Contended, Misconfigured
from ingest_server.isolation import Fault, isolate
from ingest_server.model import Batch, Mode, Refusal, Settled, TableName, TableSpec
from ingest_server.postgres import dead_letters, ledger
from ingest_server.postgres.catalogue import SHAPE, Connection
from ingest_server.postgres.decode import Decoded, Rows
from ingest_server.postgres.plans import Plan, Plans
from ingest_server.postgres.pool import connection
from ingest_server.postgres.refusals import copy_line, refusal_from
from ingest_server.postgres.sqlstate import Sort, described, sort_error
from ingest_server.postgres.writer import Counts, without_superseded
from ingest_server.wire import split

# Once as it stands, once carefully, and again for as many changes of the table's shape; then it is left for later.
_TRIES = 4


class _ShapeChangedError(Exception):
    """The table is no longer what the plan was made for."""


class _RefusedRowsError(Exception):
    """Some rows cannot be stored: find out which."""


class _SettledElsewhereError(Exception):
    """A batch of this name was committed while we wrote: nothing of ours may stay."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch, decoded for the table's present shape."""

    batch: Batch
    plan: Plan
    items: list[bytes]
    decoded: Decoded


class PostgresSink:
    """`ingest_server.ports.Sink` over one database."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", plans: Plans, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._plans = plans
        self._clock = clock

    async def spec(self, table: TableName) -> TableSpec | None:
        """The table's shape, or None where there is none and none is made."""
        return await self._plans.spec(table)

    async def tables(self) -> Sequence[TableSpec]:
        """Every table that may be written."""
        return await self._plans.specs()

    async def ping(self) -> None:
        """Raise `Unavailable` where PostgreSQL cannot be asked."""
        async with connection(self._pool) as one:
            await one.fetchval("SELECT 1")

    async def check(self, batch: Batch) -> Sequence[Refusal]:
        """What validation alone finds wrong with the batch."""
        return (await self._prepare(batch)).decoded.refusals

    async def write(self, batch: Batch) -> Settled:
        """Settle the batch: see `ingest_server.ports.Sink`."""
        careful = reloaded = False
        for _ in range(_TRIES):
            prepared = await self._prepare(batch)
            try:
                return await self._settle(prepared, careful=careful, reloaded=reloaded)
            except _RefusedRowsError:
                careful = True
            except _ShapeChangedError:
                self._plans.forget(batch.table)
                reloaded = True
        raise Contended(f"table {batch.table.schema}.{batch.table.name} keeps changing its shape")

    async def _prepare(self, batch: Batch) -> _Prepared:
        async with connection(self._pool) as one:
            plan = await self._plans.plan(one, batch.table)
        items = split(batch.body, batch.form)
        return _Prepared(batch, plan, items, await plan.decoder(batch).decode(items))

    async def _settle(self, prepared: _Prepared, *, careful: bool, reloaded: bool) -> Settled:
        async with connection(self._pool) as one:
            try:
                async with one.transaction():
                    return await self._transact(one, prepared, careful=careful)
            except _SettledElsewhereError:
                return await self._absorbed(one, prepared)
            except Exception as error:
                sorted_error = _sorted(error, careful=careful, reloaded=reloaded)
                if sorted_error is None:
                    raise
                raise sorted_error from error

    async def _transact(self, one: Connection, prepared: _Prepared, *, careful: bool) -> Settled:
        batch, plan = prepared.batch, prepared.plan
        await one.execute(plan.writer.prelude)
        await _same_shape(one, plan.spec)
        if await ledger.find(one, batch.owner, batch.id) is not None:
            raise _SettledElsewhereError
        refusals = list(prepared.decoded.refusals)
        counts = Counts()
        if not (batch.strict and refusals):
            groups, superseded = without_superseded(prepared.decoded.groups, plan.spec)
            counts, found = await _write(one, plan, groups, careful=careful, strict=batch.strict)
            counts += Counts(unchanged=superseded)
            refusals += found
        if batch.strict and refusals:
            counts, refusals = Counts(), _strictly(batch.total, refusals)
        now = self._clock()
        errors = await dead_letters.bury(one, batch, prepared.items, refusals, now) if refusals else ()
        settled = Settled(
            id=batch.id,
            table=batch.table,
            crawl=batch.crawl,
            fingerprint=batch.fingerprint,
            total=batch.total,
            inserted=counts.inserted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            failed=len(refusals),
            errors=errors,
            created_at=batch.created_at,
            completed_at=now,
        )
        if not await ledger.enter(one, batch, settled):
            raise _SettledElsewhereError
        return settled

    async def _absorbed(self, one: Connection, prepared: _Prepared) -> Settled:
        """What the ledger says of a batch that was settled before.

        A name can be used twice for different items while the ledger cannot be asked. Those items were accepted, so they
        are buried, and not dropped.
        """
        batch = prepared.batch
        known = await ledger.find(one, batch.owner, batch.id)
        if known is None:
            raise Contended("the ledger's row of this name was taken back")
        if known.fingerprint == batch.fingerprint and known.table == batch.table:
            return known
        refusals = [
            Refusal(index, "conflict", "the batch's name was used before with another body")
            for index in range(batch.total)
        ]
        async with one.transaction():
            errors = await dead_letters.bury(one, batch, prepared.items, refusals, self._clock())
        return replace(known, total=batch.total, inserted=0, updated=0, unchanged=0, failed=batch.total, errors=errors)


async def _same_shape(one: Connection, spec: TableSpec) -> None:
    """Under the lock: the table must still be what the rows were made for, and what asyncpg prepared for."""
    if await one.fetchval(SHAPE, spec.oid) != spec.shape:
        raise _ShapeChangedError
    if one.shapes.get(spec.oid, spec.shape) != spec.shape:
        await one.reload_schema_state()
        one.shapes.clear()
    one.shapes[spec.oid] = spec.shape


async def _write(
    one: Connection, plan: Plan, groups: Sequence[Rows], *, careful: bool, strict: bool
) -> tuple[Counts, list[Refusal]]:
    writer = plan.writer
    if any(writer.needs_staging(rows) for rows in groups):
        await writer.prepare(one)
    if not careful:
        counts = Counts()
        for position, rows in enumerate(groups):
            if position and writer.needs_staging(rows):
                await writer.clear(one)
            counts += await writer.write(one, rows, rows.values)
        return counts, []
    # The search leaves good rows written, but it cuts the batch: for an upsert's true counts, and for a strict batch of
    # which nothing may stay, it is undone and the good rows are written once more as a whole.
    again = plan.spec.mode is not Mode.APPEND or strict
    refusals: list[Refusal] = []
    good: list[Rows] = []
    search = one.transaction()
    await search.start()
    for rows in groups:
        found = await _isolated(one, plan, rows)
        refusals += found
        good.append(_without(rows, {refusal.index for refusal in found}))
    if not again:
        await search.commit()
        return Counts(inserted=sum(len(rows.values) for rows in good)), refusals
    await search.rollback()
    if strict and refusals:
        return Counts(), refusals
    counts, _ = await _write(one, plan, [rows for rows in good if rows.indexes], careful=False, strict=False)
    return counts, refusals


async def _isolated(one: Connection, plan: Plan, rows: Rows) -> list[Refusal]:
    async def attempt(start: int, stop: int) -> Fault | None:
        try:
            async with one.transaction():
                await plan.writer.write(one, rows, rows.values[start:stop])
                if plan.writer.needs_staging(rows):
                    await plan.writer.clear(one)
        except Exception as error:
            match sort_error(error):
                case Sort.DATA:
                    return Fault(error, copy_line(error))
                case Sort.SHAPE if _is_of_a_row(error):
                    return Fault(error, copy_line(error))
                case Sort.TIME_LIMIT:
                    return Fault(error, is_final=False)
            raise
        return None

    found = await isolate(len(rows.values), attempt)
    return [refusal_from(error, rows.indexes[position]) for position, error in found.items()]


def _without(rows: Rows, refused: set[int]) -> Rows:
    kept = Rows(rows.columns, rows.row)
    for index, value in zip(rows.indexes, rows.values, strict=True):
        if index not in refused:
            kept.indexes.append(index)
            kept.values.append(value)
    return kept


def _strictly(total: int, refusals: Sequence[Refusal]) -> list[Refusal]:
    """All items or none: the neighbours of a refused item are refused too."""
    own = {refusal.index: refusal for refusal in refusals}
    neighbour = "another item of this strict batch was refused"
    return [own.get(index) or Refusal(index, "strict", neighbour) for index in range(total)]


def _sorted(error: Exception, *, careful: bool, reloaded: bool) -> Exception | None:
    """What an error in the transaction calls for; None where that is decided at the border to the driver."""
    match sort_error(error):
        case Sort.SHAPE if not reloaded:
            return _ShapeChangedError()
        case Sort.SHAPE if not _is_of_a_row(error):
            return Misconfigured(described(error))
        case Sort.DATA | Sort.TIME_LIMIT | Sort.SHAPE if not careful:
            return _RefusedRowsError()
    return None


def _is_of_a_row(error: Exception) -> bool:
    # 22P03 is a shape error until the shape was compared under the lock; after that it is the row's own fault
    return getattr(error, "sqlstate", None) == "22P03"
