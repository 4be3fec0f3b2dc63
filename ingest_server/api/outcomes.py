"""What became of a batch, as an answer: settled within the time that the request prefers to wait, or on its way."""

from aiohttp import web

from ingest_server import wire
from ingest_server.api.answers import answer
from ingest_server.api.context import CONTEXT, Body, Context, Parameter
from ingest_server.api.receive import Received
from ingest_server.api.views import BatchView
from ingest_server.model import Settled
from ingest_server.statuses import Waiting, until_settled

PREFER_WAIT = Parameter(
    "header", "Prefer", "RFC 7240: wait=N answers when the batch is settled, or after N seconds (at most 60)"
)
_SHOWN_HEADERS = ("Idempotency-Replayed", "Preference-Applied")
ANSWERS: dict[int, Body | tuple[Body, ...]] = {200: BatchView, 202: BatchView, 207: BatchView}
HEADERS = {200: _SHOWN_HEADERS, 202: ("Location", "Retry-After", *_SHOWN_HEADERS), 207: _SHOWN_HEADERS}


def preferences_of(request: web.Request) -> wire.Preferences:
    """What the request prefers, over all its headers of that name."""
    return wire.Preferences.parse(",".join(request.headers.getall("Prefer", [])))


def view_of(context: Context, outcome: Waiting | Settled) -> BatchView:
    """The batch as it is now."""
    if isinstance(outcome, Settled):
        return BatchView.of_settled(outcome, context.schema)
    return BatchView.of_waiting(outcome, context.queue.promise, context.schema)


async def view_within(context: Context, outcome: Waiting | Settled, seconds: int | None) -> BatchView:
    """The batch once it is settled, or as it is after so many seconds."""
    if isinstance(outcome, Waiting):
        outcome = await until_settled(outcome, seconds or 0) or outcome
    return view_of(context, outcome)


async def answer_of(request: web.Request, received: Received, preferences: wire.Preferences) -> web.Response:
    """The answer to a request that sent this batch."""
    context = request.app[CONTEXT]
    headers = {"Idempotency-Replayed": "true"} if received.replayed else {}
    if preferences.applied:
        headers["Preference-Applied"] = preferences.applied
    view = await view_within(context, received.outcome, preferences.wait)
    if view.completed_at is None:
        headers |= {"Location": f"/v1/batches/{view.id}", "Retry-After": str(context.admission.retry_after())}
        return answer(view, 202, headers)
    return answer(view, 207 if view.failed else 200, headers)
