"""Batches: sent, looked at, listed."""

from typing import Any

from aiohttp import web

from ingest_server import wire
from ingest_server.api.answers import answer, cursor_of, page_size, text_parameter, uuid_of
from ingest_server.api.context import CONTEXT, Parameter, Route, owner_of
from ingest_server.api.receive import receive
from ingest_server.api.views import BatchesView, BatchView
from ingest_server.errors import BadRequest, NotFound
from ingest_server.model import Settled, Status
from ingest_server.ports import BatchFilter
from ingest_server.statuses import Waiting, until_settled


async def send(request: web.Request) -> web.Response:
    """Take a batch in; answer at once, or when it is settled, as the request prefers."""
    preferences = wire.Preferences.parse(",".join(request.headers.getall("Prefer", [])))
    received = await receive(request, preferences)
    headers = {"Idempotency-Replayed": "true"} if received.replayed else {}
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
    batch = uuid_of(request.match_info["id"])
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
    """Batches, newest first: those on their way, then the settled ones."""
    context = request.app[CONTEXT]
    owner, size, cursor = owner_of(request), page_size(request), cursor_of(request)
    crawl = text_parameter(request, "crawl")
    status = _status(request)
    views: list[BatchView] = []
    on_their_way = context.statuses.of_owner(owner, crawl)
    at = next((place for place, entry in enumerate(on_their_way, 1) if entry.batch.id == cursor), 0)
    if status in (None, Status.QUEUED, Status.PROCESSING) and (cursor is None or at):
        views = [
            BatchView.of_waiting(entry, context.queue.promise, context.schema)
            for entry in on_their_way[at:]
            if status in (None, entry.status)
        ][:size]
    if len(views) < size and status in (None, Status.COMPLETED, Status.FAILED):
        settled = await context.ledger.batches(
            owner, BatchFilter(crawl, status, size - len(views), None if at else cursor)
        )
        views += [BatchView.of_settled(one, context.schema) for one in settled]
    return answer(BatchesView(batches=views, cursor=str(views[-1].id) if len(views) == size else None))


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


_OBJECT: dict[str, Any] = {"type": "object"}
_PREFER = Parameter(
    "header", "Prefer", "RFC 7240: wait=N answers when the batch is settled, or after N seconds (at most 60)"
)

ROUTES = (
    Route(
        *("POST", "/v1/tables/{table}/batches", send, "Send a batch"),
        answers={200: BatchView, 202: BatchView, 207: BatchView},
        parameters=(
            Parameter("header", "Content-Encoding", "identity, gzip, deflate or zstd"),
            Parameter("header", "Idempotency-Key", "the batch's name, 1 to 255 visible ASCII characters"),
            Parameter("header", "Ingest-Crawl", "id of the crawl, 1 to 255 visible ASCII characters"),
            Parameter("header", "Prefer", "RFC 7240: wait=N (at most 60), handling=strict"),
        ),
        body={
            "application/x-ndjson": {"type": "string", "description": "one JSON object a line"},
            "application/json": {
                "oneOf": [
                    {"type": "array", "items": _OBJECT, "minItems": 1},
                    {
                        "type": "object",
                        "properties": {"items": {"type": "array", "items": _OBJECT, "minItems": 1}},
                        "required": ["items"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
    ),
    Route(
        *("GET", "/v1/batches/{id}", show, "A batch as it is now"),
        answers={200: BatchView},
        parameters=(_PREFER,),
        problems=(404, 503),
    ),
    Route(
        *("GET", "/v1/batches", listing, "Batches, newest first"),
        answers={200: BatchesView},
        parameters=(
            Parameter("query", "crawl", "only this crawl's"),
            Parameter("query", "status", "only these", {"type": "string", "enum": [str(status) for status in Status]}),
            Parameter("query", "limit", "how many", {"type": "integer", "minimum": 1, "maximum": 1000}),
            Parameter("query", "cursor", "go on where an earlier page ended"),
        ),
        problems=(400, 503),
    ),
)
