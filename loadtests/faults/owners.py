"""Faults of the journal's owners: a server that stands still is no dead one, and nobody takes its file."""

import asyncio
import random
import signal

import aiohttp

from loadtests.faults.database import away
from loadtests.faults.fault import Fault, Needs
from loadtests.faults.servers import Server
from loadtests.faults.situations import journaled
from loadtests.faults.world import World

_LOOKS_SECONDS = 6.5
"""A server looks for files without an owner every five seconds."""


async def stop_owner(world: World, chance: random.Random) -> None:
    """One of two stands still with batches in its file; the other one starts anew, looks around, and must leave it alone."""
    owner, *others = world.servers
    async with world.changing_all():
        async with away(world):
            await journaled(world)
            owner.strike(signal.SIGSTOP)
        try:
            for other in others:
                other.strike(signal.SIGTERM)
                await other.gone()
                await other.start()
            await asyncio.sleep(_LOOKS_SECONDS + chance.uniform(0, 1))
            for other in others:
                if adopted := await _adopted(world, other):
                    world.breach(f"{other.name} adopted {adopted:.0f} batches of {owner.name}, which only stands still")
        finally:
            owner.strike(signal.SIGCONT)
            assert owner.program is not None
            owner.program.was_struck = False


async def _adopted(world: World, server: Server) -> float:
    async with world.http.get(f"{server.url}/metrics", timeout=aiohttp.ClientTimeout(total=5)) as answer:
        said = await answer.text()
    return sum(float(line.split()[-1]) for line in said.splitlines() if line.startswith("ingest_journal_adopted_total"))


FAULTS = (Fault("owner-stop", stop_owner, Needs(servers=2)),)
