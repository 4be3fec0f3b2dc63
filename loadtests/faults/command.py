"""`python -m loadtests faults`: the run from the command line."""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from loadtests.faults.breaches import BREACHES
from loadtests.faults.catalogue import BY_NAME, FAULTS
from loadtests.faults.fault import Fault
from loadtests.faults.postgres import Postgres, reachable_directory
from loadtests.faults.remains import remains_of
from loadtests.faults.report import Report, failures, table
from loadtests.faults.rounds import Outcome, Senders, play
from loadtests.faults.schedule import Round, rounds
from loadtests.faults.servers import free_port
from loadtests.faults.world import World
from loadtests.machine import machine, versions

_SHORT_ITEMS = 20_000
_LONG_ITEMS = 250_000
_CRAWLS, _SENDERS = 2, 1
_LOOK_SECONDS = 0.2


def _faults(names: list[str]) -> list[Fault]:
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise typer.BadParameter(f"there is no fault {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    return [BY_NAME[name] for name in names] or list(FAULTS)


def faults(
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of schedule and strikes.", show_default="by chance")] = -1,
    minutes: Annotated[
        float, typer.Option(min=0, help="Go on with mixtures until then; 0: each fault once, and no mixture.")
    ] = 0,
    items: Annotated[
        int | None,
        typer.Option(min=1000, help="Items a round.", show_default=f"{_SHORT_ITEMS}, {_LONG_ITEMS} with --minutes"),
    ] = None,
    strikes: Annotated[int, typer.Option(min=1, help="Strikes of a fault in a round, times its own number.")] = 1,
    mixed: Annotated[bool, typer.Option("--mixed", help="The named faults in one round.")] = False,
    crawls: Annotated[int, typer.Option(min=1, help="Crawls at a time.")] = _CRAWLS,
    senders: Annotated[
        int, typer.Option(min=0, help="Plain HTTP senders beside them, with half of the items.")
    ] = _SENDERS,
    broken: Annotated[
        list[str] | None,
        typer.Option("--break", metavar="NAME", help=f"Take a safeguard away, to see it found: {', '.join(BREACHES)}."),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
) -> None:
    """Kill, stop and starve real crawls, servers and PostgreSQL, and count every item afterwards."""
    seed = seed if seed >= 0 else random.randrange(2**31)
    chosen = _faults(fault or [])
    plan = rounds(
        chosen,
        seed=seed,
        items=items or (_LONG_ITEMS if minutes else _SHORT_ITEMS),
        strikes=strikes,
        mixed=mixed,
        endless=minutes > 0,
        more=(f" --crawls {crawls}" if crawls != _CRAWLS else "")
        + (f" --senders {senders}" if senders != _SENDERS else "")
        + "".join(f" --break {name}" for name in broken or ()),
    )
    report = Report(seed, machine=machine())
    run = Run(report, Senders(crawls, senders), minutes * 60, 1 if mixed else len(chosen), tuple(broken or ()))
    is_whole = asyncio.run(run.all(plan))
    console = Console()
    console.width = max(console.width, 110)
    console.print(table(report))
    for line in failures(report.failed):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for line in report.breaches:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        report.write(json)
    typer.echo(
        f"seed {seed} · {report.items:,} items in {report.seconds:.0f} s, {report.items / report.seconds:,.0f}/s · "
        f"lost {report.lost:,} · twice {report.twice:,}" + (f" · {json}" if json else "")
    )
    if not is_whole:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130)
    if not report.is_good:
        raise typer.Exit(1)


class Run:
    """Rounds one after the other over one PostgreSQL."""

    def __init__(
        self, report: Report, senders: Senders, seconds: float, least: int, broken: tuple[str, ...] = ()
    ) -> None:
        self._report = report
        self._senders = senders
        self._seconds = seconds
        self._least = least
        self._broken = broken
        self._worlds: list[World] = []
        self._now = ""

    async def all(self, plan: Iterator[Round]) -> bool:
        """False where a signal ended it before its time; everything that was started is stopped either way."""
        playing = asyncio.create_task(self._all(plan), name="rounds")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, playing.cancel)
        began = time.monotonic()
        try:
            await playing
        except asyncio.CancelledError:
            return False
        finally:
            self._report.seconds = time.monotonic() - began
        return True

    async def _all(self, plan: Iterator[Round]) -> None:
        began = time.monotonic()
        with reachable_directory("faults-") as directory:
            postgres = Postgres(directory / "postgres")
            ports = [free_port() for _ in range(2)]
            with _progress() as progress:
                showing = asyncio.create_task(self._show(progress, began), name="progress")
                try:
                    await postgres.start()
                    self._report.versions = versions(
                        str(await postgres.run(lambda connection: connection.fetchval("SHOW server_version")))
                    )
                    for number, one in enumerate(plan):
                        if number >= self._least and time.monotonic() - began >= self._seconds:
                            break
                        await self._play(one, number, directory, postgres, ports, progress)
                finally:
                    showing.cancel()
                    await postgres.stop()
                    self._report.breaches += remains_of(directory)

    async def _play(
        self, one: Round, number: int, directory: Path, postgres: Postgres, ports: list[int], progress: Progress
    ) -> None:
        self._now = "+".join(fault.name for fault in one.faults)
        place = directory / f"round-{number}"
        place.mkdir(mode=0o711)
        outcome: Outcome = await play(
            one,
            directory=place,
            postgres=postgres,
            ports=ports,
            senders=self._senders,
            name=f"r{number}",
            worlds=self._worlds,
            broken=self._broken,
        )
        self._worlds.clear()
        self._report.outcomes.append(outcome)
        if not outcome.is_good and not outcome.not_run:
            for line in failures([outcome]):
                progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    async def _show(self, progress: Progress, began: float) -> None:
        bar: TaskID = progress.add_task("", total=1)
        while True:
            done = len(self._report.outcomes)
            inside = sum(world.taken() / max(world.items, 1) for world in self._worlds)
            share = (done + inside) / self._least
            if self._seconds:
                share = min(share, (time.monotonic() - began) / self._seconds)
            taken = self._report.items + sum(world.taken() for world in self._worlds)
            doing = f"{self._now}: {self._worlds[0].now}" if self._worlds else self._now or "starting"
            counts = f"{done} rounds, {taken:,} items, {self._report.lost} lost, {self._report.twice} twice"
            progress.update(bar, completed=min(share, 1), description=f"{doing} · {counts}")
            await asyncio.sleep(_LOOK_SECONDS)


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn(), console=Console(stderr=True))
