"""Faults of PostgreSQL: killed, stopped, shut down at once, its connections ended, read-only."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import psutil

from loadtests.faults.fault import Fault
from loadtests.faults.world import World

_AWAY_SECONDS = (0.0, 3.0)


async def kill(world: World, chance: random.Random) -> None:
    async with world.postgres.changing:
        await world.postgres.kill()
        await asyncio.sleep(chance.uniform(*_AWAY_SECONDS))
        await world.postgres.start()


async def immediate(world: World, chance: random.Random) -> None:
    async with world.postgres.changing:
        await world.postgres.immediate()
        await asyncio.sleep(chance.uniform(*_AWAY_SECONDS))
        await world.postgres.start()


async def fast(world: World, chance: random.Random) -> None:
    """What an upgrade of the package does."""
    async with world.postgres.changing:
        await world.postgres.stop()
        await asyncio.sleep(chance.uniform(*_AWAY_SECONDS))
        await world.postgres.start()


async def stop(world: World, chance: random.Random) -> None:
    async with stopped(world):
        await asyncio.sleep(chance.uniform(1, 6))


@asynccontextmanager
async def stopped(world: World) -> AsyncIterator[None]:
    """Every process of PostgreSQL stands still: what workers have begun stays begun."""
    async with world.postgres.changing:
        world.postgres.signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(psutil.Error):
                world.postgres.signal_all(signal.SIGCONT)


@asynccontextmanager
async def away(world: World) -> AsyncIterator[None]:
    """PostgreSQL is dead meanwhile: everybody is told so at once, and nothing is committed."""
    async with world.postgres.changing:
        await world.postgres.kill()
        try:
            yield
        finally:
            await world.postgres.start()


async def terminate(world: World, chance: random.Random) -> None:
    """Every connection is ended, several times: now and then in the middle of a COMMIT."""
    async with world.postgres.changing:
        for _ in range(5):
            await world.postgres.run(_terminated)
            await asyncio.sleep(chance.uniform(0.05, 0.4))


async def read_only(world: World, chance: random.Random) -> None:
    """As after a failover to a standby: connections stand, transactions may not write."""
    async with world.postgres.changing:
        await _read_only(world, "on")
        try:
            await asyncio.sleep(chance.uniform(1, 4))
        finally:
            await _read_only(world, "off")


async def _read_only(world: World, word: str) -> None:
    await world.postgres.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}")
    await world.postgres.execute("SELECT pg_reload_conf()")


async def _terminated(connection: "asyncpg.Connection") -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


FAULTS = (
    Fault("postgres-kill", kill),
    Fault("postgres-immediate", immediate),
    Fault("postgres-fast", fast),
    Fault("postgres-stop", stop),
    Fault("terminate-backend", terminate, strikes=2),
    Fault("read-only", read_only),
)
