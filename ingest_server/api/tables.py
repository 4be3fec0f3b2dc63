"""Tables: how they are written, which of them are parked, and the word that lets one go on."""

from aiohttp import web

from ingest_server.api.answers import answer
from ingest_server.api.context import (
    CONTEXT,
    Context,
    Route,
    check_admin,
    check_granted,
    grant_of,
    path_part,
    table_named,
)
from ingest_server.api.views import ParkedView, ResumedView, TablesView, TableView
from ingest_server.errors import NotFound, Overloaded, SinkError
from ingest_server.model import TableName


async def tables(request: web.Request) -> web.Response:
    """Every table that may be written, and those that are parked because they are not there."""
    context = request.app[CONTEXT]
    grant, counts = grant_of(request), context.telemetry.settled_counts(grant_of(request).owner)
    views = {
        spec.table: TableView.of_spec(
            spec, context.schema, counts.get(spec.table, {}), parked_view(context, spec.table)
        )
        for spec in await context.sink.tables()
        if spec.table in grant.tables
    }
    missing = [table for table in context.parking.tables if table not in views and table in grant.tables]
    for table in missing:
        views[table] = TableView.of_missing(table, context.schema, counts.get(table, {}), parked_view(context, table))
    return answer(TablesView(tables=list(views.values())))


def parked_view(context: Context, table: TableName) -> ParkedView | None:
    """Why the table's batches wait, if they do."""
    parked = context.parking.tables.get(table)
    return None if parked is None else ParkedView.of_parked(parked, context.queue.waiting(table).batches)


def check_share(context: Context, table: TableName, size: int, items: int = 0) -> None:
    """Raise `Overloaded` where the table is parked and its batches have the room that they may take."""
    if context.queue.share_is_taken(table, size, items):
        shown = table.shown(context.schema)
        raise Overloaded(
            f"table {shown} is parked, and as many of its batches wait as may: other tables go on",
            table=shown,
            retry_after=context.admission.retry_after(),
        )


async def resume(request: web.Request) -> web.Response:
    """Let a parked table go on, at every server of this database. One that is not parked stays as it is."""
    context = request.app[CONTEXT]
    table = table_named(request, path_part(request, "table"))
    check_granted(request, table)
    check_admin(request)
    shown, waiting = table.shown(context.schema), context.queue.waiting(table).batches
    try:
        was_parked = await context.parking.resume(table)
        if not was_parked and await context.sink.spec(table) is None:
            raise NotFound(f"there is no table {shown}", table=shown)
    except SinkError as error:
        raise Overloaded("PostgreSQL cannot be asked now, and it keeps which tables are parked") from error
    return answer(ResumedView(table=shown, resumed=was_parked, waiting=waiting))


ROUTES = (
    Route("GET", "/v1/tables", tables, "Tables and how they are written", {200: TablesView}, problems=(503,)),
    Route(
        "POST",
        "/v1/tables/{table}/resume",
        resume,
        "Let a parked table go on",
        {200: ResumedView},
        problems=(400, 403, 404, 503),
    ),
)
