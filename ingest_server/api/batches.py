"""Batches: sent, looked at, listed."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from ingest_server.api.answers import answer, crawl_parameter, page_size, uuid_of
from ingest_server.api.context import CONTEXT, CURSOR, LIMIT, VISIBLE_ASCII, Parameter, Route, owner_of, path_part
from ingest_server.api.outcomes import ANSWERS, HEADERS, PREFER_WAIT, answer_of, preferences_of, view_of, view_within
from ingest_server.api.receive import receive
from ingest_server.api.views import BatchesView, BatchView
from ingest_server.errors import BadRequest, Gone, NotFound
from ingest_server.model import BatchHead, Settled, Status
from ingest_server.ports import BatchFilter
from ingest_server.statuses import Waiting


async def send(request: web.Request) -> web.Response:
    """Take a batch in; answer at once, or when it is settled, as the request prefers."""
    preferences = preferences_of(request)
    received = await receive(request, preferences)
    if received.replayed:
        preferences = replace(preferences, strict=False)  # the first sending decided that
    return await answer_of(request, received, preferences)


async def show(request: web.Request) -> web.Response:
    """One batch as it is now, or when it is settled."""
    context = request.app[CONTEXT]
    preferences = preferences_of(request)
    owner = owner_of(request)
    batch = uuid_of(path_part(request, "id"))
    if batch is None:
        raise NotFound("there is no such batch: its id is a UUID")
    known: Waiting | Settled | None = context.statuses.waiting(owner, batch) or context.statuses.recent(owner, batch)
    if known is None:
        known = await context.ledger.batch(owner, batch)
    if known is None:
        raise NotFound("there is no such batch")
    if isinstance(known, Settled) and not context.keeping.has_details(known.completed_at, context.clock()):
        raise Gone(
            f"the details of this batch have expired: {known.succeeded} of its {known.total} items were stored, "
            f"{known.failed} became dead letters"
        )
    headers = {"Preference-Applied": f"wait={preferences.wait}"} if preferences.wait is not None else {}
    return answer(await view_within(context, known, preferences.wait), headers=headers)


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
                views.append(view_of(context, entry))
                cursors.append(f"w{place[0]}.{place[1]}")
    if len(views) <= size and status in (None, Status.COMPLETED, Status.FAILED):
        shown = {view.id for view in views}
        for settled in await context.ledger.batches(owner, BatchFilter(crawl, status, size + 1, before)):
            if settled.id not in shown:
                views.append(view_of(context, settled))
                cursors.append(f"s{_microseconds(settled.completed_at)}.{settled.id}")
    return answer(BatchesView(batches=views[:size], cursor=cursors[size - 1] if len(views) > size else None))


def _place(batch: BatchHead) -> tuple[int, UUID]:
    """Where a batch on its way stands: its time in microseconds, and its id among those of one time."""
    return _microseconds(batch.created_at), batch.id


def _microseconds(at: datetime) -> int:
    # In whole numbers: a float would come back as another microsecond.
    return (at - _EPOCH) // timedelta(microseconds=1)


def _cursor(request: web.Request) -> tuple[tuple[int, UUID] | None, tuple[datetime, UUID] | None]:
    """The parameter `cursor`: a place among the batches on their way, or one among the settled."""
    text = request.query.get("cursor")
    if text is None:
        return None, None
    if not re.fullmatch(_CURSOR, text):
        raise BadRequest("cursor is what an earlier page gave")
    microseconds, _, name = text[1:].partition(".")
    batch = UUID(name)
    if text[0] == "w":
        return (int(microseconds), batch), None
    return None, (_EPOCH + timedelta(microseconds=int(microseconds)), batch)


def _status(request: web.Request) -> Status | None:
    text = request.query.get("status")
    if text is None:
        return None
    try:
        return Status(text)
    except ValueError:
        raise BadRequest(f"status is one of {', '.join(Status)}") from None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Anything may stand among the items: what is no object is a dead letter, and its neighbours are not harmed.
_ITEMS: dict[str, Any] = {"type": "array", "items": {"description": "a JSON object"}, "minItems": 1}
_CURSOR = "^[sw][0-9]{1,17}[.][0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

ROUTES = (
    Route(
        *("POST", "/v1/tables/{table}/batches", send, "Send a batch"),
        answers=ANSWERS,
        parameters=(
            Parameter(
                *("header", "Content-Encoding", "how the body is packed; empty: not at all"),
                {"type": "string", "enum": ["", "identity", "gzip", "deflate", "zstd"]},
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
        problems=(404, 408, 409, 413, 415, 422, 429, 503),
        headers=HEADERS,
    ),
    Route(
        *("GET", "/v1/batches/{id}", show, "A batch as it is now"),
        answers={200: BatchView},
        parameters=(PREFER_WAIT,),
        problems=(404, 410, 503),
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
