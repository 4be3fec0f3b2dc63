"""Situations that a strike waits for, so that it does not need luck: who is sure to have sent what, and how far it came."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
import asyncpg

from loadtests.faults.crawls import Slot
from loadtests.faults.world import World

SENDER_ITEMS = 1000
"""Four batches, two at a time: what a worker does with a first one is in the journal when the last is answered."""
_PATIENCE_SECONDS = 20
_END_SECONDS = 60
_LOOK_SECONDS = 0.02


async def until(world: World, what: str, is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it came true in time. Where another fault strikes at the same time it may not; then that is noted."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends:
        with suppress(OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            async with asyncio.timeout(max(0.1, ends - time.monotonic())):
                if await is_so():
                    return True
        await asyncio.sleep(_LOOK_SECONDS)
    world.notes.append(f"not seen within {_PATIENCE_SECONDS} s: {what}")
    return False


async def extra(world: World, kind: str, items: int, **settings: object) -> Slot:
    """One more sender, begun now and counted at the end as all are."""
    way = replace(world.slots[0].way, settings=(*world.slots[0].way.settings, *settings.items()))
    slot = Slot(f"{world.database}-extra-{len(world.extras)}", kind, items, way, world.breach)
    world.extras.append(slot)
    await slot.begin(items)
    return slot


async def journaled(world: World) -> Slot:
    """One more plain sender. When this returns every batch of its was answered `journaled`, unless that is noted."""
    slot = await extra(world, "sender", SENDER_ITEMS)
    if not await slot.end(_PATIENCE_SECONDS):
        world.notes.append(f"{slot.name} was not answered within {_PATIENCE_SECONDS} s")
    return slot


async def ended(world: World, slot: Slot) -> None:
    """Returns when this sender, which nobody struck, is done; if that takes more than a minute it is a breach."""
    if not await slot.end(_END_SECONDS):
        world.breach(f"{slot.name} is not done after {_END_SECONDS} s: {slot.runs[-1].program.tail()[-500:]}")


async def has_rows(world: World, slot: Slot) -> bool:
    """Whether rows of this sender are in `plain`, as PostgreSQL itself says, whatever lies between it and the server."""
    return bool(
        await world.postgres.run(
            lambda one: one.fetchval("SELECT EXISTS (SELECT FROM plain WHERE crawl = $1)", slot.runs[-1].crawl),
            world.database,
        )
    )


@asynccontextmanager
async def quiet(world: World) -> AsyncIterator[None]:
    """Every sender stands still, and the servers have nothing to do."""
    programs = [slot.running.program for slot in world.slots if slot.running is not None]
    for program in programs:
        program.hold(signal.SIGSTOP)
    try:
        await until(world, "servers that have nothing to do", lambda: _are_idle(world))
        yield
    finally:
        for program in programs:
            program.hold(signal.SIGCONT)


async def _are_idle(world: World) -> bool:
    return not any([await _waiting(world, server.url) for server in world.servers])


async def _waiting(world: World, url: str) -> float:
    async with world.http.get(f"{url}/metrics", timeout=aiohttp.ClientTimeout(total=5)) as answer:
        said = await answer.text()
    return sum(float(line.split()[-1]) for line in said.splitlines() if line.startswith("ingest_queue_batches "))
