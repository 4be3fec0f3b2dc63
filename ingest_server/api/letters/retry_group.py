"""A group of dead letters on its way again, as batches of a bounded size, one or more a table and crawl."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from aiohttp import web

from ingest_server import retries, wire
from ingest_server.api.answers import answer
from ingest_server.api.bodies import body_within, read_as
from ingest_server.api.context import CONTEXT, Route, check_granted, grant_of, owner_of, table_named
from ingest_server.api.letters.places import FIRST, PLACE, check_column, place_after, place_of, shown
from ingest_server.api.letters.retry import NOT_JSON, accept
from ingest_server.api.outcomes import view_of
from ingest_server.api.receive import check_table
from ingest_server.api.views import BatchView, LettersLeftView, LettersRetryBody, RetriesView
from ingest_server.errors import BadRequest, Conflict, NotFound, Overloaded, TooLarge, TooManyRequests
from ingest_server.model import DeadLetter, TableName
from ingest_server.ports import LetterFilter
from ingest_server.retries import Retry

# What is read at once, and so what a batch may have.
_PAGE_LETTERS = 1000
_PAGE_BYTES = 2 * 2**20
# What one request may make; `cursor` asks for more.
_MOST_BATCHES = 100
_BODY_BYTES = 64 * 2**10


@dataclass(slots=True)
class _Found:
    """What a request has come to so far."""

    batches: dict[UUID, BatchView] = field(default_factory=dict)
    letters: int = 0
    left: Counter[tuple[TableName, str]] = field(default_factory=Counter)


async def group(request: web.Request) -> web.Response:
    """Send every letter of the group again, oldest first. What is on its way already is not sent again."""
    context = request.app[CONTEXT]
    async with body_within(request, _BODY_BYTES, "application/json") as body:
        wanted = _wanted(request, body)
    if wanted.table is not None:
        check_granted(request, wanted.table)
        await check_table(context, wanted.table)
    found = _Found()
    cursor: str | None = None
    while letters := await context.ledger.dead_letters(owner_of(request), wanted):
        try:
            await _retry(request, letters, found)
        except (Overloaded, TooManyRequests, Conflict):
            if not found.batches:
                raise
            cursor = shown(wanted.after or FIRST)
            break
        wanted = replace(wanted, after=(letters[-1].created_at, letters[-1].id))
        if len(found.batches) >= _MOST_BATCHES:
            cursor = place_after(letters[-1])
            break
    left = [
        LettersLeftView(table=table.shown(context.schema), reason=reason, letters=count)
        for (table, reason), count in found.left.items()
    ]
    view = RetriesView(batches=list(found.batches.values()), letters=found.letters, left=left, cursor=cursor)
    return answer(view, 202, {"Retry-After": str(context.admission.retry_after())})


async def _retry(request: web.Request, letters: Sequence[DeadLetter], found: _Found) -> None:
    """Put these letters onto the queue, in one batch for each table and crawl."""
    context, owner = request.app[CONTEXT], owner_of(request)
    together: dict[tuple[TableName, str | None], list[Retry]] = {}
    granted = grant_of(request).tables
    missing: dict[TableName, bool] = {}
    for letter in letters:
        if letter.table not in granted:
            found.left[letter.table, "the token is not for this table"] += 1
        elif not wire.is_json(letter.raw):
            found.left[letter.table, NOT_JSON] += 1
        elif await _is_missing(request, letter.table, missing):
            found.left[letter.table, "there is no such table: create it, or delete its dead letters"] += 1
        else:
            item = retries.on_one_line(letter.raw)
            retry = Retry(letter.id, letter.attempts, letter.crawl, item)
            batch = context.underway.batch(owner, retry)
            entry = None if batch is None else context.statuses.waiting(owner, batch)
            if entry is not None:
                found.letters += 1
                found.batches[entry.batch.id] = view_of(context, entry)
            else:
                together.setdefault((letter.table, letter.crawl), []).append(retry)
    for (table, _), made in together.items():
        try:
            received = await accept(request, table, made)
        except TooLarge as error:
            found.left[table, error.detail] += len(made)
            continue
        found.letters += len(made)
        view = view_of(context, received.outcome)
        found.batches[view.id] = view


async def _is_missing(request: web.Request, table: TableName, known: dict[TableName, bool]) -> bool:
    if table not in known:
        try:
            await check_table(request.app[CONTEXT], table)
        except NotFound:
            known[table] = True
        else:
            known[table] = False
    return known[table]


def _wanted(request: web.Request, body: bytes) -> LetterFilter:
    said = read_as(LettersRetryBody, body)
    given = said.model_fields_set
    if not given & {"table", "crawl", "code", "column"}:
        raise BadRequest("say which letters: at least one of table, crawl, code and column")
    limits = request.app[CONTEXT].limits
    return LetterFilter(
        table=table_named(request, said.table) if "table" in given else None,
        crawl=said.crawl if "crawl" in given else None,
        code=said.code if "code" in given else None,
        column=check_column(said.column) if "column" in given else None,
        after=place_of(said.cursor) if "cursor" in given else None,
        limit=min(_PAGE_LETTERS, limits.items),
        bytes=_PAGE_BYTES,
        oldest_first=True,
    )


_SCHEMA = LettersRetryBody.model_json_schema()
_SCHEMA["properties"]["cursor"] |= PLACE

ROUTES = (
    Route(
        *("POST", "/v1/dead-letters/retry", group, "Retry a group of dead letters"),
        answers={202: RetriesView},
        body={"application/json": _SCHEMA},
        problems=(404, 408, 409, 413, 415, 429, 503),
        headers={202: ("Retry-After",)},
    ),
)
