"""The server about itself: probes, metrics, the published contract, and a page of links."""

import asyncio

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ingest_server.api.answers import answer
from ingest_server.api.context import CONTEXT, Context, Route, check_admin, grant_of
from ingest_server.api.views import LiveView, ReadyView
from ingest_server.api.who import wants_tokens
from ingest_server.errors import SinkError
from ingest_server.tokens.grant import NOBODY

# A probe waits no longer for PostgreSQL.
_PING_SECONDS = 1.0
_TOLD_TO_KNOWN = "ask with a token to be told why"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ingest-server</title>
<h1>ingest-server</h1>
<ul>
<li><a href="/readyz">/readyz</a> whether batches are taken in
<li><a href="/v1/tables">/v1/tables</a> tables and how they are written
<li><a href="/v1/batches">/v1/batches</a> batches, newest first
<li><a href="/v1/dead-letters">/v1/dead-letters</a> refused items with their reasons
<li><a href="/v1/dead-letters/groups">/v1/dead-letters/groups</a> the same, grouped
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/openapi.json">/openapi.json</a> the contract
</ul></html>
"""


async def live(request: web.Request) -> web.Response:  # noqa: ARG001  a handler's shape
    """That this is answered says it."""
    return answer(LiveView())


async def ready(request: web.Request) -> web.Response:
    """Whether batches are taken in now. PostgreSQL being away is a warning while the queue has room."""
    context = request.app[CONTEXT]
    reasons = [reason] if (reason := context.admission.reason_to_refuse()) else []
    if not context.workers_alive():
        reasons.append("no worker is running")
    warnings = [] if await _sink_answers(context) else ["PostgreSQL is away: batches wait"]
    warnings += [
        f"table {table.shown(context.schema)} is parked: {parked.reason}"
        for table, parked in context.parking.tables.items()
        if table in grant_of(request).tables
    ]
    warnings += [*context.telemetry.warnings, *context.telemetry.stale_files]
    if grant_of(request) is NOBODY:  # a probe needs the status alone, and a stranger is told no more
        reasons, warnings = [_TOLD_TO_KNOWN] * bool(reasons), [_TOLD_TO_KNOWN] * bool(warnings)
    view = ReadyView(ready=not reasons, reasons=reasons, warnings=warnings)
    return answer(view, 503 if reasons else 200)


async def _sink_answers(context: Context) -> bool:
    if context.telemetry.sink_is_away:
        return False
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await context.sink.ping()
    except (SinkError, TimeoutError):
        return False
    return True


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    check_admin(request)
    body = generate_latest(request.app[CONTEXT].telemetry.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def page(request: web.Request) -> web.Response:  # noqa: ARG001  a handler's shape
    """Links, until there is a page for operators."""
    return web.Response(text=_PAGE, content_type="text/html")


OPENAPI: web.AppKey[tuple[bytes, bytes]] = web.AppKey("openapi", tuple[bytes, bytes])
"""The contract of a server without tokens, and of one that wants them."""


async def openapi(request: web.Request) -> web.Response:
    """The contract as OpenAPI 3.1, generated from the routes."""
    body = request.app[OPENAPI][wants_tokens(request.app[CONTEXT])]
    return web.Response(body=body, content_type="application/json")


def as_json(document: object) -> bytes:
    """A document as it is published."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


ROUTES = (
    Route("GET", "/livez", live, "Whether the event loop turns", {200: LiveView}),
    Route("GET", "/readyz", ready, "Whether batches are taken in", {200: ReadyView, 503: ReadyView}),
    Route("GET", "/metrics", metrics, "Metrics for Prometheus", {200: "text/plain"}),
    Route("GET", "/openapi.json", openapi, "This contract", {200: "application/json"}),
    Route("GET", "/", page, "Links", {200: "text/html"}),
)
