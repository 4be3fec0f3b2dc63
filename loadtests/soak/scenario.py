"""Scenario `soak`: steady load with faults, and whether memory, handles, connections or files grow.

One server process and one long crawl live as long as the run; PostgreSQL, connections, HTTP clients and short crawls are
what goes wrong beside them. At the end everything is counted.
"""

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtests.errors import RunError
from loadtests.soak.page import write_page
from loadtests.soak.plan import Plan
from loadtests.soak.results import Result, write_json
from loadtests.soak.run import soak as run_soak
from loadtests.soak.table import WIDTH, checks, says, series


def soak(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long the load goes on.")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Items a second of the long crawl.")] = 3000.0,
    seed: Annotated[int, typer.Option(help="Of the faults and of the items.")] = 1,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write samples, faults and verdicts as JSON.")
    ] = None,
    html: Annotated[Path, typer.Option(metavar="FILE", help="The page with plot and tables.")] = Path(
        "results/soak.html"
    ),
) -> None:
    """Steady load with faults for a long time: whether anything grows, and whether all arrives."""
    plan = Plan(minutes=minutes, rate=rate, seed=seed, interval=interval)
    try:
        with _progress() as progress:
            bar = progress.add_task("", total=plan.seconds)
            result = run_soak(
                plan, lambda passed, said: progress.update(bar, completed=min(passed, plan.seconds), description=said)
            )
    except RunError as error:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(series(result))
    console.print(checks(result))
    console.print(says(result))
    write_page(result, html)
    if json is not None:
        write_json(result, json)
    typer.echo(f"{result.seconds:.0f} s · {html}" + (f" · {json}" if json else ""))
    raise typer.Exit(exit_code(result))


def exit_code(result: Result) -> int:
    """1 where something grows or the counts do not agree; else 128 and the signal's number where one ended it; else 0."""
    if result.is_flat is False or not result.is_whole:
        return 1
    return 128 + signal.Signals[result.ended] if result.ended else 0


def _progress() -> Progress:
    return Progress(
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )
