"""Dead letters on their way again: one as it is or repaired, or a group, as batches that take the road of all batches."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import msgspec
from aiohttp import web

from ingest_server import retries, wire
from ingest_server.api.answers import uuid_of
from ingest_server.api.bodies import body_within
from ingest_server.api.context import CONTEXT, Context, Route, check_granted, owner_of, path_part
from ingest_server.api.outcomes import ANSWERS, HEADERS, PREFER_WAIT, answer_of, preferences_of
from ingest_server.api.rate import budget_of, spending
from ingest_server.api.receive import Received, check_table, keep
from ingest_server.api.views import LetterRetryBody
from ingest_server.errors import BadRequest, Conflict, NotFound, TooLarge, Unprocessable
from ingest_server.model import Batch, BatchHead, DeadLetter, Settled, TableName
from ingest_server.retries import Retry
from ingest_server.splitting import check_values
from ingest_server.statuses import Waiting

NOT_JSON = "the item is not JSON: only a repaired one can be retried"
_ENVELOPE_BYTES = 64 * 2**10


async def one(request: web.Request) -> web.Response:
    """Send one letter's item again, as it is or repaired. Asked twice it is sent once."""
    context = request.app[CONTEXT]
    preferences = replace(preferences_of(request), strict=False)  # it is one item
    owner, name = owner_of(request), uuid_of(path_part(request, "id"))
    async with body_within(request, context.limits.item_bytes + _ENVELOPE_BYTES, "application/json") as body:
        item = _item_of(body, context.limits.item_bytes)
        letter = None if name is None else await context.ledger.dead_letter(owner, name)
        if letter is not None:
            received = await _retried(request, letter, item)
        elif name is not None and (known := await _made_before(request, name, item)) is not None:
            received = Received(known, replayed=True)
        else:
            raise NotFound("there is no such dead letter")
    return await answer_of(request, received, preferences)


async def _retried(request: web.Request, letter: DeadLetter, item: bytes | None) -> Received:
    check_granted(request, letter.table)
    if item is None:
        if not wire.is_json(letter.raw):
            raise Unprocessable(f'{NOT_JSON}, as {{"item": {{…}}}}')
        item = retries.on_one_line(letter.raw)
    await check_table(request.app[CONTEXT], letter.table)
    return await accept(request, letter.table, [Retry(letter.id, letter.attempts, letter.crawl, item)])


async def _made_before(request: web.Request, letter: UUID, item: bytes | None) -> Settled | None:
    """The batch that retried a letter which is gone, so that who did not hear the answer hears it now."""
    context, owner = request.app[CONTEXT], owner_of(request)
    batch = await context.ledger.retried(owner, letter, item)
    return None if batch is None else await context.ledger.batch(owner, batch)


async def accept(request: web.Request, table: TableName, made: Sequence[Retry]) -> Received:
    """Put these retries onto the queue as one batch, unless that was done before. Raises one of `RequestRefused`."""
    context, owner = request.app[CONTEXT], owner_of(request)
    limits = context.limits
    await check_values([retry.item for retry in made], item_values=limits.item_values, batch_values=limits.batch_values)
    batch = _batch(context, owner, table, made)
    if not context.statuses.begin_receiving(owner, batch.id):
        raise Conflict("this retry is being taken in right now", retry_after=1)

    async def accepted() -> Received:
        try:
            with spending(budget_of(request), batch.total, batch.size):
                received = await keep(context, batch, named=True)
        finally:
            context.statuses.end_receiving(owner, batch.id)
        if isinstance(received.outcome, Waiting):
            context.underway.add(owner, made, batch.id, received.outcome.settled)
        return received

    # A request that is cancelled may have its batch in the queue by now: then it is accepted like any other.
    accepting = asyncio.create_task(accepted(), name=f"retry {batch.id}")
    accepting.add_done_callback(_look_at)
    return await asyncio.shield(accepting)


def _look_at(done: "asyncio.Task[Received]") -> None:
    if not done.cancelled():
        done.exception()  # where the request was cancelled nobody else does


def _batch(context: Context, owner: str, table: TableName, made: Sequence[Retry]) -> Batch:
    body = retries.body_of(made)
    return BatchHead(
        id=retries.batch_of(body),
        owner=owner,
        table=table,
        crawl=None,  # its letters' crawl has counted these items already
        form="retry",
        total=len(made),
        size=len(body),
        fingerprint=wire.fingerprint(body),
        strict=False,
        created_at=context.clock(),
    ).with_body(body)


class _Repaired(msgspec.Struct, forbid_unknown_fields=True):
    item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_REPAIRED = msgspec.json.Decoder(_Repaired)


def _item_of(body: bytes, most: int) -> bytes | None:
    """The repaired item on one line, as it was written: digits of a number must not change. None where there is none."""
    body = body.removeprefix(wire.BOM)
    if not body.strip():
        return None
    try:
        item = _REPAIRED.decode(body).item
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest('the body is {}, or {"item": {…}} with the repaired item') from None
    if item is msgspec.UNSET:
        return None
    assert isinstance(item, msgspec.Raw)
    raw = retries.on_one_line(bytes(item))
    if not raw.startswith(b"{") or not wire.is_json(raw):
        raise BadRequest("item is a JSON object: the repaired item")
    if len(raw) > most:
        raise TooLarge(f"an item has {len(raw)} bytes, of at most {most}", limit=most, limit_unit="item_bytes")
    return raw


ROUTES = (
    Route(
        *("POST", "/v1/dead-letters/{id}/retry", one, "Retry one dead letter, as it is or repaired"),
        answers=ANSWERS,
        parameters=(PREFER_WAIT,),
        body={"application/json": LetterRetryBody.model_json_schema()},
        is_body_required=False,
        problems=(404, 408, 409, 413, 415, 422, 429, 503),
        headers=HEADERS,
    ),
)
