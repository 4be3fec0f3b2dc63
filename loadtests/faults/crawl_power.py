"""The crawls' machine loses its power: what had to wait for the server was synced, and must be there."""

import asyncio
import random
import re
import signal
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path

import orjson

from loadtests.faults.crawls import Slot
from loadtests.faults.fault import Fault
from loadtests.faults.needs import Needs
from loadtests.faults.power import durable_image, forget, state_of
from loadtests.faults.sequence import index_of
from loadtests.faults.situations import extra, until
from loadtests.faults.witness import Ranges
from loadtests.faults.world import World

_BATCHES = 8
_BATCH_ITEMS = 500
_WHAT = "batches of a crawl that wait for the server, and are synced"
_CRAWL = re.compile(rb'"crawl": *"([^"]+)"')


async def crawl_power_loss(world: World, chance: random.Random) -> None:
    """While the server is away, one more crawl tries each of its batches; then the machine of all crawls goes out.

    Every item of that crawl is asked for. Of the others it is what was durable.
    """
    async with AsyncExitStack() as held:
        await held.enter_async_context(world.changing_all())
        for slot in world.slots:
            await held.enter_async_context(slot.changing)
        for server in world.servers:
            server.strike(signal.SIGKILL)
            await server.gone()
        try:
            crawl = await extra(
                *(world, "crawl", _BATCHES * _BATCH_ITEMS),
                BATCHING_BATCH_ITEMS=_BATCH_ITEMS,
                BATCHING_BATCH_AGE=60,
                BATCHING_CONCURRENCY=_BATCHES,
            )
            if not await until(world, _WHAT, lambda: _all_synced(world, crawl)):
                world.breach(f"the {_WHAT}: not all of {_BATCHES} are")
            await asyncio.sleep(chance.uniform(0, 0.5))
            await _go_out(world, crawl)
        finally:
            await asyncio.gather(*(server.start() for server in world.servers))


async def _go_out(world: World, strict: Slot) -> None:
    runs = [run for slot in world.everyone if slot.kind == "crawl" for run in slot.runs]
    for run in runs:
        if run.program.code is None:
            run.program.strike(signal.SIGKILL)
            await run.program.wait()
            run.left_well = False
    await asyncio.to_thread(forget, world.spool, ordered=True)
    there = _spooled(world.spool)
    for run in runs:
        if not run.left_well:
            run.lost_power = True
            run.durable = None if run is strict.runs[-1] else there.get(run.crawl, [])


async def _all_synced(world: World, crawl: Slot) -> bool:
    state, name = state_of(world.spool), crawl.runs[-1].crawl.encode()
    files = [path for path in _files(world.spool) if (found := _CRAWL.search(path.read_bytes())) and found[1] == name]
    return (
        crawl.taken() == crawl.items
        and len(files) == _BATCHES
        and all(durable_image(state, path) == path.read_bytes() for path in files)
    )


def _spooled(spool: Path) -> dict[str, Ranges]:
    """The items in a spool, by their crawl."""
    found: dict[str, set[int]] = {}
    for path in _files(spool):
        for line in path.read_bytes().split(b"\n")[:-1]:
            item = orjson.loads(line)
            found.setdefault(item["crawl"], set()).add(index_of(item["n"], item["rev"]))
    return {crawl: _ranges(sorted(indices)) for crawl, indices in found.items()}


def _ranges(indices: list[int]) -> Ranges:
    runs = [[index for _, index in run] for _, run in groupby(enumerate(indices), lambda one: one[1] - one[0])]
    return [(run[0], run[-1]) for run in runs]


def _files(spool: Path) -> list[Path]:
    return [path for path in spool.rglob("*.ndjson") if path.name != "tally.ndjson"]


FAULTS = (Fault("crawl-power-loss", crawl_power_loss, Needs(crawl_power=True)),)
