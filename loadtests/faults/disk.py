"""Faults of disks: full under journal, spool and PostgreSQL; files that may not grow; the power that goes."""

import asyncio
import errno
import random
import signal
from pathlib import Path

from loadtests.faults.database import away
from loadtests.faults.disks import fill, free, limit_files
from loadtests.faults.fault import Fault, Strike
from loadtests.faults.needs import Needs
from loadtests.faults.power import forget
from loadtests.faults.situations import journaled
from loadtests.faults.world import World

_FULL_SECONDS = (1.0, 4.0)
_LEAST_BYTES = 4096


async def power_loss(world: World, chance: random.Random) -> None:
    """The servers' machine goes out: all of them at once, and the journal is what was synced."""
    async with world.changing_all():
        await _killed(world)
        await asyncio.to_thread(forget, world.journal, seed=chance.randrange(2**31), ordered=True)
        await asyncio.gather(*(server.start() for server in world.servers))


async def power_loss_in_outage(world: World, chance: random.Random) -> None:
    """The same while PostgreSQL is away: what was answered lies in the journal alone, and not one unsynced byte survives."""
    async with world.changing_all():
        async with away(world):
            await journaled(world)
            await asyncio.sleep(chance.uniform(0, 1))
            await _killed(world)
        await asyncio.to_thread(forget, world.journal, ordered=True)
        await asyncio.gather(*(server.start() for server in world.servers))


async def _killed(world: World) -> None:
    for server in world.servers:
        server.strike(signal.SIGKILL)
    for server in world.servers:
        await server.gone()


def _full(*, is_postgres: bool = False) -> Strike:
    async def strike(world: World, chance: random.Random) -> None:
        assert world.small_disk is not None
        _fill(world.small_disk, chance.choice((0, 0, 64 * 2**10)))
        try:
            await asyncio.sleep(chance.uniform(*_FULL_SECONDS))
        finally:
            free(world.small_disk)
        if is_postgres:
            # it may have panicked for its WAL, and found no room to come back by itself
            async with world.postgres.changing:
                await world.postgres.revive()

    return strike


def _fill(folder: Path, leave: int) -> None:
    """Others write at the same time, so what was free a moment ago may be gone."""
    for more in range(20):
        try:
            fill(folder, leave=leave + more * _LEAST_BYTES)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        else:
            return


async def journal_limited(world: World, chance: random.Random) -> None:
    """What a full disk is where nobody may mount one: no file of the server grows."""
    server = chance.choice(world.servers)
    async with server.changing:
        assert server.program is not None
        limit_files(server.program.pid, _LEAST_BYTES)
        try:
            await asyncio.sleep(chance.uniform(*_FULL_SECONDS))
        finally:
            limit_files(server.program.pid, None)


async def spool_limited(world: World, chance: random.Random) -> None:
    slot = world.crawling(chance)
    async with slot.changing:
        run = slot.running
        if run is None:
            return
        limit_files(run.program.pid, _LEAST_BYTES)
        try:
            await asyncio.sleep(chance.uniform(*_FULL_SECONDS))
        finally:
            if run.program.code is None:
                limit_files(run.program.pid, None)


FAULTS = (
    Fault("power-loss", power_loss, Needs(power=True), strikes=2),
    Fault("power-loss-in-outage", power_loss_in_outage, Needs(power=True)),
    Fault("journal-full", _full(), Needs(small_disk="journal")),
    Fault("spool-full", _full(), Needs(small_disk="spool")),
    Fault("postgres-full", _full(is_postgres=True), Needs(small_disk="postgres")),
    Fault("journal-limited", journal_limited, Needs(file_limits=True)),
    Fault("spool-limited", spool_limited, Needs(file_limits=True)),
)
