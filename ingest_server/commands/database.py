"""`ingest-server database …`: the database's URI, psql, backup, restore, and the embedded one's upgrade."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_server.commands.options import Config, Database, DataDir, read_settings, refusals
from ingest_server.errors import StartRefused
from ingest_server.upkeep.dump import back_up
from ingest_server.upkeep.dump import restore as put_back
from ingest_server.upkeep.reach import existing
from ingest_server.upkeep.reach import uri as uri_of
from ingest_server.upkeep.upgrade import upgrade as to_newest

database = typer.Typer(help="The server's database: its URI, psql, backup, restore, upgrade.", add_completion=False)

_FILE = typer.Argument(help="the backup's file")


@database.callback(invoke_without_command=True)
def _uri(context: typer.Context, config: Config = None, data_dir: DataDir = None, database: Database = None) -> None:
    """Print the URI of the server's database, without a password. Nothing is started: it must run."""
    if context.invoked_subcommand is None:
        with refusals():
            typer.echo(uri_of(read_settings(config, data_dir=data_dir, database=database)))
    elif config or data_dir or database:
        with refusals(exit_code=2):
            raise StartRefused(
                "options stand behind the command",
                remedy=f"ingest-server database {context.invoked_subcommand} --data-dir …",
            )


@database.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def _psql(context: typer.Context, config: Config = None, data_dir: DataDir = None, database: Database = None) -> None:
    """Open psql; what follows goes to psql itself: ingest-server database psql -c 'TABLE things'.

    An embedded PostgreSQL that does not run is started for as long as psql runs.
    """
    with refusals(), existing(read_settings(config, data_dir=data_dir, database=database)) as reach:
        code = reach.open("psql", context.args)
    raise typer.Exit(code)


@database.command("backup")
def _backup(
    file: Annotated[Path, _FILE], config: Config = None, data_dir: DataDir = None, database: Database = None
) -> None:
    """Write tables and ledger, as they are at this moment, into FILE. The server may run meanwhile."""
    with refusals():
        size = back_up(read_settings(config, data_dir=data_dir, database=database), file)
    typer.echo(f"{file}: {size} bytes")


@database.command("restore")
def _restore(
    file: Annotated[Path, _FILE], config: Config = None, data_dir: DataDir = None, database: Database = None
) -> None:
    """Put a backup into an empty database, all of it or nothing; an embedded one is made. No server may run over it."""
    with refusals():
        tables = put_back(read_settings(config, data_dir=data_dir, database=database), file)
    typer.echo(f"{file}: restored, {tables} tables, views and sequences")


@database.command("upgrade")
def _upgrade(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the embedded database to the PostgreSQL that is installed now. The old data is kept beside it."""
    with refusals():
        settings = read_settings(config, data_dir=data_dir)
        if settings.database is not None:
            raise StartRefused("the database is no embedded one", remedy="upgrade it with PostgreSQL's own pg_upgrade")
        old, new, kept = to_newest(settings.data_dir)
    if kept is None:
        typer.echo(f"the embedded database is of PostgreSQL {new} already")
    else:
        typer.echo(f"from PostgreSQL {old} to {new}; the old data is in {kept}: remove it once you are content")
