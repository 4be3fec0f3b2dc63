"""A batch comes in: admitted, read, decoded, named, checked against what was sent before, and put onto the queue."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from ingest_server import wire
from ingest_server.admission import Room, check_size
from ingest_server.api.context import CONTEXT, Context, check_granted, owner_of, path_part, table_named
from ingest_server.api.rate import budget_of, spending
from ingest_server.api.reading import Arrived, read_body
from ingest_server.api.tables import check_share
from ingest_server.errors import (
    BadRequest,
    Conflict,
    Misconfigured,
    NotFound,
    Overloaded,
    SinkError,
    Unprocessable,
)
from ingest_server.inflate import inflater
from ingest_server.model import Batch, BatchHead, Form, Settled, TableName
from ingest_server.names import uuid7
from ingest_server.splitting import check_values, split_in_turns
from ingest_server.statuses import Waiting
from ingest_server.tokens.rates import Budget

# A frozen PostgreSQL says nothing for minutes: whoever sent the batch is told sooner to come again.
_CATALOGUE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a request: a batch on its way, or one that was settled before; and whether it was sent again."""

    outcome: Waiting | Settled
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    """What the headers say, checked."""

    owner: str
    table: TableName
    form: Form
    id: UUID
    named: bool
    crawl: str | None
    strict: bool
    budget: Budget


async def receive(request: web.Request, preferences: wire.Preferences) -> Received:
    """Take the batch in. Raises one of `RequestRefused`; then nothing of it was kept."""
    context = request.app[CONTEXT]
    head = _read_head(request, preferences)
    body_decoder = inflater(", ".join(request.headers.getall("Content-Encoding", [])))
    if request.content_length is not None:
        check_size(request.content_length, context.limits.sent_bytes, "bytes")
    room = context.admission.enter(request.content_length)
    if not context.statuses.begin_receiving(head.owner, head.id):
        room.give_back()
        raise Conflict("a batch of this name is being received right now", retry_after=1)
    try:
        await check_table(context, head.table)
        check_share(context, head.table, request.content_length or 0)
        limits = context.limits
        arrived = await read_body(
            *(request, room, body_decoder),
            sent_bytes=limits.sent_bytes,
            decoded_bytes=limits.decoded_bytes,
            seconds=limits.receive_seconds,
        )
    except BaseException:
        _end(context, head, room)
        raise
    # A request that is cancelled from here on may have its batch in the queue: then it is accepted like any other.
    accepting = asyncio.create_task(_accept(context, head, arrived), name=f"accept {head.id}")
    del arrived

    def ended(done: asyncio.Task[Received]) -> None:
        _end(context, head, room)
        if not done.cancelled():
            done.exception()  # where the request was cancelled nobody else looks at it

    accepting.add_done_callback(ended)
    return await asyncio.shield(accepting)


def _end(context: Context, head: _Head, room: Room) -> None:
    context.statuses.end_receiving(head.owner, head.id)
    room.give_back()


def _read_head(request: web.Request, preferences: wire.Preferences) -> _Head:
    owner = owner_of(request)
    table = table_named(request, path_part(request, "table"))
    check_granted(request, table)
    key = _single(request, "Idempotency-Key")
    crawl = _single(request, "Ingest-Crawl")
    return _Head(
        owner=owner,
        table=table,
        form=wire.form_of(_single(request, "Content-Type")),
        id=uuid7() if key is None else wire.batch_id(owner, key),
        named=key is not None,
        crawl=None if crawl is None else wire.crawl_id(crawl),
        strict=preferences.strict,
        budget=budget_of(request),
    )


def _single(request: web.Request, name: str) -> str | None:
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise BadRequest(f"{name} stands more than once")
    return values[0] if values else None


async def check_table(context: Context, table: TableName) -> None:
    """404 is said only after asking the catalogue; where it cannot be asked and the table is not known, 503.

    A table that is known is asked for again only once a worker could not write it.
    """
    parked = context.parking.tables.get(table)
    if table in context.known_tables and (parked is None or parked.cause == "refused"):
        return
    shown = table.shown(context.schema)
    try:
        async with asyncio.timeout(_CATALOGUE_SECONDS):
            spec = await context.sink.spec(table)
    except Misconfigured as error:
        if table in context.known_tables:  # its batches wait until somebody mends it
            return
        raise _misconfigured(shown, error) from error
    except (SinkError, TimeoutError) as error:
        if table in context.known_tables:
            return
        raise Overloaded("the table is not known here yet, and PostgreSQL cannot be asked now", table=shown) from error
    if spec is None:
        context.known_tables.discard(table)
        raise NotFound(f"there is no table {shown}: create it, or start the server with --create-tables", table=shown)
    context.known_tables.add(table)


async def _accept(context: Context, head: _Head, arrived: Arrived) -> Received:
    limits = context.limits
    items = await split_in_turns(arrived.body, head.form, limits.items, limits.item_bytes)
    if not items:
        raise Unprocessable("there is no item in the body")
    await check_values(items, item_values=limits.item_values, batch_values=limits.batch_values)
    batch = BatchHead(
        id=head.id,
        owner=head.owner,
        table=head.table,
        crawl=head.crawl,
        form=head.form,
        total=len(items),
        size=len(arrived.body),
        fingerprint=arrived.fingerprint,
        strict=head.strict,
        created_at=context.clock(),
    ).with_body(arrived.body)
    del items
    with spending(head.budget, batch.total, batch.size):
        received = await keep(context, batch, named=head.named)
    if received.replayed:
        head.budget.take(-batch.total, -batch.size)
    return received


async def keep(context: Context, batch: Batch, *, named: bool) -> Received:
    """Put the batch onto the queue, unless one of its name was there before. The caller holds the name meanwhile."""
    if named and (known := await _sent_before(context, batch)) is not None:
        context.telemetry.replayed(batch.id)
        return Received(known, replayed=True)
    if batch.strict:
        await _check_strictly(context, batch)
    # Again: the server may have begun to stop while the body arrived, and then nobody would settle this batch.
    context.admission.check_open()
    # Again: a batch of this name may have come back from another server's journal meanwhile.
    if (entry := context.statuses.waiting(batch.owner, batch.id)) is not None:
        _check_same(entry.batch, batch)
        return Received(entry, replayed=True)
    check_share(context, batch.table, batch.size, batch.total)
    await context.queue.put(batch)
    # Only now, so that nobody is told `journaled` before it is; no taker has it yet.
    entry = context.statuses.accepted(batch.head)
    context.telemetry.accepted(batch)
    return Received(entry)


async def _sent_before(context: Context, batch: BatchHead) -> Waiting | Settled | None:
    """The batch of this name if there was one. Raises `Unprocessable` where it had another body or table."""
    known: Waiting | Settled | None = context.statuses.waiting(batch.owner, batch.id)
    known = known or context.statuses.recent(batch.owner, batch.id)
    if known is None:
        known = await context.recall.settled(batch.owner, batch.id)
    if known is None:
        return None
    _check_same(known.batch if isinstance(known, Waiting) else known, batch)
    return known


def _check_same(first: BatchHead | Settled, batch: BatchHead) -> None:
    if (first.fingerprint, first.table) != (batch.fingerprint, batch.table):
        raise Unprocessable("this name was used before with another body or table: give every batch a name of its own")


async def _check_strictly(context: Context, batch: Batch) -> None:
    try:
        refusals = await context.sink.check(batch)
    except Misconfigured as error:
        raise _misconfigured(batch.table.shown(context.schema), error) from error
    except SinkError as error:
        raise Overloaded("a strict batch is checked first, and PostgreSQL cannot be asked now") from error
    if refusals:
        raise Unprocessable(f"{len(refusals)} of {batch.total} items of this strict batch are invalid", errors=refusals)


def _misconfigured(table: str, error: Misconfigured) -> Overloaded:
    return Overloaded(f"table {table} cannot be written as it is configured: {error.reason}", table=table)
