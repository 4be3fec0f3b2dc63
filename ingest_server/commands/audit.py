"""`ingest-server audit`."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_server.audit.audit import audit as look_for
from ingest_server.audit.audit import latest_crawls
from ingest_server.audit.report import crawls_as_json, print_crawls, print_report
from ingest_server.commands.options import (
    AsJson,
    Config,
    Database,
    DataDir,
    JournalDir,
    Owner,
    as_json,
    read_settings,
    refusals,
)


def audit(
    crawl: Annotated[
        str | None,
        typer.Argument(help="the crawl's id, as its summary line names it; without it the latest are listed"),
    ] = None,
    spool: Annotated[
        list[Path] | None, typer.Option("--spool", help="a directory of spools; default: those of this user's crawls")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="a running server, for what waits in it; default: http://127.0.0.1:8800")
    ] = None,
    owner: Owner = None,
    json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
    journal_dir: JournalDir = None,
    database: Database = None,
) -> None:
    """List what of a crawl is missing, and where it was last seen; without CRAWL the latest crawls.

    Exit code 0: nothing is missing; 1: something is, or the counts differ; 2: it cannot be said.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, data_dir=data_dir, journal_dir=journal_dir, database=database)
        if crawl is None:
            crawls = latest_crawls(settings, owner=owner)
            if json:
                typer.echo(as_json(crawls_as_json(crawls)))
            else:
                print_crawls(crawls)
            return
        findings = look_for(settings, crawl, spools=spool or (), url=url, owner=owner)
    if json:
        typer.echo(as_json(findings.as_json(settings.schema_)))
    else:
        print_report(findings, settings.schema_)
    raise typer.Exit(findings.exit_code)
