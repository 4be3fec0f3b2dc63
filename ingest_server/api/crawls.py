"""Crawls: totals while they run, and the close that compares both sides' counts."""

import asyncio

from aiohttp import web

from ingest_server import wire
from ingest_server.admission import check_size
from ingest_server.api.answers import answer
from ingest_server.api.bodies import read_as
from ingest_server.api.context import CONTEXT, Parameter, Route, owner_of, path_part
from ingest_server.api.outcomes import preferences_of
from ingest_server.api.protocol import body_of
from ingest_server.api.reading import arriving_within
from ingest_server.api.views import CrawlCloseBody, CrawlView
from ingest_server.errors import NotFound, UnsupportedMedia
from ingest_server.model import CrawlClose, CrawlTotals
from ingest_server.statuses import until_all_settled

_CLOSE_BYTES = 64 * 1024


async def show(request: web.Request) -> web.Response:
    """The crawl's totals now."""
    crawl = _crawl(request)
    view = await _view(request, crawl)
    if view is None:
        raise NotFound("there is no such crawl: it sent nothing and was never closed")
    return answer(view)


async def close(request: web.Request) -> web.Response:
    """Keep what the client counted, and answer with both sides' figures, when nothing is pending if that is preferred."""
    context = request.app[CONTEXT]
    crawl = _crawl(request)
    preferences = preferences_of(request)
    said = await _read_close(request)
    owner = owner_of(request)
    await context.ledger.close_crawl(
        owner, crawl, CrawlClose(said.items, said.rejected, said.dropped, said.spooled, said.reason)
    )
    await _until_nothing_is_pending(request, crawl, preferences.wait or 0)
    view = await _view(request, crawl)
    assert view is not None  # closing made it
    headers = {} if preferences.wait is None else {"Preference-Applied": f"wait={preferences.wait}"}
    return answer(view, headers=headers)


def _crawl(request: web.Request) -> str:
    return wire.crawl_id(path_part(request, "crawl"))


async def _view(request: web.Request, crawl: str) -> CrawlView | None:
    """Both parts as of one moment: a batch that settles in between counts as pending, and never twice or not at all."""
    context = request.app[CONTEXT]
    waiting = context.statuses.of_owner(owner_of(request), crawl)
    totals = await context.ledger.crawl(owner_of(request), crawl, [entry.batch.id for entry in waiting])
    if totals is None:
        if not waiting:
            return None
        totals = CrawlTotals()
    return CrawlView.of_totals(crawl, totals, waiting)


async def _until_nothing_is_pending(request: web.Request, crawl: str, seconds: int) -> None:
    statuses = request.app[CONTEXT].statuses
    try:
        async with asyncio.timeout(seconds):
            while waiting := statuses.of_owner(owner_of(request), crawl):
                if not await until_all_settled(waiting):
                    return
    except TimeoutError:
        return


async def _read_close(request: web.Request) -> CrawlCloseBody:
    if wire.form_of(request.headers.get("Content-Type")) != "json":
        raise UnsupportedMedia("Content-Type is application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("a close is sent as it is, without Content-Encoding")
    body = bytearray()
    check_size(request.content_length or 0, _CLOSE_BYTES, "bytes")
    async with arriving_within(request.app[CONTEXT].limits.receive_seconds):
        async for piece in body_of(request):
            body += piece
            check_size(len(body), _CLOSE_BYTES, "bytes")
    return read_as(CrawlCloseBody, bytes(body))


ROUTES = (
    Route(
        *("GET", "/v1/crawls/{crawl}", show, "A crawl's totals"),
        answers={200: CrawlView},
        problems=(404, 503),
    ),
    Route(
        *("POST", "/v1/crawls/{crawl}/close", close, "Close a crawl and compare the counts"),
        answers={200: CrawlView},
        parameters=(Parameter("header", "Prefer", "RFC 7240: wait=N answers when nothing is pending, at most 60"),),
        body={"application/json": CrawlCloseBody.model_json_schema()},
        problems=(408, 413, 415, 503),
        headers={200: ("Preference-Applied",)},
    ),
)
