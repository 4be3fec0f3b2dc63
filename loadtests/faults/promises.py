"""Checks of a promise that need a server of their own, listed among the faults."""

import asyncio
import random
from dataclasses import replace

from loadtests.faults.fault import Fault
from loadtests.faults.trace import trace
from loadtests.faults.world import World


async def fsync_before_answer(world: World, _: random.Random) -> None:
    """Another server under strace: it asked the kernel to sync before each answer that says `journaled`."""
    place = world.directory / "trace"
    place.mkdir()
    traced = await asyncio.to_thread(trace, place, database=world.postgres.dsn(world.database))
    world.breaches += traced.breaches
    if not traced.answers or not traced.syncs:
        world.breach(f"nothing was traced: {replace(traced, breaches=())}")


FAULTS = (Fault("fsync-before-answer", fsync_before_answer, is_alone=True),)
