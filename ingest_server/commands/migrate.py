"""`ingest-server migrate`: the ledger's schema, brought up to date by whoever may."""

import asyncio
from typing import Annotated

import typer

from ingest_server.commands.options import Config, Database, read_settings, refusals
from ingest_server.errors import StartRefused
from ingest_server.postgres.ledger.privileges import bring_up_to_date


def migrate(
    grant_to: Annotated[
        str | None,
        typer.Option("--grant-to", help="the server's role: it may use the ledger, and change nothing about it"),
    ] = None,
    config: Config = None,
    database: Database = None,
) -> None:
    """Bring the schema `ingest` up to date, as a role that may, and let the server's role use it. A start does the same.

    The server's own role then needs no CREATE on the database. Safe beside running servers, and as often as you like.
    """
    with refusals():
        settings = read_settings(config, database=database)
        if settings.database is None:
            raise StartRefused("there is no database to migrate", remedy="name it: INGEST_DATABASE=postgresql://…")
        said = asyncio.run(bring_up_to_date(settings.database.get_secret_value(), grant_to))
    typer.echo(said)
