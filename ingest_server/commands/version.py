"""`ingest-server version`, and `ingest-server --version`."""

from importlib.metadata import version as installed_version
from typing import Annotated

import typer


def version() -> None:
    """Show the version."""
    typer.echo(installed_version("scrapy-batching"))


def _shown(is_asked: bool) -> None:
    if is_asked:
        version()
        raise typer.Exit


def version_flag(
    _: Annotated[bool, typer.Option("--version", callback=_shown, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Takes batches of scraped items over HTTP and settles them in PostgreSQL."""
