"""Faults of time: the wall clock of servers and crawls jumps, forward and back, while they run."""

import asyncio
import random

from loadtests.faults.clock import set_clock
from loadtests.faults.fault import Fault
from loadtests.faults.needs import Needs
from loadtests.faults.world import World

_MOST_SECONDS = 3 * 86_400


async def jumps(world: World, chance: random.Random) -> None:
    """Days to both sides, and home again."""
    for _ in range(3):
        set_clock(world.clock, chance.uniform(-_MOST_SECONDS, _MOST_SECONDS))
        await asyncio.sleep(chance.uniform(0.2, 1.5))
    set_clock(world.clock, 0.0)


FAULTS = (Fault("clock-jumps", jumps, Needs(clock=True)),)
