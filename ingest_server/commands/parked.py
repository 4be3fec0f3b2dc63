"""`ingest-server tables list` and `ingest-server tables resume NAME`: which tables are parked, and the word that ends it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from ingest_server.asking.beside import asked_beside
from ingest_server.commands.options import AsJson, Config, Database, DataDir, as_json, read_settings, refusals
from ingest_server.errors import StartRefused
from ingest_server.model import Parked, TableName, TableSpec
from ingest_server.models.loading import load_models
from ingest_server.postgres.connections.pool import pool_until_done
from ingest_server.postgres.ledger.parked import PostgresParkedTables
from ingest_server.postgres.tables.plans import Plans
from ingest_server.serving.assembly import plans_of
from ingest_server.settings import Settings

T = TypeVar("T")

Found = tuple[Sequence[TableSpec], Sequence[Parked]]


def list_tables(
    parked: Annotated[bool, typer.Option("--parked", help="only the tables that are parked")] = False,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """List the tables that may be written, and which of them are parked and why.

    Exit code 0: no table is parked; 1: one is; 2: it cannot be said.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, data_dir=data_dir, database=database)
        specs, waiting = _over_the_database(settings, _tables_and_parked)
    lines = _shown([] if parked else specs, waiting, settings.schema_)
    if json:
        typer.echo(as_json(lines))
    else:
        for line in lines:
            typer.echo(_line(line))
    raise typer.Exit(int(bool(waiting)))


def resume(
    name: Annotated[str, typer.Argument(help="the table: name, or schema.name")],
    config: Config = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Let a parked table go on; every server of the database hears of it within seconds.

    Exit code 0: it goes on; 1: it was not parked, or there is no such table; 2: it cannot be said.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, data_dir=data_dir, database=database)
        try:
            table = TableName.parse(name, settings.schema_)
        except ValueError as error:
            raise StartRefused(f"{name} is no table's name", remedy=str(error)) from None

        shown = table.shown(settings.schema_)

        async def resumed(kept: PostgresParkedTables, plans: Plans) -> tuple[bool, bool]:
            was_parked = await kept.resume(table)
            return was_parked, was_parked or table in {spec.table for spec in await plans.specs()}

        was_parked, is_there = _over_the_database(settings, resumed)
    if not is_there:
        with refusals():
            raise StartRefused(f"there is no table {shown}", remedy="see ingest-server tables list")
    typer.echo(f"table {shown} goes on" if was_parked else f"table {shown} was not parked")
    raise typer.Exit(0 if was_parked else 1)


async def _tables_and_parked(kept: PostgresParkedTables, plans: Plans) -> Found:
    return await plans.specs(), await kept.parked()


def _over_the_database(settings: Settings, ask: Callable[[PostgresParkedTables, Plans], Awaitable[T]]) -> T:
    models = load_models(settings)

    async def asked(dsn: str) -> T:
        async with pool_until_done(
            dsn, size=1, statement_seconds=settings.statement_timeout, pooler=settings.pooler
        ) as pool:
            return await ask(PostgresParkedTables(pool), plans_of(settings, pool, models))

    return asked_beside(settings, asked)


def _shown(specs: Sequence[TableSpec], waiting: Sequence[Parked], schema: str) -> list[dict[str, Any]]:
    why = {parked.table: parked for parked in waiting}
    lines: dict[TableName, dict[str, Any]] = {
        spec.table: {"name": spec.table.shown(schema), "mode": str(spec.mode), "key": list(spec.key), "parked": None}
        for spec in specs
    }
    for table, parked in why.items():
        line = lines.setdefault(table, {"name": table.shown(schema), "mode": None, "key": [], "parked": None})
        line["parked"] = {
            "since": parked.since,
            "cause": parked.cause,
            "code": parked.code,
            "column": parked.column,
            "reason": parked.reason,
        }
    return list(lines.values())


def _line(line: dict[str, Any]) -> str:
    parked = line["parked"]
    if parked is not None:
        return f"{line['name']}: parked since {parked['since']:%Y-%m-%d %H:%M:%S %Z}: {parked['reason']}"
    return f"{line['name']}: {line['mode']}" + (f", key {', '.join(line['key'])}" if line["key"] else "")
