"""The rounds: in each of them every place once, and there every contender once, one right after the other."""

import asyncio
import datetime as dt
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import orjson

from loadtests.database import count_rows, server_version
from loadtests.errors import CountError, PartError
from loadtests.machine import machine, versions
from loadtests.pipeline.contenders import FEED
from loadtests.pipeline.listings import table_of
from loadtests.pipeline.plan import CONTENDERS, Crawl, Order, Place, Plan
from loadtests.pipeline.results import Result, Run, result_of
from loadtests.pipeline.stand import Stand, standing
from spiders.demo.programs import ProgramError, log, out, running, serving

T = TypeVar("T")
Tell = Callable[[str, int], None]
"""Told what goes on, and how many crawls were done since."""

_SECONDS_AN_ITEM = 0.1
_SECONDS = 120
_KEPT = frozenset({"ours", "psycopg", "asyncpg"})
"""Whose items are in a table afterwards."""


def measure(plan: Plan, database: str | None, tell: Tell) -> Result:
    """Start all that is needed, crawl, and stop it. Raises `RunError` where a crawl fails or an item is missing."""
    began = time.perf_counter()
    found = machine()
    with standing(plan.kinds, database) as stand:
        postgres = server_version(stand.dsn)
        try:
            runs = asyncio.run(_rounds(plan, stand, tell))
        except ProgramError as error:
            raise PartError(part="the site", said=str(error)) from error
    return result_of(
        runs,
        plan,
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=time.perf_counter() - began,
        machine=found,
        versions=versions(postgres),
    )


async def _rounds(plan: Plan, stand: Stand, tell: Tell) -> list[Run]:
    chance = random.Random(f"order/{plan.seed}")
    runs = []
    async with serving("pages", "loadtests.pipeline.pages", place=stand.directory) as pages:
        for number in range(1, plan.rounds + 1):
            for place in _shuffled(plan.places, chance):
                for contender in _shuffled(plan.contenders, chance):
                    tell(f"round {number}: {place.shape}, {place.items:,} × {place.kind}, {contender}", 0)
                    runs.append(Run(number, place, contender, await counted(plan, stand, pages, place, contender)))
                    tell("", 1)
    return runs


async def counted(plan: Plan, stand: Stand, pages: str, place: Place, contender: str) -> Crawl:
    """One crawl that did what it should; its files are gone afterwards."""
    table = table_of(place.kind)
    await asyncio.to_thread(stand.clear, table)
    with tempfile.TemporaryDirectory(dir=stand.directory) as directory:
        order = Order(
            contender=contender,
            kind=place.kind,
            shape=place.shape,
            items=plan.items_of(place, contender),
            seed=plan.seed,
            pages=pages,
            server=stand.server,
            dsn=stand.dsn,
            table=table,
            directory=directory,
        )
        found = await carried_out(order)
        what = CONTENDERS[contender]
        _same(f"{what}: items scraped", order.items, found.items)
        rows = await asyncio.to_thread(count_rows, stand.dsn, table)
        _same(f"{what}: rows in {table}", order.items if contender in _KEPT else 0, rows)
        if contender == "feed":
            _same(f"{what}: lines", order.items, (Path(directory) / FEED).read_bytes().count(b"\n"))
    return found


async def carried_out(order: Order) -> Crawl:
    """What the crawl's process says. Raises `PartError` with the end of its log if it did not end well."""
    place = Path(order.directory)
    words = orjson.dumps(asdict(order)).decode()
    async with running("crawl", "loadtests.pipeline.crawl", words, place=place) as program:
        how = ""
        try:
            async with asyncio.timeout(_SECONDS + order.items * _SECONDS_AN_ITEM):
                await program.wait()
        except TimeoutError:
            how = "did not end"
        finally:
            if program.returncode is None:
                program.kill()  # asked to end, it would first yield and deliver the rest of its items
        if program.returncode and not how:
            how = f"ended with exit code {program.returncode}"
    found = None if how else Crawl(**orjson.loads(out("crawl", place).read_bytes()))
    if found is not None and (found.errors or found.reason != "finished"):
        how = f"ended as {found.reason!r} with {found.errors} errors in its log, first:\n{_first_error(place)}\nit"
    if found is None or how:
        raise PartError(part=order.contender, said=str(ProgramError("crawl", how, log("crawl", place))))
    return found


def _first_error(place: Path) -> str:
    lines = log("crawl", place).read_text(errors="replace").splitlines()
    first = next((number for number, line in enumerate(lines) if " ERROR: " in line or " CRITICAL: " in line), 0)
    return "\n".join(lines[first : first + 20])


def _same(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise CountError(what=what, expected=expected, found=found)


def _shuffled(things: Sequence[T], chance: random.Random) -> list[T]:
    return chance.sample(things, k=len(things))
