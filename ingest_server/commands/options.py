"""What several commands share: how the settings are named on the command line, and how a refused start is said."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ingest_server.errors import StartRefused
from ingest_server.postgres.connections.pool import NoConnectionString
from ingest_server.settings import (
    WITHOUT_FLAG,
    Settings,
    config_from_environment,
    environment_name,
    flag_name,
    option_name,
)

Config = Annotated[
    Path | None, typer.Option("--config", envvar="INGEST_CONFIG", help="file with settings; default: ingest.toml")
]
DataDir = Annotated[str | None, typer.Option("--data-dir", help="the server's data directory")]
JournalDir = Annotated[str | None, typer.Option("--journal-dir", help="the server's directory for journals")]
Database = Annotated[str | None, typer.Option("--database", help="postgresql://… instead of the embedded one")]
Owner = Annotated[
    str | None,
    typer.Option("--owner", help="whose it is, where the server has tokens; default: of INGEST_TOKEN's name"),
]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


def read_settings(config: Path | None, *, listens: bool = False, **flags: Any) -> Settings:
    """The settings, with these flags above variables and file; a flag that is None was not given. Raises `StartRefused`."""
    given = {option_name(name): value for name, value in flags.items() if value is not None}
    return Settings.read(given, config or config_from_environment(), listens=listens)


@contextlib.contextmanager
def refusals(exit_code: int = 1) -> Iterator[None]:
    """Say what stops a command, a place that may not be entered too, in one line on standard error; end with the exit code."""
    try:
        yield
    except StartRefused as error:
        said = str(error)
    except NoConnectionString as error:
        said = f"settings: database is no connection string ({type(error).__name__}): postgresql://user@host:5432/name"
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        said = f"{error.filename}: {error.strerror}: name another place, or let this user in"
    else:
        return
    typer.echo(f"ingest-server: {said}", err=True)
    raise typer.Exit(exit_code)


def as_json(found: Any) -> bytes:
    """A result for programs, indented."""
    return orjson.dumps(found, option=orjson.OPT_INDENT_2)


def with_settings_as_flags(command: Callable[..., None], *more: inspect.Parameter) -> Callable[..., None]:
    """Give the command a flag for every setting that may stand on a command line, and these."""
    parameters = [inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config), *more]
    for name, field in Settings.model_fields.items():
        if name not in WITHOUT_FLAG:
            parameters.append(_flag(name, field.description or ""))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _flag(name: str, description: str) -> inspect.Parameter:
    flag = flag_name(name)
    kind: Any = bool if name == "create_tables" else str
    names = (flag, "--no-" + flag.removeprefix("--")) if kind is bool else (flag,)
    text = f"{description} [{environment_name(name)}]"
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, typer.Option("/".join(names), help=text, show_default=False)],
    )
