"""Dead letters: listed, grouped, shown, exported, deleted."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from ingest_server import wire
from ingest_server.api.answers import accepts, answer, code_parameter, crawl_parameter, page_size, uuid_of
from ingest_server.api.context import (
    CONTEXT,
    CURSOR,
    LIMIT,
    TABLE,
    VISIBLE_ASCII,
    Parameter,
    Route,
    owner_of,
    path_part,
    table_named,
)
from ingest_server.api.letters.places import COLUMN, PLACE, check_column, place_after, place_of
from ingest_server.api.views import DeadLettersView, DeadLetterView, LetterGroupsView, LetterGroupView
from ingest_server.errors import NotFound, SinkError
from ingest_server.model import DeadLetter
from ingest_server.ports import LetterFilter

_NDJSON = "application/x-ndjson"
_EXPORT_PAGE = 1000


async def listing(request: web.Request) -> web.StreamResponse:
    """A page of dead letters, newest first; with `Accept: application/x-ndjson` all of them, a line each."""
    context = request.app[CONTEXT]
    wanted = replace(_filter(request), limit=page_size(request), after=place_of(request.query.get("cursor")))
    if accepts(request, _NDJSON) and request.method == "GET":
        return await _export(request, wanted)
    found = await context.ledger.dead_letters(owner_of(request), replace(wanted, limit=wanted.limit + 1))
    letters = found[: wanted.limit]
    is_cut = len(found) > wanted.limit or sum(len(letter.raw) for letter in found) >= wanted.bytes
    cursor = place_after(letters[-1]) if is_cut else None
    body = {"dead_letters": [_shown(letter, context.schema) for letter in letters], "cursor": cursor}
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _filter(request: web.Request) -> LetterFilter:
    table = request.query.get("table")
    return LetterFilter(
        table=None if table is None else table_named(request, table),
        crawl=crawl_parameter(request),
        code=code_parameter(request),
        column=check_column(request.query.get("column")),
    )


async def _export(request: web.Request, wanted: LetterFilter) -> web.StreamResponse:
    context = request.app[CONTEXT]
    wanted = replace(wanted, limit=_EXPORT_PAGE)
    letters = await context.ledger.dead_letters(owner_of(request), wanted)
    response = web.StreamResponse(headers={"Content-Type": _NDJSON})
    await response.prepare(request)
    try:
        while letters:
            for letter in letters:
                await response.write(orjson.dumps(_shown(letter, context.schema)) + b"\n")
            after = (letters[-1].created_at, letters[-1].id)
            letters = await context.ledger.dead_letters(owner_of(request), replace(wanted, after=after))
    except SinkError as error:
        # the answer has begun with 200: only a connection that breaks off says that it is not whole
        context.telemetry.request_refused(503, error.reason)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the export broke off") from error
    await response.write_eof()
    return response


async def groups(request: web.Request) -> web.Response:
    """How many there are by table, code and column."""
    context = request.app[CONTEXT]
    found = await context.ledger.groups(owner_of(request), _filter(request))
    return answer(LetterGroupsView(groups=[LetterGroupView.of_group(one, context.schema) for one in found]))


async def show(request: web.Request) -> web.Response:
    """One dead letter with its item."""
    context = request.app[CONTEXT]
    name = uuid_of(path_part(request, "id"))
    letter = None if name is None else await context.ledger.dead_letter(owner_of(request), name)
    if letter is None:
        raise NotFound("there is no such dead letter")
    return web.Response(body=orjson.dumps(_shown(letter, context.schema)), content_type="application/json")


async def delete(request: web.Request) -> web.Response:
    """Throw one dead letter away. A retry of it that is on its way writes nothing then."""
    name = uuid_of(path_part(request, "id"))
    if name is None or not await request.app[CONTEXT].ledger.delete_letter(owner_of(request), name):
        raise NotFound("there is no such dead letter")
    return web.Response(status=204)


def _shown(letter: DeadLetter, schema: str) -> dict[str, Any]:
    """The letter with its item exactly as it was sent, where that is JSON."""
    body = DeadLetterView.of_letter(letter, schema).model_dump(mode="json")
    if wire.is_json(letter.raw):
        # A line end in it is white space, and an export has one letter a line.
        body["item"] = orjson.Fragment(letter.raw.replace(b"\n", b" ").replace(b"\r", b" "))
        del body["raw"]
    else:
        body["raw"] = b64encode(letter.raw).decode()
        del body["item"]
    return body


_FILTERS = (
    Parameter("query", "table", "only this table's", TABLE),
    Parameter("query", "crawl", "only this crawl's", VISIBLE_ASCII),
    Parameter("query", "code", "only this code", {"type": "string", "pattern": "^[ -~]{0,255}$"}),
    Parameter("query", "column", "only this column; empty: where none is named", COLUMN),
)

ROUTES = (
    Route(
        *("GET", "/v1/dead-letters", listing, "Dead letters, newest first"),
        answers={200: (DeadLettersView, _NDJSON)},
        parameters=(*_FILTERS, LIMIT, Parameter("query", "cursor", CURSOR, PLACE)),
        problems=(503,),
    ),
    Route(
        *("GET", "/v1/dead-letters/groups", groups, "Dead letters by table, code and column"),
        answers={200: LetterGroupsView},
        parameters=_FILTERS,
        problems=(503,),
    ),
    Route(
        *("GET", "/v1/dead-letters/{id}", show, "One dead letter with its item"),
        answers={200: DeadLetterView},
        problems=(404, 503),
    ),
    Route(
        *("DELETE", "/v1/dead-letters/{id}", delete, "Throw one dead letter away"),
        answers={204: ()},
        problems=(404, 503),
    ),
)
