"""Scenario `isolation`: what 1, 5, 50 or 1,000 bad items of 1,000 cost, by write mode and by how they are found.

Batches go through the server's own sink, one at a time, over one connection to a PostgreSQL with fsync; HTTP, journal and
other workers are left out. What was committed and buried is counted after each.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtests.command import counting_bar, numbers, some_of
from loadtests.errors import RunError
from loadtests.isolation.plan import MODES, REASONS, Plan
from loadtests.isolation.run import measure
from loadtests.isolation.table import WIDTH, table
from loadtests.results import write_json

QUICK: dict[str, Any] = {"items": 200, "bad": (1, 5, 50, 200), "rounds": 1}
"""What `--quick` says instead."""


def isolation(
    items: Annotated[int | None, typer.Option(min=1, help="Items of a batch.", show_default="1000")] = None,
    bad: Annotated[
        Any, typer.Option(parser=numbers, metavar="N,…", help="Bad ones among them.", show_default="1,5,50,1000")
    ] = None,
    modes: Annotated[
        Any, typer.Option(parser=some_of(MODES), metavar="MODE,…", help="Write modes.", show_default=",".join(MODES))
    ] = None,
    reasons: Annotated[
        Any,
        typer.Option(
            parser=some_of(REASONS), metavar="REASON,…", help="How items are bad.", show_default=",".join(REASONS)
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often everything is written.", show_default="5")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer items, one round: some seconds.")] = False,
    seed: Annotated[int, typer.Option(help="Of items, places and order.")] = 1,
    database: Annotated[
        str | None, typer.Option(metavar="DSN", help="A PostgreSQL to measure on.", show_default="an embedded one")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write cells and every batch as JSON.")] = None,
) -> None:
    """What bad items cost the batch that they come with."""
    given = {"items": items, "bad": bad, "modes": modes, "reasons": reasons, "rounds": rounds}
    said = {name: value for name, value in given.items() if value is not None}
    plan = replace(Plan(seed=seed), **{**(QUICK if quick else {}), **said})
    if max(plan.bad) > plan.items:
        raise typer.BadParameter(f"{max(plan.bad):,} bad items of {plan.items:,}", param_hint="--bad")
    try:
        with counting_bar() as progress:
            bar = progress.add_task("", total=plan.batches)
            result = measure(
                plan, database, lambda now, done: progress.update(bar, description=now or None, advance=done)
            )
    except RunError as error:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table(result))
    if json is not None:
        write_json(result, json)
    typer.echo(f"{result.seconds:.0f} s" + (f" · {json}" if json else ""))
