"""`ingest-server tables diff` and `ingest-server tables apply`: the models of the settings against the database."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

import typer

from ingest_server.asking.beside import asked_beside
from ingest_server.commands.options import AsJson, Config, Database, DataDir, as_json, read_settings, refusals
from ingest_server.errors import StartRefused
from ingest_server.model import TableSpec
from ingest_server.models.loading import load_models
from ingest_server.postgres.tables.ddl import Difference
from ingest_server.postgres.tables.model_tables import apply as apply_all
from ingest_server.postgres.tables.model_tables import differences
from ingest_server.settings import Settings

tables = typer.Typer(help="The tables that models describe, and those that wait.", no_args_is_help=True)

Compare = Callable[[str, Sequence[TableSpec]], Coroutine[Any, Any, tuple[Difference, ...]]]
Modules = Annotated[
    str | None, typer.Option("--tables", help="modules with models, comma separated; default: those of the settings")
]


@tables.command()
def diff(
    modules: Modules = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Show what a start with these models would change, and what it would refuse. Changes nothing.

    Exit code 0: every table is as its model says; 1: a start would make or extend tables; 2: it would be refused.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, tables=modules, data_dir=data_dir, database=database)
        found = _over_the_database(settings, differences)
    _say(found, settings.schema_, "would be done", json=json)
    raise typer.Exit(2 if any(one.conflicts for one in found) else int(any(one.statements for one in found)))


@tables.command()
def apply(
    modules: Modules = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Make and extend the models' tables now, all or none, as a start of the server does.

    Exit code 0: every table is as its model says now; 2: one is not, and nothing was changed.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, tables=modules, data_dir=data_dir, database=database)
        done = _over_the_database(settings, apply_all)
    _say(done, settings.schema_, "done", json=json)


def _over_the_database(settings: Settings, compare: Compare) -> tuple[Difference, ...]:
    wanted = [one.spec for one in load_models(settings).values()]
    if not wanted:
        raise StartRefused("settings: tables names no module with models", remedy="name them with --tables")
    return asked_beside(settings, lambda dsn: compare(dsn, wanted))


def _say(found: Sequence[Difference], schema: str, word: str, *, json: bool) -> None:
    if json:
        typer.echo(as_json([_shown(one, schema) for one in found]))
    else:
        for one in found:
            typer.echo(_lines(one, schema, word))


def _shown(one: Difference, schema: str) -> dict[str, Any]:
    return {
        "table": one.table.shown(schema),
        "statements": list(one.statements),
        "conflicts": [{"what": conflict.what, "remedy": conflict.remedy} for conflict in one.conflicts],
    }


def _lines(one: Difference, schema: str, word: str) -> str:
    name = one.table.shown(schema)
    if one.conflicts:
        return "\n".join([f"{name}: a start is refused", *(f"  {conflict}" for conflict in one.conflicts)])
    if one.statements:
        return "\n".join([f"{name}: {word}", *(f"  {statement};" for statement in one.statements)])
    return f"{name}: as its model says"
