"""Batches: sent, looked at, listed."""

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

from aiohttp import web

from ingest_server import wire
from ingest_server.api.answers import answer, crawl_parameter, page_size, uuid_of
from ingest_server.api.context import CONTEXT, CURSOR, LIMIT, VISIBLE_ASCII, Parameter, Route, owner_of, path_part
from ingest_server.api.receive import receive
from ingest_server.api.views import BatchesView, BatchView
from ingest_server.errors import BadRequest, NotFound
from ingest_server.model import BatchHead, Settled, Status
from ingest_server.ports import BatchFilter
from ingest_server.statuses import Waiting, until_settled


async def send(request: web.Request) -> web.Response:
    """Take a batch in; answer at once, or when it is settled, as the request prefers."""
    preferences = wire.Preferences.parse(",".join(request.headers.getall("Prefer", [])))
    received = await receive(request, preferences)
    headers = {}
    if received.replayed:
        headers["Idempotency-Replayed"] = "true"
        preferences = replace(preferences, strict=False)  # the first sending decided that
    if preferences.applied:
        headers["Preference-Applied"] = preferences.applied
    view = await _settle(request, received.outcome, preferences.wait or 0)
    if view.completed_at is None:
        context = request.app[CONTEXT]
        headers["Location"] = f"/v1/batches/{view.id}"
        headers["Retry-After"] = str(context.admission.retry_after())
        return answer(view, 202, headers)
    return answer(view, 207 if view.failed else 200, headers)


async def show(request: web.Request) -> web.Response:
    """One batch as it is now, or when it is settled."""
    context = request.app[CONTEXT]
    preferences = wire.Preferences.parse(",".join(request.headers.getall("Prefer", [])))
    owner = owner_of(request)
    batch = uuid_of(path_part(request, "id"))
    if batch is None:
        raise NotFound("there is no such batch: its id is a UUID")
    known: Waiting | Settled | None = context.statuses.waiting(owner, batch) or context.statuses.recent(owner, batch)
    if known is None:
        known = await context.ledger.batch(owner, batch)
    if known is None:
        raise NotFound("there is no such batch")
    headers = {"Preference-Applied": f"wait={preferences.wait}"} if preferences.wait is not None else {}
    return answer(await _settle(request, known, preferences.wait or 0), headers=headers)


async def listing(request: web.Request) -> web.Response:
    """Batches: those on their way, newest first, then the settled ones, latest first.

    One that settles while somebody turns the pages may be met twice, and is never missed: it moves to the front of the
    second part, which is read later.
    """
    context = request.app[CONTEXT]
    owner, size = owner_of(request), page_size(request)
    crawl, status = crawl_parameter(request), _status(request)
    after, before = _cursor(request)
    views: list[BatchView] = []
    cursors: list[str] = []
    if before is None and status in (None, Status.QUEUED, Status.PROCESSING):
        for entry in context.statuses.of_owner(owner, crawl):
            place = _place(entry.batch)
            if (after is None or place < after) and status in (None, entry.status):
                views.append(BatchView.of_waiting(entry, context.queue.promise, context.schema))
                cursors.append(f"{place[0]}.{place[1]}")
    if len(views) <= size and status in (None, Status.COMPLETED, Status.FAILED):
        shown = {view.id for view in views}
        for settled in await context.ledger.batches(owner, BatchFilter(crawl, status, size + 1, before)):
            if settled.id not in shown:
                views.append(BatchView.of_settled(settled, context.schema))
                cursors.append(str(settled.id))
    return answer(BatchesView(batches=views[:size], cursor=cursors[size - 1] if len(views) > size else None))


def _place(batch: BatchHead) -> tuple[int, UUID]:
    """Where a batch on its way stands: its time in microseconds, and its id among those of one time."""
    return int(batch.created_at.timestamp() * 1_000_000), batch.id


def _cursor(request: web.Request) -> tuple[tuple[int, UUID] | None, UUID | None]:
    """The parameter `cursor`: a place among the batches on their way, or the settled batch that a page ended with."""
    text = request.query.get("cursor")
    if text is None:
        return None, None
    microseconds, dot, name = text.rpartition(".")
    batch = uuid_of(name)
    if batch is None or (dot and not re.fullmatch(r"[0-9]{1,18}", microseconds)):
        raise BadRequest("cursor is what an earlier page gave")
    return ((int(microseconds), batch), None) if dot else (None, batch)


async def _settle(request: web.Request, known: Waiting | Settled, seconds: int) -> BatchView:
    context = request.app[CONTEXT]
    if isinstance(known, Waiting):
        settled = await until_settled(known, seconds)
        if settled is None:
            return BatchView.of_waiting(known, context.queue.promise, context.schema)
        known = settled
    return BatchView.of_settled(known, context.schema)


def _status(request: web.Request) -> Status | None:
    text = request.query.get("status")
    if text is None:
        return None
    try:
        return Status(text)
    except ValueError:
        raise BadRequest(f"status is one of {', '.join(Status)}") from None


# Anything may stand among the items: what is no object is a dead letter, and its neighbours are not harmed.
_ITEMS: dict[str, Any] = {"type": "array", "items": {"description": "a JSON object"}, "minItems": 1}
_CURSOR = "^([0-9]{1,18}[.])?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_SHOWN_HEADERS = ("Idempotency-Replayed", "Preference-Applied")
_PREFER = Parameter(
    "header", "Prefer", "RFC 7240: wait=N answers when the batch is settled, or after N seconds (at most 60)"
)

ROUTES = (
    Route(
        *("POST", "/v1/tables/{table}/batches", send, "Send a batch"),
        answers={200: BatchView, 202: BatchView, 207: BatchView},
        parameters=(
            Parameter(
                *("header", "Content-Encoding", "how the body is packed"),
                {"type": "string", "enum": ["identity", "gzip", "deflate", "zstd"]},
            ),
            Parameter("header", "Idempotency-Key", "the batch's name", VISIBLE_ASCII),
            Parameter("header", "Ingest-Crawl", "id of the crawl", VISIBLE_ASCII),
            Parameter("header", "Prefer", "RFC 7240: wait=N (at most 60), handling=strict"),
        ),
        body={
            "application/x-ndjson": {"description": "one JSON object a line"},
            "application/json": {
                "oneOf": [
                    _ITEMS,
                    {
                        "type": "object",
                        "properties": {"items": _ITEMS},
                        "required": ["items"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
        problems=(404, 408, 409, 413, 415, 422, 503),
        headers={200: _SHOWN_HEADERS, 202: ("Location", "Retry-After", *_SHOWN_HEADERS), 207: _SHOWN_HEADERS},
    ),
    Route(
        *("GET", "/v1/batches/{id}", show, "A batch as it is now"),
        answers={200: BatchView},
        parameters=(_PREFER,),
        problems=(404, 503),
        headers={200: ("Preference-Applied",)},
    ),
    Route(
        *("GET", "/v1/batches", listing, "Batches, newest first"),
        answers={200: BatchesView},
        parameters=(
            Parameter("query", "crawl", "only this crawl's", VISIBLE_ASCII),
            Parameter("query", "status", "only these", {"type": "string", "enum": [str(status) for status in Status]}),
            LIMIT,
            Parameter("query", "cursor", CURSOR, {"type": "string", "pattern": _CURSOR}),
        ),
        problems=(503,),
    ),
)
