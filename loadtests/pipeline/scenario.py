"""Scenario `pipeline`: what our pipeline costs a crawl, beside an empty one, Scrapy's feed and a database item by item.

Each crawl is a process of its own, against a real server and a real PostgreSQL in theirs. In each round all contenders
crawl the same items right after each other, in an order that chance decides; what they stored is counted after each.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtests.command import counting_bar, numbers, some_of
from loadtests.errors import RunError
from loadtests.pipeline.listings import KINDS
from loadtests.pipeline.page import write_page
from loadtests.pipeline.plan import CONTENDERS, QUICK, SHAPES, Plan
from loadtests.pipeline.run import measure
from loadtests.pipeline.table import WIDTH, cells, goals
from loadtests.results import write_json


def pipeline(
    items: Annotated[
        Any, typer.Option(parser=numbers, metavar="N,…", help="Items of the one page.", show_default="20000,100000")
    ] = None,
    pages: Annotated[
        int | None, typer.Option(min=1, help="Pages, where each has one item.", show_default="5000")
    ] = None,
    kinds: Annotated[
        Any, typer.Option(parser=some_of(KINDS), metavar="KIND,…", help="Kinds of item.", show_default=",".join(KINDS))
    ] = None,
    shapes: Annotated[
        Any, typer.Option(parser=some_of(SHAPES), metavar="SHAPE,…", help="of crawl.", show_default=",".join(SHAPES))
    ] = None,
    contenders: Annotated[
        Any,
        typer.Option(
            parser=some_of(CONTENDERS), metavar="NAME,…", help="Who crawls.", show_default=",".join(CONTENDERS)
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often everything is crawled.", show_default="10")
    ] = None,
    most_one_by_one: Annotated[
        int | None,
        typer.Option(min=1, help="Items that psycopg and asyncpg are given at most.", show_default="5000"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer items and rounds: some minutes.")] = False,
    seed: Annotated[int, typer.Option(help="Of the items and of the order in each round.")] = 1,
    database: Annotated[
        str | None, typer.Option(metavar="DSN", help="A PostgreSQL to measure on.", show_default="an embedded one")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write ratios, cells and every crawl as JSON.")
    ] = None,
    html: Annotated[
        Path, typer.Option("--html", "--page", metavar="FILE", help="The page with plot and tables.")
    ] = Path("results/pipeline.html"),
) -> None:
    """What our pipeline costs a crawl, beside others that do as much."""
    given = {
        "items": items,
        "pages": pages,
        "kinds": kinds,
        "shapes": shapes,
        "contenders": contenders,
        "rounds": rounds,
        "most_one_by_one": most_one_by_one,
    }
    said = {name: value for name, value in given.items() if value is not None}
    plan = replace(Plan(seed=seed), **{**(QUICK if quick else {}), **said})
    try:
        with counting_bar() as progress:
            bar = progress.add_task("", total=plan.crawls)
            result = measure(
                plan, database, lambda now, done: progress.update(bar, description=now or None, advance=done)
            )
    except RunError as error:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    console = Console()
    console.width = max(console.width, WIDTH)
    for place in dict.fromkeys((cell.shape, cell.asked) for cell in result.cells):
        console.print(cells(result, *place))
    console.print(goals(result))
    write_page(result, html)
    if json is not None:
        write_json(result, json)
    typer.echo(f"{result.seconds:.0f} s · {html}" + (f" · {json}" if json else ""))
