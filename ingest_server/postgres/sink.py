"""PostgreSQL as a sink: one transaction settles a batch, rows and dead letters and the ledger's row together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter

import asyncpg

from ingest_server.errors import Contended
from ingest_server.model import Batch, BatchHead, BuriedItem, Refusal, Settled, TableName, TableSpec
from ingest_server.postgres.connections.pool import connection, misconfigured
from ingest_server.postgres.connections.sqlstate import Sort, sort_error
from ingest_server.postgres.connections.transactions import savepoint, transaction
from ingest_server.postgres.ledger import dead_letters, ledger, retries
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.tables.plans import Plan, Plans
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.isolated import is_of_a_row
from ingest_server.postgres.writing.refusals import refusals_from
from ingest_server.postgres.writing.rows import Decoded, Rows
from ingest_server.postgres.writing.search import write_what_can_be
from ingest_server.splitting import split_in_turns
from ingest_server.telemetry import Telemetry

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


def _bury_all(batch: BatchHead, refusals: Sequence[Refusal]) -> None:
    """Nobody objects."""


class PostgresSink:
    """`ingest_server.ports.Sink` over one database. `judge` may raise before a batch's refused items are buried."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        plans: Plans,
        clock: Callable[[], datetime],
        judge: Callable[[BatchHead, Sequence[Refusal]], None] = _bury_all,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._pool = pool
        self._plans = plans
        self._clock = clock
        self._judge = judge
        self._telemetry = telemetry

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
        """What validation alone finds wrong with the batch, by the table's shape of this moment."""
        async with connection(self._pool) as one:
            await self._plans.refresh(one, batch.table)
        return (await self._prepare(batch)).decoded.refusals

    async def write(self, batch: Batch) -> Settled:
        """Settle the batch: see `ingest_server.ports.Sink`."""
        careful = reloaded = False
        prepared: _Prepared | None = None
        began: float | None = None
        for _ in range(_TRIES):
            prepared = prepared or await self._prepare(batch)
            began = began or perf_counter()
            try:
                settled = await self._settle(prepared, careful=careful, reloaded=reloaded)
                if self._telemetry is not None:
                    self._telemetry.written(prepared.plan.spec.mode, perf_counter() - began)
                return settled
            except _RefusedRowsError:
                careful = True
                if self._telemetry is not None:
                    self._telemetry.isolating(batch.table)
            except _ShapeChangedError:
                self._plans.forget(batch.table)
                prepared, reloaded = None, True
        raise Contended(f"table {batch.table.schema}.{batch.table.name} keeps changing its shape")

    async def _prepare(self, batch: Batch) -> _Prepared:
        plan = self._plans.known(batch.table)
        if plan is None:
            async with connection(self._pool) as one:
                plan = await self._plans.plan(one, batch.table)
        items = await split_in_turns(batch.body, batch.form)
        decoder = plan.decoder(retries.with_crawl(batch) if batch.form == "retry" else batch)
        return _Prepared(batch, plan, items, await decoder.decode(items))

    async def _settle(self, prepared: _Prepared, *, careful: bool, reloaded: bool) -> Settled:
        writer = prepared.plan.writer
        async with connection(self._pool) as one:
            try:
                async with transaction(one, writer.prelude):
                    settled, groups = await self._transact(one, prepared, careful=careful)
            except _SettledElsewhereError:
                return await self._absorbed(one, prepared)
            except Exception as error:
                sorted_error = _sorted(error, careful=careful, reloaded=reloaded)
                if sorted_error is None:
                    raise
                raise sorted_error from error
            if not (prepared.batch.strict and settled.failed):
                writer.committed(one, groups)
            return settled

    async def _transact(self, one: Connection, prepared: _Prepared, *, careful: bool) -> tuple[Settled, Sequence[Rows]]:
        """What became of the batch, and the rows that were to be written."""
        batch, plan, decoded = prepared.batch, prepared.plan, prepared.decoded
        await self._open(one, batch, plan)
        held = await retries.Held.of(one, batch) if batch.form == "retry" else None
        if held is not None:
            decoded = held.still_wanted(decoded)
        refusals = {refusal.index: refusal for refusal in decoded.refusals}
        counts = Counts()
        if not (batch.strict and refusals):
            if careful:
                counts, found = await _search(one, plan, decoded, strict=batch.strict)
                refusals |= found
            else:
                counts = await plan.writer.write(one, decoded.groups)
        if batch.form != "retry":  # its items were refused before: they say nothing new of the table
            self._judge(batch, list(refusals.values()))
        if batch.strict and refusals:
            refusals = _strictly(batch.total, refusals)
        now = self._clock()
        errors: tuple[BuriedItem, ...] = ()
        if held is not None:
            ordered = _ordered(refusals | held.refusals)
            errors = await held.settle(one, counts, ordered, now)
            counts += Counts(unchanged=len(held.stored))
        elif ordered := _ordered(refusals):
            errors = await dead_letters.bury(one, batch, prepared.items, ordered, now)
        settled = Settled(
            id=batch.id,
            table=batch.table,
            crawl=batch.crawl,
            fingerprint=batch.fingerprint,
            total=batch.total,
            inserted=counts.inserted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            failed=len(ordered),
            errors=errors,
            created_at=batch.created_at,
            completed_at=now,
            altered=decoded.altered,
        )
        _check_sum(settled)
        if not await ledger.enter(one, batch, settled):
            raise _SettledElsewhereError
        return settled, decoded.groups

    async def _open(self, one: Connection, batch: Batch, plan: Plan) -> None:
        """Under the lock: the batch must be new, and the table what the rows and asyncpg's statements were made for."""
        shape, is_settled = await ledger.open_batch(one, batch)
        if is_settled:
            raise _SettledElsewhereError
        if shape != plan.spec.shape:
            raise _ShapeChangedError
        if one.shapes.get(batch.table, shape) != shape:
            await one.reload_schema_state()
            one.shapes.clear()
        one.shapes[batch.table] = shape

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
        if batch.form == "retry":  # its letters are where they were
            return replace(known, total=batch.total, inserted=0, updated=0, unchanged=0, failed=batch.total)
        async with transaction(one, dead_letters.PRELUDE):
            errors = await dead_letters.bury_once(one, batch, prepared.items, refusals, self._clock())
        return replace(known, total=batch.total, inserted=0, updated=0, unchanged=0, failed=batch.total, errors=errors)


async def _search(one: Connection, plan: Plan, decoded: Decoded, *, strict: bool) -> tuple[Counts, dict[int, Refusal]]:
    """Write all rows that can be written, or, where the batch is strict and one cannot, none."""
    async with savepoint(one) as undo:
        counts, refused = await write_what_can_be(one, plan.writer, decoded.groups)
        if strict and refused:
            await undo()
            counts = Counts()
    return counts, await refusals_from(one, plan.spec, refused)


def _ordered(refusals: Mapping[int, Refusal]) -> list[Refusal]:
    return [refusals[index] for index in sorted(refusals)]


def _strictly(total: int, refusals: dict[int, Refusal]) -> dict[int, Refusal]:
    """All items or none: the neighbours of a refused item are refused too."""
    neighbour = "another item of this strict batch was refused"
    return {index: refusals.get(index) or Refusal(index, "strict", neighbour) for index in range(total)}


def _check_sum(settled: Settled) -> None:
    """Every item stands in one count; a batch whose figures do not add up is not committed."""
    if settled.succeeded + settled.failed != settled.total:
        raise AssertionError(f"{settled.succeeded} + {settled.failed} items of {settled.total}")


def _sorted(error: Exception, *, careful: bool, reloaded: bool) -> Exception | None:
    """What an error in the transaction calls for; None where that is decided at the border to the driver."""
    match sort_error(error):
        case Sort.SHAPE if not reloaded:
            return _ShapeChangedError()
        case Sort.SHAPE if not is_of_a_row(error):
            return misconfigured(error)
        case Sort.DATA | Sort.TIME_LIMIT | Sort.SHAPE if not careful:
            return _RefusedRowsError()
    return None
