"""Scenario `hostile`: clients that mean harm, each alone and all at once, beside honest ones.

Whether resident memory stays below the limit, /livez goes on answering, and honest batches are committed, each once.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.command import counting_bar
from loadtests.errors import RunError
from loadtests.hostile.attacks import ATTACKS
from loadtests.hostile.draw import draw_memory, draw_probes, save
from loadtests.hostile.results import write_json
from loadtests.hostile.run import Plan
from loadtests.hostile.run import hostile as run_hostile
from loadtests.hostile.table import WIDTH, says, table


def hostile(
    attacks: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Which attacks.", show_default="all of them")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, help="Of each attack.", show_default="12")] = None,
    together: Annotated[float | None, typer.Option(min=0.5, help="Of all at once.", show_default="45")] = None,
    share: Annotated[float, typer.Option(min=0.01, max=10, help="Of each attack's connections.")] = 1.0,
    limit: Annotated[int, typer.Option(min=128, help="The server's memory limit, MiB.")] = 512,
    quick: Annotated[bool, typer.Option("--quick", help="3 seconds each, 8 together: about three minutes.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Write memory.png and hostile.png there.")
    ] = None,
) -> None:
    """Hostile clients: memory, probes, and what honest clients get done meanwhile."""
    known = {one.name: one for one in ATTACKS}
    names = [name.strip() for name in attacks.split(",")] if attacks else list(known)
    if unknown := sorted(set(names) - set(known)):
        raise typer.BadParameter(f"no such attack: {', '.join(unknown)}; there are {', '.join(known)}")
    plan = Plan(tuple(known[name] for name in names), share=share, limit=limit * 2**20)
    if quick:
        plan = replace(plan, seconds=3.0, together=8.0)
    plan = replace(plan, seconds=seconds or plan.seconds, together=together or plan.together)
    try:
        with counting_bar() as progress:
            bar = progress.add_task("", total=len(names) + 1 + (len(names) > 1))
            told = -1

            def tell(name: str) -> None:
                nonlocal told
                told += 1
                progress.update(bar, completed=told, description=name)

            result = run_hostile(plan, tell)
            progress.update(bar, completed=told + 1)
    except RunError as error:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table(result))
    console.print(says(result))
    if plot is not None:
        save(draw_memory(result), plot / "memory.png")
        save(draw_probes(result), plot / "hostile.png")
    if json is not None:
        write_json(result, json)
    typer.echo(f"{result.seconds:.0f} s" + (f" · {plot}" if plot else "") + (f" · {json}" if json else ""))
    raise typer.Exit(0 if result.is_whole and result.is_below else 1)
