"""The command line: `ingest-server run` and its settings as flags."""

import asyncio
import inspect
import logging
import sys
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ingest_server.app import serve
from ingest_server.audit import audit, latest_crawls
from ingest_server.audit_report import crawls_as_json, print_crawls, print_report
from ingest_server.errors import StartRefused
from ingest_server.psql import run_psql
from ingest_server.settings import Settings, config_from_environment, environment_name, flag_name, option_name

cli = typer.Typer(
    name="ingest-server",
    help="Takes batches of scraped items over HTTP and settles them in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _run(config: Path | None = None, **flags: Any) -> None:
    """Run the server. Without any setting: 127.0.0.1:8800, with an embedded PostgreSQL in ./.ingest."""
    given = {option_name(name): value for name, value in flags.items() if value is not None}
    try:
        settings = Settings.read(given, config or config_from_environment())
        output = logging.StreamHandler(sys.stderr)
        output.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
        logging.basicConfig(level=settings.log_level.upper(), handlers=[output])
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            code = loop.run(serve(settings, announce=_announce))
    except StartRefused as error:
        typer.echo(f"ingest-server: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


class _OneLine(logging.Formatter):
    """A fact is one line: a table may be named with a line end, and must not write a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        text = super().formatMessage(record)
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _announce(url: str) -> None:
    print(f"listening on {url}", flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not to be had on every platform
        return None
    return uvloop.new_event_loop


def _with_settings_as_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a flag for every setting; `table` is for the file alone."""
    parameters = [
        inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                Path | None,
                typer.Option("--config", envvar="INGEST_CONFIG", help="file with settings; default: ingest.toml"),
            ],
        )
    ]
    for name, field in Settings.model_fields.items():
        if name == "table":
            continue
        flag = flag_name(name)
        kind: Any = bool if name == "create_tables" else str
        names = (flag, "--no-" + flag.removeprefix("--")) if kind is bool else (flag,)
        text = f"{field.description} [{environment_name(name)}]"
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, typer.Option("/".join(names), help=text, show_default=False)],
            )
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


cli.command("run")(_with_settings_as_flags(_run))


@cli.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", help="file with settings; default: ingest.toml")] = None,
    data_dir: Annotated[str | None, typer.Option("--data-dir", help="directory of the embedded PostgreSQL")] = None,
    database: Annotated[
        str | None, typer.Option("--database", help="postgresql://… instead of the embedded one")
    ] = None,
) -> None:
    """Open psql over the server's database; the rest goes to psql itself: ingest-server psql -c 'TABLE things'."""
    flags = {"data_dir": data_dir, "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        code = run_psql(Settings.read(given, config or config_from_environment()), context.args)
    except StartRefused as error:
        typer.echo(f"ingest-server: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


@cli.command("audit")
def _audit(
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
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="file with settings; default: ingest.toml")] = None,
    data_dir: Annotated[str | None, typer.Option("--data-dir", help="the server's data directory")] = None,
    journal_dir: Annotated[
        str | None, typer.Option("--journal-dir", help="the server's directory for journals")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database", help="postgresql://… instead of the embedded one")
    ] = None,
) -> None:
    """List what of a crawl is missing, and where it was last seen; without CRAWL the latest crawls.

    Exit code 0: nothing is missing; 1: something is, or the counts differ; 2: it cannot be said.
    """
    flags = {"data_dir": data_dir, "journal_dir": journal_dir, "database": database}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings.read(given, config or config_from_environment())
        if crawl is None:
            crawls = latest_crawls(settings)
            if as_json:
                typer.echo(_json(crawls_as_json(crawls)))
            else:
                print_crawls(crawls)
            return
        findings = audit(settings, crawl, spools=spool or (), url=url)
    except StartRefused as error:
        typer.echo(f"ingest-server: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(_json(findings.as_json(settings.schema_)))
    else:
        print_report(findings, settings.schema_)
    raise typer.Exit(findings.exit_code)


def _json(found: Any) -> bytes:
    return orjson.dumps(found, option=orjson.OPT_INDENT_2)


@cli.command()
def version() -> None:
    """Show the version."""
    typer.echo(installed_version("scrapy-batching"))
