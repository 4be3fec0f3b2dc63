"""`python -m loadtests outages`: every fault of PostgreSQL under a running server, and what it cost."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests.command import counting_bar
from loadtests.errors import RunError
from loadtests.faults.disks import small_disk
from loadtests.faults.needs import NotPossible
from loadtests.faults.postgres import Postgres, reachable_directory
from loadtests.machine import machine
from loadtests.outages.faults import FAULTS, Fault
from loadtests.outages.run import Outcome, measured

_DISK_BYTES = 256 * 2**20
_OPTIONS = {"deadlock_timeout": "20ms", "max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "64MB"}
_SECONDS, _QUICK_SECONDS = 5.0, 1.0
_COLUMNS = ("fault", "SQLSTATE", "s", "in flight", "waiting", "items", "lost", "twice", "buried", "resumed s", "all s")
_BY_NAME = {fault.name: fault for fault in FAULTS}


def outages(
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated.", show_default="all")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="How long each lasts.", show_default="5")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A second each.")] = False,
    seed: Annotated[int, typer.Option(help="Of what is sent.", show_default="by chance")] = -1,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
) -> None:
    """Hurt PostgreSQL while batches flow: what was in flight, what is lost or there twice, and when work goes on.

    Exit code 1 where an item that was taken is lost, is there twice, or was buried for an outage.
    """
    unknown = sorted(set(fault or ()) - _BY_NAME.keys())
    if unknown:
        raise typer.BadParameter(f"there is no fault {', '.join(unknown)}; there are {', '.join(_BY_NAME)}")
    seed = seed if seed >= 0 else random.randrange(2**31)
    chosen = [_BY_NAME[name] for name in fault or ()] or list(FAULTS)
    lasting = seconds or (_QUICK_SECONDS if quick else _SECONDS)
    not_run: dict[str, str] = {}
    try:
        with counting_bar() as bar:
            found = asyncio.run(_all(chosen, lasting, seed, not_run, bar))
    except RunError as error:
        Console(stderr=True).print(f"[red]{error}[/]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if json is not None:
        result = {
            "scenario": "outages",
            "seed": seed,
            "machine": machine(),
            "outages": [one.as_json() for one in found],
            "not_run": not_run,
        }
        json.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    show(found, not_run, seed)
    raise typer.Exit(0 if all(one.is_well for one in found) else 1)


async def _all(
    chosen: Sequence[Fault], seconds: float, seed: int, not_run: dict[str, str], bar: Progress
) -> list[Outcome]:
    found: list[Outcome] = []
    task = bar.add_task("outages", total=len(chosen))
    for is_small in (False, True):
        some = [fault for fault in chosen if fault.needs_small_disk is is_small]
        if not some:
            continue
        with ExitStack() as stack:
            try:
                disk = stack.enter_context(small_disk(_DISK_BYTES)) if is_small else None
            except NotPossible as error:
                not_run |= {fault.name: str(error) for fault in some}
                continue
            directory = disk or stack.enter_context(reachable_directory("outages-"))
            postgres = Postgres(directory / "postgres", _OPTIONS)
            await postgres.start()
            try:
                for number, fault in enumerate(some):
                    bar.update(task, description=fault.name)
                    found.append(await measured(fault, postgres, disk, number=number, seed=seed, seconds=seconds))
                    bar.advance(task)
            finally:
                await postgres.stop()
    return found


def show(found: Sequence[Outcome], not_run: dict[str, str], seed: int) -> None:
    """The table, and what was not run with the reason."""
    console = Console()
    console.width = max(console.width, 130)
    table = Table(*_COLUMNS, title=f"outages, seed {seed}")
    for one in found:
        figures = (one.seconds, one.in_flight, one.waiting, one.items, one.lost, one.twice, one.buried)
        cells = [one.fault, one.code, *map(str, (*figures, one.resumed, one.all_settled))]
        table.add_row(*cells, style=None if one.is_well else "red")
    console.print(table)
    for name, why in not_run.items():
        console.print(f"not run: {name}: {why}", highlight=False, soft_wrap=True)
