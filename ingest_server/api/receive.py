"""A batch comes in: admitted, read, decoded, named, checked against what was sent before, and put onto the queue."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from ingest_server import wire
from ingest_server.admission import Room, check_size
from ingest_server.api.context import CONTEXT, Context, owner_of, path_part, table_named
from ingest_server.api.protocol import body_of
from ingest_server.errors import (
    BadRequest,
    Conflict,
    Misconfigured,
    NotFound,
    Overloaded,
    ReceiveTimeout,
    SinkError,
    TooLarge,
    Unprocessable,
)
from ingest_server.inflate import Inflater, inflater
from ingest_server.model import Batch, BatchHead, Form, Settled, TableName
from ingest_server.names import uuid7
from ingest_server.statuses import Waiting

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


async def receive(request: web.Request, preferences: wire.Preferences) -> Received:
    """Take the batch in. Raises one of `RequestRefused`; then nothing of it was kept."""
    context = request.app[CONTEXT]
    head = _read_head(request, preferences)
    body_decoder = inflater(", ".join(request.headers.getall("Content-Encoding", [])))
    if request.content_length is not None:
        check_size(request.content_length, context.limits.sent_bytes, "bytes")
    room = context.admission.enter(request.content_length)
    if not context.statuses.begin_receiving(head.owner, head.id):
        raise Conflict("a batch of this name is being received right now", retry_after=1)
    try:
        await _check_table(context, head.table)
        body = await _read_body(request, room, body_decoder)
    except BaseException:
        _end(context, head, room)
        raise
    # A request that is cancelled from here on may have its batch in the queue: then it is accepted like any other.
    accepting = asyncio.create_task(_accept(context, head, body), name=f"accept {head.id}")
    del body

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
    key = _single(request, "Idempotency-Key")
    crawl = _single(request, "Ingest-Crawl")
    return _Head(
        owner=owner,
        table=table_named(request, path_part(request, "table")),
        form=wire.form_of(_single(request, "Content-Type")),
        id=uuid7() if key is None else wire.batch_id(owner, key),
        named=key is not None,
        crawl=None if crawl is None else wire.crawl_id(crawl),
        strict=preferences.strict,
    )


def _single(request: web.Request, name: str) -> str | None:
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise BadRequest(f"{name} stands more than once")
    return values[0] if values else None


async def _check_table(context: Context, table: TableName) -> None:
    """404 is said only after asking the catalogue; where it cannot be asked and the table is not known, 503.

    A table that is known is asked for again only once a worker could not write it.
    """
    if table in context.known_tables and table not in context.telemetry.wrong_tables:
        return
    shown = table.shown(context.schema)
    try:
        async with asyncio.timeout(_CATALOGUE_SECONDS):
            spec = await context.sink.spec(table)
    except Misconfigured as error:
        raise Overloaded(
            f"table {shown} cannot be written as it is configured: the server's log says why", table=shown
        ) from error
    except (SinkError, TimeoutError) as error:
        if table in context.known_tables:
            return
        raise Overloaded("the table is not known here yet, and PostgreSQL cannot be asked now", table=shown) from error
    if spec is None:
        context.known_tables.discard(table)
        raise NotFound(f"there is no table {shown}: create it, or start the server with --create-tables", table=shown)
    context.known_tables.add(table)


async def _read_body(request: web.Request, room: Room, decoder: Inflater) -> bytes:
    limits = request.app[CONTEXT].limits
    pieces: list[bytes] = []
    sent = decoded = 0
    try:
        async with asyncio.timeout(limits.receive_seconds):
            async for arrived in body_of(request):
                sent += len(arrived)
                check_size(sent, limits.sent_bytes, "bytes")
                for piece in decoder.feed(arrived):
                    decoded += len(piece)
                    check_size(decoded, limits.decoded_bytes, "decoded_bytes")
                    room.take(len(piece))
                    pieces.append(piece)
                    if len(piece) > len(arrived):  # a piece that grew may be followed by hundreds: let others run
                        await asyncio.sleep(0)
    except TimeoutError:
        raise ReceiveTimeout(f"the body did not arrive within {limits.receive_seconds:g} seconds") from None
    decoder.finish()
    return b"".join(pieces)


async def _accept(context: Context, head: _Head, body: bytes) -> Received:
    items = wire.split(body, head.form, context.limits.items)
    if not items:
        raise Unprocessable("there is no item in the body")
    largest = max(map(len, items))
    if largest > context.limits.item_bytes:
        limit = context.limits.item_bytes
        raise TooLarge(f"an item has {largest} bytes, of at most {limit}", limit=limit, limit_unit="item_bytes")
    batch = BatchHead(
        id=head.id,
        owner=head.owner,
        table=head.table,
        crawl=head.crawl,
        form=head.form,
        total=len(items),
        size=len(body),
        fingerprint=wire.fingerprint(body),
        strict=head.strict,
        created_at=context.clock(),
    ).with_body(body)
    del items
    if head.named and (known := await _sent_before(context, batch)) is not None:
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
    except SinkError as error:
        raise Overloaded("a strict batch is checked first, and PostgreSQL cannot be asked now") from error
    if refusals:
        raise Unprocessable(f"{len(refusals)} of {batch.total} items of this strict batch are invalid", errors=refusals)
