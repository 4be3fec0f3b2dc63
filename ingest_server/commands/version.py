"""`ingest-server version`."""

from importlib.metadata import version as installed_version

import typer


def version() -> None:
    """Show the version."""
    typer.echo(installed_version("scrapy-batching"))
