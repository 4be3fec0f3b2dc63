"""The command line put together. Each command is a file in `ingest_server.commands`; here it gets its name."""

import typer

from ingest_server.commands.audit import audit
from ingest_server.commands.database import database
from ingest_server.commands.dead_letters import dead_letters
from ingest_server.commands.doctor import doctor
from ingest_server.commands.migrate import migrate
from ingest_server.commands.parked import list_tables, resume
from ingest_server.commands.run import run
from ingest_server.commands.tables import tables
from ingest_server.commands.tokens import tokens
from ingest_server.commands.version import version, version_flag

cli = typer.Typer(
    name="ingest-server",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.callback()(version_flag)
cli.command("run")(run)
cli.command("doctor")(doctor)
cli.add_typer(database, name="database")
cli.command("audit")(audit)
cli.command("version")(version)
cli.command("migrate")(migrate)
tables.command("list")(list_tables)
tables.command("resume")(resume)
cli.add_typer(tables, name="tables")
cli.add_typer(tokens, name="tokens")
cli.add_typer(dead_letters, name="dead-letters")
