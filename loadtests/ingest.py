"""Scenario `ingest`: from HTTP to commit, against what PostgreSQL takes when the rows are ready tuples.

A grid of batch sizes and workers. Both sides of a cell are measured right after each other, in an order that chance
decides, on empty tables of one database; every answer and every table is counted, a count that differs ends the run.
"""

import datetime as dt
import itertools
import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from ingest_server.postgres.embedded.embedded import temporary_postgres
from loadtests.bench import SIDES, Bench, SideName
from loadtests.command import counting_bar, numbers
from loadtests.database import server_version
from loadtests.errors import RunError
from loadtests.grid import QUICK, Grid
from loadtests.items import SHAPES
from loadtests.loader import Loader
from loadtests.machine import machine, versions
from loadtests.page import write_page
from loadtests.report import WIDTH, table
from loadtests.results import Cell, Place, Result, Side, cell, write_json

T = TypeVar("T")


class ModeChoice(StrEnum):
    """Write mode of the tables."""

    append = "append"
    upsert = "upsert"


class ShapeChoice(StrEnum):
    """Which items are sent."""

    wide = "wide"
    narrow = "narrow"
    both = "both"


def ingest(
    batch_sizes: Annotated[
        Any, typer.Option(parser=numbers, metavar="N,…", help="Items in a batch.", show_default="10,50,100,500,1000")
    ] = None,
    workers: Annotated[
        Any, typer.Option(parser=numbers, metavar="N,…", help="The server's workers.", show_default="1,2,4,8")
    ] = None,
    mode: Annotated[ModeChoice, typer.Option(help="Write mode of the tables.")] = ModeChoice.append,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cells, rounds and items: about a minute.")] = False,
    shape: Annotated[
        ShapeChoice, typer.Option(help="wide: 18 columns, 1 KB of JSON; narrow: 5 columns, 150 B.")
    ] = ShapeChoice.wide,
    items: Annotated[int | None, typer.Option(min=1, help="Items a cell and round.", show_default="60000")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often a cell is measured.", show_default="5")] = None,
    in_flight: Annotated[int | None, typer.Option(min=1, help="Requests in flight.", show_default="16")] = None,
    changed: Annotated[
        float, typer.Option(min=0, max=1, help="Upsert: share of items whose key is stored with another price.")
    ] = 0.0,
    unchanged: Annotated[
        float, typer.Option(min=0, max=1, help="Upsert: share of items that are stored already as they are.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the items and of the order in each round.")] = 1,
    database: Annotated[
        str | None, typer.Option(metavar="DSN", help="A PostgreSQL to measure on.", show_default="an embedded one")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page with plot and table.", show_default="results/ingest-MODE.html"),
    ] = None,
) -> None:
    """From HTTP to commit, against asyncpg's COPY of ready tuples."""
    if changed + unchanged > (1 if mode is ModeChoice.upsert else 0):
        raise typer.BadParameter("--changed and --unchanged are shares of one whole, for --mode upsert only")
    given = {"batch_sizes": batch_sizes, "workers": workers, "items": items, "rounds": rounds, "in_flight": in_flight}
    grid = replace(
        QUICK if quick else Grid(),
        **{name: value for name, value in given.items() if value is not None},
        shapes=tuple(SHAPES) if shape is ShapeChoice.both else (shape.value,),
        mode=mode.value,
        changed=changed,
        unchanged=unchanged,
        seed=seed,
    )
    try:
        result = measure(grid, database)
    except RunError as error:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    page = html or Path("results") / f"ingest-{mode.value}.html"
    console = Console()
    console.width = max(console.width, WIDTH)
    for shape_name in grid.shapes:
        console.print(table(result, shape_name))
    write_page(result, page)
    if json is not None:
        write_json(result, json)
    typer.echo(f"{result.seconds:.0f} s · {page}" + (f" · {json}" if json else ""))


def measure(grid: Grid, database: str | None) -> Result:
    """Measure the whole grid. Starts and stops all that it needs; raises `RunError` where a count is wrong."""
    began = time.perf_counter()
    found = machine()
    with ExitStack() as stack:
        dsn = database or stack.enter_context(temporary_postgres()).dsn
        postgres = server_version(dsn)
        loader = stack.enter_context(Loader())
        progress = stack.enter_context(counting_bar())
        bar = progress.add_task("", total=grid.cells * grid.rounds)
        cells = _rounds(grid, dsn, loader, lambda said, done: progress.update(bar, description=said, advance=done))
    return Result(
        scenario="ingest",
        mode=grid.mode,
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=time.perf_counter() - began,
        seed=grid.seed,
        arguments=asdict(grid),
        machine=found,
        versions=versions(postgres),
        cells=cells,
    )


def _rounds(grid: Grid, dsn: str, loader: Loader, tell: Callable[[str, int], None]) -> tuple[Cell, ...]:
    chance = random.Random(f"order/{grid.seed}")
    sides: dict[Place, dict[SideName, list[Side]]] = {}
    for number in range(1, grid.rounds + 1):
        for shape, workers in _shuffled(itertools.product(grid.shapes, grid.workers), chance):
            with Bench(grid, dsn, loader, shape, workers) as bench:
                for size in _shuffled(grid.batch_sizes, chance):
                    said = f"round {number}: {shape}, workers {workers}, batches of {size:,}"
                    tell(said, 0)
                    found = sides.setdefault(Place(shape, workers, size), {"ours": [], "ceiling": []})
                    for side in _shuffled(SIDES, chance):
                        found[side].append(bench.measure(side, size))
                    tell(said, 1)
    return tuple(cell(place, found["ours"], found["ceiling"]) for place, found in sorted(sides.items()))


def _shuffled(things: Iterable[T], chance: random.Random) -> list[T]:
    found = list(things)
    chance.shuffle(found)
    return found
