"""`ingest-server doctor`."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ingest_server.commands.options import AsJson, as_json, read_settings, refusals, with_settings_as_flags
from ingest_server.doctor.examination import examine, exit_code
from ingest_server.doctor.finding import Finding, Level

_SIGNS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAILURE: ("✗", "bold red")}


def _doctor(config: Path | None = None, json: bool = False, strict: bool = False, **flags: Any) -> None:
    """Look at everything that the server needs, with the same settings as `run`, and say what to do. Nothing is changed.

    An embedded PostgreSQL that does not run is started for as long as it takes.
    Exit code 0: the server will work; 1: something fails (with --strict: or is not as it should be); 2: the settings are wrong.
    """
    with refusals(exit_code=2):
        settings = read_settings(config, listens=True, **flags)
    found = examine(settings)
    if json:
        typer.echo(as_json({"findings": [_as_json(one) for one in found]}))
    else:
        _print(found)
    raise typer.Exit(exit_code(found, is_strict=strict))


doctor = with_settings_as_flags(
    _doctor,
    inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
    inspect.Parameter(
        "strict",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--strict", help="exit code 1 for warnings too")],
    ),
)


def _as_json(one: Finding) -> dict[str, str]:
    return {"check": one.check, "level": str(one.level), "text": one.text, "remedy": one.remedy}


def _print(found: list[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(one.check) for one in found)
    for one in found:
        sign, style = _SIGNS[one.level]
        console.print(Text.assemble((sign, style), f" {one.check:<{width}}  {one.text}"))
        if one.remedy:
            console.print(Text.assemble(" " * (width + 4), ("→ ", style), one.remedy))
    bad = [sum(one.level is level for one in found) for level in (Level.FAILURE, Level.WARNING)]
    console.print("all is well" if not any(bad) else f"{bad[0]} failures, {bad[1]} warnings")
